//! Storing content: one upload to several nodes at once.

use std::collections::BTreeMap;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::future::join_all;
use keep_store::base::stream::{Cutter, MAX_BLOCK, Piece};

use super::digest::{Checker, Print};
use super::feed::Feed;
use super::plan::Plan;
use super::policy::Admission;
use super::resume::{Resumed, resume};
use super::start::{fail_all, start};
use super::{Gateway, GatewayError, NodeFailure, Target, joined};
use crate::node::{NodeError, Upload};

/// The answer to a client that wants to store content.
pub enum Put {
    /// The content is where it should be already; these nodes have it.
    AlreadyHave(Vec<Uuid>),
    /// The content is wanted.
    Receive(Receiving),
}

/// What became of an upload that was stored.
#[derive(Debug)]
pub struct Stored {
    /// The nodes that have the content now.
    pub nodes: Vec<Uuid>,
    /// Why the nodes that were left out do not have it.
    pub left_out: Vec<NodeFailure>,
}

/// An upload on its way to its nodes.
///
/// A node that fails is left out, and the others go on. Ends in [`Receiving::finish`] or [`Receiving::suspend`].
pub struct Receiving {
    gateway: Gateway,
    key: Key,
    file: AssociatedFile,
    offset: u64,
    received: u64,
    /// The size of the whole content, as the client says.
    announced: Option<u64>,
    admission: Admission,
    /// Why the rest of the content is ignored, although the client still sends it.
    cut_off: Option<Box<GatewayError>>,
    checker: Box<Checker>,
    /// Nodes that go on from the same offset share one cutter, and so one pass of hashing.
    groups: Vec<OffsetGroup>,
    /// Nodes that had the content before.
    holders: Vec<Uuid>,
    failures: Vec<NodeFailure>,
}

struct OffsetGroup {
    offset: u64,
    /// The bytes before the offset are hashed here if other nodes have fewer of them.
    before: Option<Print>,
    /// `None` where no node stores blocks.
    cutter: Option<Cutter>,
    feeds: Vec<Feed>,
}

impl Gateway {
    /// Starts to store a key; `file` is a file that has it as its content.
    pub async fn put(&self, target: Target, key: &Key, file: &AssociatedFile) -> Result<Put, GatewayError> {
        if target == Target::Gateway {
            return Err(GatewayError::NoContentHere);
        }
        let plan = Plan::make(self, target, key, file).await?;
        if plan.targets.is_empty() {
            if !plan.holders.is_empty() {
                self.shared.locations.record_present(key, &plan.holders).await?;
                return Ok(Put::AlreadyHave(plan.holders));
            }
            return Err(match plan.failures.is_empty() {
                true => GatewayError::Unwanted,
                false => GatewayError::Nodes(plan.failures),
            });
        }
        let admission = Admission::ask(self, key, &plan.targets).await?;
        Ok(Put::Receive(self.receive(key, file, plan, admission).await?))
    }

    /// Starts an upload to the nodes of a plan.
    pub(super) async fn receive(
        &self,
        key: &Key,
        file: &AssociatedFile,
        plan: Plan,
        admission: Admission,
    ) -> Result<Receiving, GatewayError> {
        let mut failures = plan.failures;
        let started = start(self, key, file, plan.targets, &mut failures).await;
        let Resumed { started, checker, offset, prints } = resume(key, started, &mut failures).await;
        for failure in &failures {
            tracing::warn!("{key}: {failure}");
        }
        let mut by_offset: BTreeMap<u64, Vec<Feed>> = BTreeMap::new();
        for (started, kept) in started {
            let mut feed = started.feed();
            feed.kept = kept;
            by_offset.entry(feed.offset).or_default().push(feed);
        }
        let mut prints: BTreeMap<u64, Print> = prints.into_iter().collect();
        let group = |(offset, feeds)| OffsetGroup::new(offset, feeds, prints.remove(&offset));
        let groups = by_offset.into_iter().map(group).collect();
        let (gateway, size, key, file) = (self.clone(), key.content_size(), key.clone(), file.clone());
        let (holders, received, announced, cut_off, checker) = (plan.holders, 0, None, None, Box::new(checker));
        let mut receiving = Receiving {
            gateway,
            key,
            file,
            offset,
            received,
            announced,
            admission,
            cut_off,
            checker,
            groups,
            holders,
            failures,
        };
        if let Some(size) = size {
            receiving.hold_space(size).await?;
        }
        if receiving.groups.iter().all(|group| group.feeds.is_empty()) {
            receiving.admission.end().await;
            return Err(GatewayError::Nodes(receiving.failures));
        }
        Ok(receiving)
    }

