//! Blocks in a directory, entries in a Keep store, and content that goes to several at once.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use futures_util::StreamExt;
use futures_util::future::join_all;
use keep_store::base::stream::{Cutter, MAX_BLOCK};
use keep_store::entries::{KeepStore, Options};
use keep_store::store::dir::Create;
use tokio::runtime::Runtime;

static NEXT: AtomicU64 = AtomicU64::new(0);

struct Stores {
    stores: Vec<KeepStore>,
    runtime: Runtime,
    _dir: tempfile::TempDir,
}

/// So many stores on one disk: that of `TMPDIR`.
fn stores(count: usize) -> Stores {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let open = (0..count).map(|number| {
        let path = dir.path().join(number.to_string());
        async move { KeepStore::open(&path, Create::IfMissing, Options::default()).await.unwrap() }
    });
    let stores = runtime.block_on(join_all(open));
    Stores { stores, runtime, _dir: dir }
}

/// Content that is nowhere yet, and a name for it.
fn content(size: usize) -> (Vec<u8>, Bytes) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = vec![7; size];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    (format!("key{number}").into_bytes(), bytes.into())
}

/// Stores a content in all stores: cut and hashed once, committed side by side.
async fn put(stores: &[KeepStore], name: &[u8], content: &Bytes) {
    let mut uploads = join_all(stores.iter().map(async |store| store.write(b"owner", name).await.unwrap())).await;
    let mut cutter = Cutter::new(MAX_BLOCK, 0);
    let mut pieces = Vec::new();
    for part in 0..content.len().div_ceil(256 << 10) {
        let from = part * (256 << 10);
        pieces.extend(cutter.push(content.slice(from..content.len().min(from + (256 << 10)))).await);
    }
    pieces.extend(cutter.finish());
    for piece in pieces {
        join_all(uploads.iter_mut().map(async |upload| upload.piece(piece.clone()).await.unwrap())).await;
    }
    join_all(uploads.into_iter().map(async |upload| upload.commit().await.unwrap())).await;
}

#[divan::bench(args = [4 << 10, 1 << 20], max_time = 3)]
fn put_one(bencher: Bencher<'_, '_>, size: usize) {
    let made = stores(1);
    let bencher = bencher.counter(BytesCount::new(size)).with_inputs(|| content(size));
    bencher.bench_values(|(name, content)| made.runtime.block_on(put(&made.stores, &name, &content)));
}

/// 64 keys of 4 KiB at once: they share what the disk is waited for.
#[divan::bench(max_time = 3)]
fn put_64_at_once(bencher: Bencher<'_, '_>) {
    let made = stores(1);
    bencher.with_inputs(|| (0..64).map(|_| content(4 << 10)).collect::<Vec<_>>()).bench_values(|contents| {
        made.runtime.block_on(join_all(contents.iter().map(|(name, content)| put(&made.stores, name, content))))
    });
}

#[divan::bench(args = [1, 3, 6], max_time = 3)]
fn fan_out_of_16_mib(bencher: Bencher<'_, '_>, nodes: usize) {
    let made = stores(nodes);
    let bencher = bencher.counter(BytesCount::new(16_u32 << 20)).with_inputs(|| content(16 << 20));
    bencher.bench_values(|(name, content)| made.runtime.block_on(put(&made.stores, &name, &content)));
}

#[divan::bench(args = [4 << 10, 16 << 20], max_time = 3)]
fn get(bencher: Bencher<'_, '_>, size: usize) {
    let made = stores(1);
    let (name, bytes) = content(size);
    made.runtime.block_on(put(&made.stores, &name, &bytes));
    bencher.counter(BytesCount::new(size)).bench(|| {
        made.runtime.block_on(async {
            let mut found = made.stores[0].read(b"owner", &name, 0).await.unwrap().unwrap();
            while let Some(bytes) = found.stream.next().await {
                divan::black_box(bytes.unwrap());
            }
        });
    });
}
