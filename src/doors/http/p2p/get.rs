//! GET with a version: content, for git-annex.

use annex_protocol::key::Key;
use annex_protocol::p2p_http::DATA_LENGTH;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::doors::http::download::{self, DownloadBody};
use crate::doors::http::key_request::KeyRequest;
use crate::doors::http::reply::Refused;

/// Sends a key's content from the offset on.
///
/// Content that is not there is 404: a client would take no bytes at all for the content of a key without a size.
pub(super) async fn answer(asked: &KeyRequest, key: &Key, head: bool) -> Result<Response, Refused> {
    asked.client()?;
    let offset = asked.query.offset.unwrap_or_default();
    let (length, body) = if head {
        let size = download::size(asked, key).await?;
        (size.saturating_sub(offset), axum::body::Body::empty())
    } else {
        let content = download::open(asked, key, offset).await?;
        (content.left(), DownloadBody::whole(content).into_body())
    };
    let length = length.to_string();
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream"),
        (header::CONTENT_LENGTH.as_str(), &length),
        (DATA_LENGTH, &length),
    ];
    Ok((headers, body).into_response())
}
