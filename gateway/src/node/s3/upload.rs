//! An upload to an S3 special remote: in parts that are no objects yet, completed when all of the content has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keep_store::base::stream::{MAX_BLOCK, Piece};
use keep_store::s3::{Multipart, Part, S3Error};
use tokio::task::JoinSet;

use super::cut::CutBucket;
use super::layout;
use crate::node::chunks::Chunking;
use crate::node::error::NodeError;
use crate::node::port::{ByteStream, Upload};

/// Parts on their way at once, besides the one that is being filled.
const PARTS_AT_ONCE: usize = 2;

/// Returns the nearest size that a part may have.
pub(super) fn legal(part: u64) -> u64 {
    part.clamp(Multipart::LEAST, MAX_BLOCK.into())
}

/// An upload on its way.
///
/// Each chunk (or the whole content) is an object. One that is larger than a part, and every chunk of several, is
/// uploaded in parts and stays invisible until the commit; one that fits a part and is alone is written at the commit.
pub(super) struct Staged {
    cut: CutBucket,
    key: Key,
    chunking: Chunking,
    /// Bytes that came.
    position: u64,
    /// Bytes of the next part of the present object.
    filling: Vec<Bytes>,
    filled: u64,
    /// Parts of the present object that were sent off.
    sent: usize,
    objects: BTreeMap<u64, Object>,
    running: JoinSet<Result<(u64, usize, Part), S3Error>>,
}

/// An object in parts.
struct Object {
    upload: Arc<Multipart>,
    parts: BTreeMap<usize, Part>,
}

impl Staged {
    pub(super) fn open(cut: CutBucket, key: &Key) -> Result<Self, NodeError> {
        let chunking = Chunking::new(key, cut.chunk);
        if layout::whole(&cut.bucket, key).is_none() {
            return Err(NodeError::Unsupported(format!(
                "{}: an object cannot be called {}: its name is part of a web address",
                cut.bucket.place(),
                String::from_utf8_lossy(key.as_bytes())
            )));
        }
        Ok(Self {
            cut,
            key: key.clone(),
            chunking,
            position: 0,
            filling: Vec::new(),
            filled: 0,
            sent: 0,
            objects: BTreeMap::new(),
            running: JoinSet::new(),
        })
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<(), NodeError> {
        while !bytes.is_empty() {
            // An object is sent when more is known to come: what is complete and alone is written at the commit.
            if self.position > 0 && self.chunking.at(self.position).1 == 0 && self.filled > 0 {
                self.send(self.chunking.at(self.position - 1).0).await?;
                self.sent = 0;
            } else if self.filled == self.cut.part {
                self.send(self.chunking.at(self.position).0).await?;
            }
            let room = self.chunking.room(self.position).min(self.cut.part - self.filled);
            let size = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            self.filling.push(bytes.split_to(size));
            self.filled += size as u64;
            self.position += size as u64;
        }
        Ok(())
    }

    /// Sends off what is gathered as the next part of object `number`; waits while too many are under way.
    async fn send(&mut self, number: u64) -> Result<(), NodeError> {
        while self.running.len() >= PARTS_AT_ONCE {
            self.one_arrived().await?;
        }
        let upload = match self.objects.get(&number) {
            Some(object) => Arc::clone(&object.upload),
            None => {
                let name = layout::text(&self.chunking.key(number))?;
                let upload = Arc::new(Multipart::begin(&self.cut.bucket, &name).await?);
                let object = Object { upload: Arc::clone(&upload), parts: BTreeMap::new() };
                self.objects.insert(number, object);
                upload
            }
        };
        let (bytes, index) = (std::mem::take(&mut self.filling), self.sent);
        (self.filled, self.sent) = (0, index + 1);
        self.running.spawn(async move { Ok((number, index, upload.part(index, bytes).await?)) });
        Ok(())
    }

    async fn one_arrived(&mut self) -> Result<(), NodeError> {
        match self.running.join_next().await {
            Some(Ok(arrived)) => {
                let (number, index, part) = arrived?;
                if let Some(object) = self.objects.get_mut(&number) {
                    object.parts.insert(index, part);
                }
                Ok(())
            }
            Some(Err(_)) => Err(NodeError::Failed("the work on an upload was lost".to_owned())),
            None => Ok(()),
        }
    }

    /// Makes the objects visible.
    async fn complete(&mut self) -> Result<(), NodeError> {
        let number = self.chunking.at(self.position.saturating_sub(1)).0;
        let alone = self.objects.is_empty();
        if !alone && self.filled > 0 {
            self.send(number).await?;
        }
        while !self.running.is_empty() {
            self.one_arrived().await?;
        }
        if alone {
            let name = layout::text(&self.chunking.key(number))?;
            return Ok(self.cut.bucket.put(&name, std::mem::take(&mut self.filling)).await?);
        }
        let lost = || NodeError::Failed("a part of the upload is still under way".to_owned());
        let objects = std::mem::take(&mut self.objects).into_values();
        let completed = stream::iter(objects).map(|object| async move {
            let upload = Arc::into_inner(object.upload).ok_or_else(lost)?;
            Ok::<_, NodeError>(upload.complete(object.parts.into_values().collect()).await?)
        });
        completed.buffer_unordered(layout::REQUESTS_AT_ONCE).try_collect::<()>().await?;
        // Servers are known to say that parts make an object, and to fail afterwards.
        match layout::find(&self.cut.bucket, &self.key).await? {
            Some(found) if found.size() == self.position => Ok(()),
            _ => Err(NodeError::Failed(format!(
                "{}: the server accepted the upload, but the object is not there",
                self.cut.bucket.place()
            ))),
        }
    }

    /// Removes what was sent.
    async fn discard(&mut self) -> Result<(), NodeError> {
        // Parts that still arrive after an upload was aborted would stay.
        self.running.shutdown().await;
        (self.position, self.filled, self.sent) = (0, 0, 0);
        self.filling.clear();
        let uploads =
            std::mem::take(&mut self.objects).into_values().filter_map(|object| Arc::into_inner(object.upload));
        let aborted = stream::iter(uploads).map(|upload| async move { Ok::<_, NodeError>(upload.abort().await?) });
        aborted.buffer_unordered(layout::REQUESTS_AT_ONCE).try_collect().await
    }
}

#[async_trait]
impl Upload for Staged {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        Ok(stream::empty().boxed())
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.discard().await
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        let object = self.chunking.size().unwrap_or(size).min(size);
        self.cut.part = legal(self.cut.part.max(object.div_ceil(Multipart::MOST)));
        if object.div_ceil(self.cut.part) > Multipart::MOST {
            let most = u64::from(MAX_BLOCK) * Multipart::MOST;
            let text = format!("an object of {object} bytes has too many parts: {most} bytes is the most; set chunk=");
            return Err(NodeError::Unsupported(format!("{}: {text}", self.cut.bucket.place())));
        }
        Ok(())
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        match piece {
            Piece::Data(bytes) => self.write(bytes).await,
            Piece::Cut(_) => Ok(()),
        }
    }

    async fn commit(mut self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        if !layout::is_size_of(&self.key, self.position) {
            let position = self.position;
            self.discard().await?;
            return Err(NodeError::WrongUpload(format!("only {position} bytes of the content came")));
        }
        self.complete().await?;
        Ok(Vec::new())
    }

    async fn suspend(mut self: Box<Self>) -> Result<(), NodeError> {
        self.discard().await
    }

    async fn abort(mut self: Box<Self>) -> Result<(), NodeError> {
        self.discard().await
    }
}
