//! The port `Blocks`.

use super::*;

/// Two contents with one MD5.
const COLLISION: [&str; 2] = [
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa200a8284bf36e8e4b55b35f427593d849676da0d1555d8360fb5f07fea2",
    "4dc968ff0ee35c209572d4777b721587d36fa7b21bdc56b74a3dc0783e7b9518afbfa202a8284bf36e8e4b55b35f427593d849676da0d1d55d8360fb5f07fea2",
];

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    the_store_has_a_name(&empty().await);
    blocks_come_back_verified_from_every_offset(empty().await).await;
    an_absent_block_is_none(empty().await).await;
    equal_blocks_are_one(empty().await).await;
    many_writers_of_one_block_all_succeed(empty().await).await;
    a_collision_is_refused(empty().await).await;
    wrong_claims_change_nothing(empty().await).await;
    missing_tells_absent_and_wrong_sizes(empty().await).await;
    a_damaged_block_is_never_given_out_whole_and_can_be_stored_again(empty().await).await;
}

fn the_store_has_a_name(tried: &Tried) {
    assert!(!tried.store().name().is_empty());
}

async fn blocks_come_back_verified_from_every_offset(tried: Tried) {
    for size in [1, 1000, 262_144, 262_145, 3_000_000] {
        let content = bytes(size, 1);
        let placed = tried.put(&content).await.unwrap();
        assert!(placed == Placed::New || !tried.exact);
        for from in [0, 1, size / 2, size - 1, size] {
            for ahead in [0, 1 << 20, 64 << 20] {
                let read = tried.store().read(block(&content), from as u32, ahead).await.unwrap().unwrap();
                let read = read.try_collect::<Vec<Bytes>>().await.unwrap().concat();
                assert!(read == content[from..], "{size} from {from}");
            }
        }
        let start = tried.store().peek(block(&content).hash, 5).await.unwrap().unwrap();
        assert_eq!(start, content[..size.min(5)]);
    }
}

async fn an_absent_block_is_none(tried: Tried) {
    let absent = block(b"absent");
    assert!(tried.get(absent).await.is_none());
    assert!(tried.store().peek(absent.hash, 10).await.unwrap().is_none());
}

async fn equal_blocks_are_one(tried: Tried) {
    for size in [10, 1_000_000] {
        let content = bytes(size, 1);
        tried.put(&content).await.unwrap();
        assert_eq!(tried.put(&content).await.unwrap(), Placed::Existing);
        assert!(tried.get(block(&content)).await.unwrap() == content);
    }
}

async fn many_writers_of_one_block_all_succeed(tried: Tried) {
    let content = bytes(500_000, 1);
    let writers = (0..16).map(|_| tried.put(&content));
    let placed = futures_util::future::join_all(writers).await;
    let new = placed.into_iter().filter(|placed| *placed.as_ref().unwrap() == Placed::New).count();
    assert!(new == 1 || !tried.exact);
    assert!(tried.get(block(&content)).await.unwrap() == content);
}

async fn a_collision_is_refused(tried: Tried) {
    let digits = |text: &str| u8::from_str_radix(text, 16).unwrap();
    let [first, second]: [Vec<u8>; 2] =
        COLLISION.map(|text| (0..64).map(|at| digits(&text[2 * at..2 * at + 2])).collect());
    tried.put(&first).await.unwrap();
    let refused = tried.put(&second).await.unwrap_err();
    assert!(matches!(refused, StoreError::Collision { .. }) || !tried.exact, "{refused:?}");
    assert!(tried.get(block(&first)).await.unwrap() == first);
}

async fn wrong_claims_change_nothing(tried: Tried) {
    let content = bytes(1000, 1);
    tried.put(&content).await.unwrap();
    for size in [1, 999, 1001] {
        let claimed = Block { size, ..block(&content) };
        let refused = tried.store().read(claimed, 0, 0).await.map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::Size { size: 1000, .. }) || !tried.exact, "{refused:?}");
    }
    let mut writer = tried.store().writer().await.unwrap();
    writer.write(bytes(10, 2).into()).await.unwrap();
    assert!(writer.finish(Block { size: 11, ..block(&bytes(10, 2)) }, None).await.is_err());
    assert!(tried.get(block(&bytes(10, 2))).await.is_none());
    assert!(tried.get(block(&content)).await.unwrap() == content);
}

async fn missing_tells_absent_and_wrong_sizes(tried: Tried) {
    let here = block(&bytes(1000, 1));
    tried.put(&bytes(1000, 1)).await.unwrap();
    let absent = block(b"absent");
    assert_eq!(tried.store().missing(&[here, absent, here]).await.unwrap(), [absent]);
    if tried.exact {
        let wrong = Block { size: 999, ..here };
        assert_eq!(tried.store().missing(&[here, absent, wrong, here]).await.unwrap(), [absent, wrong]);
    }
    assert!(tried.store().missing(&[]).await.unwrap().is_empty());
}

async fn a_damaged_block_is_never_given_out_whole_and_can_be_stored_again(tried: Tried) {
    const CONTENT: &[u8] = b"content that is the same";
    let Some(damage) = &tried.damage else { return };
    for wrong in [&b"content but not the same"[..], b"short", b""] {
        tried.put(CONTENT).await.unwrap();
        damage(block(CONTENT).hash, wrong).await;
        let damaged = tried.read(block(CONTENT), 0).await;
        assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
        assert_eq!(tried.get(block(CONTENT)).await, None, "it was set aside");
        assert_eq!(tried.put(CONTENT).await.unwrap(), Placed::New);
        damage(block(CONTENT).hash, wrong).await;
        assert_eq!(tried.put(CONTENT).await.unwrap(), Placed::Repaired);
        assert_eq!(tried.get(block(CONTENT)).await.unwrap(), CONTENT);
    }
}
