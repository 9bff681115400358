//! The ports `Uploads` and, of what uploads leave, `Deadlines`.

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    an_upload_is_remembered_everywhere(empty().await).await;
    the_upload_that_came_further_counts(empty().await).await;
    uploads_grow_stale(empty().await).await;
    blocks_of_a_forgotten_upload_are_due_in_time(empty().await).await;
}

pub(super) async fn beside_entries(empty: &impl AsyncFn() -> Tried) {
    a_finished_upload_is_not_unfinished(empty().await).await;
}

async fn an_upload_is_remembered_everywhere(tried: Tried) {
    let index = tried.index();
    assert!(index.upload(OWNER, b"a").await.unwrap().is_empty());
    index.record_upload(OWNER, b"a", &[block(1)]).await.unwrap();
    index.record_upload(OWNER, b"a", &[block(1), block(2)]).await.unwrap();
    for index in [tried.parts.clone(), (tried.again)().await] {
        assert_eq!(index.index.upload(OWNER, b"a").await.unwrap(), [block(1), block(2)]);
        assert!(index.index.upload(OWNER, b"b").await.unwrap().is_empty());
    }
}

async fn the_upload_that_came_further_counts(tried: Tried) {
    let index = tried.index();
    index.record_upload(OWNER, b"a", &[block(1), block(5)]).await.unwrap();
    index.record_upload(OWNER, b"a", &[block(1), block(2)]).await.unwrap();
    assert_eq!(index.upload(OWNER, b"a").await.unwrap(), [block(1), block(5)]);
    index.record_upload(OWNER, b"a", &[block(7)]).await.unwrap();
    assert_eq!(index.upload(OWNER, b"a").await.unwrap(), [block(7)]);
}

async fn uploads_grow_stale(tried: Tried) {
    let (index, began, second) = (tried.index(), tried.clock.wall(), Duration::from_secs(1));
    index.record_upload(OWNER, b"a", &[block(1)]).await.unwrap();
    tried.clock.advance(second);
    index.record_upload(OWNER, b"b", &[block(2)]).await.unwrap();
    let stale = async |before| {
        let stale = index.stale_uploads(before, 10).await.unwrap();
        stale.into_iter().map(|(owner, name)| [owner, name].concat()).collect::<Vec<_>>()
    };
    assert!(stale(began).await.is_empty());
    assert_eq!(stale(began + second).await, [b"ownera".to_vec()]);
    assert_eq!(stale(began + 2 * second).await.len(), 2);
    assert_eq!(index.stale_uploads(began + 2 * second, 1).await.unwrap().len(), 1);
    tried.clock.advance(second);
    index.record_upload(OWNER, b"a", &[block(1), block(3)]).await.unwrap();
    assert_eq!(stale(began + 2 * second).await, [b"ownerb".to_vec()], "it went on");
}

async fn blocks_of_a_forgotten_upload_are_due_in_time(tried: Tried) {
    let (index, deadline) = (tried.index(), tried.later());
    index.record_upload(OWNER, b"a", &[block(1), block(2)]).await.unwrap();
    index.record_upload(OWNER, b"b", &[block(2)]).await.unwrap();
    assert_eq!(index.forget_upload(OWNER, b"a", deadline).await.unwrap(), [block(1)]);
    assert!(index.forget_upload(OWNER, b"a", deadline).await.unwrap().is_empty());
    assert!(index.upload(OWNER, b"a").await.unwrap().is_empty());
    assert!(index.due(deadline - Duration::from_secs(1), 10).await.unwrap().is_empty());
    assert_eq!(index.due(deadline, 10).await.unwrap(), hashes([1]));
    index.forget_due(&hashes([1]), deadline).await.unwrap();
    assert!(index.due(deadline, 10).await.unwrap().is_empty());
}

async fn a_finished_upload_is_not_unfinished(tried: Tried) {
    let index = tried.index();
    index.record_upload(OWNER, b"a", &[block(1), block(2)]).await.unwrap();
    assert_eq!(index.put(entry("a", 9, &[1]), tried.later()).await.unwrap(), [block(2)]);
    assert!(index.upload(OWNER, b"a").await.unwrap().is_empty());
    assert!(index.stale_uploads(tried.later(), 10).await.unwrap().is_empty());
}
