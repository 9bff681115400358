//! The port `Inventory`.

use keep_store::store::{BlockState, Stat};

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    nothing_is_listed_of_an_empty_store(empty().await).await;
    a_writer_that_is_dropped_leaves_nothing(empty().await).await;
    what_was_refused_leaves_nothing(empty().await).await;
    equal_blocks_are_listed_once_and_touched(empty().await).await;
    a_block_is_told_of_as_it_is_listed(empty().await).await;
    listing_is_whole(empty().await).await;
    space_is_told(empty().await).await;
}

async fn nothing_is_listed_of_an_empty_store(tried: Tried) {
    assert!(tried.list("").await.is_empty());
    assert_eq!(tried.store().stat(block(b"absent").hash).await.unwrap(), None);
}

async fn a_writer_that_is_dropped_leaves_nothing(tried: Tried) {
    for size in [10, 1_000_000] {
        let mut writer = tried.store().writer().await.unwrap();
        writer.write(bytes(size, 1).into()).await.unwrap();
        drop(writer);
    }
    assert!(tried.list("").await.is_empty());
}

async fn what_was_refused_leaves_nothing(tried: Tried) {
    let mut writer = tried.store().writer().await.unwrap();
    writer.write(bytes(10, 2).into()).await.unwrap();
    assert!(writer.finish(Block { size: 11, ..block(&bytes(10, 2)) }, None).await.is_err());
    assert!(tried.list("").await.is_empty());
}

async fn equal_blocks_are_listed_once_and_touched(tried: Tried) {
    for size in [10, 1_000_000] {
        let content = bytes(size, 1);
        let time = |listed: &[Listed]| listed.iter().find(|l| l.hash == block(&content).hash).unwrap().time;
        tried.put(&content).await.unwrap();
        let first = tried.list("").await;
        tried.pass().await;
        tried.put(&content).await.unwrap();
        let second = tried.list("").await;
        assert_eq!(first.len(), second.len());
        assert!(time(&second) > time(&first), "it was touched");
    }
}

async fn a_block_is_told_of_as_it_is_listed(tried: Tried) {
    let content = bytes(1000, 1);
    tried.put(&content).await.unwrap();
    let told = tried.store().stat(block(&content).hash).await.unwrap().unwrap();
    let [Listed { size, time, state: BlockState::Live, .. }] = tried.list("").await[..] else { panic!("one is there") };
    assert_eq!(told, Stat { size, time });
}

async fn listing_is_whole(tried: Tried) {
    let contents: Vec<Vec<u8>> = (0..50).map(|seed| bytes(100 + usize::from(seed), seed)).collect();
    for content in &contents {
        tried.put(content).await.unwrap();
    }
    let mut blocks: Vec<Block> = contents.iter().map(|content| block(content)).collect();
    blocks.sort();
    let listed = tried.list("").await;
    assert_eq!(listed.iter().map(|l| Block { hash: l.hash, size: l.size as u32 }).collect::<Vec<_>>(), blocks);
    assert!(listed.iter().all(|l| l.state == BlockState::Live && l.time.elapsed().unwrap_or_default().as_secs() < 60));
    for digits in [1, 2, 3, 4, 32] {
        let prefix = &blocks[7].hash.to_string()[..digits];
        let wanted = blocks.iter().filter(|block| block.hash.to_string().starts_with(prefix)).count();
        assert_eq!(tried.list(prefix).await.len(), wanted);
    }
}

async fn space_is_told(tried: Tried) {
    let space = tried.store().space().await.unwrap();
    assert!(space.total > 0 && space.free <= space.total);
}
