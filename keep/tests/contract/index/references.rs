//! The port `References`.

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    entries_and_uploads_refer_to_their_blocks(empty().await).await;
    a_lease_refers_to_blocks_until_it_ends(empty().await).await;
    a_lease_keeps_what_is_removed(empty().await).await;
}

async fn entries_and_uploads_refer_to_their_blocks(tried: Tried) {
    let index = tried.index();
    assert!(index.referenced(&hashes(0..10)).await.unwrap().is_empty());
    index.put(entry("a", 9, &[1, 2]), tried.later()).await.unwrap();
    index.record_upload(OWNER, b"b", &[block(2), block(3)]).await.unwrap();
    assert_eq!(index.referenced(&hashes(0..10)).await.unwrap(), hashes([1, 2, 3, 9]));
    assert_eq!((tried.again)().await.index.referenced(&hashes([3, 4])).await.unwrap(), hashes([3]));
    assert!(index.referenced(&[]).await.unwrap().is_empty());
}

async fn a_lease_refers_to_blocks_until_it_ends(tried: Tried) {
    let (index, now) = (tried.index(), tried.clock.wall());
    let hour = Duration::from_secs(3600);
    index.lease(&hashes([1, 2]), now + hour).await.unwrap();
    index.lease(&hashes([2]), now + 2 * hour).await.unwrap();
    index.lease(&hashes([2]), now).await.unwrap();
    assert_eq!(index.referenced(&hashes([1, 2, 3])).await.unwrap(), hashes([1, 2]));
    tried.clock.advance(hour);
    assert_eq!(index.referenced(&hashes([1, 2, 3])).await.unwrap(), hashes([2]), "the later end counts");
    index.forget_leases(tried.clock.wall()).await.unwrap();
    assert_eq!(index.referenced(&hashes([1, 2, 3])).await.unwrap(), hashes([2]), "it has not ended");
    tried.clock.advance(hour);
    assert!(index.referenced(&hashes([1, 2, 3])).await.unwrap().is_empty());
    // Forgotten, it does not come back with a clock that is put right.
    index.forget_leases(tried.clock.wall()).await.unwrap();
    tried.clock.set_wall(now);
    assert!(index.referenced(&hashes([1, 2, 3])).await.unwrap().is_empty());
}

async fn a_lease_keeps_what_is_removed(tried: Tried) {
    let index = tried.index();
    index.put(entry("a", 9, &[1, 2]), tried.later()).await.unwrap();
    index.lease(&hashes([1]), tried.clock.wall() + Duration::from_secs(10)).await.unwrap();
    assert_eq!(index.remove(OWNER, b"a", tried.later()).await.unwrap().unwrap(), [block(2), block(9)]);
    assert_eq!(index.due(tried.later(), 10).await.unwrap(), hashes([2, 9]), "what is leased is not due");
}
