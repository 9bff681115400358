//! Resuming uploads that broke off: what nodes kept of them is read back and compared with what comes.
//!
//! The client goes on where the node that has the least stands. That node's bytes are hashed as if they came just now. What
//! others have already is not sent to them again, so it is compared: with what the first one has, at once, and with what
//! comes after it, at the end. Their bytes may be those of another upload, which sent something else.

use annex_protocol::key::Key;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;

use super::NodeFailure;
use super::digest::{Checker, Print, Printed};
use super::start::{Started, fail_all};
use crate::node::deadline::answered;
use crate::node::{ByteStream, NodeError, Patience};

/// Where an upload goes on.
pub(super) struct Resumed {
    /// The uploads to the nodes, each with what it kept if others kept something, too.
    pub(super) started: Vec<(Started, Option<Printed>)>,
    /// Has hashed the bytes before the offset.
    pub(super) checker: Checker,
    /// The fewest bytes that a node kept: where the client goes on.
    pub(super) offset: u64,
    /// For each larger number of bytes that a node kept, a hash of the content up to there, to be compared with the node's.
    pub(super) prints: Vec<(u64, Print)>,
}

/// Finds where the upload goes on: at the least offset of all nodes.
///
/// Nodes whose bytes cannot be read back start at the beginning. If nodes kept different bytes up to that offset, all of
/// them start at the beginning.
pub(super) async fn resume(key: &Key, started: Vec<Started>, failures: &mut Vec<NodeFailure>) -> Resumed {
    let mut resumed = Resumed { started: Vec::new(), checker: Checker::new(key), offset: 0, prints: Vec::new() };
    let compared = started.len() > 1 && resumed.checker.looks_at_bytes();
    let most = key.content_size().unwrap_or(u64::MAX);
    let read = started.into_iter().map(|started| async move {
        let print = match started.kept() {
            0 => Ok(None),
            kept if kept > most => Err(wrong("it kept more than the size of the key")),
            _ if compared => print_of(&started).await.map(Some),
            _ => Ok(None),
        };
        (started, print)
    });
    for (started, print) in join_all(read).await {
        match print {
            Ok(print) => resumed.started.push((started, print)),
            Err(error) => {
                tracing::warn!("{key}: reading back an upload that broke off: {error}");
                resumed.restart(started, failures).await;
            }
        }
    }
    if let Err(error) = resumed.go_on().await {
        tracing::warn!("{key}: going on with an upload that broke off: {error}");
        (resumed.checker, resumed.offset, resumed.prints) = (Checker::new(key), 0, Vec::new());
        for (started, _) in std::mem::take(&mut resumed.started) {
            resumed.restart(started, failures).await;
        }
    }
    resumed
}

impl Resumed {
    async fn restart(&mut self, mut started: Started, failures: &mut Vec<NodeFailure>) {
        match started.restart().await {
            Ok(()) => self.started.push((started, None)),
            Err(error) => fail_all(started.members().iter(), &error, failures),
        }
    }

    /// Hashes the bytes before the least offset, read back from a node that has just these.
    async fn go_on(&mut self) -> Result<(), NodeError> {
        let Some(offset) = self.started.iter().map(|(started, _)| started.kept()).min() else { return Ok(()) };
        let mut ahead: Vec<u64> = self.started.iter().map(|(started, _)| started.kept()).collect();
        ahead.retain(|kept| *kept > offset);
        ahead.sort_unstable();
        ahead.dedup();
        if self.checker.looks_at_bytes() {
            self.prints = ahead.into_iter().map(|end| (end, Print::new())).collect();
        }
        self.offset = offset;
        let mut least = self.started.iter().filter(|(started, _)| started.kept() == offset);
        let (Some((first, printed)), true) = (least.next(), offset > 0) else { return Ok(()) };
        if least.any(|(_, other)| other != printed) {
            return Err(wrong("nodes kept different bytes"));
        }
        if !self.checker.looks_at_bytes() {
            self.checker.skip(offset);
            return Ok(());
        }
        let mut kept = ReadBack::start(first).await?;
        while let Some(bytes) = kept.next().await? {
            self.checker.take(bytes.clone()).await;
            for (_, print) in &mut self.prints {
                print.take(bytes.clone()).await;
            }
        }
        Ok(())
    }
}

async fn print_of(started: &Started) -> Result<Printed, NodeError> {
    let (mut print, mut kept) = (Print::new(), ReadBack::start(started).await?);
    while let Some(bytes) = kept.next().await? {
        print.take(bytes).await;
    }
    print.finish().await.ok_or_else(|| NodeError::Failed("it was not hashed".to_owned()))
}

/// What a node kept, on its way back.
struct ReadBack {
    stream: ByteStream,
    missing: u64,
    patience: Patience,
}

impl ReadBack {
    async fn start(started: &Started) -> Result<Self, NodeError> {
        let patience = started.members().first().map(|member| member.patience).unwrap_or_default();
        let stream = answered(patience.answer, started.upload().kept()).await?;
        Ok(Self { stream, missing: started.kept(), patience })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, NodeError> {
        if self.missing == 0 {
            return Ok(None);
        }
        let next = answered(self.patience.progress, async { Ok(self.stream.next().await.transpose()?) }).await?;
        let mut bytes = next.ok_or_else(|| wrong("not all that it kept came back"))?;
        bytes.truncate(usize::try_from(self.missing).unwrap_or(usize::MAX));
        self.missing -= bytes.len() as u64;
        Ok(Some(bytes))
    }
}

fn wrong(text: &str) -> NodeError {
    NodeError::Damaged(text.to_owned())
}
