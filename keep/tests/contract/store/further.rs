//! The ports that only some stores have: `PlaceUnsynced`, `BlocksHere` and `SignedLocators`.

use annex_protocol::keep::Locator;

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    blocks_at_hand_are_placed_and_synced_later(empty().await).await;
    what_is_placed_is_compared_with_what_stands_there(empty().await).await;
    the_asking_thread_sees_what_the_others_see(empty().await).await;
    a_locator_has_what_it_takes_to_read_its_block(empty().await).await;
}

async fn blocks_at_hand_are_placed_and_synced_later(tried: Tried) {
    let contents: Vec<Vec<u8>> = (1..=5).map(|seed| bytes(1000 * usize::from(seed), seed)).collect();
    let blocks = contents.iter().map(|content| (block(content), Bytes::copy_from_slice(content))).collect();
    tried.parts.place(blocks).await.unwrap();
    for content in &contents {
        assert!(tried.get(block(content)).await.unwrap() == *content, "everybody sees it at once");
    }
    tried.parts.sync().await.unwrap();
    tried.parts.sync().await.unwrap();
    for content in &contents {
        assert!(tried.get(block(content)).await.unwrap() == *content);
    }
}

async fn what_is_placed_is_compared_with_what_stands_there(tried: Tried) {
    const CONTENT: &[u8] = b"content that is the same";
    let place = || tried.parts.place(vec![(block(CONTENT), Bytes::from_static(CONTENT))]);
    place().await.unwrap();
    place().await.unwrap();
    let wrong = Block { size: 1, ..block(b"another") };
    assert!(tried.parts.place(vec![(wrong, Bytes::from_static(b"another"))]).await.is_err());
    if let Some(damage) = &tried.damage {
        damage(block(CONTENT).hash, b"content but not the same").await;
        place().await.unwrap();
    }
    assert_eq!(tried.get(block(CONTENT)).await.unwrap(), CONTENT);
    tried.parts.sync().await.unwrap();
}

async fn the_asking_thread_sees_what_the_others_see(tried: Tried) {
    let Some(here) = tried.parts.here.clone() else { return };
    let (content, absent) = (bytes(300_000, 1), block(b"absent"));
    tried.put(&content).await.unwrap();
    let found = block(&content);
    let wrong = Block { size: 1, ..found };
    let asked = [found, absent, wrong];
    let missing = tried.store().missing(&asked).await.unwrap();
    let looked = tokio::task::spawn_blocking(move || {
        assert_eq!(here.lacking(&asked).unwrap(), missing);
        assert!(here.fetch(absent).unwrap().is_none());
        assert!(matches!(here.fetch(wrong), Err(StoreError::Size { size: 300_000, .. })));
        here.fetch(found).unwrap().unwrap().concat()
    });
    assert!(looked.await.unwrap() == content);
}

async fn a_locator_has_what_it_takes_to_read_its_block(tried: Tried) {
    let content = bytes(1000, 1);
    tried.put(&content).await.unwrap();
    let locator = tried.parts.locator(block(&content));
    assert_eq!((locator.hash(), locator.size()), (block(&content).hash, 1000));
    assert_eq!(locator.is_signed(), tried.parts.signed.is_some());
    // Somebody else's locator says no less of a block than nothing at all.
    let other = Locator::of(b"other");
    let signed = Locator::of(b"other").with_hint(&format!("A{}@7fffffff", "0".repeat(40))).unwrap();
    tried.parts.learn(&signed);
    let wanted = if tried.parts.signed.is_some() { signed } else { other };
    assert_eq!(tried.parts.locator(block(b"other")), wanted);
}
