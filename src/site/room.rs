//! Room that uploads under way will need, so that several at once do not pass a quota together.
//!
//! Rows of the site's database, since uploads come through several processes. One that dies leaves its rows until their
//! deadline, or until the same content comes to the same node again. They need not outlast an end of the machine: no
//! upload does.

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use rusqlite::params;

use super::{Site, SiteError};

/// Room that is held for one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    repo: Uuid,
    number: u64,
}

/// How long room is held after it was asked for last, in seconds.
const HELD_SECONDS: u64 = 600;

impl Site {
    /// Holds room in a repository (named by its gateway) for an upload of a key to these nodes, `bytes` on each.
    pub fn hold_room(&self, repo: &Uuid, key: &Key, bytes: u64, nodes: &[Uuid]) -> Result<Room, SiteError> {
        let now = self.now()?;
        let upsert = "INSERT INTO room (node, key, repo, number, bytes, deadline) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (node, key) DO UPDATE SET number = ?4, bytes = ?5, deadline = ?6";
        // SQLite counts to 2^63; nothing is that large.
        let bytes = bytes.min(i64::MAX.unsigned_abs() >> 16);
        self.database().write_while_up(|transaction| {
            transaction.prepare_cached("DELETE FROM room WHERE deadline <= ?1")?.execute([now])?;
            let newest = "SELECT coalesce(max(number), 0) FROM room";
            let number: u64 = transaction.prepare_cached(newest)?.query_row([], |row| row.get::<_, u64>(0))? + 1;
            let mut statement = transaction.prepare_cached(upsert)?;
            for node in nodes {
                let row = params![node.as_bytes(), key.as_bytes(), repo.as_bytes(), number, bytes, now + HELD_SECONDS];
                statement.execute(row)?;
            }
            Ok(Room { repo: repo.clone(), number })
        })
    }

    /// Returns how many bytes uploads that came before this one will need.
    pub fn room_before(&self, room: &Room) -> Result<u64, SiteError> {
        let select = "SELECT coalesce(sum(bytes), 0) FROM room WHERE repo = ?1 AND number < ?2";
        self.database().read(|connection| {
            connection.prepare_cached(select)?.query_row(params![room.repo.as_bytes(), room.number], |row| row.get(0))
        })
    }

    /// Holds room on.
    pub fn renew_room(&self, room: &Room) -> Result<(), SiteError> {
        let deadline = self.now()? + HELD_SECONDS;
        self.change_room("UPDATE room SET deadline = ?3 WHERE repo = ?1 AND number = ?2", room, Some(deadline))
    }

    /// Gives room back.
    pub fn release_room(&self, room: &Room) -> Result<(), SiteError> {
        self.change_room("DELETE FROM room WHERE repo = ?1 AND number = ?2 AND ?3 IS NULL", room, None)
    }

    fn change_room(&self, statement: &str, room: &Room, deadline: Option<u64>) -> Result<(), SiteError> {
        self.database().write_while_up(|transaction| {
            let row = params![room.repo.as_bytes(), room.number, deadline];
            transaction.prepare_cached(statement)?.execute(row).map(drop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(text: &str) -> Uuid {
        Uuid::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn later_uploads_see_the_room_of_earlier_ones_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let (repo, nodes) = (uuid("repo"), [uuid("a"), uuid("b")]);
        let key = |name: &str| Key::parse(name.as_bytes()).unwrap();
        let first = site.hold_room(&repo, &key("WORM-s10--x"), 10, &nodes).unwrap();
        let second = site.hold_room(&repo, &key("WORM-s5--y"), 5, &nodes[..1]).unwrap();
        let elsewhere = site.hold_room(&uuid("other"), &key("WORM-s5--y"), 5, &[uuid("c")]).unwrap();
        assert_eq!(site.room_before(&first).unwrap(), 0);
        assert_eq!(site.room_before(&second).unwrap(), 20);
        assert_eq!(site.room_before(&elsewhere).unwrap(), 0);
        site.renew_room(&first).unwrap();
        // The same content comes again, to one of the two nodes: it takes that room over, and no room twice.
        let again = site.hold_room(&repo, &key("WORM-s10--x"), 10, &nodes[..1]).unwrap();
        assert_eq!(site.room_before(&again).unwrap(), 15);
        site.release_room(&first).unwrap();
        assert_eq!(site.room_before(&again).unwrap(), 5);
        site.release_room(&second).unwrap();
        site.release_room(&again).unwrap();
        let last = site.hold_room(&repo, &key("WORM-s1--z"), 1, &nodes).unwrap();
        assert_eq!(site.room_before(&last).unwrap(), 0);
    }
}
