//! Keys: no input panics; a key is read back from its text and from its file name.
#![no_main]

use annex_protocol::key::{Key, Mac};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let _ = Key::from_file_name(text);
    let Ok(key) = Key::parse(text) else { return };
    let again = Key::parse(key.as_bytes()).expect("canonical text is a key");
    assert_eq!(again.as_bytes(), key.as_bytes());
    assert_eq!((again.size(), again.chunk()), (key.size(), key.chunk()));
    let name = key.file_name();
    assert!(!name.contains(&b'/'));
    assert_eq!(Key::from_file_name(&name).as_ref(), Ok(&key));
    let parent = Key::parse(key.parent_bytes()).expect("a key without its chunk fields is a key");
    assert_eq!(parent.hash_dir_lower(), key.hash_dir_lower());
    assert_eq!(parent.hash_dir_mixed(), key.hash_dir_mixed());
    if let (Some(size), Some((chunk, _)), Some(content)) = (key.size(), key.chunk(), key.content_size()) {
        assert!(content <= size && content <= chunk);
    }
    let encrypted = key.encrypted(Mac::default(), text);
    assert_eq!(Key::parse(encrypted.as_bytes()), Ok(encrypted));
});
