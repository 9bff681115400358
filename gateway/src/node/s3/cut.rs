//! How content is cut for a bucket.

use keep_store::s3::Bucket;

/// A bucket, and how new content is cut for it.
#[derive(Clone)]
pub(super) struct CutBucket {
    pub(super) bucket: Bucket,
    /// New content is cut into chunks of this many bytes.
    pub(super) chunk: Option<u64>,
    /// Objects that are larger are uploaded in parts of this many bytes.
    pub(super) part: u64,
}
