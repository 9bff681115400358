//! Manifest blocks, as other Keep programs would read them.

use annex_protocol::manifest::{Manifest, portable_data_hash};
use keep_store::store::Block;

use super::*;

fn text_of(fixture: &Fixture, block: Block) -> Vec<u8> {
    let hash = block.hash.to_string();
    std::fs::read(fixture.dir.path().join(&hash[..3]).join(hash)).unwrap()
}

#[tokio::test]
async fn an_entrys_manifest_is_a_manifest_of_its_file() {
    let fixture = Fixture::new().await;
    let entry = fixture.put(b"a name", &noise(2500, 1)).await;
    let text = text_of(&fixture, entry.manifest);
    let manifest = Manifest::parse(&text).unwrap();
    let files = manifest.files().unwrap();
    let path = [b"annex-keep/", OWNER, b"/a name"].concat();
    assert_eq!(files.get(&path).unwrap().size(), 2500);
    assert!(manifest.streams()[0].blocks().iter().all(|locator| locator.is_signed()));
    assert_eq!(portable_data_hash(&text).split('+').count(), 2);
}

#[tokio::test]
async fn the_empty_contents_manifest_refers_to_the_empty_block_which_needs_no_file() {
    let fixture = Fixture::new().await;
    let entry = fixture.put(b"empty", b"").await;
    let text = String::from_utf8(text_of(&fixture, entry.manifest)).unwrap();
    assert!(text.contains(" d41d8cd98f00b204e9800998ecf8427e+0+A") && text.ends_with(" 0:0:empty\n"), "{text}");
    assert_eq!(fixture.blocks().len(), 1);
}
