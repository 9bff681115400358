//! Content on its way to an HTTP client: all of it, or ranges.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use annex_protocol::key::Key;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::key_request::KeyRequest;
use super::reply::Refused;
use crate::host::access;

/// Content that is being sent. An error breaks the connection off: nothing else tells a client that bytes are missing.
pub(super) struct DownloadBody {
    content: access::Download,
    /// What stands before each range that is still to come, and after the last.
    texts: VecDeque<Bytes>,
    /// The last byte of the content. What was sent whole cannot be called back: it waits until all is known to be the key's.
    last: Option<Bytes>,
}

/// Returns the size of a key's content without reading it; refused if it is not there.
pub(super) async fn size(asked: &KeyRequest, key: &Key) -> Result<u64, Refused> {
    asked.access.size(key).await.map_err(Refused::of)?.ok_or_else(|| not_here(key))
}

/// Begins to fetch a key's content at `offset`; refused if it is not there.
pub(super) async fn open(asked: &KeyRequest, key: &Key, offset: u64) -> Result<access::Download, Refused> {
    asked.access.get(key, offset).await.map_err(Refused::of)?.ok_or_else(|| not_here(key))
}

fn not_here(key: &Key) -> Refused {
    Refused::not_found(format!("no content here: {key}"))
}

impl DownloadBody {
    /// Sends all that was asked for.
    pub(super) fn whole(content: access::Download) -> Self {
        Self { content, texts: VecDeque::new(), last: None }
    }

    /// Sends only these ranges, each after a text, and a text after the last; the first range begins at the offset that was
    /// asked for.
    pub(super) fn ranges(content: access::Download, ranges: &[Range<u64>], texts: Vec<Bytes>) -> Self {
        Self { content: content.only(ranges.iter().cloned()), texts: texts.into(), last: None }
    }

    /// Returns the body of an answer.
    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), async |download| {
            let mut download = download?;
            match download.next().await {
                Ok(bytes) => Some((Ok(bytes?), Some(download))),
                Err(error) => {
                    tracing::warn!("sending content: {error}");
                    Some((Err(error), None))
                }
            }
        }))
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(last) = self.last.take() {
            // With the last byte the client has all that it was promised, and nobody may ask for more.
            if let Some(bad) = self.content.next().await {
                bad.map_err(io::Error::other)?;
            }
            return Ok(Some(last));
        }
        loop {
            if let Some(bytes) = self.content.next().await {
                let mut bytes = bytes.map_err(io::Error::other)?;
                if self.content.is_all() {
                    self.last = Some(bytes.split_off(bytes.len().saturating_sub(1)));
                }
                return Ok(Some(bytes));
            }
            let Some(text) = self.texts.pop_front() else {
                return match self.content.left() {
                    0 => Ok(None),
                    _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content ended early")),
                };
            };
            self.content.next_range().await.map_err(io::Error::other)?;
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
    }
}
