//! Reservations of room for uploads under way, so that several at once do not exceed a quota or fill a disk together.
//!
//! Rows of the site's database, since uploads come through several processes. One that dies leaves its rows until their
//! deadline, or until the same content comes to the same node again. A crash of the machine ends all uploads, so the rows
//! need not outlive one.

use std::collections::HashMap;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;

use super::database::{Sql, SqlError};
use super::{Site, SiteError};

/// Room that is held for one upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    repo: Uuid,
    /// Who came before counts under a quota.
    number: u64,
}

/// What one node has of an upload's room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The node, by its UUID in the repository.
    pub node: Uuid,
    /// Its name in the site.
    pub name: String,
    /// What shares its room: a file system, or the node by itself.
    pub place: String,
    /// Bytes that have still to come.
    pub rest: u64,
}

/// What uploads that came before will need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Under {
    /// Bytes that have still to come to the place of a node.
    pub at_place: u64,
    /// Bytes of all contents on their way to the node, whether they have come or not.
    pub to_node: u64,
}

/// How long room is held after it was asked for last, in seconds.
const HELD_SECONDS: u64 = 600;

/// What bytes are limited to: SQLite counts to 2^63, and some are added up. Nothing is that large.
const MOST: u64 = i64::MAX.unsigned_abs() >> 16;

impl Share {
    /// Makes the share of a node under a quota alone.
    pub fn of_quota(node: Uuid) -> Self {
        Self { node, name: String::new(), place: String::new(), rest: 0 }
    }
}

impl Site {
    /// Holds room in a repository (named by its gateway) for an upload of a key to these nodes, `bytes` on each.
    ///
    /// What the upload holds already, `earlier`, becomes part of it. Returns what uploads that came before will need of
    /// each node and of its place, in all repositories; in the order of the shares.
    pub fn hold_room(
        &self,
        repo: &Uuid,
        key: &Key,
        bytes: u64,
        shares: &[Share],
        earlier: Option<&Room>,
    ) -> Result<(Room, Vec<Under>), SiteError> {
        let now = self.now()?;
        let newest = "SELECT coalesce(max(number), 0) FROM room WHERE repo = ?1";
        let upsert = "INSERT INTO room (key, node, repo, number, deadline, name, place, bytes, rest)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE
            SET number = ?4, deadline = ?5, name = ?6, place = ?7, bytes = ?8, rest = ?9";
        let (bytes, deadline) = (bytes.min(MOST), now + HELD_SECONDS);
        self.database().write_fleeting(|sql| {
            sql.change("DELETE FROM room WHERE deadline <= ?1", [now])?;
            let number = match earlier {
                Some(earlier) => earlier.number,
                None => {
                    let (newest,): (u64,) = sql.one(newest, [repo.as_bytes()])?;
                    newest + 1
                }
            };
            for Share { node, name, place, rest } in shares {
                let (key, node, repo, rest) = (key.as_bytes(), node.as_bytes(), repo.as_bytes(), (*rest).min(MOST));
                sql.change(upsert, (key, node, repo, number, deadline, name, place, bytes, rest))?;
            }
            let unders = shares.iter().map(|share| under(sql, share, shares, bytes)).collect::<Result<_, _>>()?;
            Ok((Room { repo: repo.clone(), number }, unders))
        })
    }

    /// Returns how many bytes have still to come to a place.
    pub fn room_held_at(&self, place: &str) -> Result<u64, SiteError> {
        let select = "SELECT coalesce(sum(rest), 0) FROM room_sum WHERE place = ?1";
        let (held,) = self.database().read(|sql| sql.one(select, [place]))?;
        Ok(held)
    }

    /// Returns how many bytes uploads that came before this one will need.
    pub fn room_before(&self, room: &Room) -> Result<u64, SiteError> {
        let select = "SELECT coalesce(sum(bytes), 0) FROM room WHERE repo = ?1 AND number < ?2";
        let (bytes,) = self.database().read(|sql| sql.one(select, (room.repo.as_bytes(), room.number)))?;
        Ok(bytes)
    }

