//! The repair queue: keys that lack copies which some node should have.
//!
//! Rows of the site's database, so that one process can repair what another one noticed, and a crash loses nothing.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::database::Values;
use super::{Site, SiteError};

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

/// Returns the columns of a [`Wanting`] in the order in which rows are read.
const SELECT: &str = "SELECT gateway, key, file, cause, tries FROM repair";

impl Site {
    /// Puts a key into the repair queue; one that is there already is tried at once again.
    pub fn want_repair(&self, wanting: &Wanting) -> Result<(), SiteError> {
        self.want_repairs(std::slice::from_ref(wanting))
    }

    /// Puts keys into the repair queue, all of them or none; those that are there already are tried at once again.
    pub fn want_repairs(&self, wanting: &[Wanting]) -> Result<(), SiteError> {
        let upsert = "INSERT INTO repair (gateway, key, file, cause, tries, due) VALUES (?1, ?2, ?3, ?4, 0, ?5)
            ON CONFLICT (gateway, key) DO UPDATE SET cause = ?4, due = min(due, ?5), lost = 0";
        let now = self.clock().unix_seconds();
        self.database().write(|sql| {
            for Wanting { gateway, key, file, cause, .. } in wanting {
                sql.change(upsert, (gateway.as_bytes(), key.as_bytes(), file.as_bytes(), cause, now))?;
            }
            Ok(())
        })
    }

    /// Puts a key into the repair queue unless it is there: one whose repair failed keeps its time. True if it was not.
    pub fn notice_repair(&self, wanting: &Wanting) -> Result<bool, SiteError> {
        let row = (wanting.gateway.as_bytes(), wanting.key.as_bytes());
        let known = "SELECT EXISTS (SELECT 1 FROM repair WHERE gateway = ?1 AND key = ?2 AND lost = 0)";
        let (known,) = self.database().read(|sql| sql.one(known, row))?;
        if known {
            return Ok(false);
        }
        self.want_repair(wanting).map(|()| true)
    }

    /// Returns keys whose repair is due, the longest waiting first; of one repository or of all.
    pub fn repairs_due(&self, gateway: Option<&Uuid>, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        let due =
            format!("{SELECT} WHERE lost = 0 AND due <= ?3 AND (?1 IS NULL OR gateway = ?1) ORDER BY due LIMIT ?2");
        self.repairs(&due, (gateway.map(Uuid::as_bytes), at_most, self.clock().unix_seconds()))
    }

    /// Returns keys that wait for repair, due or not.
    pub fn repairs_waiting(&self, gateway: Option<&Uuid>, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        let waiting = format!("{SELECT} WHERE lost = 0 AND (?1 IS NULL OR gateway = ?1) ORDER BY due LIMIT ?2");
        self.repairs(&waiting, (gateway.map(Uuid::as_bytes), at_most))
    }

    /// Returns keys that no node has any more, and that are not tried again.
    pub fn repairs_lost(&self, gateway: Option<&Uuid>, at_most: usize) -> Result<Vec<Wanting>, SiteError> {
        let lost = format!("{SELECT} WHERE lost = 1 AND (?1 IS NULL OR gateway = ?1) ORDER BY gateway, key LIMIT ?2");
        self.repairs(&lost, (gateway.map(Uuid::as_bytes), at_most))
    }

    fn repairs(&self, select: &str, values: impl Values) -> Result<Vec<Wanting>, SiteError> {
        let rows: Vec<_> = self.database().read(|sql| sql.all(select, values))?;
        let parsed = |(gateway, key, file, cause, tries): (Vec<u8>, Vec<u8>, Vec<u8>, String, u32)| {
            let (gateway, key) = (Uuid::parse(&gateway)?, Key::parse(&key).ok()?);
            Some(Wanting { gateway, key, file: AssociatedFile::parse(&file)?, cause, tries })
        };
        Ok(rows.into_iter().filter_map(parsed).collect())
    }

    /// Returns how many keys wait for repair, and how many are lost.
    pub fn count_repairs(&self) -> Result<(u64, u64), SiteError> {
        let count = "SELECT coalesce(sum(lost = 0), 0), coalesce(sum(lost), 0) FROM repair";
        self.database().read(|sql| sql.one(count, []))
    }

    /// Takes a key out of the queue: it has all its copies, or never was here.
    pub fn repaired(&self, gateway: &Uuid, key: &Key) -> Result<(), SiteError> {
        self.change_repair("DELETE FROM repair WHERE gateway = ?1 AND key = ?2 AND ?3 IS NULL", gateway, key, None)
    }

    /// Leaves a key in the queue as one that no node has any more: it is not tried again until it is put there anew.
    pub fn repair_is_lost(&self, gateway: &Uuid, key: &Key, cause: &str) -> Result<(), SiteError> {
        let update = "UPDATE repair SET cause = ?3, lost = 1 WHERE gateway = ?1 AND key = ?2";
        self.change_repair(update, gateway, key, Some(cause))
    }

    fn change_repair(&self, change: &str, gateway: &Uuid, key: &Key, cause: Option<&str>) -> Result<(), SiteError> {
        let row = (gateway.as_bytes(), key.as_bytes(), cause);
        self.database().write(|sql| sql.change(change, row).map(drop))
    }

    /// Leaves a key in the queue for a later try.
    pub fn repair_failed(&self, gateway: &Uuid, key: &Key, cause: &str) -> Result<(), SiteError> {
        let update = "UPDATE repair SET cause = ?3, tries = tries + 1, due = ?4 WHERE gateway = ?1 AND key = ?2";
        self.database().write(|sql| {
            let select = "SELECT tries FROM repair WHERE gateway = ?1 AND key = ?2";
            let tries: Option<(u32,)> = sql.first(select, (gateway.as_bytes(), key.as_bytes()))?;
            let pause = FIRST_PAUSE << tries.map_or(0, |(tries,)| tries).min(16);
            let due = self.clock().unix_seconds() + pause.min(LONGEST_PAUSE);
            sql.change(update, (gateway.as_bytes(), key.as_bytes(), cause, due)).map(drop)
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
        assert_eq!(site.count_repairs().unwrap(), (1, 0));
        assert!(!site.notice_repair(&wanting).unwrap(), "it keeps its time");
        assert!(site.repairs_due(None, 10).unwrap().is_empty());
        site.repaired(&gateway, &key).unwrap();
        assert_eq!(site.count_repairs().unwrap(), (0, 0));
    }

    #[test]
    fn what_is_lost_is_told_and_not_tried_until_it_is_wanted_anew() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let gateway = Uuid::parse(b"0b6b4c8e-3c2e-4a52-8d1e-2f9a3a1c7d10").unwrap();
        let key = Key::parse(b"SHA256-s1--aa").unwrap();
        let (file, cause) = (AssociatedFile::default(), "node b was away".to_owned());
        let wanting = Wanting { gateway: gateway.clone(), key: key.clone(), file, cause, tries: 0 };
        assert!(site.notice_repair(&wanting).unwrap());
        site.repair_is_lost(&gateway, &key, "no node has it").unwrap();
        assert!(site.repairs_due(None, 10).unwrap().is_empty() && site.repairs_waiting(None, 10).unwrap().is_empty());
        assert_eq!(site.repairs_lost(Some(&gateway), 10).unwrap()[0].cause, "no node has it");
        assert_eq!(site.count_repairs().unwrap(), (0, 1));
        assert!(site.notice_repair(&wanting).unwrap());
        assert_eq!(site.repairs_due(None, 10).unwrap().len(), 1);
        assert_eq!(site.count_repairs().unwrap(), (1, 0));
    }
}
