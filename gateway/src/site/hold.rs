//! Content locks and removals under way: what keeps the two apart, over all connections, processes and crashes.
//!
//! A lock holds until it is given back or its deadline passes. A removal announces itself before it starts, so that
//! no lock is granted on content that is about to go. Both are rows of the site's database.
//!
//! Source: `docs/spec/p2p-protocol.md` §6; `docs/decisions/order.md`.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::database::{Sql, SqlError};
use super::{Site, SiteError};
use crate::lock_time::LOCKED_SECONDS;

/// A granted lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock(i64);

/// A removal under way.
#[derive(Debug, PartialEq, Eq)]
pub struct Removal(i64);

/// After this many seconds a removal whose process died no longer keeps locks away.
const REMOVAL_SECONDS: u64 = 3600;

impl Site {
    /// Locks a key on a node for [`LOCKED`](crate::lock_time::LOCKED), or returns `None` while it is being removed there.
    ///
    /// The caller checks presence afterwards, and gives the lock back if the content is not there.
    pub fn lock(&self, node: &Uuid, key: &Key) -> Result<Option<Lock>, SiteError> {
        let now = self.now()?;
        let lock =
            self.database().write(|sql| enter(sql, ("content_lock", LOCKED_SECONDS), "removal", node, key, now))?;
        Ok(lock.map(Lock))
    }

    /// Renews a lock: it lasts [`LOCKED`](crate::lock_time::LOCKED) from now on. False if it has ended before.
    pub fn renew(&self, lock: &Lock) -> Result<bool, SiteError> {
        let now = self.now()?;
        let update = "UPDATE content_lock SET deadline = ?2 WHERE id = ?1 AND deadline > ?3";
        self.database().write(|sql| sql.change(update, (lock.0, now + LOCKED_SECONDS, now)).map(|rows| rows > 0))
    }

    /// Gives a lock back.
    pub fn unlock(&self, lock: &Lock) -> Result<(), SiteError> {
        self.leave("content_lock", [lock.0])
    }

    /// Returns how many content locks hold now.
    pub fn locks(&self) -> Result<u64, SiteError> {
        let now = self.now()?;
        let select = "SELECT count(*) FROM content_lock WHERE deadline > ?1";
        let (locks,) = self.database().read(|sql| sql.one(select, [now]))?;
        Ok(locks)
    }

    /// Gives a lock a name, by which others than its owner's connection find it.
    pub fn name_lock(&self, lock: &Lock, name: &str) -> Result<(), SiteError> {
        let update = "UPDATE content_lock SET name = ?2 WHERE id = ?1";
        self.database().write(|sql| sql.change(update, (lock.0, name)).map(drop))
    }

    /// Returns the lock of this name and the key that it keeps, if it still holds.
    pub fn find_lock(&self, name: &str) -> Result<Option<(Lock, Key)>, SiteError> {
        let now = self.now()?;
        let select = "SELECT id, key FROM content_lock WHERE name = ?1 AND deadline > ?2";
        let found: Option<(i64, Vec<u8>)> = self.database().read(|sql| sql.first(select, (name, now)))?;
        Ok(found.and_then(|(id, key)| Some((Lock(id), Key::parse(&key).ok()?))))
    }

    /// Announces the removal of a key from several nodes; `None` for each where the key is locked.
    ///
    /// The caller ends the removals when they are done, well or not.
    pub fn begin_removals(&self, nodes: &[Uuid], key: &Key) -> Result<Vec<Option<Removal>>, SiteError> {
        let now = self.now()?;
        self.database().write_fleeting(|sql| {
            let begin = |node| enter(sql, ("removal", REMOVAL_SECONDS), "content_lock", node, key, now);
            nodes.iter().map(|node| Ok(begin(node)?.map(Removal))).collect()
        })
    }

    /// Ends removals.
    pub fn end_removals(&self, removals: &[Removal]) -> Result<(), SiteError> {
        self.leave("removal", removals.iter().map(|removal| removal.0))
    }

    /// Deletes rows. If the machine ends before that is durable, they end by their deadlines.
    fn leave(&self, table: &str, rows: impl IntoIterator<Item = i64>) -> Result<(), SiteError> {
        let delete = format!("DELETE FROM {table} WHERE id = ?1");
        self.database().write_fleeting(|sql| rows.into_iter().try_for_each(|row| sql.change(&delete, [row]).map(drop)))
    }
}

