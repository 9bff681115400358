//! Nodes that are Keep stores in buckets: `keep+s3://BUCKET[/PREFIX]?NAME=VALUE&…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use keep_store::base::clock::SharedClock;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;
use keep_store::store::s3::S3Store;

use super::open;
use crate::node::error::NodeError;
use crate::node::kind::bucket::BucketSpec;
use crate::node::kind::keep_at::KeepAt;
use crate::node::kind::{Beside, Kind, Opening, Reserve, Spec, query};
use crate::node::patience::Patience;
use crate::node::port::Node;

/// Keep stores in buckets.
pub(in crate::node) const KIND: Kind = Kind {
    schemes: &["keep+s3"],
    forms: &["keep+s3://"],
    parse: |text| Ok(Box::new(KeepBucketSpec::parse(text.place())?)),
    local: false,
    reserve: Reserve::NO_DISK,
    served: true,
    one_repository: None,
    own_uuid: None,
    starts_program: false,
};

/// A Keep store in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepBucketSpec {
    /// Where the bucket is, and who asks. Nothing is cut into chunks here.
    pub bucket: BucketSpec,
    /// Digits of a block's name that stand before it once more, as keepstore's PrefixLength says.
    pub digits: usize,
    /// The directory of its index, if not the usual one in the site; a relative one stands in the site directory.
    pub index: Option<PathBuf>,
}

impl KeepBucketSpec {
    /// Parses what follows `keep+s3://`.
    fn parse(text: &str) -> Result<Self, String> {
        let (mut digits, mut index) = (0, None);
        let bucket = BucketSpec::parse_with(text, |name, value| {
            match name {
                "prefixlength" => {
                    digits = value.parse().ok().filter(|digits| *digits <= 16).ok_or("prefixlength: 0 to 16")?;
                }
                "index" => index = Some(value.into()),
                "chunk" | "partsize" => {
                    return Err(format!("{name}: a Keep store cuts content into blocks of its own"));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { bucket, digits, index })
    }

    fn at(&self, opening: &Opening) -> KeepBucket {
        let usual = || {
            let at = &self.bucket.place;
            let place = format!("{}/{}/{}", at.endpoint.as_deref().unwrap_or_default(), at.bucket, at.prefix);
            opening.index_of(&at.bucket, &place)
        };
        let index = self.index.clone().unwrap_or_else(usual);
        KeepBucket { spec: self.clone(), index, patience: opening.patience, clock: Arc::clone(&opening.clock) }
    }
}

#[async_trait]
impl Spec for KeepBucketSpec {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn absolute(&self, base: &Path) -> Box<dyn Spec> {
        let index = self.index.as_ref().map(|index| base.join(index));
        Box::new(Self { bucket: self.bucket.in_folder(base), digits: self.digits, index })
    }

    fn take(&mut self, beside: &mut Beside) -> Result<(), String> {
        self.bucket.take_secrets(&mut beside.secrets)
    }

    fn needs_site(&self) -> bool {
        self.index.is_none()
    }

    fn node(&self, opening: &Opening) -> Arc<dyn Node> {
        open::node(Arc::new(self.at(opening)), opening)
    }

    async fn make(&self, opening: &Opening) -> Result<(), NodeError> {
        // A store that is there already keeps the index that it was made with.
        open::make(&self.at(opening)).await
    }

    fn keep(&self, opening: &Opening) -> Option<Arc<dyn KeepAt>> {
        Some(Arc::new(self.at(opening)))
    }
}

/// A Keep store in a bucket, with its index on this machine.
struct KeepBucket {
    spec: KeepBucketSpec,
    /// The directory of its index.
    index: PathBuf,
    /// How long the server is waited for.
    patience: Patience,
    clock: SharedClock,
}

impl KeepBucket {
    /// Returns the blocks, with their locks beside the index.
    async fn blocks(&self) -> Result<S3Store, KeepError> {
        let bucket = &self.spec.bucket;
        let failed =
            |error: NodeError| StoreError::Failed { store: bucket.place.bucket.clone(), reason: error.to_string() };
        let client = bucket.client(self.patience).await.map_err(failed)?;
        Ok(S3Store::new(client, self.spec.digits, &self.index, Arc::clone(&self.clock)))
    }
}

#[async_trait]
impl KeepAt for KeepBucket {
    fn name(&self) -> String {
        let place = &self.spec.bucket.place;
        format!("s3://{}/{}", place.bucket, place.prefix)
    }

    fn directory(&self) -> &Path {
        &self.index
    }

    async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError> {
        KeepStore::open_s3(self.blocks().await?, &self.index, create, options).await
    }

    async fn open_for_reindex(&self, options: Options) -> Result<Option<KeepStore>, KeepError> {
        KeepStore::open_s3_for_reindex(self.blocks().await?, &self.index, options).await.map(Some)
    }
}

impl fmt::Display for KeepBucketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bucket = self.bucket.to_string();
        write!(f, "keep+{bucket}")?;
        let digits = (self.digits > 0).then(|| self.digits.to_string());
        let index = self.index.as_ref().map(|path| path.display().to_string());
        let settings = [("prefixlength", digits), ("index", index)];
        let settings = settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        query::more(f, if bucket.contains('?') { '&' } else { '?' }, settings)
    }
}
