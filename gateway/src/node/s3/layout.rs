//! Where content stands in an S3 special remote.

use annex_protocol::key::Key;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keep_store::s3::Bucket;

use crate::node::chunks::{Chunking, unknown_count};
use crate::node::error::NodeError;

/// Content that was found: its objects in order, and how long each is.
pub(super) struct Found(Vec<(String, u64)>);

/// Requests for chunks at once.
pub(super) const REQUESTS_AT_ONCE: usize = 8;

/// The most sizes of chunks that keys of one size may have in one bucket.
const MOST_CHUNK_SIZES: usize = 1000;

impl Found {
    pub(super) fn size(&self) -> u64 {
        self.0.iter().map(|(_, size)| size).sum()
    }

    /// Returns the objects that have bytes from `offset` on, each with its first byte that counts.
    pub(super) fn from(self, offset: u64) -> Vec<(String, u64)> {
        let mut before = offset;
        let mut parts = Vec::new();
        for (name, size) in self.0 {
            let from = before.min(size);
            before -= from;
            if from < size {
                parts.push((name, from));
            }
        }
        parts
    }
}

/// Returns the name of a key's object; `None` if there cannot be one, or none that could be asked for.
pub(super) fn whole(bucket: &Bucket, key: &Key) -> Option<String> {
    String::from_utf8(key.as_bytes().to_vec()).ok().filter(|name| bucket.addressable(name))
}

/// Tells whether that is the size that a key names, if it names one.
pub(super) fn is_size_of(key: &Key, size: u64) -> bool {
    key.content_size().is_none_or(|named| named == size)
}

/// Finds a key's content, whole or in chunks of any size; all of it or `None`.
///
/// An object that has not the size that its key names is not the key's content. That there is nothing is proved by a
/// listing, which a bucket that is not there does not answer.
pub(super) async fn find(bucket: &Bucket, key: &Key) -> Result<Option<Found>, NodeError> {
    let Some(name) = whole(bucket, key) else { return none_listed(bucket, key).await.map(|()| None) };
    if let Some(size) = sized(bucket, &name, key).await? {
        return Ok(Some(Found(vec![(name, size)])));
    }
    for chunk in chunk_sizes(bucket, key).await? {
        let chunking = Chunking::new(key, Some(chunk));
        let Some(size) = key.size().filter(|_| chunking.size().is_some()) else {
            let first = key.with_chunk(chunk, 1);
            match sized(bucket, &text(&first)?, &first).await? {
                Some(_) => return Err(unknown_count()),
                None => continue,
            }
        };
        if let Some(found) = chunks(bucket, &chunking, size).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Removes a key's content: whole, in chunks of any size, and in part.
pub(super) async fn remove(bucket: &Bucket, key: &Key) -> Result<(), NodeError> {
    let Some(name) = whole(bucket, key) else { return none_listed(bucket, key).await };
    bucket.delete(&name).await?;
    for chunk in chunk_sizes(bucket, key).await? {
        let chunking = Chunking::new(key, Some(chunk));
        let Some(size) = key.size().filter(|_| chunking.size().is_some()) else { continue };
        let chunks = stream::iter(1..=chunking.count(size)).map(|number| {
            let chunk = chunking.key(number);
            async move { Ok::<_, NodeError>(bucket.delete(&text(&chunk)?).await?) }
        });
        chunks.buffer_unordered(REQUESTS_AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

/// Finds the chunks of content of `size` bytes.
async fn chunks(bucket: &Bucket, chunking: &Chunking, size: u64) -> Result<Option<Found>, NodeError> {
    let look = async |number| {
        let chunk = chunking.key(number);
        let name = text(&chunk)?;
        Ok::<_, NodeError>(sized(bucket, &name, &chunk).await?.map(|size| (name, size)))
    };
    // Most often there is none of them.
    let Some(first) = look(1).await? else { return Ok(None) };
    let mut found = vec![first];
    let mut others = stream::iter(2..=chunking.count(size)).map(look).buffered(REQUESTS_AT_ONCE);
    while let Some(chunk) = others.try_next().await? {
        let Some(chunk) = chunk else { return Ok(None) };
        found.push(chunk);
    }
    Ok(Some(Found(found)))
}

/// Lists the sizes of chunks that keys of this one's size have been cut into, whatever their names.
///
/// The names of all objects are in order, so a request for the first one after those of a size finds the next size.
async fn chunk_sizes(bucket: &Bucket, key: &Key) -> Result<Vec<u64>, NodeError> {
    let fields = key.as_bytes().strip_suffix(key.name()).and_then(|fields| fields.strip_suffix(b"--"));
    let fields = fields.and_then(|fields| std::str::from_utf8(fields).ok()).filter(|_| key.chunk().is_none());
    let Some(prefix) = fields.map(|fields| format!("{fields}-S")) else { return Ok(Vec::new()) };
    let (mut sizes, mut after) = (Vec::new(), String::new());
    for _ in 0..MOST_CHUNK_SIZES {
        let Some((name, _)) = bucket.page(&prefix, &after, 1).await?.pop() else { return Ok(sizes) };
        let size =
            name.strip_prefix(&prefix).and_then(|rest| rest.split_once("-C")).and_then(|(size, _)| size.parse().ok());
        after = match size {
            Some(size) => {
                sizes.push(size);
                // `D` comes after the `C` of all chunks of that size.
                format!("{prefix}{size}-D")
            }
            None => name,
        };
    }
    Err(NodeError::Failed(format!("{}: too many names begin with {prefix}", bucket.place())))
}

/// Returns the size of a key's object if it is there and has the size that the key names.
async fn sized(bucket: &Bucket, name: &str, key: &Key) -> Result<Option<u64>, NodeError> {
    Ok(bucket.head(name).await?.map(|object| object.size).filter(|size| is_size_of(key, *size)))
}

/// Succeeds if there is nothing under a name that cannot be asked for: it can be listed.
async fn none_listed(bucket: &Bucket, key: &Key) -> Result<(), NodeError> {
    // Names are UTF-8, so there is none of another kind; that the bucket is there remains to be seen.
    let name = String::from_utf8(key.as_bytes().to_vec()).unwrap_or_else(|_| "annex-uuid".to_owned());
    let listed = bucket.page(&name, "", 1).await?;
    if listed.iter().any(|(listed, _)| *listed == name && !bucket.addressable(&name)) {
        return Err(NodeError::Failed(format!(
            "{}: there is an object {name}, but no request can name it",
            bucket.place()
        )));
    }
    Ok(())
}

/// Returns the name of an object that whoever asks for it has found to be UTF-8.
pub(super) fn text(key: &Key) -> Result<String, NodeError> {
    String::from_utf8(key.as_bytes().to_vec()).map_err(|error| NodeError::Failed(error.to_string()))
}
