//! Several stores as one service.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use annex_protocol::keep::{BlockHash, ClusterId, Locator, SignatureError};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use keep_store::base::clock::{SharedClock, SystemClock};
use keep_store::service::{KeepService, Mount, OpenStore, Settings, Trashed, UploadError};
use keep_store::store::volumes::Wanted;
use keep_store::store::{Block, Inventory};

use super::*;

/// A store in a directory, which may be away.
struct Place(PathBuf, SharedClock);

#[async_trait]
impl OpenStore for Place {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    async fn open(&self) -> Result<KeepStore, KeepError> {
        let (trash_lifetime, clock) = (Duration::ZERO, self.1.clone());
        KeepStore::open(&self.0, Create::Never, Options { trash_lifetime, clock, ..small_blocks() }).await
    }
}

/// A service of three stores.
pub(crate) async fn service(lifetime: Duration) -> (TempDir, KeepService) {
    service_with(lifetime, SystemClock::shared()).await
}

async fn service_with(lifetime: Duration, clock: SharedClock) -> (TempDir, KeepService) {
    let dir = tempfile::tempdir().unwrap();
    let mut mounts = Vec::new();
    for number in 0..3 {
        let path = dir.path().join(number.to_string());
        KeepStore::open(&path, Create::IfMissing, small_blocks()).await.unwrap();
        mounts.push(Mount {
            uuid: format!("zzzzz-nyw5e-{number:015}"),
            device: number.to_string(),
            read_only: false,
            replication: 1,
            classes: BTreeSet::from(["default".to_owned()]),
            store: Arc::new(Place(path, clock.clone())),
        });
    }
    let cluster = ClusterId::parse(b"zzzzz").unwrap();
    let settings = Settings { cluster, key: b"secret".to_vec(), lifetime, memory: 0, clock };
    (dir, KeepService::new(mounts, &settings))
}

const HOUR: Duration = Duration::from_secs(3600);

async fn put(service: &KeepService, content: &[u8], replicas: u32) -> Block {
    let wanted = Wanted { replicas, ..Wanted::default() };
    let hash = BlockHash::of(content);
    let mut upload = service.upload(Some(hash), Some(content.len() as u64), wanted).await.unwrap();
    upload.push(Bytes::copy_from_slice(content)).await.unwrap();
    let (block, copies) = upload.finish(Some(hash)).await.unwrap();
    assert_eq!(copies.replicas, replicas);
    block
}

async fn get(service: &KeepService, block: Block) -> Option<Vec<u8>> {
    let stream = service.read(block, 0).await.unwrap()?;
    Some(stream.try_collect::<Vec<Bytes>>().await.unwrap().concat())
}

async fn trash_holds(dir: &TempDir) -> usize {
    (0..3).map(|n| files(&dir.path().join(n.to_string()), |name| name.contains(".trash.")).len()).sum()
}

#[tokio::test]
async fn signatures_are_for_one_token_and_end() {
    let clock = Arc::new(ManualClock::new(SystemTime::now()));
    let (_dir, service) = service_with(HOUR, clock.clone()).await;
    let locator = Locator::of(b"foo");
    let signed = service.sign(&locator, b"v2/a/b", None).to_string();
    assert_eq!(service.verify(signed.as_bytes(), b"v2/a/b"), Ok(()));
    assert_eq!(service.verify(signed.as_bytes(), b"b"), Err(SignatureError::Invalid));
    assert_eq!(service.verify(locator.to_string().as_bytes(), b"v2/a/b"), Err(SignatureError::Missing));
    assert_eq!(service.verify(Locator::EMPTY.to_string().as_bytes(), b"x"), Ok(()));
    let ended = service.sign(&locator, b"v2/a/b", Some(1)).to_string();
    assert_eq!(service.verify(ended.as_bytes(), b"v2/a/b"), Err(SignatureError::Expired));
    clock.advance(HOUR - Duration::from_secs(1));
    assert_eq!(service.verify(signed.as_bytes(), b"v2/a/b"), Ok(()));
    clock.advance(Duration::from_secs(2));
    assert_eq!(service.verify(signed.as_bytes(), b"v2/a/b"), Err(SignatureError::Expired));
}

#[tokio::test]
async fn a_stored_block_outlives_removals_and_garbage_collection_while_its_signature_is_good() {
    let clock = Arc::new(ManualClock::new(SystemTime::now()));
    let (dir, service) = service_with(HOUR, clock.clone()).await;
    let block = put(&service, b"content", 2).await;
    clock.advance(HOUR - Duration::from_secs(1));
    for (_, collected) in service.collect().await {
        assert_eq!(collected.unwrap().trashed, 0);
    }
    assert_eq!(get(&service, block).await.unwrap(), b"content");
    assert_eq!(service.trash(block.hash, None).await.unwrap(), Trashed::Young);
    // The times of the files come from the file system, whose clock is not ours.
    clock.advance(Duration::from_secs(60));
    let deleted: u64 = service.collect().await.into_iter().map(|(_, collected)| collected.unwrap().deleted).sum();
    assert_eq!((deleted, get(&service, block).await, trash_holds(&dir).await), (2, None, 0));
}

