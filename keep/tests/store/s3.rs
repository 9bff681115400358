//! Blocks in a bucket, on a real server, in keepstore's layout.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use annex_protocol::keep::BlockHash;
use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::base::clock::SystemClock;
use keep_store::store::s3::S3Store;
use keep_store::store::{Block, BlockState, Blocks, Inventory, Placed, Retention, StoreError};
use tempfile::TempDir;

use crate::contract::{self, Damage, Tried};
use crate::moto::{self, Moto};

/// A store in a new bucket, with the directory of its locks.
async fn store(moto: &Moto, prefix: &str, digits: usize) -> (Arc<S3Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = S3Store::new(moto.open(prefix), digits, dir.path(), SystemClock::shared());
    store.make_own("signing-key", Bytes::from_static(b"key")).await.unwrap();
    (Arc::new(store), dir)
}

async fn put(store: &S3Store, content: &[u8]) -> Result<Placed, StoreError> {
    let mut writer = store.writer().await?;
    writer.write(Bytes::copy_from_slice(content)).await?;
    writer.finish(block(content), None).await
}

async fn get(store: &S3Store, block: Block) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(bytes) = store.read(block, 0, 0).await? else { return Ok(None) };
    Ok(Some(bytes.try_collect::<Vec<Bytes>>().await?.concat()))
}

fn block(content: &[u8]) -> Block {
    Block { hash: BlockHash::of(content), size: content.len() as u32 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_the_promises_of_a_block_store() {
    for digits in [0, 3] {
        contract::all(async || {
            let moto = Moto::bucket().await;
            let (store, dir) = store(&moto, "", digits).await;
            let damage: Damage = Box::new(move |hash, wrong| {
                let bucket = moto.open("");
                let name = hash.to_string();
                let name = if digits == 0 { name } else { format!("{}/{name}", &name[..digits]) };
                Box::pin(async move { bucket.put(&name, vec![Bytes::from_static(wrong)]).await.unwrap() })
            });
            Tried { damage: Some(damage), clock: None, ..Tried::new((*store).clone().into(), &contract::clock(), dir) }
        })
        .await;
    }
}

#[tokio::test]
async fn objects_stand_where_keepstore_has_them() {
    let moto = Moto::bucket().await;
    let (store, _dir) = store(&moto, "", 3).await;
    let hash = block(b"foo").hash;
    put(&store, b"foo").await.unwrap();
    let own = ".annex-keep/signing-key".to_owned();
    let key = "acb/acbd18db4cc2f85cedef654fccc4a4d8";
    assert_eq!(moto.names().await, [own.clone(), key.to_owned(), format!("recent/{key}")]);
    store.trash(hash, SystemTime::now(), None).await.unwrap();
    let names = moto.names().await;
    assert!(names.contains(&format!("trash/{key}")) && names.contains(&format!("recent/{key}")));
    assert!(!names.contains(&key.to_owned()));
    let condemned = store.condemn(hash, SystemTime::now() + Duration::from_secs(1)).await.unwrap();
    assert!(store.delete(condemned[0]).await.unwrap());
    assert_eq!(moto.names().await, [own]);
}

#[tokio::test]
async fn what_a_keepstore_wrote_is_read_and_listed() {
    let moto = Moto::bucket().await;
    let (store, _dir) = store(&moto, "", 0).await;
    // Data first, then the marker; of an old block only the data; and one that it has put in the trash.
    let [marked, old, trashed] = [b"marked", b"old go", b"trashe"].map(|content| (block(content), content));
    moto.write(&marked.0.hash.to_string(), marked.1).await;
    moto.write(&format!("recent/{}", marked.0.hash), b"").await;
    moto.write(&old.0.hash.to_string(), old.1).await;
    moto.write(&format!("trash/{}", trashed.0.hash), trashed.1).await;
    moto.write(&format!("recent/{}", trashed.0.hash), b"").await;
    moto.write("some/thing else", b"of others").await;
    for (block, content) in [marked, old] {
        assert_eq!(get(&store, block).await.unwrap().unwrap(), content);
    }
    assert_eq!(store.missing(&[marked.0, old.0, trashed.0]).await.unwrap(), [trashed.0]);
    let listed: Vec<_> = store.list("").await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.iter().filter(|listed| listed.state == BlockState::Live).count(), 2);
    let trash: Vec<_> = listed.iter().filter(|listed| listed.state != BlockState::Live).collect();
    let BlockState::Trashed(deadline) = trash[0].state else { panic!("{trash:?}") };
    let days = deadline.duration_since(SystemTime::now()).unwrap().as_secs() as f64 / 86400.0;
    assert!((13.9..14.1).contains(&days), "as long as keepstore keeps it: {days} days");
    assert!(store.untrash(trashed.0.hash).await.unwrap());
    assert_eq!(get(&store, trashed.0).await.unwrap().unwrap(), trashed.1);
}

#[tokio::test]
async fn a_damaged_block_is_never_given_out_whole_and_is_set_aside() {
    let moto = Moto::bucket().await;
    let (store, _dir) = store(&moto, "", 0).await;
    for wrong in [&b"content but not the same"[..], b"short", b""] {
        let content = b"content that is the same";
        put(&store, content).await.unwrap();
        moto.write(&block(content).hash.to_string(), wrong).await;
        let damaged = get(&store, block(content)).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
        assert_eq!(get(&store, block(content)).await.unwrap(), None);
        assert!(moto.names().await.iter().any(|name| name.starts_with(".annex-keep/damaged/")));
        // A write over a damaged block mends it, too.
        assert_eq!(put(&store, content).await.unwrap(), Placed::New);
        moto.write(&block(content).hash.to_string(), wrong).await;
        assert_eq!(put(&store, content).await.unwrap(), Placed::Repaired);
        assert_eq!(get(&store, block(content)).await.unwrap().unwrap(), content);
    }
}

#[tokio::test]
async fn a_bucket_that_is_empty_or_gone_or_dead_proves_nothing() {
    let moto = Moto::bucket().await;
    let dir = tempfile::tempdir().unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (endpoint, bucket) in
        [(moto.endpoint, moto.bucket.as_str()), (moto.endpoint, "no-such-bucket"), (&format!("http://{dead}"), "b")]
    {
        let store = S3Store::new(
            moto::open(endpoint, bucket, "", Duration::from_secs(2)),
            0,
            dir.path(),
            SystemClock::shared(),
        );
        let absent = block(b"absent");
        for error in [
            get(&store, absent).await.map(drop).unwrap_err(),
            store.missing(&[absent]).await.map(drop).unwrap_err(),
            store.peek(absent.hash, 3).await.map(drop).unwrap_err(),
            store.trash(absent.hash, SystemTime::now(), None).await.map(drop).unwrap_err(),
            store.untrash(absent.hash).await.map(drop).unwrap_err(),
            store.list("").await.map(drop).unwrap_err(),
            store.space().await.map(drop).unwrap_err(),
            put(&store, b"content").await.map(drop).unwrap_err(),
        ] {
            assert!(error.to_string().contains(&format!("s3://{bucket}/ at ")), "{error}");
        }
    }
    assert!(moto.names().await.is_empty());
}
