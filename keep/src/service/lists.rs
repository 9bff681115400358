//! Trash and pull lists, as a balancer sends them.
//!
//! Source: `docs/spec/keep-blocks.md` §3.4.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::{BlockHash, Locator};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{KeepService, Trashed};
use crate::base::http_client::{self, innermost};
use crate::store::Block;
use crate::store::volumes::Wanted;

/// A block to put in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashItem {
    /// The block.
    pub hash: BlockHash,
    /// Only if it was last written or touched just then.
    pub written: SystemTime,
    /// Only on this mount.
    pub mount: Option<String>,
}

/// A block to fetch from other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullItem {
    /// The block.
    pub locator: Locator,
    /// The servers that may have it.
    pub servers: Vec<String>,
    /// Where it is to go; anywhere if it does not say.
    pub mount: Option<String>,
}

/// A list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the list cannot be read: {0}")]
pub struct BadList(String);

#[derive(Deserialize)]
struct RawTrash {
    locator: String,
    block_mtime: i64,
    #[serde(default)]
    mount_uuid: String,
}

#[derive(Deserialize)]
struct RawPull {
    locator: String,
    #[serde(default)]
    servers: Vec<String>,
    #[serde(default)]
    mount_uuid: String,
}

/// Servers wait for each other no longer than this without a byte.
const SILENCE: Duration = Duration::from_secs(60);

impl TrashItem {
    /// Reads a list: an array of objects with `locator`, `block_mtime` (nanoseconds) and perhaps `mount_uuid`.
    pub fn list(json: &[u8]) -> Result<Vec<Self>, BadList> {
        let raw: Vec<RawTrash> = array(json)?;
        let item = |raw: RawTrash| {
            let hash = locator(&raw.locator)?.hash();
            let nanos =
                u64::try_from(raw.block_mtime).map_err(|_| BadList(format!("{} is no time", raw.block_mtime)))?;
            let written = UNIX_EPOCH + Duration::from_nanos(nanos);
            Ok(Self { hash, written, mount: Some(raw.mount_uuid).filter(|uuid| !uuid.is_empty()) })
        };
        raw.into_iter().map(item).collect()
    }
}

impl PullItem {
    /// Reads a list: an array of objects with `locator`, `servers` and perhaps `mount_uuid`.
    pub fn list(json: &[u8]) -> Result<Vec<Self>, BadList> {
        let raw: Vec<RawPull> = array(json)?;
        let item = |raw: RawPull| {
            let (locator, servers) = (locator(&raw.locator)?.stripped(), raw.servers);
            Ok(Self { locator, servers, mount: Some(raw.mount_uuid).filter(|uuid| !uuid.is_empty()) })
        };
        raw.into_iter().map(item).collect()
    }
}

/// Reads an array; `null` is an empty one, as programs in Go write it.
fn array<T: for<'a> Deserialize<'a>>(json: &[u8]) -> Result<Vec<T>, BadList> {
    let items: Option<Vec<T>> = serde_json::from_slice(json).map_err(|error| BadList(error.to_string()))?;
    Ok(items.unwrap_or_default())
}

fn locator(text: &str) -> Result<Locator, BadList> {
    Locator::parse(text.as_bytes()).map_err(|error| BadList(format!("{text:?}: {error}")))
}

impl KeepService {
    /// Replaces the list of blocks to put in the trash; true if the caller has to [work it off](Self::work_off_trash).
    #[must_use]
    pub fn set_trash(&self, list: Vec<TrashItem>) -> bool {
        self.0.trashing.replace(list)
    }

    /// Replaces the list of blocks to fetch; true if the caller has to [work it off](Self::work_off_pulls).
    #[must_use]
    pub fn set_pulls(&self, list: Vec<PullItem>) -> bool {
        self.0.pulling.replace(list)
    }

    /// Returns how much waits of both lists.
    pub fn waiting(&self) -> (usize, usize) {
        (self.0.trashing.len(), self.0.pulling.len())
    }

    /// Puts blocks in the trash until none waits.
    pub async fn work_off_trash(&self) {
        while let Some(TrashItem { hash, written, mount }) = self.0.trashing.next() {
            let Some(service) = self.at(mount.as_deref()) else { continue };
            match service.trash(hash, Some(written)).await {
                Ok(Trashed::Done) => tracing::info!(block = %hash, "put in the trash by a list"),
                Ok(left) => tracing::debug!(block = %hash, ?left, "not put in the trash"),
                Err(error) => tracing::warn!("putting {hash} in the trash: {error}"),
            }
        }
    }

