//! Content to a client: all of it, its end, or ranges.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use annex_gateway::gateway::{Gateway, GatewayError, Sending, Target};
use annex_protocol::key::Key;
use bytes::Bytes;

use super::{Access, AccessError, Commits};
use crate::host::traffic::{Operation, Outcome, Request};

/// Content on its way to a client. Its request ends with the last byte that is wanted, with an error, or, dropped before,
/// as broken off.
pub struct Download {
    gateway: Gateway,
    target: Target,
    commits: Commits,
    key: Key,
    /// None once it has ended.
    request: Option<Request>,
    content: Sending,
    /// Bytes that are still to come of the present range.
    left: u64,
    /// Ranges that come after it.
    ranges: VecDeque<Range<u64>>,
}

impl Access {
    /// Returns the size of a key's content without reading it; `None` if it is not there.
    pub async fn size(&self, key: &Key) -> Result<Option<u64>, GatewayError> {
        let request = self.scope.request(Operation::CheckPresent, key);
        let size = match (self.gateway.present(self.target, key).await, key.content_size()) {
            (Ok(false), _) => Ok(None),
            (Ok(true), Some(size)) => Ok(Some(size)),
            (Ok(true), None) => {
                let body = self.gateway.get(self.target, key, 0).await;
                body.map(|body| body.map(|body| body.size()))
            }
            (Err(error), _) => Err(error),
        };
        request.settle(size)
    }

    /// Begins to fetch a key's content from `offset` on; `None` if it is not there.
    pub async fn get(&self, key: &Key, offset: u64) -> Result<Option<Download>, AccessError> {
        let mut request = self.scope.request(Operation::Get, key);
        let opened = async {
            request.turn().await?;
            Ok(self.gateway.get(self.target, key, offset).await?)
        };
        let opened: Result<_, AccessError> = opened.await;
        // A copy may have turned out to be lost, which is to be seen by the next fetch.
        self.commits.note();
        let Some((request, content)) = request.go_on_with(opened)? else { return Ok(None) };
        let (gateway, target, commits) = (self.gateway.clone(), self.target, self.commits.clone());
        let (key, left, ranges) = (key.clone(), content.length(), VecDeque::new());
        Ok(Some(Download { gateway, target, commits, key, request: Some(request), content, left, ranges }))
    }
}

impl Download {
    /// Returns how many bytes are still to come of the present range.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Returns the size of the whole content.
    pub fn size(&self) -> u64 {
        self.content.size()
    }

    /// Tells whether the content has been read to its last byte, be it good or not.
    pub fn is_all(&self) -> bool {
        self.content.is_all()
    }

    /// Returns after how long a client that takes nothing is given up.
    pub fn stalled(&self) -> Duration {
        self.request.as_ref().map(Request::stalled).unwrap_or_default()
    }

    /// Gives only these ranges of the content, each after a call of [`Download::next_range`]. The first should begin at the
    /// offset at which the download was begun.
    #[must_use]
    pub fn only(mut self, ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        self.left = 0;
        self.ranges = ranges.into_iter().collect();
        self
    }

    /// Goes to the next range; false if there is none.
    pub async fn next_range(&mut self) -> Result<bool, GatewayError> {
        let Some(range) = self.ranges.pop_front() else { return Ok(false) };
        self.left = range.end.saturating_sub(range.start);
        if self.content.position() != range.start {
            let opened = self.gateway.get(self.target, &self.key, range.start).await;
            self.content = match opened.and_then(|body| body.ok_or(GatewayError::Gone)) {
                Ok(body) => body,
                Err(error) => return Err(self.failed(error)),
            };
        }
        Ok(true)
    }

    /// Returns the next bytes of the present range; after the last, `None`.
    ///
    /// Asked for more after the last byte of the content, it gives an error if what it gave is not the key's content. Where
    /// a client must not see the last byte of bad content, that is to be asked before the byte is sent.
    pub async fn next(&mut self) -> Option<Result<Bytes, GatewayError>> {
        if self.left == 0 && !self.content.is_all() {
            return None;
        }
        match self.content.next().await {
            Some(Ok(mut bytes)) => {
                bytes.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= bytes.len() as u64;
                if let Some(request) = &mut self.request {
                    request.pass(bytes.len()).await;
                }
                // Nobody need ask for more. The last byte of the content, however, is followed by the verdict on it.
                if !self.content.is_all() {
                    self.end_after_last();
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Err(self.failed(error))),
            None => {
                self.end_after_last();
                None
            }
        }
    }

    fn end_after_last(&mut self) {
        if self.left == 0
            && self.ranges.is_empty()
            && let Some(request) = self.request.take()
        {
            request.end(&Outcome::Done(&[self.content.source().clone()], &[]));
            self.commits.note();
        }
    }

    fn failed(&mut self, error: GatewayError) -> GatewayError {
        if let Some(request) = self.request.take() {
            request.fail(&error);
            self.commits.note();
        }
        error
    }
}
