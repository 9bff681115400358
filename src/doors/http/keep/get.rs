//! GET and HEAD of a block.

use annex_gateway::site::user::Role;
use annex_protocol::keep::{Locator, SignatureError};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use keep_store::store::Block;

use super::{KeepRequest, block, failed, refused};
use crate::doors::http::reply::Refused;
use crate::host::traffic::Operation;

/// Bytes that are read before the client takes them.
const READ_AHEAD_BYTES: usize = 4 << 20;

/// Answers with a block, or with its length.
///
/// The last bytes leave only when the hash of all was right; a block that turns out bad after some were sent ends in a
/// connection that breaks off.
pub(super) async fn answer(asked: &KeepRequest<'_>, text: &[u8], head: bool) -> Result<Response, Refused> {
    let request = block(text)?;
    let holder = asked.holder(Role::Read).await?;
    let size = request.size.or((request.hash == Block::EMPTY.hash).then_some(0));
    if size.is_none() && !head {
        // A client could not tell the block from the beginning of it.
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, "the locator has no size"));
    }
    if request.remote && !request.signed {
        return Err(Refused::bad_request("the block is another cluster's, and that is not configured here"));
    }
    let service = asked.keep.service();
    service.verify(text, &holder.token).map_err(|error| match error {
        SignatureError::Expired => refused(StatusCode::UNAUTHORIZED, error),
        SignatureError::Missing | SignatureError::Invalid => Refused::bad_request(error.to_string()),
    })?;
    let absent = || Refused::not_found("not found");
    if head {
        let found = service.stat(request.hash).await.map_err(|error| failed(&error))?.ok_or_else(absent)?;
        if size.is_some_and(|size| size != found.size) {
            return Err(absent());
        }
        return Ok(answered(found.size, Body::empty()));
    }
    let size = size.unwrap_or_default();
    let wanted = Block::try_from(&Locator::new(request.hash, size)).map_err(|_| absent())?;
    let transfer = asked.transfer(&holder, Operation::Get, (Some(request.hash), Some(size))).await?;
    let found = transfer.go_on_with(service.read(wanted, READ_AHEAD_BYTES).await);
    let (transfer, bytes) = found.map_err(|error| failed(&error))?.ok_or_else(absent)?;
    Ok(answered(size, Body::from_stream(transfer.send(size, bytes))))
}

fn answered(size: u64, body: Body) -> Response {
    let headers = [
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::VARY, "X-Keep-Signature".to_owned()),
    ];
    (StatusCode::OK, headers, body).into_response()
}
