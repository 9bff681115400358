//! The ports that only some indexes have: `Holding`, `IndexHere` and `Signatures`.

use keep_store::index::Held;

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    a_record_and_the_bytes_with_it_are_there_together(empty().await).await;
    held_bytes_are_told_by_their_age(empty().await).await;
    the_asking_thread_sees_what_the_others_see(empty().await).await;
    signatures_stay_while_something_refers_to_their_block(empty().await).await;
}

async fn a_record_and_the_bytes_with_it_are_there_together(tried: Tried) {
    let Some(holding) = &tried.parts.holding else { return };
    tried.index().put(entry("a", 9, &[1]), tried.later()).await.unwrap();
    let bytes = vec![(block(3), "abc".into())];
    let (unreferenced, numbers) = holding.put_holding(entry("a", 9, &[3]), bytes, tried.later()).await.unwrap();
    assert_eq!(unreferenced, [block(1)]);
    let again = (tried.again)().await;
    assert_eq!(again.index.entry(OWNER, b"a").await.unwrap().unwrap(), entry("a", 9, &[3]));
    let other = again.holding.unwrap();
    assert_eq!(other.held_block(block(3)).await.unwrap().unwrap(), "abc");
    assert_eq!(other.held_block(block(9)).await.unwrap(), None);
    other.release(numbers.clone()).await.unwrap();
    assert_eq!(holding.held_block(block(3)).await.unwrap(), None);
    holding.release(numbers.clone()).await.unwrap();
    let bytes = vec![(block(4), "d".into())];
    let (_, next) = holding.put_holding(entry("b", 8, &[4]), bytes, tried.later()).await.unwrap();
    assert!(next[0] > numbers[0], "a number is never used again");
}

async fn held_bytes_are_told_by_their_age(tried: Tried) {
    let Some(holding) = &tried.parts.holding else { return };
    let (began, second) = (tried.clock.wall(), Duration::from_secs(1));
    let mut numbers = Vec::new();
    for n in [1, 2] {
        let bytes = vec![(block(n), vec![n; 3].into())];
        let (_, given) = holding.put_holding(entry("a", 9, &[n]), bytes, tried.later()).await.unwrap();
        numbers.extend(given);
        tried.clock.advance(second);
    }
    let held = |n: u8| Held { number: numbers[usize::from(n) - 1], block: block(n), bytes: vec![n; 3].into() };
    assert!(holding.held(began, 10).await.unwrap().is_empty());
    assert_eq!(holding.held(began + second, 10).await.unwrap(), [held(1)]);
    assert_eq!(holding.held(began + 2 * second, 10).await.unwrap(), [held(1), held(2)]);
    assert_eq!(holding.held(began + 2 * second, 1).await.unwrap(), [held(1)]);
}

async fn the_asking_thread_sees_what_the_others_see(tried: Tried) {
    let Some(here) = tried.parts.here.clone() else { return };
    let entry = entry("a", 9, &[1]);
    tried.index().put(entry.clone(), tried.later()).await.unwrap();
    let looked = tokio::task::spawn_blocking(move || (here.look_up(OWNER, b"a"), here.look_up(OWNER, b"b")));
    let (found, absent) = looked.await.unwrap();
    assert_eq!((found.unwrap(), absent.unwrap()), (Some(entry), None));
}

async fn signatures_stay_while_something_refers_to_their_block(tried: Tried) {
    let Some(signatures) = &tried.signatures else { return };
    let sign = |n: u8, digit: &str| {
        let hint = format!("A{}@7fffffff", digit.repeat(40));
        block(n).locator().with_hint(&hint).unwrap()
    };
    let noted = async || signatures.noted(hashes([1, 2, 3, 4])).await.unwrap();
    signatures.note([1, 2, 3].map(|n| sign(n, "0")).into()).await.unwrap();
    assert_eq!(noted().await, [1, 2, 3].map(|n| sign(n, "0")));
    tried.clock.advance(Duration::from_secs(1));
    signatures.note(vec![sign(1, "1")]).await.unwrap();
    tried.index().put(entry("a", 9, &[1]), tried.later()).await.unwrap();
    tried.index().record_upload(OWNER, b"b", &[block(2)]).await.unwrap();
    signatures.forget_unneeded(tried.clock.wall() - Duration::from_secs(1)).await.unwrap();
    assert_eq!(noted().await.len(), 3, "they are too new");
    signatures.forget_unneeded(tried.clock.wall()).await.unwrap();
    assert_eq!(noted().await, [sign(1, "1"), sign(2, "0")]);
}
