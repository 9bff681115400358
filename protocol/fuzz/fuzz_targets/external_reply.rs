//! External special remotes, program to host: each message is written as one line and read again.
//!
//! The input is the line of a request, then the line that answers it.
#![no_main]

use annex_protocol::external::{Fit, HostMessage, ProgramMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (request, line) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Ok(message) = ProgramMessage::parse(line) else { return };
    let mut written = Vec::new();
    message.write_to(&mut written);
    assert_eq!(written.pop(), Some(b'\n'));
    assert!(!written.contains(&b'\n'));
    assert_eq!(ProgramMessage::parse(&written).as_ref(), Ok(&message));
    if let (Ok(HostMessage::Request(request)), ProgramMessage::Response(response)) =
        (HostMessage::parse(request), &message)
    {
        let fit = request.fit(response);
        assert!(request.is_answered() || fit == Fit::Wrong);
    }
});
