//! The other side of the site's socket. No runtime and no database: what is not needed costs no time at the start.

use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::ask::{SocketRequest, Told};
use super::{DIRECTORY, SOCKET, TAKEN, short};

/// What became of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub enum Handed {
    /// No daemon took it: nothing was said to the client.
    NotTaken,
    /// A daemon led it to its end, with this exit code.
    Done(u8),
    /// A daemon took it and was lost, or does not answer. What was said to the client is not known.
    Lost,
}

/// A daemon says within this time whether it takes a conversation.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Hands the conversation on this process's standard streams to the daemon of a site. Blocks until it is over.
pub fn hand_over(site: &Path, told: Told) -> Handed {
    let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
    // A terminal is not read by waiting for events: that is for this process itself.
    if input.is_terminal() || output.is_terminal() {
        return Handed::NotTaken;
    }
    let Ok(mut socket) = connect(site) else { return Handed::NotTaken };
    let descriptors = [input.as_fd(), output.as_fd(), errors.as_fd()];
    if send(&mut socket, &SocketRequest::Shell(told), &descriptors).is_err() {
        return Handed::NotTaken;
    }
    let mut byte = [0];
    match socket.read_exact(&mut byte) {
        Ok(()) if byte == [TAKEN] => {}
        // It may still take it up later.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Handed::Lost,
        _ => return Handed::NotTaken,
    }
    let _ = socket.set_read_timeout(None);
    match socket.read_exact(&mut byte) {
        Ok(()) => Handed::Done(byte[0]),
        Err(_) => Handed::Lost,
    }
}

/// Asks the daemon of a site how it is, in JSON; `None` if there is none.
pub fn ask_status(site: &Path) -> io::Result<Option<String>> {
    let Ok(mut socket) = connect(site) else { return Ok(None) };
    send(&mut socket, &SocketRequest::Status, &[])?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(Some(text).filter(|text| text.starts_with('{')))
}

fn connect(site: &Path) -> io::Result<UnixStream> {
    let directory = File::open(site.join(DIRECTORY))?;
    let socket = UnixStream::connect(short(&directory, SOCKET))?;
    socket.set_read_timeout(Some(ANSWER_TIME))?;
    Ok(socket)
}

fn send(socket: &mut UnixStream, ask: &SocketRequest, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let ask = ask.bytes();
    let length = u32::try_from(ask.len()).map_err(io::Error::other)?;
    let bytes = [&length.to_be_bytes(), ask.as_slice()].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("no room for the descriptors"));
    }
    let sent = sendmsg(&*socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    socket.write_all(bytes.get(sent..).unwrap_or_default())
}
