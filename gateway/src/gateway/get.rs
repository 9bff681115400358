//! Fetching content, from whichever copies are good.

use std::collections::VecDeque;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::ready;
use futures_util::stream::once;
use tokio::time::timeout;

use super::choose::in_order;
use super::digest::Checker;
use super::upkeep::condemn_soon;
use super::{Gateway, GatewayError, Member, Target};
use crate::node::{ByteStream, NodeError};

/// Content on its way to a client. If a copy breaks off, another one goes on at the same byte.
pub struct Sending {
    gateway: Gateway,
    key: Key,
    /// Where the next byte stands in the content.
    position: u64,
    size: u64,
    length: u64,
    source: Member,
    stream: ByteStream,
    /// Checks content from nodes that do not; only a download from the start can be checked.
    checker: Option<Checker>,
    from_start: bool,
    /// Nodes that were not tried yet.
    others: VecDeque<Member>,
}

impl Gateway {
    /// Returns a key's content from `offset` on, or `None` if no node of the target has it.
    ///
    /// It is an error, which names a node, if no node is known to have it and one could not be asked. A copy that turns
    /// out to be lost or bad, now or later, is taken out of the location log.
    pub async fn get(&self, target: Target, key: &Key, offset: u64) -> Result<Option<Sending>, GatewayError> {
        let mut others = in_order(self.members(target));
        let mut unknown = None;
        while let Some(source) = others.pop_front() {
            match source.node.get(key, offset).await {
                Ok(Some(content)) if has_other_size(key, content.size) => {
                    let text = format!("its copy has {} bytes, which is not the size of the key", content.size);
                    unknown = Some(source.failed(NodeError::Damaged(text)));
                    condemn_soon(self, &source, key);
                }
                Ok(Some(content)) => {
                    let (gateway, key) = (self.clone(), key.clone());
                    let (size, stream) = (content.size, content.stream);
                    let position = offset.min(size);
                    let (length, from_start) = (size - position, position == 0);
                    let checker = (from_start && !content.verified).then(|| Checker::new(&key));
                    return Ok(Some(Sending {
                        gateway,
                        key,
                        position,
                        size,
                        length,
                        source,
                        stream,
                        checker,
                        from_start,
                        others,
                    }));
                }
                Ok(None) => self.record_lost(&source, key).await,
                Err(error) => {
                    self.record_lost(&source, key).await;
                    unknown = Some(source.failed(error));
                }
            }
        }
        unknown.map_or(Ok(None), Err)
    }
}

impl Sending {
    /// Returns how many bytes come, from the offset that was asked for.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns where in the content the next byte stands.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the size of the whole content, whatever the offset.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the node that the bytes come from now.
    pub fn source(&self) -> &Uuid {
        &self.source.uuid
    }

    /// Returns the next bytes; after the last, `None`. An error means that no good copy is left; after the last byte,
    /// that what was given is not the key's content.
    pub async fn next(&mut self) -> Option<Result<Bytes, GatewayError>> {
        while self.position < self.size {
            let failure = match timeout(self.source.patience.progress, self.stream.next()).await {
                Err(_elapsed) => format!("nothing came for {} s", self.source.patience.progress.as_secs()),
                Ok(Some(Ok(bytes))) => {
                    let missing = self.size - self.position;
                    if bytes.len() as u64 <= missing {
                        self.position += bytes.len() as u64;
                        if let Some(checker) = &mut self.checker {
                            checker.take(bytes.clone()).await;
                        }
                        return Some(Ok(bytes));
                    }
                    "it sent more than the content's size".to_owned()
                }
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "the content ended early".to_owned(),
            };
            if let Err(error) = self.fail_over(failure).await {
                return Some(Err(error));
            }
        }
        let checker = self.checker.take()?;
        if checker.finish().await {
            return None;
        }
        let bad = self.source.clone();
        condemn_soon(&self.gateway, &bad, &self.key);
        Some(Err(GatewayError::Damaged { node: bad.name }))
    }

    /// Tells whether all announced bytes were given away, be they good or not.
    pub fn is_all(&self) -> bool {
        self.position >= self.size
    }

    /// Goes on at the same position with the next copy.
    async fn fail_over(&mut self, cause: String) -> Result<(), GatewayError> {
        let bad = self.source.clone();
        tracing::warn!("{}: node {} broke off at byte {}: {cause}", self.key, bad.name, self.position);
        self.gateway.record_lost(&bad, &self.key).await;
        while let Some(source) = self.others.pop_front() {
            match self.rest_from(&source).await {
                Ok(Some((stream, checker))) => {
                    (self.source, self.stream) = (source, stream);
                    self.checker = checker.or(self.checker.take());
                    return Ok(());
                }
                Ok(None) => self.gateway.record_lost(&source, &self.key).await,
                Err(error) => tracing::warn!("{}", source.failed(error)),
            }
        }
        Err(GatewayError::BrokeOff { node: bad.name, cause })
    }

    /// Returns what a node has from the present position on, if it has as much as was announced.
    ///
    /// What came so far may have been checked by the node that gave it. If this one checks nothing, its bytes are read from
    /// the start, for a checker: the hash is that of the whole content.
    async fn rest_from(&mut self, source: &Member) -> Result<Option<(ByteStream, Option<Checker>)>, NodeError> {
        let Some(content) = source.node.get(&self.key, self.position).await? else { return Ok(None) };
        if content.size != self.size {
            return Ok(None);
        }
        if content.verified || self.checker.is_some() || !self.from_start {
            return Ok(Some((content.stream, None)));
        }
        let mut stream = content.stream;
        let mut checker = Checker::new(&self.key);
        if self.position > 0 {
            let Some(whole) = source.node.get(&self.key, 0).await? else { return Ok(None) };
            stream = whole.stream;
        }
        let mut missing = self.position;
        while missing > 0 {
            let next = timeout(source.patience.progress, stream.next()).await;
            let next = next.map_err(|_elapsed| NodeError::Unreachable("nothing came".to_owned()))?;
            let Some(mut bytes) = next.transpose()? else { return Ok(None) };
            let after = bytes.split_off(usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len()));
            missing -= bytes.len() as u64;
            checker.take(bytes).await;
            if !after.is_empty() {
                stream = once(ready(Ok(after))).chain(stream).boxed();
            }
        }
        Ok(Some((stream, Some(checker))))
    }
}

fn has_other_size(key: &Key, size: u64) -> bool {
    key.content_size().is_some_and(|named| named != size)
}
