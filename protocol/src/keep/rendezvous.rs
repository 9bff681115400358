//! Rendezvous order: every client looks for a block in the same place first.
//!
//! Source: `docs/spec/keep-blocks.md` §6. Only speed depends on it: a block found elsewhere is as good.

use std::cmp::Reverse;

use md5::{Digest, Md5};

use super::BlockHash;

/// How many characters at the end of a UUID count.
const SUFFIX: usize = 15;

/// The length of a proper UUID; others count as a whole, as in Arvados's Go clients.
const UUID: usize = 27;

/// Returns the weight of a block at a place: the MD5 of the block's hash (hex) and the place's name.
pub fn weight(hash: BlockHash, place: &[u8]) -> [u8; 16] {
    Md5::new().chain_update(hash.to_string()).chain_update(place).finalize().into()
}

/// Sorts services into the order in which a client asks them: highest weight first.
///
/// A UUID counts with its last 15 characters, one that has not 27 characters as a whole.
pub fn service_order<T>(hash: BlockHash, services: &mut [T], uuid: impl Fn(&T) -> &[u8]) {
    services.sort_by_cached_key(|service| {
        let uuid = uuid(service);
        Reverse(weight(hash, if uuid.len() == UUID { suffix(uuid) } else { uuid }))
    });
}

/// Sorts the mounts of one server: highest priority first, then **lowest** weight first.
///
/// `mount` returns a mount's UUID and the highest priority among its storage classes.
pub fn mount_order<T>(hash: BlockHash, mounts: &mut [T], mount: impl Fn(&T) -> (&[u8], i64)) {
    mounts.sort_by_cached_key(|item| {
        let (uuid, priority) = mount(item);
        (Reverse(priority), weight(hash, suffix(uuid)))
    });
}

fn suffix(uuid: &[u8]) -> &[u8] {
    uuid.get(uuid.len().saturating_sub(SUFFIX)..).unwrap_or_default()
}
