//! A node that is a bucket in the layout of git-annex's own S3 special remote, not encrypted.
//!
//! ```text
//! PREFIX KEY           content, under the key as it is, in one object
//! PREFIX KEY-SnCm…     chunk m of n bytes each (the last one is shorter); the fields stand before the key's `--`
//! PREFIX annex-uuid    git-annex's own mark: neither read nor written here
//! ```
//!
//! git-annex can use the same bucket at the same time. It knows no locks there: what it removes itself, nobody can
//! keep it from. Nothing is visible before it is complete: parts of uploads are not objects yet, and content that is in the
//! bucket is replaced as a whole. Source: git-annex's `Remote/S3.hs`.

use std::collections::BTreeSet;
use std::io;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use keep_store::s3::Bucket;

use super::error::NodeError;
use super::only_ours::hold_if;
use super::port::{ByteStream, Capacity, Content, Hold, Incoming, Node, Onward, Pieces};

mod cut;
pub mod kind;
mod layout;
mod upload;

use cut::CutBucket;

/// An S3 special remote's bucket. Its content belongs to one repository.
pub struct S3Node(CutBucket);

/// Bytes in a part, where nothing else is said.
pub const PART_BYTES: u64 = 8 << 20;

impl S3Node {
    /// Makes the node of a bucket; new content is stored in chunks of `chunk` bytes, or whole, and in parts of `part` bytes.
    ///
    /// A part has 5 to 64 MiB, as servers ask for; up to three of them are in memory for an upload.
    pub fn new(bucket: Bucket, chunk: Option<u64>, part: u64) -> Self {
        Self(CutBucket { bucket, chunk, part: upload::legal(part) })
    }
}

#[async_trait]
impl Node for S3Node {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        Ok(layout::find(&self.0.bucket, key).await?.is_some())
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let bucket = &self.0.bucket;
        if offset == 0
            && let Some(name) = layout::whole(bucket, key)
            && let Some((object, bytes)) = bucket.get(&name, 0).await?
            && layout::is_size_of(key, object.size)
        {
            return Ok(Some(Content { size: object.size, stream: bytes, verified: false }));
        }
        let Some(found) = layout::find(bucket, key).await? else { return Ok(None) };
        let size = found.size();
        let mut parts = found.from(offset).into_iter();
        // An object that is removed just now counts as absent; one that is removed later ends the stream with an error.
        let first = match parts.next() {
            None => return Ok(Some(Content { size, stream: stream::empty().boxed(), verified: false })),
            Some((name, from)) => bucket.get(&name, from).await?,
        };
        let Some((_, first)) = first else { return Ok(None) };
        let stream = first.chain(rest(bucket.clone(), parts.collect())).boxed();
        Ok(Some(Content { size, stream, verified: false }))
    }

    /// Parts that a broken-off upload left were never verified as a whole: an upload starts at the beginning.
    async fn put(&self, key: &Key, _file: &AssociatedFile) -> Result<Incoming, NodeError> {
        Ok(Incoming::Pieces(Pieces::fresh(upload::Staged::open(self.0.clone(), key)?)))
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        layout::remove(&self.0.bucket, key).await?;
        Ok(Vec::new())
    }

    /// A bucket has no place for damaged objects that git-annex would not take for content: the object goes.
    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        layout::remove(&self.0.bucket, key).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        Ok(hold_if(self.present(key).await?))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.0.bucket.page("", "", 1).await?;
        Ok(Capacity::default())
    }

    fn onward(&self, _gateways: &BTreeSet<Uuid>) -> Onward {
        Onward::AsIs
    }
}

/// Reads objects one after the other, each when its turn comes.
fn rest(bucket: Bucket, parts: Vec<(String, u64)>) -> BoxStream<'static, io::Result<Bytes>> {
    let opened = stream::iter(parts).then(move |(name, from)| {
        let bucket = bucket.clone();
        async move {
            let found = bucket.get(&name, from).await?;
            let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{}: {name} has gone", bucket.place()));
            Ok::<ByteStream, io::Error>(found.ok_or_else(gone)?.1)
        }
    });
    opened.try_flatten().boxed()
}
