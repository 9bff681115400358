//! When copies were last scrubbed: read from start to end and compared with their key.
//!
//! Rows of the site's database, so that a scrub goes on where it was after a restart. A row that is missing costs nothing
//! but an earlier look: what the location log says stands in for it.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use rusqlite::{OptionalExtension, params};

use super::{Site, SiteError};

impl Site {
    /// Records that copies, each a node and a key, have just been read.
    pub fn scrubbed(&self, copies: &[(Uuid, Key)]) -> Result<(), SiteError> {
        let upsert = "INSERT INTO scrub (node, key, at) VALUES (?1, ?2, ?3)
            ON CONFLICT (node, key) DO UPDATE SET at = ?3";
        let now = self.clock().unix_seconds();
        self.database().write(|transaction| {
            let mut statement = transaction.prepare_cached(upsert)?;
            for (node, key) in copies {
                statement.execute(params![node.as_bytes(), key.as_bytes(), now])?;
            }
            Ok(())
        })
    }

    /// Returns when a copy was last read, in seconds since the epoch.
    pub fn scrubbed_at(&self, node: &Uuid, key: &Key) -> Result<Option<u64>, SiteError> {
        let select = "SELECT at FROM scrub WHERE node = ?1 AND key = ?2";
        let row = params![node.as_bytes(), key.as_bytes()];
        self.database()
            .read(|connection| connection.prepare_cached(select)?.query_row(row, |row| row.get(0)).optional())
    }

    /// Forgets what was read before a time, in seconds since the epoch.
    pub fn forget_scrubbed(&self, before: u64) -> Result<(), SiteError> {
        self.database().write(|transaction| transaction.execute("DELETE FROM scrub WHERE at < ?1", [before]).map(drop))
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