    /// Returns what uploads under way bring to each node of a repository, those of this key left out.
    pub fn uploads_under_way(&self, key: &Key) -> Result<HashMap<Uuid, u64>, SiteError> {
        let now = self.now()?;
        let select = "SELECT node, sum(bytes) FROM (
            SELECT node, bytes FROM room_sum WHERE name != ''
            UNION ALL SELECT node, -bytes FROM room WHERE name != '' AND deadline <= ?2
            UNION ALL SELECT node, -bytes FROM room WHERE name != '' AND key = ?1 AND deadline > ?2)
            GROUP BY node HAVING sum(bytes) > 0";
        let coming: Vec<(Vec<u8>, u64)> = self.database().read(|sql| sql.all(select, (key.as_bytes(), now)))?;
        Ok(coming.into_iter().filter_map(|(node, bytes)| Some((Uuid::parse(&node)?, bytes))).collect())
    }

    /// Returns how many bytes have still to come to each node, by name.
    pub fn reserved(&self) -> Result<HashMap<String, u64>, SiteError> {
        let now = self.now()?;
        let select = "SELECT name, sum(rest) FROM (
            SELECT name, rest FROM room_sum UNION ALL SELECT name, -rest FROM room WHERE deadline <= ?1)
            GROUP BY name HAVING sum(rest) > 0";
        let reserved: Vec<(String, u64)> = self.database().read(|sql| sql.all(select, [now]))?;
        Ok(reserved.into_iter().collect())
    }

    /// Renews a reservation; `rest` bytes have still to come.
    pub fn renew_room(&self, room: &Room, rest: u64) -> Result<(), SiteError> {
        let (deadline, rest) = (self.now()? + HELD_SECONDS, rest.min(MOST));
        // A node that had some bytes already has fewer to come.
        let update = "UPDATE room SET deadline = ?3, rest = min(rest, ?4) WHERE repo = ?1 AND number = ?2";
        let row = (room.repo.as_bytes(), room.number, deadline, rest);
        self.database().write_fleeting(|sql| sql.change(update, row).map(drop))
    }

    /// Gives room back.
    pub fn release_room(&self, room: &Room) -> Result<(), SiteError> {
        let delete = "DELETE FROM room WHERE repo = ?1 AND number = ?2";
        self.database().write_fleeting(|sql| sql.change(delete, (room.repo.as_bytes(), room.number)).map(drop))
    }

    /// Gives back what is held on these nodes.
    pub fn release_shares(&self, room: &Room, nodes: &[Uuid]) -> Result<(), SiteError> {
        let delete = "DELETE FROM room WHERE repo = ?1 AND number = ?2 AND node = ?3";
        self.database().write_fleeting(|sql| {
            for node in nodes {
                sql.change(delete, (room.repo.as_bytes(), room.number, node.as_bytes()))?;
            }
            Ok(())
        })
    }
}

