//! An object that is uploaded in parts and appears when it is complete.

use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{PutMultipartOptions, PutPayload};

use super::{Bucket, S3Error, measured};

/// An upload in parts. Dropped without an end, it is aborted as soon as the runtime has time.
pub struct Multipart {
    bucket: Bucket,
    name: String,
    path: Path,
    id: String,
    ended: bool,
}

/// A part that the server has.
#[derive(Debug, Clone)]
pub struct Part(PartId);

impl Multipart {
    /// The least bytes of a part that is not the last one.
    pub const LEAST: u64 = 5 << 20;
    /// The most parts of an object.
    pub const MOST: u64 = 10_000;

    /// Begins an upload.
    pub async fn begin(bucket: &Bucket, name: &str) -> Result<Self, S3Error> {
        let path = bucket.path(name)?;
        let options = PutMultipartOptions { attributes: bucket.attributes(), ..PutMultipartOptions::default() };
        let asked = bucket.0.client.create_multipart_opts(&path, options);
        let id = bucket.within(bucket.0.deadlines.answer, "begin", name, asked).await?;
        Ok(Self { bucket: bucket.clone(), name: name.to_owned(), path, id, ended: false })
    }

    /// Returns the name of the object.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Uploads part `number` (from 0). Several can be on their way at once.
    pub async fn part(&self, number: usize, bytes: Vec<Bytes>) -> Result<Part, S3Error> {
        let (size, md5) = measured(&bytes).await;
        let payload = PutPayload::from_iter(bytes);
        let asked = self.bucket.0.client.put_part(&self.path, &self.id, number, payload);
        let part = self.bucket.within(self.bucket.transfer(size), "write", &self.name, asked).await?;
        let e_tag = Some(part.content_id.as_str());
        if !self.bucket.intact(e_tag, &md5).await? {
            return Err(self.bucket.falsified(&self.name, e_tag, &md5));
        }
        Ok(Part(part))
    }

    /// Makes the object of its parts, in their order, over what is there. It is visible and durable when this returns.
    pub async fn complete(mut self, parts: Vec<Part>) -> Result<(), S3Error> {
        let parts = parts.into_iter().map(|part| part.0).collect();
        let asked = self.bucket.0.client.complete_multipart(&self.path, &self.id, parts);
        self.bucket.within(self.bucket.0.deadlines.answer, "complete", &self.name, asked).await?;
        self.ended = true;
        Ok(())
    }

    /// Removes what was uploaded.
    pub async fn abort(mut self) -> Result<(), S3Error> {
        self.ended = true;
        abort(&self.bucket, &self.name, &self.path, &self.id).await
    }
}

async fn abort(bucket: &Bucket, name: &str, path: &Path, id: &String) -> Result<(), S3Error> {
    bucket.present("abort", name, bucket.0.client.abort_multipart(path, id)).await.map(drop)
}

impl Drop for Multipart {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (bucket, name) = (self.bucket.clone(), std::mem::take(&mut self.name));
        let (path, id) = (self.path.clone(), std::mem::take(&mut self.id));
        runtime.spawn(async move {
            if let Err(error) = abort(&bucket, &name, &path, &id).await {
                tracing::warn!(%error, upload = id, "the parts of an upload stay until the bucket's lifecycle rule removes them");
            }
        });
    }
}
