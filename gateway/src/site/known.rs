//! What nodes are known to have without being asked: for nodes that the site says nobody else changes.
//!
//! Rows of the site's database, so that what one process removes no other takes for present. A removal leaves a row that says
//! so, since somebody may have asked the node before it and hear the answer after it.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::{Site, SiteError, hold};

/// Rows about removals are needed as long as a node may take to answer who asked before, and kept for so many seconds.
const REMOVED_SECONDS: u64 = 3600;

impl Site {
    /// Records that a node has a key, as it said when it was asked, or was written to, at `asked` by [`Site::now`]. Nothing
    /// is recorded if the key has been removed since, or is just being removed.
    pub fn learn(&self, node: &Uuid, key: &Key, asked: u64) -> Result<(), SiteError> {
        let now = self.now()?;
        let upsert = "INSERT INTO known (node, key, at, removed) VALUES (?1, ?2, ?3, 0)
            ON CONFLICT (node, key) DO UPDATE SET at = ?3, removed = 0 WHERE removed = 0 OR at < ?3";
        self.database().write(|sql| {
            if hold::live(sql, "removal", node, key, now)? {
                return Ok(());
            }
            sql.change(upsert, (node.as_bytes(), key.as_bytes(), asked)).map(drop)
        })
    }

    /// Tells whether a node was seen to have a key within so many seconds, and has not lost it by what this site did.
    pub fn knows(&self, node: &Uuid, key: &Key, within: u64) -> Result<bool, SiteError> {
        let now = self.now()?;
        let select = "SELECT at + ?3 > ?4 FROM known WHERE node = ?1 AND key = ?2 AND removed = 0";
        let row = (node.as_bytes(), key.as_bytes(), within, now);
        let known: Option<(bool,)> = self.database().read(|sql| sql.first(select, row))?;
        Ok(known.is_some_and(|(known,)| known))
    }

    /// Records that a key is being removed from a node, or is found missing there; removals say so before and after.
    pub fn forget_known(&self, node: &Uuid, key: &Key) -> Result<(), SiteError> {
        let now = self.now()?;
        let upsert = "INSERT INTO known (node, key, at, removed) VALUES (?1, ?2, ?3, 1)
            ON CONFLICT (node, key) DO UPDATE SET at = ?3, removed = 1";
        self.database().write(|sql| {
            let old = now.saturating_sub(REMOVED_SECONDS);
            sql.change("DELETE FROM known WHERE removed = 1 AND at < ?1", [old])?;
            sql.change(upsert, (node.as_bytes(), key.as_bytes(), now)).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_removes_no_other_knows_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let other = Site::open(site.root()).unwrap();
        let (node, key) = (Uuid::parse(b"a").unwrap(), Key::parse(b"WORM-s1--x").unwrap());
        assert!(!site.knows(&node, &key, 100).unwrap());
        let asked = site.now().unwrap();
        site.learn(&node, &key, asked).unwrap();
        assert!(other.knows(&node, &key, 100).unwrap());
        assert!(!other.knows(&node, &key, 0).unwrap(), "it is too long ago");
        // Somebody asks; the key is removed; the answer comes late.
        let removal = other.begin_removal(&node, &key).unwrap().unwrap();
        other.forget_known(&node, &key).unwrap();
        site.learn(&node, &key, asked + 1).unwrap();
        assert!(!site.knows(&node, &key, 100).unwrap(), "it is just being removed");
        other.forget_known(&node, &key).unwrap();
        other.end_removals(&[removal]).unwrap();
        site.learn(&node, &key, asked).unwrap();
        assert!(!site.knows(&node, &key, 100).unwrap(), "the answer is older than the removal");
        site.learn(&node, &key, site.now().unwrap() + 1).unwrap();
        assert!(site.knows(&node, &key, 100).unwrap());
    }
}
