//! The P2P protocol: a byte stream is cut at any place; each message is written as one line and read again.
#![no_main]

use annex_protocol::p2p::{AssociatedFile, Decoder, Event, Expect, MAX_LINE, Message, Mode, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let whole = lines(stream, stream.len().max(1));
    let piece = stream.last().map_or(1, |byte| usize::from(*byte % 16) + 1);
    assert_eq!(lines(stream, piece), whole);
    for line in whole {
        assert!(line.len() < MAX_LINE);
        check(&line);
    }
    if let Some(file) = AssociatedFile::encode(stream) {
        assert_eq!(AssociatedFile::parse(file.as_bytes()), Some(file));
    }
});

/// Reads lines, and data as if it were lines too, from pieces of this size.
fn lines(stream: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut decoder, mut lines, mut data) = (Decoder::default(), Vec::new(), Vec::new());
    for mut input in stream.chunks(piece) {
        while !input.is_empty() {
            let Ok((used, event)) = decoder.next(input) else { return lines };
            match event {
                Some(Event::Line(line)) => {
                    lines.push(line.to_vec());
                    if let Ok(Message::Data(length)) = Message::parse(line) {
                        decoder.expect_data(length);
                    }
                }
                Some(Event::Data(piece)) => {
                    data.extend_from_slice(piece);
                    if decoder.data_left() == 0 {
                        lines.extend(
                            data.split(|byte| *byte == b'\n').filter(|line| line.len() < MAX_LINE).map(<[u8]>::to_vec),
                        );
                        data.clear();
                    }
                }
                None => assert_eq!(used, input.len()),
            }
            input = &input[used..];
        }
    }
    lines
}

fn check(line: &[u8]) {
    let parsed = Message::parse(line);
    for expect in [Expect::Request, Expect::Unlock, Expect::PutData, Expect::Validity, Expect::Outcome] {
        expect.judge(parsed.as_ref(), Version::MAX);
    }
    let Ok(message) = parsed else { return };
    let mut written = Vec::new();
    message.write_to(&mut written);
    assert_eq!(written.pop(), Some(b'\n'));
    assert!(!written.contains(&b'\n'));
    // A carriage return at the end is never part of a line.
    if written.last() != Some(&b'\r') {
        assert_eq!(Message::parse(&written).as_ref(), Ok(&message));
    }
    if let Message::Get { file, .. } | Message::Put { file, .. } = &message {
        assert_eq!(file.decode().is_none(), file.is_none());
    }
    assert_eq!(Mode::ReadWrite.refusal(&message), None);
    let old = message.for_version(Version::V0);
    assert!(!matches!(old, Message::SuccessPlus(_) | Message::FailurePlus(_) | Message::AlreadyHavePlus(_)));
}