    /// Fetches blocks until none waits. Servers are asked with locators signed by this cluster's key for `token`.
    pub async fn work_off_pulls(&self, token: &str) {
        while let Some(item) = self.0.pulling.next() {
            if let Err(error) = self.pull(&item, token).await {
                tracing::warn!("fetching {}: {error}", item.locator);
            }
        }
    }

    fn at(&self, mount: Option<&str>) -> Option<Self> {
        let found = mount.map_or_else(|| Some(self.clone()), |uuid| self.only(uuid));
        if found.is_none() {
            tracing::warn!("a list names the mount {}, which this site does not have", mount.unwrap_or_default());
        }
        found
    }

    async fn pull(&self, item: &PullItem, token: &str) -> Result<(), String> {
        let Some(service) = self.at(item.mount.as_deref()) else { return Ok(()) };
        let block = Block::try_from(&item.locator).map_err(|error| error.to_string())?;
        let client = http_client::builder(SILENCE, None).await?.read_timeout(SILENCE).build().map_err(innermost)?;
        let signed = self.sign(&item.locator, token.as_bytes(), None);
        let mut reason = "no server was named".to_owned();
        for server in &item.servers {
            let url = format!("{}/{signed}", server.trim_end_matches('/'));
            let fetched = async {
                let answer = client.get(url).bearer_auth(token).send().await.map_err(innermost)?;
                if !answer.status().is_success() {
                    return Err(format!("it answers {}", answer.status()));
                }
                let wanted = Wanted::default();
                let upload = service.upload(Some(block.hash), Some(block.size.into()), wanted).await;
                let mut upload = upload.map_err(|error| error.to_string())?;
                let mut bytes = answer.bytes_stream();
                while let Some(bytes) = bytes.next().await {
                    let bytes = bytes.map_err(innermost)?;
                    upload.push(bytes).await.map_err(|error| error.to_string())?;
                }
                upload.finish(Some(block.hash)).await.map_err(|error| error.to_string())
            };
            match fetched.await {
                Ok(_) => return Ok(()),
                Err(error) => reason = format!("{server}: {error}"),
            }
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "acbd18db4cc2f85cedef654fccc4a4d8";

    #[test]
    fn lists_as_a_balancer_writes_them() {
        let json = format!(
            "[{{\"locator\":\"{HASH}+3\",\"block_mtime\":1796510252123456789,\"mount_uuid\":\"\",\"x\":1}},
              {{\"locator\":\"{HASH}+3+Z\",\"block_mtime\":0,\"mount_uuid\":\"zzzzz-nyw5e-000000000000000\"}}]"
        );
        let list = TrashItem::list(json.as_bytes()).unwrap();
        assert_eq!(list[0].written, UNIX_EPOCH + Duration::from_nanos(1_796_510_252_123_456_789));
        assert_eq!((list[0].mount.as_deref(), list[1].mount.as_deref().map(str::len)), (None, Some(27)));
        let json = format!("[{{\"locator\":\"{HASH}+3\",\"servers\":[\"http://h:1\"],\"mount_uuid\":\"u\"}}]");
        let list = PullItem::list(json.as_bytes()).unwrap();
        assert_eq!((list[0].locator.size(), list[0].servers.as_slice()), (3, &["http://h:1".to_owned()][..]));
        for empty in [&b"[]"[..], b"null"] {
            assert!(TrashItem::list(empty).unwrap().is_empty() && PullItem::list(empty).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for json in ["", "{}", "[1]", "[{}]", "[{\"locator\":\"x+3\",\"block_mtime\":1}]"] {
            assert!(TrashItem::list(json.as_bytes()).is_err(), "{json}");
            assert!(PullItem::list(json.as_bytes()).is_err(), "{json}");
        }
        let bare = format!("[{{\"locator\":\"{HASH}\",\"servers\":[\"http://h:1\"],\"block_mtime\":1}}]");
        assert!(PullItem::list(bare.as_bytes()).is_err(), "a bare hash is no locator to pull");
        let before = format!("[{{\"locator\":\"{HASH}+3\",\"block_mtime\":-1}}]");
        assert!(TrashItem::list(before.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(json in "\\[?(\\{\"(locator|block_mtime|servers)\":[\"0-9a-z+\\[\\]]{0,50}\\},?){0,3}\\]?") {
            let _ = TrashItem::list(json.as_bytes());
            let _ = PullItem::list(json.as_bytes());
        }
    }
}
