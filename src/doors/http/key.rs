//! Plain GET and HEAD of a key, for curl and browsers.
//!
//! Source: `docs/spec/p2p-http.md` §3.1; RFC 9110 for what HTTP adds.

use std::ops::Range;
use std::time::Duration;

use annex_gateway::gateway::ErrorKind;
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p_http::{DATA_LENGTH, percent_encode};
use axum::body::Body;
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Response as Built, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use keep_store::base::task::blocking;
use tower_http::cors::{Any, CorsLayer};

use super::download::{self, DownloadBody};
use super::key_request::KeyRequest;
use super::range::RequestedRange;
use super::reply::Refused;
use crate::host::access;
use crate::host::caller::Who;

/// Who has content that is named by its hash need not ask for it again.
const IMMUTABLE_SECONDS: u32 = 365 * 24 * 3600;

/// How long browsers may remember that pages of other origins can ask.
const PREFLIGHT_TIME: Duration = Duration::from_secs(24 * 3600);

/// Lets web pages of any origin read what they may: nothing that a browser adds by itself gives them leave.
pub(super) fn cross_origin() -> CorsLayer {
    let name = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([header::RANGE, header::AUTHORIZATION, header::IF_NONE_MATCH, header::IF_RANGE])
        .expose_headers([
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::CONTENT_DISPOSITION,
            header::ACCEPT_RANGES,
            header::ETAG,
            name("x-git-annex-data-length"),
        ])
        .max_age(PREFLIGHT_TIME)
}

/// Answers a GET or HEAD.
pub(super) async fn answer(asked: &KeyRequest, key: &Key, head: bool) -> Result<Response, Refused> {
    let file = file_name(asked.query.file.as_deref(), key);
    let mime = mime_guess::from_path(&file).first_or_octet_stream().to_string();
    let entity = Entity::of(key);
    let builder = entity.headers(&file, public(asked).await?);
    let headers = &asked.headers;
    if entity.is_known(headers) {
        download::size(asked, key).await?;
        return built(builder.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    let size = match key.content_size().filter(|_| !head) {
        Some(size) => size,
        None => download::size(asked, key).await?,
    };
    let range = headers.get(header::RANGE).filter(|_| !head && entity.is_in_range_of(headers));
    let parts = match RequestedRange::parse(range, size) {
        RequestedRange::Whole => {
            let builder = length(builder, size).header(header::CONTENT_TYPE, mime);
            let body =
                if head { Body::empty() } else { DownloadBody::whole(open(asked, key, 0, size).await?).into_body() };
            return built(builder, body);
        }
        RequestedRange::Unsatisfiable => {
            download::size(asked, key).await?;
            let builder = length(builder, 0).header(header::CONTENT_RANGE, format!("bytes */{size}"));
            return built(builder.status(StatusCode::RANGE_NOT_SATISFIABLE), Body::empty());
        }
        RequestedRange::Parts(parts) => parts,
    };
    let builder = builder.status(StatusCode::PARTIAL_CONTENT);
    if let [range] = parts.as_slice() {
        let wanted = range.end - range.start;
        let builder = length(builder, wanted).header(header::CONTENT_TYPE, mime);
        let builder = builder.header(header::CONTENT_RANGE, content_range(range, size));
        let content = open(asked, key, range.start, size).await?;
        return built(builder, DownloadBody::ranges(content, &parts, vec![Bytes::new()]).into_body());
    }
    let boundary = uuid::Uuid::new_v4().simple().to_string();
    let texts = multipart(&parts, size, &mime, &boundary);
    let texts_length = texts.iter().map(|text| text.len() as u64).sum::<u64>();
    let total = parts.iter().fold(texts_length, |sum, range| sum.saturating_add(range.end - range.start));
    let builder = length(builder, total);
    let builder = builder.header(header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
    let content = open(asked, key, parts.first().map_or(0, |range| range.start), size).await?;
    built(builder, DownloadBody::ranges(content, &parts, texts).into_body())
}

/// What tells one content from another.
struct Entity {
    tag: String,
    /// The key is a hash of the content, so that it can never name another one.
    fixed: bool,
}

impl Entity {
    fn of(key: &Key) -> Self {
        let fixed = Hasher::for_key(key).is_some();
        let weak = if fixed { "" } else { "W/" };
        Self { tag: format!("{weak}\"{}\"", percent_encode(key.as_bytes())), fixed }
    }

    /// Tells whether the client has the content already.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        // A key's tag holds no comma.
        values.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == opaque(&self.tag))
    }

    /// Tells whether what the client has a part of is this content.
    fn is_in_range_of(&self, headers: &HeaderMap) -> bool {
        headers.get(header::IF_RANGE).is_none_or(|tag| self.fixed && tag.as_bytes() == self.tag.as_bytes())
    }

    fn headers(&self, file: &str, public: bool) -> axum::http::response::Builder {
        let scope = if public { "public" } else { "private" };
        let caching = if self.fixed {
            format!("{scope}, max-age={IMMUTABLE_SECONDS}, immutable")
        } else {
            format!("{scope}, no-cache")
        };
        Built::builder()
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::ETAG, &self.tag)
            .header(header::CACHE_CONTROL, caching)
            .header(header::CONTENT_DISPOSITION, disposition(file))
            // The content is somebody's: it must not act as a page of this server.
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::CONTENT_SECURITY_POLICY, "sandbox")
    }
}

