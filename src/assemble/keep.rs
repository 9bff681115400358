//! Where Keep stores are.

use std::path::{Path, PathBuf};

use annex_gateway::node::{NodeError, Patience};
use annex_gateway::site::Site;
use annex_gateway::site::config::{KeepHttpSpec, KeepS3Spec, NodeSpec, S3Spec};
use keep_store::base::clock::SystemClock;
use keep_store::entries::{KeepError, KeepStore, Options};
use keep_store::store::StoreError;
use keep_store::store::dir::Create;
use keep_store::store::s3::S3Store;

use super::bucket::bucket;
use super::servers::{KeepServers, index_of};
use crate::error::Failure;

/// Where a Keep store is.
pub enum KeepPlace {
    /// In a directory.
    Directory(PathBuf),
    /// In a bucket.
    Bucket(Box<KeepBucket>),
    /// On servers.
    Servers(Box<KeepServers>),
}

/// A Keep store in a bucket.
pub struct KeepBucket {
    pub(super) spec: KeepS3Spec,
    /// The directory of its index.
    pub(super) index: PathBuf,
    /// How long the server is waited for.
    pub(super) patience: Patience,
}

impl KeepPlace {
    /// Returns the place of a site's node, which must be a Keep store.
    pub fn of_node(site: &Site, name: &str) -> Result<Self, Failure> {
        let node = site.config().nodes.get(name).map(|node| node.store.absolute(site.root()));
        match node {
            Some(NodeSpec::Keep(path)) => Ok(Self::Directory(path)),
            Some(NodeSpec::KeepS3(spec)) => Ok(Self::bucket(site, &spec)),
            Some(NodeSpec::KeepHttp(spec)) => Ok(Self::servers(site, spec)),
            Some(_) => Err(Failure::usage(format!("node {name} is no Keep store"))),
            None => Err(Failure::usage(format!("there is no node {name}"))),
        }
    }

    pub(super) fn bucket(site: &Site, spec: &KeepS3Spec) -> Self {
        let (spec, index, patience) = (spec.clone(), Self::index(site.root(), spec), super::patience(site));
        Self::Bucket(Box::new(KeepBucket { spec, index, patience }))
    }

    pub(super) fn servers(site: &Site, spec: KeepHttpSpec) -> Self {
        let (index, patience) = (KeepServers::index(site.root(), &spec), super::patience(site));
        Self::Servers(Box::new(KeepServers { spec, index, patience }))
    }

    /// Returns where the index of a bucket is, if the spec does not say, in a site's directory.
    pub(super) fn index(root: &Path, spec: &KeepS3Spec) -> PathBuf {
        let usual = || {
            let S3Spec { bucket, prefix, endpoint, .. } = &spec.place;
            let place = format!("{}/{bucket}/{prefix}", endpoint.as_deref().unwrap_or_default());
            index_of(root, bucket, &place)
        };
        spec.index.clone().unwrap_or_else(usual)
    }

    /// Returns the name for messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Directory(path) => path.display().to_string(),
            Self::Bucket(bucket) => format!("s3://{}/{}", bucket.spec.place.bucket, bucket.spec.place.prefix),
            Self::Servers(servers) => servers.spec.addresses.join(","),
        }
    }

    /// The directory on this machine that tells it from others.
    pub(super) fn directory(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Bucket(bucket) => &bucket.index,
            Self::Servers(servers) => &servers.index,
        }
    }

    /// Opens the store.
    pub async fn open(&self, create: Create, options: Options) -> Result<KeepStore, KeepError> {
        match self {
            Self::Directory(path) => KeepStore::open(path, create, options).await,
            Self::Bucket(bucket) => KeepStore::open_s3(bucket.blocks().await?, &bucket.index, create, options).await,
            Self::Servers(servers) => servers.open(create, options).await,
        }
    }

    /// Opens the store in order to rebuild its index.
    pub async fn open_for_reindex(&self) -> Result<KeepStore, Failure> {
        match self {
            Self::Directory(path) => Ok(KeepStore::open_for_reindex(path, Options::default()).await?),
            Self::Bucket(bucket) => {
                let blocks = bucket.blocks().await?;
                Ok(KeepStore::open_s3_for_reindex(blocks, &bucket.index, Options::default()).await?)
            }
            Self::Servers(_) => Err(Failure::usage(
                "Keep servers do not tell what they hold, so this index cannot be rebuilt from them",
            )),
        }
    }
}

impl KeepBucket {
    /// Returns the blocks, with their locks beside the index.
    async fn blocks(&self) -> Result<S3Store, KeepError> {
        let place = &self.spec.place;
        let failed = |error: NodeError| StoreError::Failed { store: place.bucket.clone(), reason: error.to_string() };
        let bucket = bucket(place, self.patience).await.map_err(failed)?;
        Ok(S3Store::new(bucket, self.spec.digits, &self.index, SystemClock::shared()))
    }
}
