//! The ports `Entries`, `Deadlines` and `Rebuilding`.

use super::*;

pub(super) async fn all(empty: &impl AsyncFn() -> Tried) {
    what_was_put_comes_back_whole_everywhere(empty().await).await;
    names_are_bytes(empty().await).await;
    blocks_are_unreferenced_when_the_last_reference_goes(empty().await).await;
    replacing_an_entry_keeps_what_both_have(empty().await).await;
    entries_are_listed_in_order_page_by_page(empty().await).await;
    sums_follow_what_comes_and_goes(empty().await).await;
    notes_of_due_blocks_wait_for_their_time(empty().await).await;
    many_write_at_once_through_two_openings(empty().await).await;
    a_rebuilding_spares_what_is_kept_and_what_is_new(empty().await).await;
}

async fn what_was_put_comes_back_whole_everywhere(tried: Tried) {
    let (index, entry) = (tried.index(), entry("a", 9, &[1, 2, 1]));
    assert!(index.put(entry.clone(), tried.later()).await.unwrap().is_empty());
    for index in [tried.parts.clone(), (tried.again)().await] {
        assert_eq!(index.index.entry(OWNER, b"a").await.unwrap().unwrap(), entry);
        assert_eq!(index.index.entry(OWNER, b"b").await.unwrap(), None);
        assert_eq!(index.index.entry(b"somebody else", b"a").await.unwrap(), None);
        for part in [1, 2, 9] {
            assert_eq!(index.index.entries_with(block(part).hash).await.unwrap(), std::slice::from_ref(&entry));
        }
        assert!(index.index.entries_with(block(3).hash).await.unwrap().is_empty());
    }
}

async fn names_are_bytes(tried: Tried) {
    for name in [&b"\xff\0\n"[..], b"", b"/", b"'; DROP TABLE entries"] {
        let odd = Entry { owner: b"\0\xfe".to_vec(), name: name.to_vec(), blocks: Vec::new(), ..entry("", 9, &[]) };
        tried.index().put(odd.clone(), tried.later()).await.unwrap();
        assert_eq!(tried.index().entry(&odd.owner, name).await.unwrap().unwrap(), odd);
    }
}

async fn blocks_are_unreferenced_when_the_last_reference_goes(tried: Tried) {
    let (index, later) = (tried.index(), tried.later());
    index.put(entry("a", 9, &[1, 2]), later).await.unwrap();
    index.put(entry("b", 8, &[2, 3]), later).await.unwrap();
    index.record_upload(OWNER, b"c", &[block(3)]).await.unwrap();
    assert_eq!(index.remove(OWNER, b"a", later).await.unwrap().unwrap(), [block(1), block(9)]);
    assert_eq!(index.remove(OWNER, b"a", later).await.unwrap(), None);
    assert_eq!(index.remove(OWNER, b"b", later).await.unwrap().unwrap(), [block(2), block(8)]);
    assert_eq!(index.referenced(&hashes(1..=9)).await.unwrap(), hashes([3]));
    assert_eq!(index.forget_upload(OWNER, b"c", later).await.unwrap(), [block(3)]);
}

async fn replacing_an_entry_keeps_what_both_have(tried: Tried) {
    let (index, later) = (tried.index(), tried.later());
    index.put(entry("a", 9, &[1, 2]), later).await.unwrap();
    assert_eq!(index.put(entry("a", 8, &[2, 3]), later).await.unwrap(), [block(1), block(9)]);
    assert_eq!(index.entry(OWNER, b"a").await.unwrap().unwrap(), entry("a", 8, &[2, 3]));
    assert_eq!(index.totals().await.unwrap().entries, 1);
}

async fn entries_are_listed_in_order_page_by_page(tried: Tried) {
    let index = tried.index();
    for (owner, name) in [("b", "a"), ("a", "c"), ("a", "a"), ("c", "a"), ("a", "b")] {
        let entry = Entry { owner: owner.into(), ..entry(name, 9, &[1]) };
        index.put(entry, tried.later()).await.unwrap();
    }
    let list = async |owner: Option<&str>, after: Option<(&str, &str)>, limit| {
        let after = after.map(|(owner, name)| (owner.as_bytes(), name.as_bytes()));
        let listed = index.list(owner.map(str::as_bytes), after, limit).await.unwrap();
        let names = listed.into_iter().map(|entry| String::from_utf8([entry.owner, entry.name].concat()).unwrap());
        names.collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 10).await, ["aa", "ab", "ac", "ba", "ca"]);
    assert_eq!(list(None, None, 2).await, ["aa", "ab"]);
    assert_eq!(list(None, Some(("a", "b")), 2).await, ["ac", "ba"]);
    assert_eq!(list(Some("a"), None, 10).await, ["aa", "ab", "ac"]);
    assert_eq!(list(Some("a"), Some(("a", "a")), 1).await, ["ab"]);
    assert!(list(Some("d"), None, 10).await.is_empty());
}

