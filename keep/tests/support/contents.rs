//! Contents for tests of a Keep store.

use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::entries::{Content, KeepStore, Options, Upload};
use keep_store::index::Entry;

/// Small blocks, so that small contents have many.
pub(crate) fn small_blocks() -> Options {
    Options { block_size: 1000, ..Options::default() }
}

pub(crate) async fn put(store: &KeepStore, owner: &[u8], name: &[u8], content: &[u8]) -> Entry {
    let mut upload = store.write(owner, name).await.unwrap();
    push(&mut upload, content).await;
    upload.commit().await.unwrap()
}

pub(crate) async fn push(upload: &mut Upload, content: &[u8]) {
    for part in content.chunks(777) {
        upload.push(Bytes::copy_from_slice(part)).await.unwrap();
    }
}

pub(crate) async fn collect(content: Content) -> std::io::Result<Vec<u8>> {
    Ok(content.stream.try_collect::<Vec<Bytes>>().await?.concat())
}

/// Bytes that repeat nowhere.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
