//! Removal, trash, and uploads beside them.

use keep_store::entries::Refused;

use super::*;

/// How long blocks stay in the trash unless somebody says otherwise.
const TWO_WEEKS: Duration = Duration::from_secs(14 * 24 * 3600);

#[tokio::test]
async fn a_removed_entry_is_in_the_trash_and_shared_blocks_stay() {
    let fixture = Fixture::new().await;
    let content = noise(2000, 1);
    fixture.put(b"a", &content).await;
    fixture.put(b"b", &content[..1000]).await;
    assert!(fixture.store.remove(OWNER, b"a").await.unwrap());
    assert!(!fixture.store.remove(OWNER, b"a").await.unwrap());
    assert!(!fixture.store.present(OWNER, b"a").await.unwrap());
    assert!(fixture.get(b"b").await.unwrap() == content[..1000]);
    assert_eq!((fixture.blocks().len(), fixture.trash().len()), (2, 2));
}

#[tokio::test]
async fn untrashing_a_manifest_brings_its_entry_back() {
    let fixture = Fixture::new().await;
    let content = noise(2500, 1);
    let entry = fixture.put(b"a", &content).await;
    fixture.store.remove(OWNER, b"a").await.unwrap();
    assert!(fixture.store.untrash_block(entry.manifest.hash).await.unwrap());
    assert!(fixture.get(b"a").await.unwrap() == content);
    assert!(fixture.trash().is_empty());
    assert!(!fixture.store.untrash_block([7; 16].into()).await.unwrap());
}

#[tokio::test]
async fn storing_again_needs_nothing_from_the_trash_but_a_trashed_block_in_need_comes_back() {
    let fixture = Fixture::new().await;
    let content = noise(1000, 1);
    let entry = fixture.put(b"a", &content).await;
    fixture.store.remove(OWNER, b"a").await.unwrap();
    fixture.put(b"a", &content).await;
    assert!(fixture.get(b"a").await.unwrap() == content);
    // As a process would leave it that died between the steps of a removal.
    let later = fixture.clock.wall() + Duration::from_secs(1000);
    assert!(fixture.store.blocks().trash(entry.blocks[0].hash, later, None).await.unwrap());
    assert!(fixture.store.present(OWNER, b"a").await.unwrap());
    assert!(fixture.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn a_removal_in_the_middle_of_an_upload_takes_nothing_from_it() {
    for lifetime in [Duration::from_secs(1000), Duration::ZERO] {
        let fixture = Fixture::with(Options { trash_lifetime: lifetime, ..small_blocks() }).await;
        let content = noise(5000, 1);
        fixture.put(b"a", &content).await;
        let mut upload = fixture.store.write(OWNER, b"b").await.unwrap();
        push(&mut upload, &content[..4500]).await;
        // Blocks of the upload that are in place are known to the index when the next one begins.
        tokio::time::sleep(Duration::from_millis(300)).await;
        push(&mut upload, &content[4500..]).await;
        if !lifetime.is_zero() {
            fixture.store.remove(OWNER, b"a").await.unwrap();
        }
        upload.commit().await.unwrap();
        assert!(fixture.get(b"b").await.unwrap() == content);
    }
}

#[tokio::test]
async fn a_new_content_under_an_old_name_replaces_it() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", &noise(1000, 1)).await;
    fixture.put(b"a", b"new").await;
    assert_eq!(fixture.get(b"a").await.unwrap(), b"new");
    assert_eq!((fixture.blocks().len(), fixture.trash().len()), (2, 2));
}

#[tokio::test]
async fn the_trash_is_emptied_when_due_and_not_before() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", &noise(1000, 1)).await;
    fixture.store.remove(OWNER, b"a").await.unwrap();
    // Names of files in the trash have whole seconds.
    fixture.clock.advance(TWO_WEEKS - Duration::from_secs(1));
    assert_eq!(fixture.store.empty_trash(fixture.clock.wall()).await.unwrap().0, 0);
    assert_eq!(fixture.trash().len(), 2);
    fixture.clock.advance(Duration::from_secs(1));
    let (count, bytes) = fixture.store.empty_trash(fixture.clock.wall()).await.unwrap();
    assert!(count == 2 && bytes > 1000);
    assert!(fixture.trash().is_empty());
}

