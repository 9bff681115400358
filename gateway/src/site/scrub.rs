//! When copies were last scrubbed: read from start to end and compared with their key.
//!
//! Rows of the site's database, so that a scrub goes on where it was after a restart. If a row is missing, the time in
//! the location log is used instead, so the copy is only read earlier.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::{Site, SiteError};

impl Site {
    /// Records that copies, each a node and a key, have just been read.
    pub fn scrubbed(&self, copies: &[(Uuid, Key)]) -> Result<(), SiteError> {
        let upsert = "INSERT INTO scrub (node, key, at) VALUES (?1, ?2, ?3)
            ON CONFLICT (node, key) DO UPDATE SET at = ?3";
        let now = self.clock().unix_seconds();
        self.database().write(|sql| {
            for (node, key) in copies {
                sql.change(upsert, (node.as_bytes(), key.as_bytes(), now))?;
            }
            Ok(())
        })
    }

    /// Returns when a copy was last read, in seconds since the epoch.
    pub fn scrubbed_at(&self, node: &Uuid, key: &Key) -> Result<Option<u64>, SiteError> {
        let select = "SELECT at FROM scrub WHERE node = ?1 AND key = ?2";
        let at: Option<(u64,)> = self.database().read(|sql| sql.first(select, (node.as_bytes(), key.as_bytes())))?;
        Ok(at.map(|(at,)| at))
    }

    /// Forgets what was read before a time, in seconds since the epoch.
    pub fn forget_scrubbed(&self, before: u64) -> Result<(), SiteError> {
        self.database().write(|sql| sql.change("DELETE FROM scrub WHERE at < ?1", [before]).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_remembered_until_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let copy = (Uuid::parse(b"a").unwrap(), Key::parse(b"WORM-s1--x").unwrap());
        assert_eq!(site.scrubbed_at(&copy.0, &copy.1).unwrap(), None);
        site.scrubbed(std::slice::from_ref(&copy)).unwrap();
        site.scrubbed(std::slice::from_ref(&copy)).unwrap();
        let again = Site::open(site.root()).unwrap();
        let at = again.scrubbed_at(&copy.0, &copy.1).unwrap().expect("remembered");
        assert!(at + 10 > site.clock().unix_seconds());
        again.forget_scrubbed(at).unwrap();
        assert_eq!(again.scrubbed_at(&copy.0, &copy.1).unwrap(), Some(at));
        again.forget_scrubbed(at + 1).unwrap();
        assert_eq!(again.scrubbed_at(&copy.0, &copy.1).unwrap(), None);
    }
}
