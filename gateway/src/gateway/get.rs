//! Fetching content, from whichever copies are good.

use std::collections::VecDeque;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::choose::in_order;
use super::digest::Checker;
use super::{Gateway, GatewayError, Member, Target};
use crate::node::ByteStream;

/// Content on its way to a client: goes on with another copy where one breaks off.
pub struct Body {
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
    /// Nodes that were not tried yet.
    others: VecDeque<Member>,
}

impl Gateway {
    /// Returns a key's content from `offset` on, or `None` if no node of the target has it.
    ///
    /// An error, naming a node, if none has it as far as known and one could not be asked. A copy that turns out to be
    /// lost or bad, now or later, is taken out of the location log.
    pub async fn get(&self, target: Target, key: &Key, offset: u64) -> Result<Option<Body>, GatewayError> {
        let mut others = in_order(self.members(target));
        let mut unknown = None;
        while let Some(source) = others.pop_front() {
            match source.node.get(key, offset).await {
                Ok(Some(content)) => {
                    let (gateway, key) = (self.clone(), key.clone());
                    let (size, stream) = (content.size, content.stream);
                    let position = offset.min(size);
                    let length = size - position;
                    let checker = (position == 0 && !content.verified).then(|| Checker::new(&key));
                    return Ok(Some(Body { gateway, key, position, size, length, source, stream, checker, others }));
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

impl Body {
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
        let (gateway, key) = (self.gateway.clone(), self.key.clone());
        let condemned = bad.clone();
        // The client need not wait for the second look.
        tokio::spawn(async move { gateway.condemn(&condemned, &key).await });
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
            match source.node.get(&self.key, self.position).await {
                Ok(Some(content)) if content.size == self.size => {
                    (self.source, self.stream) = (source, content.stream);
                    return Ok(());
                }
                Ok(_) => self.gateway.record_lost(&source, &self.key).await,
                Err(error) => tracing::warn!("{}", source.failed(error)),
            }
        }
        Err(GatewayError::BrokeOff { node: bad.name, cause })
    }
}
