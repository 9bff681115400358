//! External special remotes, host to program: each message is written as one line and read again.
#![no_main]

use annex_protocol::external::{HostMessage, Job, Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    let (job, line) = Job::parse(line).map_or((None, line), |(job, line)| (Some(job), line));
    let Ok(message) = HostMessage::parse(line) else { return };
    let mut written = Vec::new();
    if let Some(job) = job {
        job.write_to(&mut written);
    }
    message.write_to(&mut written);
    assert_eq!(written.pop(), Some(b'\n'));
    assert!(!written.contains(&b'\n'));
    let again = match job {
        Some(job) => {
            let (again, rest) = Job::parse(&written).expect("a prefix was written");
            assert_eq!(again, job);
            rest
        }
        None => &written,
    };
    assert_eq!(HostMessage::parse(again).as_ref(), Ok(&message));
    // The keys are echoed byte for byte.
    if let HostMessage::Request(Request::CheckPresent { key }) = &message {
        assert!(line.ends_with(key.as_bytes()));
        let request = Request::CheckPresent { key: key.clone() };
        let response = Response::CheckPresentSuccess { key: key.clone() };
        assert_eq!(request.fit(&response), annex_protocol::external::Fit::Ends);
    }
});
