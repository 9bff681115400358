//! Manifests: no input panics, what is read can be written and read again, every range is inside its file.
#![no_main]

use annex_protocol::manifest::{Manifest, portable_data_hash, stripped, validate, with_signatures};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let once = stripped(text);
    assert_eq!(portable_data_hash(&once), portable_data_hash(text));
    assert_eq!(with_signatures(text, |locator| locator.clone()), text);
    let Ok(manifest) = Manifest::parse(text) else { return };
    assert_eq!(validate(text), Ok(()));
    assert_eq!(Manifest::parse(&manifest.to_bytes()).as_ref(), Ok(&manifest));
    let Ok(files) = manifest.files() else { return };
    for (_, file) in &files {
        let extents = file.extents(0, file.size()).take(1000);
        for extent in extents {
            assert!(extent.size > 0 && extent.offset + extent.size <= extent.locator.size());
        }
    }
    // The normal form can be much larger than the text.
    if text.len() < 4096 {
        let normal = manifest.normalized().expect("files were fine");
        assert_eq!(normal.normalized().as_ref(), Ok(&normal));
        for (path, _) in files.iter().take(10) {
            let mut edited = files.clone();
            let subtree = edited.subtree(path).expect("it is there");
            edited.remove(path);
            edited.put(path, subtree).expect("it was there");
            assert_eq!(edited.to_manifest().as_ref(), Ok(&normal));
        }
    }
});
