//! A bucket on an S3 server: requests that end in time, and errors that name the bucket.
//!
//! What object_store does of itself (signatures, retries of what may be repeated, reading on after a broken connection) is
//! left to it; retries are few, so that a dead server is an error and no hang. Names are relative to the bucket's prefix.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use md5::{Digest as _, Md5};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use tokio::sync::OnceCell;

use crate::base::task::blocking;

mod connect;
mod error;
mod multipart;

pub use connect::{BucketPlace, Credentials};
pub use error::S3Error;
pub use multipart::{Multipart, Part};

/// A bucket, or the part of it under a prefix; cloning shares its connections.
#[derive(Clone)]
pub struct Bucket(Arc<Inner>);

struct Inner {
    client: AmazonS3,
    place: BucketPlace,
    deadlines: Deadlines,
    abilities: OnceCell<Abilities>,
}

/// How long a server is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until a request without content is answered, retries included.
    pub answer: Duration,
    /// Until the next bytes of content come.
    pub progress: Duration,
}

/// An object, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written.
    pub time: SystemTime,
    /// Tells it from another object of the same name, where the server says so.
    pub e_tag: Option<String>,
}

/// What servers differ in, found out by a probe.
#[derive(Debug, Clone, Copy)]
struct Abilities {
    /// A write can be made to fail if the object is there.
    create: bool,
    /// The ETag of what was written in one piece is its MD5.
    md5: bool,
}

/// Content that is slower than this, in bytes a second, does not arrive in time.
const SLOWEST: u64 = 250_000;

impl Bucket {
    /// Makes a client; nothing is asked yet.
    pub fn new(place: BucketPlace, credentials: Option<&Credentials>, deadlines: Deadlines) -> Result<Self, S3Error> {
        let client = connect::client(&place, credentials, deadlines)?;
        Ok(Self(Arc::new(Inner { client, place, deadlines, abilities: OnceCell::new() })))
    }

    /// Returns the place for messages.
    pub fn place(&self) -> &BucketPlace {
        &self.0.place
    }

    /// Tells whether the server can be asked for an object of that name.
    ///
    /// Names that a web address cannot carry as they are (empty parts between slashes, `.` and `..`) can only be listed.
    pub fn addressable(&self, name: &str) -> bool {
        self.path(name).is_ok()
    }

    /// Returns what is known of an object; `None` also if there is no such bucket: see [`Bucket::page`].
    pub async fn head(&self, name: &str) -> Result<Option<Object>, S3Error> {
        let path = self.path(name)?;
        self.present("look at", name, self.0.client.head(&path)).await.map(|found| found.map(Object::from))
    }

    /// Reads an object from byte `from` on, which must stand before its end unless it is 0; as [`Bucket::head`] if it is not
    /// there.
    pub async fn get(
        &self,
        name: &str,
        from: u64,
    ) -> Result<Option<(Object, BoxStream<'static, io::Result<Bytes>>)>, S3Error> {
        self.ranged(name, (from > 0).then_some(GetRange::Offset(from))).await
    }

    /// Returns the first bytes of an object that is not empty, at most `most`; as [`Bucket::head`] if it is not there.
    pub async fn start(&self, name: &str, most: u64) -> Result<Option<Bytes>, S3Error> {
        let Some((_, bytes)) = self.ranged(name, Some(GetRange::Bounded(0..most))).await? else { return Ok(None) };
        let bytes: Vec<Bytes> = bytes.try_collect().await.map_err(|error| S3Error::Unreachable(error.to_string()))?;
        Ok(Some(bytes.concat().into()))
    }

    async fn ranged(
        &self,
        name: &str,
        range: Option<GetRange>,
    ) -> Result<Option<(Object, BoxStream<'static, io::Result<Bytes>>)>, S3Error> {
        let path = self.path(name)?;
        let options = GetOptions { range, ..GetOptions::default() };
        let Some(found) = self.present("read", name, self.0.client.get_opts(&path, options)).await? else {
            return Ok(None);
        };
        let object = Object::from(found.meta.clone());
        let (bucket, name) = (self.clone(), name.to_owned());
        let bytes = stream::try_unfold(found.into_stream(), move |mut bytes| {
            let (bucket, name) = (bucket.clone(), name.clone());
            async move {
                let limit = bucket.0.deadlines.progress;
                let next = bucket.within(limit, "read", &name, bytes.try_next()).await.map_err(io::Error::from)?;
                Ok(next.map(|next| (next, bytes)))
            }
        });
        Ok(Some((object, bytes.boxed())))
    }