#[tokio::test]
async fn a_collection_is_referred_to_wherever_its_blocks_are() {
    let (_dir, service) = service(Duration::ZERO).await;
    let (one, two) = (put(&service, b"one", 3).await, put(&service, b"two", 1).await);
    let absent = Block { hash: BlockHash::of(b"absent"), size: 6 };
    assert_eq!(service.missing(&[one, absent, two, Block::EMPTY]).await.unwrap(), [absent]);
    assert_eq!(service.refer("zzzzz-4zz18-000000000000000", &[one, absent, two]).await.unwrap(), [absent]);
    for (_, collected) in service.collect().await {
        collected.unwrap();
    }
    assert!(service.missing(&[one, two]).await.unwrap().is_empty());
    assert_eq!(service.trash(one.hash, None).await.unwrap(), Trashed::Referenced);
    service.release("zzzzz-4zz18-000000000000000").await.unwrap();
    // Who was told of them may read them until they are collected.
    assert!(service.missing(&[one, two]).await.unwrap().is_empty());
    for (_, collected) in service.collect().await {
        collected.unwrap();
    }
    assert_eq!(service.missing(&[one, two]).await.unwrap(), [one, two]);
}

#[tokio::test]
async fn references_are_put_right() {
    let (_dir, service) = service(Duration::ZERO).await;
    let (one, two) = (put(&service, b"one", 3).await, put(&service, b"two", 1).await);
    // Of a collection whose references were lost, with an index for instance.
    let collections = stream::iter([Ok::<_, KeepError>(("c".to_owned(), vec![one, two]))]).boxed();
    assert!(service.reconcile(collections).await.unwrap().is_empty());
    for (_, collected) in service.collect().await {
        collected.unwrap();
    }
    assert!(service.missing(&[one, two]).await.unwrap().is_empty());
    let mut referring = 0;
    for mount in service.mounts() {
        let entry = mount.store.open().await.unwrap().entry(b"collections", b"c").await.unwrap().unwrap();
        referring += entry.blocks.len();
    }
    assert_eq!(referring, 4, "each store what it holds");
    let broken = stream::iter([Err(KeepError::Uncut)]).boxed();
    assert!(service.reconcile(broken).await.is_err());
    let absent = Block { hash: BlockHash::of(b"absent"), size: 6 };
    let lacking = stream::iter([Ok::<_, KeepError>(("d".to_owned(), vec![absent]))]).boxed();
    assert_eq!(service.reconcile(lacking).await.unwrap(), [("d".to_owned(), absent)]);
}

#[tokio::test]
async fn a_store_that_is_away_is_no_reason_to_do_without_the_others() {
    let (dir, service) = service(HOUR).await;
    let block = put(&service, b"content", 3).await;
    std::fs::rename(dir.path().join("1"), dir.path().join("away")).unwrap();
    assert_eq!(get(&service, block).await.unwrap(), b"content");
    put(&service, b"other", 2).await;
    let absent = Block { hash: BlockHash::of(b"absent"), size: 6 };
    assert!(service.read(absent, 0).await.is_err(), "nobody knows");
    assert!(service.refer("c", &[block]).await.unwrap().is_empty());
    assert!(service.refer("d", &[absent]).await.is_err());
}

#[tokio::test]
async fn uploads_are_checked_against_their_name_and_the_largest_size() {
    let (_dir, service) = service(HOUR).await;
    let mut upload = service.upload(Some(BlockHash::of(b"other")), None, Wanted::default()).await.unwrap();
    upload.push(Bytes::from_static(b"content")).await.unwrap();
    let refused = upload.finish(Some(BlockHash::of(b"other"))).await;
    assert!(matches!(refused, Err(UploadError::Mismatch { .. })));
    let mut upload = service.upload(None, None, Wanted::default()).await.unwrap();
    for _ in 0..64 {
        upload.push(vec![0; 1 << 20].into()).await.unwrap();
    }
    assert!(matches!(upload.push(Bytes::from_static(b"x")).await, Err(UploadError::TooLarge)));
    drop(upload);
    let upload = service.upload(None, Some(0), Wanted::default()).await.unwrap();
    assert_eq!(upload.finish(None).await.unwrap().0, Block::EMPTY);
    let lists = service.volumes().list("").await.unwrap().try_collect::<Vec<_>>().await.unwrap();
    assert!(lists.iter().all(|listed| listed.size == 0 && listed.time > UNIX_EPOCH), "nothing else is left");
}