#[tokio::test]
async fn emptying_brings_back_what_an_entry_needs() {
    let fixture = Fixture::new().await;
    let content = noise(1000, 1);
    let entry = fixture.put(b"a", &content).await;
    assert!(fixture.store.blocks().trash(entry.blocks[0].hash, fixture.clock.wall(), None).await.unwrap());
    fixture.store.empty_trash(fixture.clock.wall()).await.unwrap();
    assert!(fixture.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn a_trash_without_lifetime_deletes_at_once() {
    let fixture = Fixture::with(Options { trash_lifetime: Duration::ZERO, ..small_blocks() }).await;
    fixture.put(b"a", &noise(2500, 1)).await;
    fixture.store.remove(OWNER, b"a").await.unwrap();
    assert!(fixture.blocks().is_empty() && fixture.trash().is_empty());
}

#[tokio::test]
async fn the_trash_is_emptied_in_passing() {
    let fixture = Fixture::new().await;
    fixture.put(b"a", &noise(2500, 1)).await;
    fixture.store.remove(OWNER, b"a").await.unwrap();
    fixture.clock.advance(TWO_WEEKS - Duration::from_secs(1));
    fixture.put(b"b", b"b").await;
    assert_eq!(fixture.trash().len(), 4, "it is not due");
    fixture.clock.advance(Duration::from_secs(59));
    fixture.put(b"c", b"c").await;
    assert_eq!(fixture.trash().len(), 4, "it was looked at less than a minute ago");
    fixture.clock.advance(Duration::from_secs(1));
    fixture.put(b"d", b"d").await;
    assert!(fixture.trash().is_empty());
}

#[tokio::test]
async fn a_block_that_is_referred_to_is_trashed_only_by_force() {
    let fixture = Fixture::new().await;
    let entry = fixture.put(b"a", &noise(2500, 1)).await;
    let store = &fixture.store;
    assert_eq!(store.trash_block(entry.blocks[0].hash, false).await.unwrap(), Err(Refused::Referenced));
    assert_eq!(store.trash_block([7; 16].into(), false).await.unwrap(), Err(Refused::Absent));
    assert_eq!(store.trash_block(entry.manifest.hash, true).await.unwrap(), Ok(()));
    assert!(!store.present(OWNER, b"a").await.unwrap());
    assert_eq!((fixture.blocks().len(), fixture.trash().len()), (0, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_and_removals_of_the_same_blocks_lose_nothing() {
    for lifetime in [Duration::from_secs(1000), Duration::ZERO] {
        let fixture = Fixture::with(Options { trash_lifetime: lifetime, ..small_blocks() }).await;
        let content = noise(1500, 1);
        let tasks = (0..4).map(|task: usize| {
            let (store, content) = (fixture.store.clone(), content.clone());
            tokio::spawn(async move {
                let name = format!("task{task}");
                for _ in 0..15 {
                    let mut upload = store.write(OWNER, name.as_bytes()).await.unwrap();
                    // An upload that failed is as if suspended: the next one goes on behind what it left.
                    let offset = usize::try_from(upload.offset()).unwrap();
                    push(&mut upload, &content[offset..]).await;
                    match upload.commit().await {
                        Ok(_) => {
                            let read = store.read(OWNER, name.as_bytes(), 0).await.unwrap().expect("it was stored");
                            assert!(collect(read).await.unwrap() == content);
                            store.remove(OWNER, name.as_bytes()).await.unwrap();
                        }
                        // Without a trash there is nothing to bring back: the upload says so, and is not there.
                        Err(_) if lifetime.is_zero() => {
                            assert!(!store.present(OWNER, name.as_bytes()).await.unwrap());
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        });
        for task in futures_util::future::join_all(tasks).await {
            task.unwrap();
        }
    }
}
