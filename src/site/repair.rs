//! The repair queue: keys that lack copies which some node should have.
//!
//! Rows of the site's database, so that what one process notices another one mends, and a crash forgets nothing.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use rusqlite::{OptionalExtension, params};

use super::{Site, SiteError};
use crate::clock;

/// A key that waits for repair.
#[derive(Debug, Clone)]
pub struct Wanting {
    /// The repository, by its gateway's UUID.
    pub gateway: Uuid,
    /// The key.
    pub key: Key,
    /// A file that has it as its content, as far as that is known.
    pub file: AssociatedFile,
    /// Why a copy is missing, or why it could not be made so far.
    pub cause: String,
    /// How often it was tried.
    pub tries: u32,
}

/// How many seconds pass before a repair that failed is tried again: doubled each time, up to the last.
const FIRST_PAUSE: u64 = 10;
const LONGEST_PAUSE: u64 = 3600;

impl Site {
    /// Puts a key into the repair queue; one that is there already is tried at once again.
    pub fn want_repair(&self, wanting: &Wanting) -> Result<(), SiteError> {
        let upsert = "INSERT INTO repair (gateway, key, file, cause, tries, due) VALUES (?1, ?2, ?3, ?4, 0, ?5)
            ON CONFLICT (gateway, key) DO UPDATE SET cause = ?4, due = min(due, ?5)";
        let Wanting { gateway, key, file, cause, .. } = wanting;
        let row = params![gateway.as_bytes(), key.as_bytes(), file.as_bytes(), cause, clock::unix_seconds()];
        self.database().write(|transaction| transaction.prepare_cached(upsert)?.execute(row).map(drop))
    }

    /// Returns keys whose repair is due, the longest waiting first; of one repository or of all.
    pub fn repairs_due(&self, gateway: Option<&Uuid>, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        self.repairs(gateway, clock::unix_seconds(), at_most)
    }

    /// Returns keys that wait for repair, due or not.
    pub fn repairs_waiting(&self, gateway: Option<&Uuid>, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        self.repairs(gateway, u64::from(u32::MAX), at_most)
    }

    fn repairs(&self, gateway: Option<&Uuid>, until: u64, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        let select = "SELECT gateway, key, file, cause, tries FROM repair
            WHERE due <= ?1 AND (?2 IS NULL OR gateway = ?2) ORDER BY due LIMIT ?3";
        let gateway = gateway.map(Uuid::as_bytes);
        let rows = self.database().read(|connection| {
            let row = |row: &rusqlite::Row<'_>| {
                let blob = |column| row.get::<_, Vec<u8>>(column);
                Ok((blob(0)?, blob(1)?, blob(2)?, row.get(3)?, row.get(4)?))
            };
            let mut statement = connection.prepare_cached(select)?;
            statement.query_map(params![until, gateway, at_most], row)?.collect::<Result<Vec<_>, _>>()
        })?;
        let parsed = |(gateway, key, file, cause, tries): (Vec<u8>, Vec<u8>, Vec<u8>, String, u32)| {
            let (gateway, key) = (Uuid::parse(&gateway)?, Key::parse(&key).ok()?);
            Some(Wanting { gateway, key, file: AssociatedFile::parse(&file)?, cause, tries })
        };
        Ok(rows.into_iter().filter_map(parsed).collect())
    }

    /// Returns how many keys wait for repair.
    pub fn count_repairs(&self) -> Result<u64, SiteError> {
        self.database().read(|connection| connection.query_row("SELECT count(*) FROM repair", [], |row| row.get(0)))
    }

    /// Takes a key out of the queue: it has all its copies.
    pub fn repaired(&self, gateway: &Uuid, key: &Key) -> Result<(), SiteError> {
        let delete = "DELETE FROM repair WHERE gateway = ?1 AND key = ?2";
        let row = params![gateway.as_bytes(), key.as_bytes()];
        self.database().write(|transaction| transaction.prepare_cached(delete)?.execute(row).map(drop))
    }

    /// Leaves a key in the queue for a later try.
    pub fn repair_failed(&self, gateway: &Uuid, key: &Key, cause: &str) -> Result<(), SiteError> {
        let update = "UPDATE repair SET cause = ?3, tries = tries + 1, due = ?4 WHERE gateway = ?1 AND key = ?2";
        self.database().write(|transaction| {
            let row = params![gateway.as_bytes(), key.as_bytes()];
            let select = "SELECT tries FROM repair WHERE gateway = ?1 AND key = ?2";
            let tries: Option<u32> = transaction.query_row(select, row, |row| row.get(0)).optional()?;
            let pause = FIRST_PAUSE << tries.unwrap_or(0).min(16);
            let due = clock::unix_seconds() + pause.min(LONGEST_PAUSE);
            let row = params![gateway.as_bytes(), key.as_bytes(), cause, due];
            transaction.prepare_cached(update)?.execute(row).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_tried_later_and_later_until_it_is_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let gateway = Uuid::parse(b"0b6b4c8e-3c2e-4a52-8d1e-2f9a3a1c7d10").unwrap();
        let key = Key::parse(b"SHA256-s1--aa").unwrap();
        let file = AssociatedFile::encode(b"a dir/file").unwrap();
        let cause = "node b: full".to_owned();
        let wanting = Wanting { gateway: gateway.clone(), key: key.clone(), file, cause, tries: 0 };
        site.want_repair(&wanting).unwrap();
        site.want_repair(&wanting).unwrap();
        let due = site.repairs_due(None, 10).unwrap();
        assert_eq!((due.len(), due[0].key.clone(), due[0].cause.as_str()), (1, key.clone(), "node b: full"));
        assert_eq!(due[0].file, wanting.file);
        site.repair_failed(&gateway, &key, "node b: still full").unwrap();
        assert!(site.repairs_due(Some(&gateway), 10).unwrap().is_empty());
        let waiting = site.repairs_waiting(Some(&gateway), 10).unwrap();
        assert_eq!((waiting[0].tries, waiting[0].cause.as_str()), (1, "node b: still full"));
        assert_eq!(site.count_repairs().unwrap(), 1);
        site.repaired(&gateway, &key).unwrap();
        assert_eq!(site.count_repairs().unwrap(), 0);
    }
}