/// Adds a row to the table of that name for so many seconds, unless `against` has a live one for the same key and node;
/// clears rows whose time is over.
fn enter(
    sql: &Sql<'_>,
    (table, seconds): (&str, u64),
    against: &str,
    node: &Uuid,
    key: &Key,
    now: u64,
) -> Result<Option<i64>, SqlError> {
    if live(sql, against, node, key, now)? {
        return Ok(None);
    }
    sql.change(&format!("DELETE FROM {table} WHERE deadline <= ?1"), [now])?;
    let insert = format!("INSERT INTO {table} (node, key, deadline) VALUES (?1, ?2, ?3)");
    Ok(Some(sql.add(&insert, (node.as_bytes(), key.as_bytes(), now + seconds))?))
}

/// Tells whether a table of locks or removals has a row of a key on a node whose time is not over.
pub(super) fn live(sql: &Sql<'_>, table: &str, node: &Uuid, key: &Key, now: u64) -> Result<bool, SqlError> {
    let select = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE key = ?1 AND node = ?2 AND deadline > ?3)");
    let (live,) = sql.one(&select, (key.as_bytes(), node.as_bytes(), now))?;
    Ok(live)
}

#[cfg(test)]
impl Site {
    pub(super) fn begin_removal(&self, node: &Uuid, key: &Key) -> Result<Option<Removal>, SiteError> {
        Ok(self.begin_removals(std::slice::from_ref(node), key)?.pop().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use keep_store::base::clock::{ManualClock, SharedClock};

    use super::*;
    use crate::lock_time::LOCKED;

    #[test]
    fn a_lock_keeps_removals_away_over_a_crash_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = Key::parse(b"WORM--x").unwrap();
        let node = |name: &str| Uuid::parse(name.as_bytes()).unwrap();
        let (a, b) = (node("a"), node("b"));

        let first = site.lock(&a, &key).unwrap().expect("nothing is being removed");
        let second = site.lock(&a, &key).unwrap().expect("locks are shared");
        let again = Site::open(site.root()).unwrap();
        assert_eq!(again.begin_removal(&a, &key).unwrap(), None);
        site.unlock(&first).unwrap();
        assert_eq!(again.begin_removal(&a, &key).unwrap(), None, "the second lock still holds");

        let removal = again.begin_removal(&b, &key).unwrap().expect("another node is not locked");
        assert_eq!(site.lock(&b, &key).unwrap(), None, "it is about to go");
        again.end_removals(&[removal]).unwrap();
        assert!(site.lock(&b, &key).unwrap().is_some());

        site.unlock(&second).unwrap();
        assert!(again.begin_removal(&a, &key).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_found_by_its_name_while_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = Key::parse(b"WORM--x").unwrap();
        let a = Uuid::parse(b"a").unwrap();
        let lock = site.lock(&a, &key).unwrap().expect("granted");
        assert_eq!(site.find_lock("l-1").unwrap(), None);
        site.name_lock(&lock, "l-1").unwrap();
        let again = Site::open(site.root()).unwrap();
        let (found, found_key) = again.find_lock("l-1").unwrap().expect("it has that name");
        assert_eq!((&found, found_key), (&lock, key));
        again.unlock(&found).unwrap();
        assert_eq!(site.find_lock("l-1").unwrap(), None);
        assert!(site.begin_removal(&a, &Key::parse(b"WORM--x").unwrap()).unwrap().is_some());
    }

    #[test]
    fn a_lock_never_ends_before_its_time_and_soon_after() {
        let dir = tempfile::tempdir().unwrap();
        Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = Key::parse(b"WORM--x").unwrap();
        let a = Uuid::parse(b"a").unwrap();
        for late in [0, 1, 999] {
            let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::from_secs(1_000_000_000)));
            clock.reboot(&format!("boot {late}"));
            clock.advance(Duration::from_millis(late));
            let site = Site::open_at(&dir.path().join("site"), Arc::clone(&clock) as SharedClock).unwrap();
            let lock = site.lock(&a, &key).unwrap().expect("granted");
            clock.advance(LOCKED / 2);
            assert!(site.renew(&lock).unwrap());
            clock.advance(LOCKED);
            assert_eq!(site.begin_removal(&a, &key).unwrap(), None, "granted {late} ms after a whole second");
            clock.advance(Duration::from_secs(1));
            let removal = site.begin_removal(&a, &key).unwrap().expect("it is over");
            assert!(!site.renew(&lock).unwrap(), "it has ended");
            site.end_removals(&[removal]).unwrap();
        }
    }
}
