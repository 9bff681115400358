//! PUT and POST of a block.

use annex_gateway::site::user::Role;
use annex_protocol::keep::BlockHash;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use keep_store::service::{BlockUpload, UploadError};

use super::headers::{self, CONFIRMED, REPLICAS_STORED};
use super::{BlockError, KeepRequest, not_stored};
use crate::doors::http::body;
use crate::doors::http::reply::Refused;
use crate::host::traffic::{Operation, Outcome, Request};

/// Stores a block; `hash` is what the client calls it, if it knows.
///
/// Success means: durable on as many copies as the answer says, and kept there for the lifetime of the signature.
pub(super) async fn answer(
    asked: &KeepRequest<'_>,
    hash: Option<BlockHash>,
    mut body: Body,
) -> Result<Response, Refused> {
    let holder = asked.holder(Role::Append).await?;
    let wanted = headers::wanted(&asked.parts.headers)?;
    let length = headers::content_length(&asked.parts.headers)?;
    if length.is_some_and(|length| length > annex_protocol::keep::MAX_BLOCK as u64) {
        return Err(Refused::of(UploadError::TooLarge));
    }
    let mut transfer = asked.transfer(&holder, Operation::Put, (hash, length)).await?;
    let classes = !wanted.classes.is_empty();
    let stored = async {
        let mut upload = asked.keep.service().upload(hash, length, wanted).await?;
        take(&mut upload, &mut transfer, &mut body).await?;
        Ok(upload.finish(hash).await?)
    };
    let stored: Result<_, BlockError> = stored.await;
    transfer.end(&match &stored {
        Ok(_) => Outcome::Done(&[], &[]),
        Err(error) => Outcome::failed(error),
    });
    let (block, copies) = stored.map_err(|error| not_stored(&error))?;
    let confirmed: Vec<_> = copies.classes.iter().map(|(class, copies)| format!("{class}={copies}")).collect();
    let mut response = format!("{}\n", asked.keep.sign(&block.locator(), &holder)).into_response();
    let answer = response.headers_mut();
    answer.insert(REPLICAS_STORED, copies.replicas.into());
    // Sent in any case: a client that misses it gives up on storage classes for good.
    if let Some(value) = Some(confirmed.join(", ")).filter(|_| classes || !confirmed.is_empty()) {
        answer.insert(CONFIRMED, value.parse().map_err(Refused::failed)?);
    }
    answer.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// Passes the block on as it comes.
async fn take(upload: &mut BlockUpload, transfer: &mut Request, body: &mut Body) -> Result<(), BlockError> {
    let stalled = transfer.stalled();
    while let Some(bytes) = body::next(body, stalled).await? {
        transfer.pass(bytes.len()).await;
        upload.push(bytes).await?;
    }
    Ok(())
}