    /// Returns the nodes of a target that have a key, and records them in the location log.
    pub async fn holders(&self, target: Target, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
        let mut holders = Vec::new();
        for member in self.members(target) {
            match member.node.present(key).await {
                Ok(true) => holders.push(member.uuid.clone()),
                Ok(false) => {}
                Err(source) => return Err(member.failed(source)),
            }
        }
        self.shared.locations.record_present(key, &holders).await?;
        Ok(holders)
    }
}

impl Receiving {
    /// Returns where in the content the client should start to send.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Is told, before the first bytes, how many follow the offset.
    pub async fn announce(&mut self, length: u64) {
        let size = self.offset.saturating_add(length);
        self.announced = Some(size);
        if self.key.content_size().is_none()
            && let Err(error) = self.hold_space(size).await
        {
            // If the room cannot be looked up, a full node fails while it is written to.
            tracing::warn!("{}: {error}", self.key);
        }
        for group in &mut self.groups {
            let announced = join_all(group.feeds.iter_mut().map(|feed| feed.announce(size))).await;
            group.retain(announced, &mut self.failures);
        }
    }

    /// Holds room for content of this size on the nodes, and leaves out those that have none.
    async fn hold_space(&mut self, size: u64) -> Result<(), GatewayError> {
        let offsets = self.groups.iter().flat_map(|group| group.feeds.iter().map(|feed| (group.offset, feed)));
        let wanting =
            offsets.flat_map(|(offset, feed)| feed.members.iter().map(move |member| (member.clone(), offset)));
        let wanting: Vec<_> = wanting.collect();
        let refused = self.admission.hold_space(&self.gateway, &self.key, size, &wanting).await?;
        for (member, error) in &refused {
            member.meter.passed_over(error);
            fail_all(std::iter::once(member), error, &mut self.failures);
            tracing::warn!("{}: {}", self.key, member.failed(error.clone()));
        }
        if refused.is_empty() {
            return Ok(());
        }
        for group in &mut self.groups {
            for mut feed in std::mem::take(&mut group.feeds) {
                feed.leave_out(|member| refused.iter().any(|(refused, _)| refused.uuid == member.uuid));
                if !feed.members.is_empty() {
                    group.feeds.push(feed);
                } else if let (_, Err(error)) = feed.end(|upload| upload.suspend()).await {
                    tracing::debug!("{}: {error}", self.key);
                }
            }
        }
        Ok(())
    }

    /// Takes the next bytes. Waits until all nodes but failing ones have taken them.
    pub async fn push(&mut self, bytes: Bytes) {
        let position = self.offset.saturating_add(self.received);
        self.received = self.received.saturating_add(bytes.len() as u64);
        if self.cut_off.is_some() {
            return;
        }
        let size = self.key.content_size().or(self.announced).unwrap_or_default();
        if let Err(error) = self.admission.allows(self.offset.saturating_add(self.received), size).await {
            // Content that is too large is not the key's, whatever comes next.
            self.cut_off = Some(Box::new(error));
            self.end(|upload| async move { upload.abort().await }).await;
            return;
        }
        self.checker.take(bytes.clone()).await;
        for group in &mut self.groups {
            let skipped = usize::try_from(group.offset.saturating_sub(position)).unwrap_or(usize::MAX);
            if let (Some(print), true) = (&mut group.before, skipped > 0) {
                print.take(bytes.slice(..skipped.min(bytes.len()))).await;
            }
            if skipped < bytes.len() {
                group.push(bytes.slice(skipped..), &mut self.failures).await;
            }
        }
    }

    /// Ends the upload when all that was announced has come; `valid` is what the client says of it.
    ///
    /// `None` if it was not stored since the client does not vouch for it, or it is short of the key's size: a probe for
    /// the offset, or a client that has lost its end. What came so far stays for the next upload.
    pub async fn finish(self, valid: bool) -> Result<Option<Stored>, GatewayError> {
        let short = self.key.content_size().is_some_and(|size| self.offset.saturating_add(self.received) < size);
        if !valid && self.received > 0 {
            self.abort().await;
        } else if let Some(error) = self.cut_off {
            self.admission.end().await;
            return Err(*error);
        } else if !valid || short {
            self.suspend().await;
        } else {
            return self.commit().await.map(Some);
        }
        Ok(None)
    }

