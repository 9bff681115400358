//! GET: content from the server.
//!
//! Source: spec `p2p-protocol.md` §5.1.

use std::io;

use annex_protocol::p2p::Message;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::connection::{Lost, unexpected};
use super::pool::Lease;
use crate::node::error::NodeError;
use crate::node::port::ByteStream;

/// Bytes on their way from the server.
///
/// The last piece is held back until the server has vouched for what it sent.
struct Download {
    /// `None` when all came.
    lease: Option<Lease>,
    held: Option<Bytes>,
}

/// Returns the announced bytes, and gives the connection back after the last.
pub(super) fn stream_of(lease: Lease) -> ByteStream {
    stream::try_unfold(Download { lease: Some(lease), held: None }, Download::step).boxed()
}

impl Download {
    async fn step(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while let Some(mut lease) = self.lease.take() {
            match lease.connection.data().await.map_err(broken)? {
                Some(bytes) => {
                    self.lease = Some(lease);
                    if let Some(before) = self.held.replace(bytes) {
                        return Ok(Some((before, self)));
                    }
                }
                None => end(lease).await.map_err(io::Error::other)?,
            }
        }
        Ok(self.held.take().map(|last| (last, self)))
    }
}

/// Ends a GET after its data.
async fn end(mut lease: Lease) -> Result<(), NodeError> {
    let valid = validity(&mut lease).await?;
    conclude(lease, valid).await?;
    if valid { Ok(()) } else { Err(NodeError::Failed("the content changed while it was sent".to_owned())) }
}

/// Returns whether the server vouches for the data that it sent; below version 1 it does not say.
pub(super) async fn validity(lease: &mut Lease) -> Result<bool, NodeError> {
    if !lease.connection.version().has_validity() {
        return Ok(true);
    }
    match lease.connection.answer().await? {
        Message::Valid => Ok(true),
        Message::Invalid => Ok(false),
        other => Err(unexpected("GET", &other)),
    }
}

/// Tells the server how a GET went, and gives the connection back.
pub(super) async fn conclude(mut lease: Lease, success: bool) -> Result<(), NodeError> {
    lease.connection.queue(if success { &Message::Success } else { &Message::Failure });
    lease.connection.flush().await?;
    lease.give_back();
    Ok(())
}

fn broken(lost: Lost) -> io::Error {
    io::Error::other(lost.error)
}
