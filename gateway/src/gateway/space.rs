//! Room on nodes: a node that cannot take a whole content is passed over before its first byte.
//!
//! What uploads under way in all processes of the site will still need counts as taken. If something else fills the disk,
//! the node itself finds out while it is written to.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;
use tokio::time::Instant;

use super::policy::Admission;
use super::shown::shown;
use super::{Gateway, GatewayError, Member, Terms};
use crate::node::{Capacity, NodeError, Space};
use crate::site::room::{Share, Under};
use crate::site::{Site, SiteError};

/// How much room one node has for one upload, as far as that is known.
struct NodeRoom {
    /// The free room; `None` for a node that is not on this machine.
    space: Option<Space>,
    /// What the node holds, and the most that it should.
    held: Option<(u64, u64)>,
    /// Bytes of the content that have still to come.
    rest: u64,
}

/// An upload is small if a node has room for so many like it.
const SMALL_IF_SO_MANY_FIT: u64 = 1000;

/// Larger content is never small.
const MOST_SMALL_BYTES: u64 = 1 << 20;

/// How long small uploads go on without another look at the free room.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Nodes that had room for many small uploads when they were looked at last: when that was, and how large each upload
/// could have been.
#[derive(Default)]
pub(super) struct Plenty(Mutex<HashMap<Uuid, (Instant, u64)>>);

impl Plenty {
    fn has(&self, node: &Uuid, size: u64) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(node).is_some_and(|(when, most)| when.elapsed() < LOOK_AGAIN_AFTER && size <= *most)
    }

    fn seen(&self, nodes: impl Iterator<Item = (Uuid, u64)>) {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(nodes.map(|(node, most)| (node, (now, most))));
    }
}

impl Gateway {
    /// Returns what node `name` holds, where it is limited; `None` if the repository has no such node.
    pub async fn held_by(&self, name: &str) -> Option<Result<u64, GatewayError>> {
        let member = self.shared.nodes.iter().find(|member| member.name == name)?;
        Some(held(self, member).await)
    }
}

impl Admission {
    /// Reserves room for `size` bytes on nodes, each of which has the first bytes already. Returns the nodes without
    /// room.
    ///
    /// Small uploads skip the reservation, which would take a tenth of their time.
    pub(super) async fn hold_space(
        &mut self,
        gateway: &Gateway,
        key: &Key,
        size: u64,
        nodes: &[(Member, u64)],
    ) -> Result<Vec<(Member, NodeError)>, GatewayError> {
        let earlier = self.held();
        let small = earlier.is_none() && is_small(gateway, size, nodes);
        if small && nodes.iter().all(|(member, _)| gateway.shared.plenty.has(&member.uuid, size)) {
            return Ok(Vec::new());
        }
        let looks = nodes.iter().map(|(member, offset)| NodeRoom::look(gateway, member, size.saturating_sub(*offset)));
        let rooms = join_all(looks).await;
        let shares = nodes.iter().zip(&rooms).map(|((member, _), room)| Share {
            node: member.uuid.clone(),
            name: member.name.clone(),
            place: place(member, room.space),
            rest: room.rest,
        });
        let shares: Vec<Share> = shares.collect();
        let (site, repo, key) = (gateway.shared.site.clone(), gateway.shared.identity.gateway.clone(), key.clone());
        let frees: Vec<Option<u64>> = rooms.iter().map(|room| room.space.map(|space| space.free)).collect();
        let seen = gateway.clone();
        let held = blocking(move || {
            if small {
                let most = fitting(&site, &shares, &frees)?;
                seen.shared.plenty.seen(shares.iter().zip(&most).map(|(share, most)| (share.node.clone(), *most)));
                if shares.iter().zip(&most).all(|(share, most)| share.rest <= *most) {
                    return Ok(None);
                }
            }
            let (room, under) = site.hold_room(&repo, &key, size, &shares, earlier.as_ref())?;
            Ok::<_, GatewayError>(Some((room, shares, under)))
        });
        let Some((room, shares, under)) = held.await? else { return Ok(Vec::new()) };
        self.hold(&gateway.shared.site, room.clone());
        let mut taken: HashMap<&str, u64> = HashMap::new();
        let (mut refused, mut released) = (Vec::new(), Vec::new());
        for (((member, _), look), (share, under)) in nodes.iter().zip(&rooms).zip(shares.iter().zip(under)) {
            let ours = taken.entry(&share.place).or_default();
            let under = Under { at_place: under.at_place + *ours, ..under };
            match look.judge(size, under) {
                Ok(()) => *ours += look.rest,
                Err(text) => {
                    refused.push((member.clone(), NodeError::Full(text)));
                    released.push(member.uuid.clone());
                }
            }
        }
        if !released.is_empty() {
            let site = gateway.shared.site.clone();
            blocking(move || site.release_shares(&room, &released)).await?;
        }
        Ok(refused)
    }
}