    /// Verifies the content and makes it durable.
    ///
    /// Content that is not the key's leaves nothing behind. Nodes that fail are left out; an error if none is left.
    async fn commit(mut self) -> Result<Stored, GatewayError> {
        self.cut().await;
        let checker = std::mem::replace(&mut self.checker, Box::new(Checker::new(&self.key)));
        if !checker.finish().await {
            self.abort().await;
            return Err(GatewayError::NotTheContent);
        }
        for group in &mut self.groups {
            group.leave_out_others(&mut self.failures).await;
        }
        let feeds = std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.feeds);
        let mut stored = self.holders;
        let mut failures = self.failures;
        let mut fresh = 0;
        for (member, committed) in join_all(feeds.map(Feed::commit)).await.into_iter().flatten() {
            match committed {
                Ok(others) => {
                    fresh += 1;
                    stored.extend(self.gateway.behind(&member, others));
                    stored.push(member.uuid);
                }
                Err(source) => fail_all(std::iter::once(&member), &source, &mut failures),
            }
        }
        if fresh == 0 {
            return Err(GatewayError::Nodes(failures));
        }
        self.gateway.shared.locations.record_present(&self.key, &stored).await?;
        self.admission.end().await;
        if !failures.is_empty() {
            self.gateway.shared.queue.put(&self.key, &self.file, joined(&failures)).await;
        }
        Ok(Stored { nodes: stored, left_out: failures })
    }

    /// Keeps what came so far, for the next upload of the key.
    pub async fn suspend(mut self) {
        self.cut().await;
        self.end(|upload| async move { upload.suspend().await }).await;
        self.admission.end().await;
    }

    /// Leaves nothing behind.
    pub(super) async fn abort(mut self) {
        self.end(|upload| async move { upload.abort().await }).await;
        self.admission.end().await;
    }

    /// Ends the present block, as at the end of the content.
    async fn cut(&mut self) {
        for group in &mut self.groups {
            let last = group.cutter.as_mut().and_then(Cutter::finish);
            group.send(last.into_iter().collect(), &mut self.failures).await;
        }
    }

    async fn end<F>(&mut self, end: impl Fn(Box<dyn Upload>) -> F)
    where
        F: Future<Output = Result<(), NodeError>> + Send,
    {
        let feeds = std::mem::take(&mut self.groups).into_iter().flat_map(|group| group.feeds);
        for (members, ended) in join_all(feeds.map(|feed| feed.end(&end))).await {
            if let Err(source) = ended {
                for member in members {
                    tracing::warn!("{}: {}", self.key, member.failed(source.clone()));
                }
            }
        }
    }
}

impl OffsetGroup {
    fn new(offset: u64, feeds: Vec<Feed>, before: Option<Print>) -> Self {
        let blocks = feeds.iter().any(|feed| feed.takes_blocks);
        Self { offset, before, cutter: blocks.then(|| Cutter::new(MAX_BLOCK, offset)), feeds }
    }

    /// Leaves out the nodes that kept something else than what came before the offset.
    async fn leave_out_others(&mut self, failures: &mut Vec<NodeFailure>) {
        let Some(print) = self.before.take() else { return };
        let came = print.finish().await;
        for feed in std::mem::take(&mut self.feeds) {
            if came.is_some() && feed.kept == came {
                self.feeds.push(feed);
                continue;
            }
            let text = "what it kept of an earlier upload was not the content of the key";
            let (members, ended) = feed.end(|upload| upload.abort()).await;
            fail_all(members.iter(), &NodeError::Damaged(text.to_owned()), failures);
            if let Err(error) = ended {
                tracing::warn!("ending an upload that went wrong: {error}");
            }
        }
    }

    /// Takes the next bytes of the content, after those that its nodes have already.
    async fn push(&mut self, bytes: Bytes, failures: &mut Vec<NodeFailure>) {
        let pieces = match &mut self.cutter {
            Some(cutter) => cutter.push(bytes).await,
            None => vec![Piece::Data(bytes)],
        };
        self.send(pieces, failures).await;
    }

    /// Sends pieces to every node of the group; those that fail are gone afterwards.
    async fn send(&mut self, pieces: Vec<Piece>, failures: &mut Vec<NodeFailure>) {
        let outcomes = join_all(self.feeds.iter_mut().map(|feed| async {
            for piece in &pieces {
                feed.send(piece.clone()).await?;
            }
            Ok::<(), NodeError>(())
        }))
        .await;
        self.retain(outcomes, failures);
    }

    /// Leaves out the nodes that failed.
    fn retain(&mut self, outcomes: Vec<Result<(), NodeError>>, failures: &mut Vec<NodeFailure>) {
        let mut outcomes = outcomes.into_iter();
        self.feeds.retain(|feed| match outcomes.next() {
            Some(Err(source)) => {
                fail_all(feed.members.iter(), &source, failures);
                false
            }
            _ => true,
        });
    }
}
