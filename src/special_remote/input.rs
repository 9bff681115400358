//! Lines from the host.

use std::io::{BufRead, Read as _};

use tokio::sync::mpsc;

/// Longer lines are no messages: paths and settings are far shorter.
const LONGEST: u64 = 1 << 20;

/// Reads lines on a thread of its own and hands them over without their line feeds.
///
/// The channel closes at the end of input, after an error, and at a line that is too long or has no end. The thread is
/// never waited for: reading from a pipe cannot be interrupted.
pub(super) fn lines(mut input: impl BufRead + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(LONGEST).read_until(b'\n', &mut line);
            if read.is_err() || line.pop() != Some(b'\n') || send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receive
}
