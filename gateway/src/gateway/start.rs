//! Starting an upload on several nodes: each by itself, or those that need a file with one file for all of them.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use futures_util::future::join_all;

use super::digest::Checker;
use super::feed::Feed;
use super::{Gateway, Member, NodeFailure};
use crate::node::{FileUpload, Incoming, NodeError, Pieces, Spooling, Upload};

/// An upload that was started.
pub(super) enum Started {
    /// On a node that takes content piece by piece.
    Pieces(Member, Pieces),
    /// Into a file for these nodes.
    File(Vec<(Member, Box<dyn FileUpload>)>, Box<Spooling>),
}

impl Started {
    /// Returns how many bytes an earlier upload left.
    fn kept(&self) -> u64 {
        match self {
            Self::Pieces(_, pieces) => pieces.kept,
            Self::File(_, spooling) => spooling.offset(),
        }
    }

    fn upload(&self) -> &dyn Upload {
        match self {
            Self::Pieces(_, pieces) => &*pieces.upload,
            Self::File(_, spooling) => &**spooling,
        }
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        match self {
            Self::Pieces(_, pieces) => pieces.restart().await,
            Self::File(_, spooling) => spooling.restart().await,
        }
    }

    fn members(&self) -> Vec<Member> {
        match self {
            Self::Pieces(member, _) => vec![member.clone()],
            Self::File(takers, _) => takers.iter().map(|(member, _)| member.clone()).collect(),
        }
    }

    pub(super) fn feed(self) -> Feed {
        match self {
            Self::Pieces(member, pieces) => Feed::new(member, pieces),
            Self::File(takers, spooling) => Feed::of_file(spooling, takers),
        }
    }
}

impl Gateway {
    /// Starts an upload on these nodes; those that fail are named in `failures`.
    pub(super) async fn start(
        &self,
        key: &Key,
        file: &AssociatedFile,
        targets: Vec<Member>,
        failures: &mut Vec<NodeFailure>,
    ) -> Vec<Started> {
        let asked = targets.into_iter().map(|member| async move {
            let incoming = member.node.put(key, file).await;
            (member, incoming)
        });
        let (mut started, mut takers) = (Vec::new(), Vec::new());
        for (member, incoming) in join_all(asked).await {
            match incoming {
                Ok(Incoming::Pieces(pieces)) => started.push(Started::Pieces(member, pieces)),
                Ok(Incoming::WholeFile(store)) => takers.push((member, store)),
                Err(source) => failures.push(member.failure(source)),
            }
        }
        if !takers.is_empty() {
            match self.spool(key).await {
                Ok(spooling) => started.push(Started::File(takers, Box::new(spooling))),
                Err(error) => fail_all(takers.iter().map(|(member, _)| member), &error, failures),
            }
        }
        started
    }

    async fn spool(&self, key: &Key) -> Result<Spooling, NodeError> {
        Spooling::start(&self.0.spool.open().await?, &self.0.identity.gateway, key).await
    }
}

/// Finds where the upload goes on: at the least offset of all nodes, with what stands before it hashed again.
///
/// If that cannot be read back, the nodes start at the beginning.
pub(super) async fn resume(key: &Key, started: &mut Vec<Started>, failures: &mut Vec<NodeFailure>) -> (Checker, u64) {
    let offsets = started.iter().map(Started::kept).enumerate();
    let Some((position, offset)) = offsets.min_by_key(|(_, offset)| *offset).filter(|(_, offset)| *offset > 0) else {
        return (Checker::new(key), 0);
    };
    let too_much = key.content_size().is_some_and(|size| offset > size);
    let mut checker = Checker::new(key);
    if let Some(least) = started.get(position).filter(|_| !too_much)
        && let Ok(kept) = least.upload().kept().await
    {
        match checker.take_kept(kept, offset).await {
            Ok(()) => return (checker, offset),
            Err(error) => tracing::warn!("{key}: reading back an upload that broke off: {error}"),
        }
    }
    let mut kept = Vec::new();
    for mut one in std::mem::take(started) {
        match one.restart().await {
            Ok(()) => kept.push(one),
            Err(error) => fail_all(one.members().iter(), &error, failures),
        }
    }
    *started = kept;
    (Checker::new(key), 0)
}

/// Notes that nodes fail for the same reason.
pub(super) fn fail_all<'a>(
    members: impl Iterator<Item = &'a Member>,
    error: &NodeError,
    failures: &mut Vec<NodeFailure>,
) {
    failures.extend(members.map(|member| member.failure(error.clone())));
}
