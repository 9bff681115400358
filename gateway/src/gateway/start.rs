//! Starting an upload on several nodes: each by itself, or those that need a file with one file for all of them.

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use futures_util::future::join_all;

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
    pub(super) fn kept(&self) -> u64 {
        match self {
            Self::Pieces(_, pieces) => pieces.kept,
            Self::File(_, spooling) => spooling.offset(),
        }
    }

    pub(super) fn upload(&self) -> &dyn Upload {
        match self {
            Self::Pieces(_, pieces) => &*pieces.upload,
            Self::File(_, spooling) => &**spooling,
        }
    }

    pub(super) async fn restart(&mut self) -> Result<(), NodeError> {
        match self {
            Self::Pieces(_, pieces) => pieces.restart().await,
            Self::File(_, spooling) => spooling.restart().await,
        }
    }

    pub(super) fn members(&self) -> Vec<Member> {
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

/// Starts an upload on these nodes; those that fail are named in `failures`.
pub(super) async fn start(
    gateway: &Gateway,
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
        match spool(gateway, key).await {
            Ok(spooling) => started.push(Started::File(takers, Box::new(spooling))),
            Err(error) => fail_all(takers.iter().map(|(member, _)| member), &error, failures),
        }
    }
    started
}

async fn spool(gateway: &Gateway, key: &Key) -> Result<Spooling, NodeError> {
    Spooling::start(&gateway.shared.spool.open().await?, &gateway.shared.identity.gateway, key).await
}

/// Notes that nodes fail for the same reason.
pub(super) fn fail_all<'a>(
    members: impl Iterator<Item = &'a Member>,
    error: &NodeError,
    failures: &mut Vec<NodeFailure>,
) {
    failures.extend(members.map(|member| member.failure(error.clone())));
}
