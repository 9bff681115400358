//! put and putoffset: content from the client.

use std::time::Duration;

use annex_gateway::gateway::{ErrorKind, HasKind};
use annex_protocol::key::Key;
use annex_protocol::p2p::{AssociatedFile, Version};
use annex_protocol::p2p_http::DATA_LENGTH;
use annex_protocol::uuid::Uuid;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use crate::doors::http::body::{self, BodyError};
use crate::doors::http::key_request::KeyRequest;
use crate::doors::http::reply::{self, Refused};
use crate::host::access::{Offset, PutAnswer, Source, Upload};

impl KeyRequest {
    pub(super) async fn put(&self, version: Version, body: &mut Body) -> Result<Response, Refused> {
        let key = self.key()?;
        let length = self.data_length()?;
        if self.query.data_present && version.has_data_present() {
            return self.data_present(version, key).await;
        }
        let holders = match self.access.put(key, &self.file()).await.map_err(Refused::of)? {
            PutAnswer::AlreadyHave(holders) => Some(holders),
            PutAnswer::Wanted(upload) => self.receive(upload, length, body).await?,
        };
        Ok(self.stored(version, holders))
    }

    /// Tells where an upload would go on, and leaves what is there of it as it is.
    pub(super) async fn put_offset(&self, version: Version) -> Result<Response, Refused> {
        let offset = self.access.offset(self.key()?, &self.file()).await.map_err(Refused::of)?;
        Ok(reply::json(&match offset {
            Offset::AlreadyHave(holders) if version.has_plus() => {
                json!({ "alreadyhave": true, "plusuuids": self.others(holders) })
            }
            Offset::AlreadyHave(_) => json!({ "alreadyhave": true }),
            Offset::At(offset) => json!({ "offset": offset }),
        }))
    }

    /// Answers a client that says the content has come another way.
    async fn data_present(&self, version: Version, key: &Key) -> Result<Response, Refused> {
        let holders = self.access.came_another_way(key).await.map_err(Refused::of)?;
        Ok(self.stored(version, Some(holders).filter(|holders| !holders.is_empty())))
    }

    /// Takes the content; returns the nodes that have it now, or `None` if it was not stored for a reason that is the
    /// client's: other bytes than announced, or than the key's.
    async fn receive(&self, upload: Upload, length: u64, body: &mut Body) -> Result<Option<Vec<Uuid>>, Refused> {
        let known = upload.offset().checked_sub(self.query.offset.unwrap_or_default());
        let Some(known) = known.filter(|known| *known <= length) else {
            // What lies between is missing. What came earlier is still good.
            upload.refuse("the client sends another part of the content than is wanted").await;
            return Ok(None);
        };
        match upload.receive(length - known, &mut NewContent { body, known }).await {
            // More than was announced is no content of the key, whatever it is.
            Ok(Some(upload)) => match upload.finish(true).await {
                Ok(stored) => Ok(stored.map(|stored| stored.nodes)),
                Err(error) if error.kind() == ErrorKind::Invalid => {
                    tracing::warn!("not stored: {error}");
                    Ok(None)
                }
                Err(error) => Err(Refused::of(error)),
            },
            Ok(None) => Ok(None),
            Err(broken) => {
                tracing::debug!("http: {broken}");
                Ok(None)
            }
        }
    }

    fn stored(&self, version: Version, holders: Option<Vec<Uuid>>) -> Response {
        let mut answer = json!({ "stored": holders.is_some() });
        if let (true, Some(fields)) = (version.has_plus(), answer.as_object_mut()) {
            fields.insert("plusuuids".to_owned(), json!(self.others(holders.unwrap_or_default())));
        }
        reply::json(&answer)
    }

    fn data_length(&self) -> Result<u64, Refused> {
        let missing = || Refused::bad_request(format!("Header {DATA_LENGTH} is required"));
        let value = self.headers.get(DATA_LENGTH).ok_or_else(missing)?;
        // `parse` alone would take a plus sign.
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let unreadable = || Refused::bad_request(format!("Header {DATA_LENGTH} is not a number of bytes"));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(unreadable)
    }

    /// Returns the file that has the content. One that is no path of a repository is as good as none.
    fn file(&self) -> AssociatedFile {
        self.query.file.as_deref().and_then(AssociatedFile::encode).unwrap_or_default()
    }
}

/// Content in the body of a request, without what the nodes have of it.
struct NewContent<'a> {
    body: &'a mut Body,
    /// So many bytes from the start are still to be left out.
    known: u64,
}

impl Source for NewContent<'_> {
    type Error = BodyError;

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let Some(mut bytes) = body::data(self.body).await? else { return Ok(None) };
        let known = bytes.len().min(usize::try_from(self.known).unwrap_or(usize::MAX));
        self.known -= known as u64;
        drop(bytes.split_to(known));
        Ok(Some(bytes))
    }

    fn stalled(after: Duration) -> BodyError {
        BodyError::Stalled(after)
    }
}