    /// Writes an object whole, over what is there. It is visible and durable when this returns, and not before.
    pub async fn put(&self, name: &str, bytes: Vec<Bytes>) -> Result<(), S3Error> {
        self.write(name, bytes, PutMode::Overwrite).await.map(drop)
    }

    /// Writes an object unless one of that name is there; tells whether it did.
    ///
    /// Where the server has no such request, it is looked for first, and who writes at the same moment is not seen.
    pub async fn create(&self, name: &str, bytes: Vec<Bytes>) -> Result<bool, S3Error> {
        if self.abilities().await?.create {
            return self.write(name, bytes, PutMode::Create).await;
        }
        if self.head(name).await?.is_some() {
            return Ok(false);
        }
        self.write(name, bytes, PutMode::Overwrite).await
    }

    /// Removes an object; that there is none is success.
    pub async fn delete(&self, name: &str) -> Result<(), S3Error> {
        let path = self.path(name)?;
        self.present("remove", name, self.0.client.delete(&path)).await.map(drop)
    }

    /// Copies an object on the server, over what is there; false if there is none.
    pub async fn copy(&self, from: &str, to: &str) -> Result<bool, S3Error> {
        let (source, target) = (self.path(from)?, self.path(to)?);
        Ok(self.present("copy", from, self.0.client.copy(&source, &target)).await?.is_some())
    }

    /// Lists the first objects (at most `most`) whose names begin with `prefix` and come after `after`, in the order of names.
    ///
    /// Unlike requests for one object, this fails if there is no such bucket.
    pub async fn page(&self, prefix: &str, after: &str, most: usize) -> Result<Vec<(String, Object)>, S3Error> {
        let whole = |name: &str| format!("{}{name}", self.0.place.prefix);
        let offset = (!after.is_empty()).then(|| whole(after));
        let options = PaginatedListOptions { offset, max_keys: Some(most), ..PaginatedListOptions::default() };
        let prefix = whole(prefix);
        let asked = self.0.client.list_paginated(Some(&prefix), options);
        let found = self.within(self.0.deadlines.answer, "list", &prefix, asked).await?;
        Ok(found.result.objects.into_iter().filter_map(|meta| self.named(meta)).collect())
    }