impl NodeRoom {
    /// Looks how much room a node has. If the node cannot tell, the upload itself finds out.
    async fn look(gateway: &Gateway, member: &Member, rest: u64) -> Self {
        let Terms { local, max_size, .. } = member.terms;
        if !local && max_size.is_none() {
            return Self { space: None, held: None, rest };
        }
        let capacity = member.node.capacity().await;
        let space = capacity.as_ref().ok().and_then(|capacity| capacity.space).filter(|_| local);
        let held = match max_size {
            Some(most) => held_by_its_word(gateway, member, capacity).await.ok().map(|held| (held, most)),
            None => None,
        };
        Self { space: space.map(|space| space.above(member.terms.reserve)), held, rest }
    }

    /// Tells whether the content fits beside uploads under way, or why it does not.
    fn judge(&self, size: u64, under: Under) -> Result<(), String> {
        let on_the_way = |bytes: u64| match bytes {
            0 => String::new(),
            bytes => format!(", of which {} are for uploads under way", shown(bytes)),
        };
        if let Some(space) = self.space
            && space.free.saturating_sub(under.at_place) < self.rest
        {
            let (free, rest) = (shown(space.free), shown(self.rest));
            let taken = on_the_way(under.at_place.min(space.free));
            return Err(format!("{free} are free{taken}, and this key needs {rest}"));
        }
        if let Some((held, most)) = self.held
            && held.saturating_add(under.to_node).saturating_add(size) > most
        {
            let coming = match under.to_node {
                0 => String::new(),
                bytes => format!(", {} are on the way", shown(bytes)),
            };
            let (held, most, size) = (shown(held), shown(most), shown(size));
            return Err(format!("it may hold {most} (its maxsize), it holds {held}{coming}, and this key has {size}"));
        }
        Ok(())
    }
}

/// Returns how many bytes a node holds: of all repositories if it counts them itself, else by the location logs.
async fn held(gateway: &Gateway, member: &Member) -> Result<u64, GatewayError> {
    held_by_its_word(gateway, member, member.node.capacity().await).await
}

/// Returns the same of a node that was asked already.
async fn held_by_its_word(
    gateway: &Gateway,
    member: &Member,
    capacity: Result<Capacity, NodeError>,
) -> Result<u64, GatewayError> {
    match capacity {
        Ok(Capacity { held: Some(held), .. }) => return Ok(held),
        // If the node cannot be asked, the location logs tell.
        Ok(Capacity { held: None, .. }) | Err(NodeError::Unreachable(_)) => {}
        Err(source) => return Err(member.failed(source)),
    }
    let (gateway, uuid) = (gateway.clone(), member.uuid.clone());
    Ok(blocking(move || gateway.shared.placer.held(&uuid)).await?)
}

/// Tells whether an upload of `size` bytes can skip the reservation, since there is room for many like it.
fn is_small(gateway: &Gateway, size: u64, nodes: &[(Member, u64)]) -> bool {
    // Where placement depends on sizes, the next upload has to know of this one.
    let sizes_decide =
        gateway.shared.placer.goes_by_size() || nodes.iter().any(|(member, _)| member.terms.max_size.is_some());
    size <= MOST_SMALL_BYTES && !sizes_decide
}

