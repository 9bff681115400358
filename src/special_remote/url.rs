//! `keep:` URLs: files of any collection of the cluster that the user may read.
//!
//! `keep:PDH/path` and `keep:UUID/path`; what is special in the path is escaped as in other URLs.

use annex_protocol::external::{Response, Text, UrlContent, Word};
use annex_protocol::p2p_http::{percent_decode, percent_encode};
use keep_store::entries::Extent;
use keep_store::entries::collections::{Collections, Files};
use keep_store::store::Block;

use super::settings::collection_name;
use super::shared::{Record, Shared};
use super::trouble::Trouble;

/// How such URLs begin.
pub(super) const SCHEME: &[u8] = b"keep:";

/// A file, or a directory, of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeepUrl {
    /// A collection's UUID or portable data hash.
    pub(super) collection: String,
    /// Unescaped; empty for the whole collection.
    pub(super) path: Vec<u8>,
}

impl KeepUrl {
    pub(super) fn parse(url: &[u8]) -> Option<Self> {
        let rest = url.strip_prefix(SCHEME)?;
        let (collection, path) = match rest.iter().position(|byte| *byte == b'/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, &b""[..]),
        };
        let collection = collection_name(std::str::from_utf8(collection).ok()?)?;
        let path = percent_decode(path.strip_prefix(b"/").unwrap_or(path));
        Some(Self { collection, path: path.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(path) })
    }
}

/// Answers CLAIMURL: a cluster can be asked for any collection.
pub(super) async fn claim(url: &Text, shared: &Shared) -> Response {
    let ours = KeepUrl::parse(url.as_bytes()).is_some();
    match shared.place().await {
        Ok(place) if ours && matches!(place.record, Record::Collections(_)) => Response::ClaimUrlSuccess,
        _ => Response::ClaimUrlFailure,
    }
}

/// Answers CHECKURL: size and name of a file, or of all files of a directory.
pub(super) async fn check(url: &Text, shared: &Shared) -> Result<Response, Trouble> {
    let place = shared.place().await?;
    let (Some(parsed), Record::Collections(collections)) = (KeepUrl::parse(url.as_bytes()), &place.record) else {
        return Err(Trouble::failed("not a URL of this remote".into()));
    };
    let absent = || Trouble::failed(format!("{} has no {}", parsed.collection, String::from_utf8_lossy(&parsed.path)));
    let files = collections.open(&parsed.collection).await?.ok_or_else(absent)?;
    if let Some(extents) = files.get(&parsed.path) {
        let name = parsed.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let file = Text::new(name).unwrap_or_default();
        return Ok(Response::CheckUrlContents { size: Some(size_of(extents)), file });
    }
    let contents = within(&files, &parsed);
    if contents.is_empty() { Err(absent()) } else { Ok(Response::CheckUrlMulti { contents }) }
}

/// Returns the file behind a URL, if it can be read.
pub(super) async fn find(url: &[u8], collections: &Collections) -> Result<Option<Vec<Extent>>, Trouble> {
    let Some(url) = KeepUrl::parse(url) else { return Ok(None) };
    Ok(collections.open(&url.collection).await?.and_then(|mut files| files.remove(&url.path)))
}

/// Lists the files of a directory; a name stands in one word, so white space in it becomes `_`.
fn within(files: &Files, url: &KeepUrl) -> Vec<UrlContent> {
    let inside = |path: &[u8]| match url.path.is_empty() {
        true => Some(path.to_vec()),
        false => path.strip_prefix(url.path.as_slice())?.strip_prefix(b"/").map(<[u8]>::to_vec),
    };
    let content = |(path, extents): (&Vec<u8>, &Vec<Extent>)| {
        let name: Vec<u8> =
            inside(path)?.into_iter().map(|byte| if byte.is_ascii_whitespace() { b'_' } else { byte }).collect();
        let escaped = path.split(|byte| *byte == b'/').map(percent_encode).collect::<Vec<_>>().join("/");
        let address = format!("keep:{}/{escaped}", url.collection);
        Some(UrlContent { url: Word::new(address)?, size: Some(size_of(extents)), file: Word::new(name)? })
    };
    files.iter().filter_map(content).collect()
}

pub(super) fn size_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| u64::from(extent.size)).sum()
}

/// Returns a short name of what a file consists of, the same for the same parts of blocks.
pub(super) fn identity(extents: &[Extent]) -> String {
    let parts = extents
        .iter()
        .map(|Extent { block: Block { hash, size: whole }, offset, size }| format!("{hash}+{whole} {offset}:{size} "));
    annex_protocol::keep::BlockHash::of(parts.collect::<String>().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_collection_and_a_path() {
        let parse = |text: &str| KeepUrl::parse(text.as_bytes()).map(|url| (url.collection, url.path));
        let hash = "1f4b0bc7583c2a7f9102c395f4ffc5e3+45";
        assert_eq!(parse(&format!("keep:{hash}/foo")), Some((hash.into(), b"foo".to_vec())));
        assert_eq!(parse(&format!("keep:{hash}+K@zzzzz/a%20b/c")), Some((hash.into(), b"a b/c".to_vec())));
        assert_eq!(parse(&format!("keep:{hash}")), Some((hash.into(), Vec::new())));
        assert_eq!(parse(&format!("keep:{hash}/dir/")), Some((hash.into(), b"dir".to_vec())));
        let uuid = "zzzzz-4zz18-0123456789abcde";
        assert_eq!(parse(&format!("keep:{uuid}/foo")), Some((uuid.into(), b"foo".to_vec())));
        for text in ["", "keep:", "keep:foo/bar", "http://x/", "keep:zzzzz-j7d0g-0123456789abcde/foo", "keep:\u{fc}/x"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