async fn sums_follow_what_comes_and_goes(tried: Tried) {
    let (index, later) = (tried.index(), tried.later());
    for (name, manifest) in [("a", 9), ("b", 8), ("a", 7)] {
        index.put(entry(name, manifest, &[manifest - 6]), later).await.unwrap();
    }
    index.record_upload(OWNER, b"c", &[block(1)]).await.unwrap();
    let totals = index.totals().await.unwrap();
    assert_eq!((totals.entries, totals.bytes, totals.uploads), (2, 2 << 40, 1));
    index.remove(OWNER, b"b", later).await.unwrap();
    index.forget_upload(OWNER, b"c", later).await.unwrap();
    let totals = index.totals().await.unwrap();
    assert_eq!((totals.entries, totals.bytes, totals.uploads), (1, 1 << 40, 0));
}

async fn notes_of_due_blocks_wait_for_their_time(tried: Tried) {
    let (index, now) = (tried.index(), tried.clock.wall());
    let after = |seconds| now + Duration::from_secs(seconds);
    index.put(entry("a", 9, &[1]), now).await.unwrap();
    index.remove(OWNER, b"a", after(100)).await.unwrap();
    assert!(index.due(after(99), 10).await.unwrap().is_empty());
    assert_eq!(index.due(after(100), 1).await.unwrap().len(), 1);
    index.forget_due(&hashes([1, 9]), after(99)).await.unwrap();
    assert_eq!(index.due(after(100), 10).await.unwrap().len(), 2, "a later deadline is not forgotten");
    index.forget_due(&hashes([1]), after(100)).await.unwrap();
    assert_eq!(index.due(after(100), 10).await.unwrap(), hashes([9]));
    // Needed again and removed again, it has the new deadline.
    index.put(entry("b", 9, &[]), now).await.unwrap();
    index.remove(OWNER, b"b", after(200)).await.unwrap();
    assert!(index.due(after(199), 10).await.unwrap().is_empty());
    assert_eq!(index.due(after(200), 10).await.unwrap(), hashes([9]));
}

async fn many_write_at_once_through_two_openings(tried: Tried) {
    let indexes = [tried.parts.clone(), (tried.again)().await];
    let later = tried.later();
    let tasks = (0..40u8).map(|n| {
        let index = Arc::clone(&indexes[usize::from(n % 2)].index);
        tokio::spawn(async move {
            let name = format!("n{n}");
            index.put(entry(&name, n, &[100]), later).await.unwrap();
            assert!(index.entry(OWNER, name.as_bytes()).await.unwrap().is_some());
            if n % 4 == 0 {
                index.remove(OWNER, name.as_bytes(), later).await.unwrap();
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
    for index in indexes {
        assert_eq!(index.index.totals().await.unwrap().entries, 30);
    }
}

async fn a_rebuilding_spares_what_is_kept_and_what_is_new(tried: Tried) {
    let (index, later, now) = (tried.index(), tried.later(), tried.clock.wall());
    index.set_complete(false).await.unwrap();
    for (name, manifest) in [("a", 1), ("b", 2)] {
        index.put(entry(name, manifest, &[5]), later).await.unwrap();
    }
    index.put(Entry { stored: now, ..entry("c", 3, &[5]) }, later).await.unwrap();
    let gone = index.retain(Box::new(|hash| hash == block(1).hash), now).await.unwrap();
    assert_eq!(gone, 1);
    let names: Vec<_> = index.list(None, None, 10).await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [b"a", b"c"]);
    assert!(index.referenced(&hashes([2])).await.unwrap().is_empty());
    assert!(index.due(later, 10).await.unwrap().is_empty(), "blocks are left alone");
    index.set_complete(true).await.unwrap();
}
