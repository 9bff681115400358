//! Uploads that are broken off and go on.

use super::*;

async fn kept(upload: &Upload) -> Vec<u8> {
    upload.kept().await.unwrap().try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

#[tokio::test]
async fn a_suspended_upload_goes_on_where_it_was_also_after_a_restart() {
    let fixture = Fixture::new().await;
    let content = noise(5000, 1);
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    assert_eq!(upload.offset(), 0);
    push(&mut upload, &content[..2345]).await;
    assert_eq!(upload.suspend().await.unwrap(), 2345);
    assert!(!fixture.store.present(OWNER, b"a").await.unwrap());

    let again = KeepStore::open(fixture.dir.path(), Create::Never, small_blocks()).await.unwrap();
    let mut upload = again.write(OWNER, b"a").await.unwrap();
    assert_eq!(upload.offset(), 2345);
    assert!(kept(&upload).await == content[..2345]);
    push(&mut upload, &content[2345..]).await;
    let entry = upload.commit().await.unwrap();
    let sizes: Vec<u32> = entry.blocks.iter().map(|block| block.size).collect();
    assert_eq!(sizes, [1000, 1000, 345, 655, 1000, 1000], "later cuts are where they would have been");
    assert!(fixture.get(b"a").await.unwrap() == content);
    assert_eq!(again.write(OWNER, b"a").await.unwrap().offset(), 0, "nothing is unfinished any more");
}

#[tokio::test]
async fn an_unfinished_upload_is_forgotten_when_nobody_goes_on_in_time() {
    let fixture = Fixture::new().await;
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &noise(2345, 1)).await;
    upload.suspend().await.unwrap();
    fixture.clock.advance(fixture.options.resume_within);
    assert_eq!(fixture.store.write(OWNER, b"a").await.unwrap().offset(), 2345);
    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(fixture.store.write(OWNER, b"a").await.unwrap().offset(), 0);
    assert_eq!((fixture.blocks().len(), fixture.trash().len()), (0, 3), "its blocks can be brought back");
}

#[tokio::test]
async fn a_dropped_upload_keeps_what_it_can() {
    let fixture = Fixture::new().await;
    let content = noise(5000, 1);
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &content[..4500]).await;
    drop(upload);
    let mut upload = loop {
        let upload = fixture.store.write(OWNER, b"a").await.unwrap();
        if upload.offset() == 4500 {
            break upload;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    push(&mut upload, &content[4500..]).await;
    upload.commit().await.unwrap();
    assert!(fixture.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn an_upload_can_start_again() {
    let fixture = Fixture::new().await;
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &noise(2500, 1)).await;
    upload.suspend().await.unwrap();
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    upload.restart().await.unwrap();
    assert_eq!(upload.offset(), 0);
    push(&mut upload, b"another").await;
    upload.commit().await.unwrap();
    assert_eq!(fixture.get(b"a").await.unwrap(), b"another");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let fixture = Fixture::new().await;
    let content = noise(5500, 1);
    fixture.put(b"shared", &content[..1000]).await;
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &content).await;
    upload.abort().await.unwrap();
    assert_eq!(fixture.blocks().len(), 2);
    assert!(fixture.trash().is_empty(), "{:?}", fixture.trash());
    assert_eq!(fixture.store.status().await.unwrap().uploads, 0);
    assert_eq!(std::fs::read_dir(fixture.dir.path().join(".annex-keep/tmp")).unwrap().count(), 0);
    assert!(fixture.get(b"shared").await.unwrap() == content[..1000]);
    assert_eq!(fixture.store.write(OWNER, b"a").await.unwrap().offset(), 0);
}

#[tokio::test]
async fn what_is_missing_of_a_kept_part_is_asked_for_again() {
    let fixture = Fixture::new().await;
    let content = noise(3500, 1);
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &content).await;
    upload.suspend().await.unwrap();
    let second = annex_protocol::keep::BlockHash::of(&content[1000..2000]).to_string();
    std::fs::remove_file(fixture.dir.path().join(&second[..3]).join(&second)).unwrap();
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    assert_eq!(upload.offset(), 1000);
    push(&mut upload, &content[1000..]).await;
    upload.commit().await.unwrap();
    assert!(fixture.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn blocks_of_an_unfinished_upload_survive_removals() {
    let fixture = Fixture::new().await;
    let content = noise(2000, 1);
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    push(&mut upload, &content).await;
    upload.suspend().await.unwrap();
    fixture.put(b"b", &content).await;
    fixture.store.remove(OWNER, b"b").await.unwrap();
    assert_eq!(fixture.trash().len(), 1, "the manifest alone");
    assert_eq!(fixture.store.write(OWNER, b"a").await.unwrap().offset(), 2000);
}

#[tokio::test]
async fn two_uploads_of_one_entry_both_succeed() {
    let fixture = Fixture::new().await;
    let content = noise(4500, 1);
    let mut first = fixture.store.write(OWNER, b"a").await.unwrap();
    let mut second = fixture.store.write(OWNER, b"a").await.unwrap();
    for part in content.chunks(500) {
        push(&mut first, part).await;
        push(&mut second, part).await;
    }
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    assert!(fixture.get(b"a").await.unwrap() == content);
    assert!(fixture.trash().is_empty());
}

#[tokio::test]
async fn one_cutter_feeds_many_stores() {
    let (one, two) = (Fixture::new().await, Fixture::new().await);
    let content = noise(3333, 1);
    let mut uploads = [one.store.write(OWNER, b"a").await.unwrap(), two.store.write(OWNER, b"a").await.unwrap()];
    let mut cutter = keep_store::base::stream::Cutter::new(1000, 0);
    for part in content.chunks(700) {
        for piece in cutter.push(Bytes::copy_from_slice(part)).await {
            for upload in &mut uploads {
                upload.piece(piece.clone()).await.unwrap();
            }
        }
    }
    let cut = cutter.finish().unwrap();
    for upload in &mut uploads {
        upload.piece(cut.clone()).await.unwrap();
    }
    for upload in uploads {
        upload.commit().await.unwrap();
    }
    assert!(one.get(b"a").await.unwrap() == content && two.get(b"a").await.unwrap() == content);
}

#[tokio::test]
async fn pieces_that_were_not_cut_at_the_end_are_refused() {
    let fixture = Fixture::new().await;
    let mut upload = fixture.store.write(OWNER, b"a").await.unwrap();
    upload.piece(keep_store::base::stream::Piece::Data(Bytes::from_static(b"x"))).await.unwrap();
    assert!(matches!(upload.commit().await, Err(keep_store::entries::KeepError::Uncut)));
}