/// Tells whether everybody may read the repository, and so any cache on the way keep the answer.
async fn public(asked: &KeyRequest) -> Result<bool, Refused> {
    let (site, repo) = (asked.hub.site(), asked.access.scope.repo.clone());
    let role = blocking(move || Who::Anonymous.role(&site, &repo)).await.map_err(Refused::of)?;
    Ok(role >= annex_gateway::site::user::Role::Read)
}

async fn open(asked: &KeyRequest, key: &Key, from: u64, size: u64) -> Result<access::Download, Refused> {
    let content = download::open(asked, key, from).await?;
    if content.size() == size {
        return Ok(content);
    }
    let text = format!("{key}: {} bytes are stored, not {size}", content.size());
    Err(Refused::of_kind(ErrorKind::Damaged, text))
}

fn length(builder: axum::http::response::Builder, bytes: u64) -> axum::http::response::Builder {
    builder.header(header::CONTENT_LENGTH, bytes).header(DATA_LENGTH, bytes)
}

fn built(builder: axum::http::response::Builder, body: Body) -> Result<Response, Refused> {
    builder.body(body).map_err(Refused::failed)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Returns what stands before each range, and after the last.
fn multipart(ranges: &[Range<u64>], size: u64, mime: &str, boundary: &str) -> Vec<Bytes> {
    let before = |range: &Range<u64>| {
        let at = content_range(range, size);
        format!("\r\n--{boundary}\r\nContent-Type: {mime}\r\nContent-Range: {at}\r\n\r\n").into()
    };
    ranges.iter().map(before).chain([format!("\r\n--{boundary}--\r\n").into()]).collect()
}

/// Returns the name under which the content is to be saved: the file's, else the key's.
fn file_name(file: Option<&[u8]>, key: &Key) -> String {
    let base = file.and_then(|path| path.rsplit(|byte| *byte == b'/').find(|part| !part.is_empty()));
    let name = base.map_or_else(|| key.file_name(), <[u8]>::to_vec);
    String::from_utf8_lossy(&name).chars().map(|letter| if letter.is_control() { '_' } else { letter }).collect()
}

/// Names the file in ASCII for old clients, and as it is for the others (RFC 6266, RFC 8187).
fn disposition(file: &str) -> HeaderValue {
    let plain = |letter: char| (letter.is_ascii_graphic() || letter == ' ') && !matches!(letter, '"' | '\\' | '%');
    let ascii: String = file.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    let mut value = format!("inline; filename=\"{ascii}\"");
    if ascii != file {
        value.push_str("; filename*=UTF-8''");
        value.push_str(&percent_encode(file.as_bytes()));
    }
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("inline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let key = Key::parse(b"SHA256E-s3--abc.tar.gz").unwrap();
        assert_eq!(file_name(None, &key), "SHA256E-s3--abc.tar.gz");
        assert_eq!(file_name(Some(b"dir/a b.txt"), &key), "a b.txt");
        assert_eq!(file_name(Some(b"../"), &key), "..");
        assert_eq!(disposition("a b.txt"), "inline; filename=\"a b.txt\"");
        assert_eq!(disposition("a\"b.txt"), "inline; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt");
        assert_eq!(disposition("ä.txt"), "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%A4.txt");
    }

    #[test]
    fn a_key_without_a_hash_may_name_another_content_tomorrow() {
        let tag = |key: &[u8]| Entity::of(&Key::parse(key).unwrap()).tag;
        assert_eq!(tag(b"SHA1-s3--a9993e36"), "\"SHA1-s3--a9993e36\"");
        assert_eq!(tag(b"URL--http://h/,"), "W/\"URL--http%3A%2F%2Fh%2F%2C\"");
    }
}
