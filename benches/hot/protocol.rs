//! The line parser of the P2P protocol.

use annex_protocol::p2p::{Decoder, Event, Message};
use divan::Bencher;
use divan::counter::ItemsCount;

const KEY: &str = "SHA256E-s4096--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.dat";

/// Lines as a client sends them, from bytes to messages.
#[divan::bench]
fn lines(bencher: Bencher<'_, '_>) {
    const REQUESTS: usize = 1000;
    let request = format!("CHECKPRESENT {KEY}\nGET 0 some/file {KEY}\nPUT some/file {KEY}\nREMOVE {KEY}\n");
    let input = request.repeat(REQUESTS / 4).into_bytes();
    bencher.counter(ItemsCount::new(REQUESTS)).bench(|| {
        let mut decoder = Decoder::default();
        let (mut left, mut messages) = (divan::black_box(input.as_slice()), 0);
        while !left.is_empty() {
            let (used, event) = decoder.next(left).unwrap();
            if let Some(Event::Line(line)) = event {
                divan::black_box(Message::parse(line).unwrap());
                messages += 1;
            }
            left = &left[used..];
        }
        assert_eq!(messages, REQUESTS);
    });
}
