//! The body of a request as what a git program reads.

use std::io;

use annex_protocol::shell::GitService;
use async_compression::tokio::bufread::GzipDecoder;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::TryStreamExt;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::StreamReader;

use crate::doors::http::reply::Refused;

/// What a client sends, decompressed.
pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;

/// What a client may say in one exchange of a fetch: a million of references and commits. `git upload-pack` keeps them in
/// memory, and gzip makes a thousandth of them.
const LONGEST_FETCH: u64 = 64 << 20;

/// Checks what kind of body it is, and opens it.
pub(super) fn open(service: GitService, headers: &HeaderMap, body: Body) -> Result<Input, Refused> {
    let wanted = format!("application/x-{}-request", service.as_str());
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes() != wanted.as_bytes()) {
        return Err(Refused::bad_request(format!("the content type should be {wanted}")));
    }
    let plain = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let input: Input = match headers.get(header::CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
        None | Some(b"identity") => Box::new(plain),
        Some(b"gzip" | b"x-gzip") => Box::new(GzipDecoder::new(plain)),
        Some(_) => return Err(Refused::bad_request("only gzip is understood as a content encoding")),
    };
    Ok(match service {
        GitService::ReceivePack => input,
        // What is cut off is no complete request, and git says so.
        GitService::UploadPack | GitService::UploadArchive => Box::new(input.take(LONGEST_FETCH)),
    })
}
