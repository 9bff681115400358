//! Stores a content in a directory, reads it, and reads one of its blocks by its locator.

use std::error::Error;

use annex_protocol::keep::Locator;
use bytes::Bytes;
use futures_util::TryStreamExt;
use keep_store::entries::{KeepStore, Options};
use keep_store::store::Block;
use keep_store::store::dir::Create;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    // Small blocks, so that a small content has several.
    let options = Options { block_size: 8, ..Options::default() };
    let store = KeepStore::open(dir.path(), Create::IfMissing, options).await?;

    let mut upload = store.write(b"alice", b"greeting").await?;
    for part in ["Hello, ", "world, ", "and good night"] {
        upload.push(Bytes::from(part)).await?;
    }
    let entry = upload.commit().await?;
    report(&format!("{} bytes are durable, in {} blocks", entry.size, entry.blocks.len()));

    let content = store.read(b"alice", b"greeting", 0).await?.ok_or("the content is not there")?;
    let bytes = content.stream.try_collect::<Vec<Bytes>>().await?.concat();
    report(&format!("the content: {}", String::from_utf8_lossy(&bytes)));

    let locator = entry.blocks.get(1).ok_or("there is no second block")?.locator().to_string();
    let block = Block::try_from(&Locator::parse(locator.as_bytes())?)?;
    let block = store.blocks().read(block, 0, 0).await?.ok_or("the block is not there")?;
    let bytes = block.try_collect::<Vec<Bytes>>().await?.concat();
    report(&format!("the block {locator}: {}", String::from_utf8_lossy(&bytes)));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn report(line: &str) {
    println!("{line}");
}
