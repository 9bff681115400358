//! A request body that is written while the request runs.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use keep_store::base::http_client;
use reqwest::{Body, RequestBuilder, Response};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::good;
use crate::node::error::NodeError;

/// A request under way. Dropped, its body ends where it is.
pub(super) struct Streamed {
    body: mpsc::Sender<Bytes>,
    request: JoinHandle<reqwest::Result<Response>>,
}

/// What waits between us and the connection: at most so many pieces of at most so many bytes.
const PIECES: usize = 4;
const PIECE_BYTES: usize = 256 << 10;

impl Streamed {
    /// Starts the request.
    pub(super) fn start(request: RequestBuilder) -> Self {
        let (body, pieces) = mpsc::channel::<Bytes>(PIECES);
        let pieces = stream::unfold(pieces, |mut pieces| async move {
            let piece = pieces.recv().await?;
            Some((Ok::<Bytes, io::Error>(piece), pieces))
        });
        let request = request.body(Body::wrap_stream(pieces));
        Self { body, request: tokio::spawn(request.send()) }
    }

    /// Tells whether the request has ended already.
    pub(super) fn is_over(&self) -> bool {
        self.request.is_finished()
    }

    /// Sends the next bytes. False if the server has answered before it took them.
    pub(super) async fn send(&self, mut bytes: Bytes, patience: Duration) -> Result<bool, NodeError> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
            match timeout(patience, self.body.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_ended)) => return Ok(false),
                Err(_elapsed) => {
                    let seconds = patience.as_secs_f32();
                    return Err(NodeError::Unreachable(format!("it took no content for {seconds} s")));
                }
            }
        }
        Ok(true)
    }

    /// Ends the body and waits for the answer.
    pub(super) async fn end(self, patience: Duration) -> Result<Response, NodeError> {
        let Self { body, mut request } = self;
        drop(body);
        match timeout(patience, &mut request).await {
            Ok(Ok(Ok(response))) => good(response).await,
            Ok(Ok(Err(error))) => Err(NodeError::Unreachable(http_client::innermost(error))),
            Ok(Err(_lost)) => Err(NodeError::Unreachable("the request was lost".to_owned())),
            Err(_elapsed) => {
                request.abort();
                Err(NodeError::Unreachable(format!("it did not answer for {} s", patience.as_secs_f32())))
            }
        }
    }
}
