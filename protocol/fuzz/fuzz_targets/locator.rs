//! Locators, block requests, paths of a Keep server, signatures and gateway index lines: no input panics, what is written is read again.
#![no_main]

use annex_protocol::keep::{BlockHash, BlockRequest, KeepCall, Locator, Mapping, Signer, Token, is_loose_locator};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(locator) = Locator::parse(text) {
        let written = locator.to_string();
        assert_eq!(Locator::parse(written.as_bytes()).as_ref(), Ok(&locator));
        assert!(is_loose_locator(text));
        let request = BlockRequest::parse(text).expect("the documented grammar is the narrower one");
        assert_eq!((request.hash, request.size), (locator.hash(), Some(locator.size())));
        let signer = Signer::new(b"key", 3600);
        let signed = signer.sign(&locator, b"token", 100);
        assert_eq!(signer.verify(signed.to_string().as_bytes(), b"token", 100), Ok(()));
        assert!(signer.verify(signed.to_string().as_bytes(), b"other", 100).is_err());
    }
    if let Ok(mapping) = Mapping::parse(text) {
        assert_eq!(Mapping::parse(&mapping.to_bytes()), Ok(mapping));
    }
    if let Some(KeepCall::Block(block) | KeepCall::Untrash(block)) = KeepCall::parse(text) {
        assert!(block.get(..32).and_then(BlockHash::parse).is_some());
    }
    let _ = Token::parse(text);
});