/// Returns how large uploads may be so that many of them fit on each of these nodes beside the uploads under way, as
/// far as that is known. Blocks.
fn fitting(site: &Site, shares: &[Share], frees: &[Option<u64>]) -> Result<Vec<u64>, SiteError> {
    let most = |(share, free): (&Share, &Option<u64>)| match free {
        Some(free) => Ok(free.saturating_sub(site.room_held_at(&share.place)?) / SMALL_IF_SO_MANY_FIT),
        None => Ok(u64::MAX),
    };
    shares.iter().zip(frees).map(most).collect()
}

/// Returns a name for the thing whose room is counted: a file system that nodes may share, or else the node by itself.
fn place(member: &Member, space: Option<Space>) -> String {
    match space.and_then(|space| space.device) {
        Some(device) => format!("device {device}"),
        None => format!("node {}", member.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(free: u64, held: Option<(u64, u64)>, rest: u64) -> NodeRoom {
        NodeRoom { space: Some(Space { total: 1000, free, device: None }), held, rest }
    }

    fn under(at_place: u64, to_node: u64) -> Under {
        Under { at_place, to_node }
    }

    #[test]
    fn what_is_under_way_counts_as_taken() {
        assert_eq!(room(100, None, 100).judge(100, under(0, 0)), Ok(()));
        assert!(room(100, None, 100).judge(100, under(1, 0)).is_err());
        assert_eq!(room(100, None, 40).judge(100, under(60, 60)), Ok(()), "what is there already needs no room");
        let told = room(100, None, 80).judge(80, under(50, 50)).unwrap_err();
        assert_eq!(
            told,
            "100 bytes are free, of which 50 bytes are for uploads under way, and this key needs 80 bytes"
        );
    }

    #[test]
    fn small_is_what_fits_a_thousand_times_beside_uploads_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let node = |name: &str| Uuid::parse(name.as_bytes()).unwrap();
        let share = |place: &str| Share { node: node("n"), name: "n".to_owned(), place: place.to_owned(), rest: 9 };
        let shares = [share("device 1"), share("device 2"), share("node x")];
        let frees = [Some(10_000), Some(20_000), None];
        assert_eq!(fitting(&site, &shares, &frees).unwrap(), [10, 20, u64::MAX], "nothing is known about the last");
        let key = Key::parse(b"WORM-s900--x").unwrap();
        let taking = Share { rest: 900, ..share("device 1") };
        site.hold_room(&node("repo"), &key, 900, &[taking], None).unwrap();
        assert_eq!(fitting(&site, &shares, &frees).unwrap(), [9, 20, u64::MAX], "somebody else needs some of it");
    }

    #[test]
    fn what_was_seen_is_enough_for_a_while() {
        let (plenty, node) = (Plenty::default(), Uuid::parse(b"n").unwrap());
        assert!(!plenty.has(&node, 1));
        plenty.seen([(node.clone(), 10)].into_iter());
        assert!(plenty.has(&node, 10) && !plenty.has(&node, 11));
        let earlier = Instant::now().checked_sub(LOOK_AGAIN_AFTER).unwrap();
        plenty.0.lock().unwrap().insert(node.clone(), (earlier, 10));
        assert!(!plenty.has(&node, 10));
    }

    #[test]
    fn a_node_holds_no_more_than_its_maxsize() {
        assert_eq!(room(100, Some((900, 1000)), 50).judge(100, under(0, 0)), Ok(()));
        assert!(room(100, Some((901, 1000)), 50).judge(100, under(0, 0)).is_err());
        let told = room(100, Some((800, 1000)), 50).judge(150, under(0, 100)).unwrap_err();
        assert!(told.contains("maxsize") && told.contains("100 bytes are on the way"), "{told}");
        let nowhere = NodeRoom { space: None, held: None, rest: u64::MAX };
        assert_eq!(nowhere.judge(u64::MAX, under(u64::MAX, u64::MAX)), Ok(()));
    }
}