/// Returns what others need of a node and of its place, where `shares` with `bytes` each are the upload's own.
fn under(sql: &Sql<'_>, share: &Share, shares: &[Share], bytes: u64) -> Result<Under, SqlError> {
    let select = "SELECT coalesce(sum(CASE place WHEN ?2 THEN rest ELSE 0 END), 0),
        coalesce(sum(CASE name WHEN ?1 THEN bytes ELSE 0 END), 0) FROM room_sum";
    let (all_at_place, all_to_node): (u64, u64) = sql.one(select, [&share.name, &share.place])?;
    let at_place = shares.iter().filter(|own| own.place == share.place).map(|own| own.rest.min(MOST)).sum();
    let to_node = bytes * shares.iter().filter(|own| own.name == share.name).count() as u64;
    Ok(Under { at_place: all_at_place.saturating_sub(at_place), to_node: all_to_node.saturating_sub(to_node) })
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
        let (repo, nodes) = (uuid("repo"), [uuid("a"), uuid("b")].map(Share::of_quota));
        let key = |name: &str| Key::parse(name.as_bytes()).unwrap();
        let hold = |repo: &Uuid, name: &str, bytes, shares: &[Share]| {
            site.hold_room(repo, &key(name), bytes, shares, None).unwrap().0
        };
        let first = hold(&repo, "WORM-s10--x", 10, &nodes);
        let second = hold(&repo, "WORM-s5--y", 5, &nodes[..1]);
        let elsewhere = hold(&uuid("other"), "WORM-s5--y", 5, &[Share::of_quota(uuid("c"))]);
        assert_eq!(site.room_before(&first).unwrap(), 0);
        assert_eq!(site.room_before(&second).unwrap(), 20);
        assert_eq!(site.room_before(&elsewhere).unwrap(), 0);
        site.renew_room(&first, 3).unwrap();
        // The same content comes again, to one of the two nodes: it takes over the earlier reservation instead of
        // adding one.
        let again = hold(&repo, "WORM-s10--x", 10, &nodes[..1]);
        assert_eq!(site.room_before(&again).unwrap(), 15);
        site.release_room(&first).unwrap();
        assert_eq!(site.room_before(&again).unwrap(), 5);
        site.release_room(&second).unwrap();
        site.release_room(&again).unwrap();
        let last = hold(&repo, "WORM-s1--z", 1, &nodes);
        assert_eq!(site.room_before(&last).unwrap(), 0);
    }

    #[test]
    fn what_has_still_to_come_counts_at_its_place_and_the_whole_on_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = |name: &str| Key::parse(name.as_bytes()).unwrap();
        let share = |node: &str, name: &str, place: &str, rest| {
            let (node, name, place) = (uuid(node), name.to_owned(), place.to_owned());
            Share { node, name, place, rest }
        };
        let hold = |repo: &str, name: &str, bytes, shares: &[Share], earlier: Option<&Room>| {
            site.hold_room(&uuid(repo), &key(name), bytes, shares, earlier).unwrap()
        };
        let both = [share("one", "a", "device 1", 60), share("two", "b", "device 1", 100)];
        let (first, none) = hold("repo", "WORM-s100--x", 100, &both, None);
        assert_eq!(none, [Under::default(), Under::default()], "its own is not in its way");
        let there = [share("three", "a", "device 1", 7), share("four", "c", "device 2", 7)];
        let (second, under) = hold("other", "WORM-s7--y", 7, &there, None);
        assert_eq!(under, [Under { at_place: 160, to_node: 100 }, Under::default()]);
        site.release_shares(&second, &[uuid("four")]).unwrap();
        site.renew_room(&first, 80).unwrap();
        let (second, under) = hold("other", "WORM-s7--y", 7, &[share("three", "b", "device 1", 7)], Some(&second));
        assert_eq!(
            under,
            [Under { at_place: 140, to_node: 100 }],
            "what has come needs no more room, on its node it counts"
        );
        assert_eq!(site.reserved().unwrap(), HashMap::from([("a".to_owned(), 60), ("b".to_owned(), 87)]));
        assert_eq!(["device 1", "device 2"].map(|place| site.room_held_at(place).unwrap()), [147, 0]);
        let coming = site.uploads_under_way(&key("WORM-s7--y")).unwrap();
        assert_eq!(coming, HashMap::from([(uuid("one"), 100), (uuid("two"), 100)]));
        // First reserved under a quota, later on a disk; each keeps its place in the order.
        let (quota, _) = hold("repo", "WORM-s5--z", 5, &[Share::of_quota(uuid("one"))], None);
        let (fourth, _) = hold("repo", "WORM-s9--w", 9, &[Share::of_quota(uuid("one"))], None);
        let (third, under) = hold("repo", "WORM-s5--z", 5, &[share("one", "a", "device 1", 5)], Some(&quota));
        assert_eq!(third, quota);
        assert_eq!(site.room_before(&fourth).unwrap(), 205);
        assert_eq!(under, [Under { at_place: 147, to_node: 100 }]);
        site.release_room(&third).unwrap();
        site.release_room(&fourth).unwrap();
        site.release_shares(&first, &[uuid("two")]).unwrap();
        assert_eq!(site.reserved().unwrap().get("b"), Some(&7));
        site.release_room(&first).unwrap();
        site.release_room(&second).unwrap();
        assert!(site.reserved().unwrap().is_empty());
        assert!(site.uploads_under_way(&key("WORM-s1--n")).unwrap().is_empty());
        let (left,): (u64,) = site.database().read(|sql| sql.one("SELECT count(*) FROM room_sum", [])).unwrap();
        assert_eq!(left, 0, "nothing is left to look through");
    }
}