    /// Lists all objects whose names begin with `prefix`, in the order of names.
    pub fn list(&self, prefix: &str) -> BoxStream<'static, Result<(String, Object), S3Error>> {
        let (bucket, prefix) = (self.clone(), prefix.to_owned());
        const PAGE: usize = 1000;
        stream::try_unfold(Some(String::new()), move |after| {
            let (bucket, prefix) = (bucket.clone(), prefix.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = bucket.page(&prefix, &after, PAGE).await?;
                // A server may list fewer than it was asked for: only an empty page is the end.
                let next = page.last().map(|(name, _)| name.clone());
                Ok(Some((stream::iter(page.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    fn named(&self, meta: ObjectMeta) -> Option<(String, Object)> {
        let name = meta.location.as_ref().strip_prefix(&self.0.place.prefix)?.to_owned();
        Some((name, meta.into()))
    }

    async fn write(&self, name: &str, bytes: Vec<Bytes>, mode: PutMode) -> Result<bool, S3Error> {
        let path = self.path(name)?;
        let (size, md5) = measured(&bytes).await;
        let options = PutOptions { mode, attributes: self.attributes(), ..PutOptions::default() };
        let payload = PutPayload::from_iter(bytes);
        let asked = self.0.client.put_opts(&path, payload, options);
        match tokio::time::timeout(self.transfer(size), asked).await {
            Ok(Err(object_store::Error::AlreadyExists { .. })) => Ok(false),
            Ok(Err(error)) => Err(self.failed("write", name, &error)),
            Ok(Ok(written)) => {
                let e_tag = written.e_tag.as_deref();
                if self.intact(e_tag, &md5).await? {
                    return Ok(true);
                }
                if let Err(error) = self.delete_falsified(name, &path, e_tag).await {
                    tracing::warn!(%error, "an object with wrong bytes could not be removed");
                }
                Err(self.falsified(name, e_tag, &md5))
            }
            Err(_) => Err(self.silent("write", name)),
        }
    }

    /// Compares what the server says of bytes it took, where it says so, with the bytes that were meant.
    async fn intact(&self, e_tag: Option<&str>, md5: &str) -> Result<bool, S3Error> {
        Ok(e_tag.is_some_and(|e_tag| e_tag.trim_matches('"') == md5) || !self.abilities().await?.md5)
    }

    /// Deletes what a server took wrongly, unless somebody else has written the object since: whoever looks for it would take
    /// it for what was meant.
    async fn delete_falsified(&self, name: &str, path: &Path, e_tag: Option<&str>) -> Result<(), S3Error> {
        let found = self.present("look at", name, self.0.client.head(path)).await?;
        match found {
            Some(found) if found.e_tag.as_deref() == e_tag => self.delete(name).await,
            _ => Ok(()),
        }
    }

    fn falsified(&self, name: &str, e_tag: Option<&str>, md5: &str) -> S3Error {
        let taken = e_tag.unwrap_or_default().trim_matches('"');
        let text = format!("the server stored other bytes (MD5 {taken}) than were sent ({md5})");
        S3Error::Failed(format!("{}: write {name}: {text}", self.0.place))
    }

    /// Finds out, once, what the server can do, by an object that is removed again.
    async fn abilities(&self) -> Result<Abilities, S3Error> {
        let probe = async {
            let name = format!("annex-keep-probe-{}", uuid::Uuid::new_v4().simple());
            let path = self.path(&name)?;
            let put = async |mode| {
                let options = PutOptions { mode, ..PutOptions::default() };
                tokio::time::timeout(self.0.deadlines.answer, self.0.client.put_opts(&path, "probe".into(), options))
                    .await
            };
            let written = match put(PutMode::Overwrite).await {
                Ok(written) => written.map_err(|error| self.failed("write", &name, &error))?,
                Err(_) => return Err(self.silent("write", &name)),
            };
            let again = put(PutMode::Create).await;
            let create = matches!(again, Ok(Err(object_store::Error::AlreadyExists { .. })));
            self.delete(&name).await?;
            let (_, expected) = measured(&[Bytes::from_static(b"probe")]).await;
            let md5 = written.e_tag.is_some_and(|e_tag| e_tag.trim_matches('"') == expected);
            tracing::info!(place = %self.0.place, conditional_put = create, md5_etags = md5, "probed an S3 server");
            Ok(Abilities { create, md5 })
        };
        self.0.abilities.get_or_try_init(|| probe).await.copied()
    }

    fn attributes(&self) -> Attributes {
        let class = self.0.place.storage_class.clone();
        class.map(|class| (Attribute::StorageClass, class)).into_iter().collect()
    }

    fn path(&self, name: &str) -> Result<Path, S3Error> {
        let whole = format!("{}{name}", self.0.place.prefix);
        match Path::parse(&whole) {
            Ok(path) if path.as_ref() == whole => Ok(path),
            _ => Err(S3Error::Failed(format!("{}: no web address can contain the name \"{whole}\"", self.0.place))),
        }
    }

    /// How long content of `size` bytes may take.
    fn transfer(&self, size: u64) -> Duration {
        self.0.deadlines.answer + Duration::from_secs(size / SLOWEST)
    }

    /// Waits for an answer that may be that there is no such object.
    async fn present<T>(
        &self,
        what: &str,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, S3Error> {
        match tokio::time::timeout(self.0.deadlines.answer, asked).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(error)) => Err(self.failed(what, name, &error)),
            Err(_) => Err(self.silent(what, name)),
        }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        name: &str,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, S3Error> {
        match tokio::time::timeout(limit, asked).await {
            Ok(answer) => answer.map_err(|error| self.failed(what, name, &error)),
            Err(_) => Err(self.silent(what, name)),
        }
    }

    fn failed(&self, what: &str, name: &str, error: &object_store::Error) -> S3Error {
        S3Error::new(&format!("{}: {what} {name}", self.0.place), error)
    }

    fn silent(&self, what: &str, name: &str) -> S3Error {
        S3Error::Unreachable(format!("{}: {what} {name}: no answer in time", self.0.place))
    }
}

impl From<ObjectMeta> for Object {
    fn from(meta: ObjectMeta) -> Self {
        Self { size: meta.size, time: meta.last_modified.into(), e_tag: meta.e_tag }
    }
}

/// Returns size and MD5 of bytes, taken off the runtime.
async fn measured(bytes: &[Bytes]) -> (u64, String) {
    let bytes = bytes.to_vec();
    blocking(move || {
        let mut md5 = Md5::new();
        bytes.iter().for_each(|bytes| md5.update(bytes));
        let size = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        (size, md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    })
    .await
}
