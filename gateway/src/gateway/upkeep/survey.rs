//! Looking through a whole repository for copies that are missing or too many.

use annex_protocol::key::Key;
use annex_protocol::log::LocationLog;
use annex_protocol::p2p::AssociatedFile;

use crate::gateway::{Gateway, GatewayError, Shared};

/// What a look through all keys found.
#[derive(Debug, Default)]
pub struct Surveyed {
    /// How many keys lack a copy that a node should have.
    pub lacking: usize,
    /// Keys of which a node has a copy that it does not want.
    pub surplus: Vec<Key>,
}

/// Keys that are put into the repair queue at a time.
const BATCH: usize = 1000;

/// Lost keys that are looked at again at a time.
const MOST_LOST: usize = 10_000;

/// Looks through all keys by the git-annex branch: those that lack a wanted copy come into the repair queue, and so do
/// those with a surplus copy if such copies are to be dropped. Blocks.
pub fn survey(gateway: &Gateway, drop_surplus: bool) -> Result<Surveyed, GatewayError> {
    let Shared { site, branch, placer, queue, .. } = &*gateway.shared;
    let mut surveyed = Surveyed::default();
    let mut waiting = Vec::new();
    let mut failed = Ok(());
    branch.for_each_key(|key, locations| {
        let locations = locations.present().collect();
        let lacks = placer.lacks(&key, &locations)?;
        let has_surplus = !placer.surplus(&key, &locations)?.is_empty();
        if lacks || has_surplus && drop_surplus {
            let cause =
                if lacks { "a node that wants it does not have it" } else { "a node has it and does not want it" };
            waiting.push(queue.entry(&key, &AssociatedFile::default(), cause.to_owned()));
        }
        surveyed.lacking += usize::from(lacks);
        if has_surplus {
            surveyed.surplus.push(key);
        }
        if waiting.len() >= BATCH && failed.is_ok() {
            failed = site.want_repairs(&std::mem::take(&mut waiting));
        }
        Ok(())
    })?;
    failed?;
    site.want_repairs(&waiting)?;
    Ok(surveyed)
}

/// Looks at lost keys again: those that a node has by now are to be repaired; those that are marked dead are forgotten.
/// Blocks.
pub fn look_at_lost(gateway: &Gateway) -> Result<(), GatewayError> {
    let Shared { site, branch, identity, nodes, .. } = &*gateway.shared;
    let repository = &identity.gateway;
    for wanting in site.repairs_lost(Some(repository), MOST_LOST)? {
        let content = branch.read(&wanting.key.branch_path(".log"))?;
        let log = LocationLog::parse(&content);
        if log.key_is_dead() {
            site.repaired(repository, &wanting.key)?;
        } else if nodes.iter().any(|member| log.is_present(&member.uuid)) {
            site.want_repair(&wanting)?;
        }
    }
    Ok(())
}

/// Returns what tells one state of all that decides where keys go from another: a survey is due when it has changed. Blocks.
pub fn placement_fingerprint(gateway: &Gateway) -> Result<[u8; 32], GatewayError> {
    Ok(gateway.shared.placer.fingerprint()?)
}
