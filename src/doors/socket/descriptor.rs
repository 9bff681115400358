//! File descriptors that came over the socket, as streams.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The longest request: about what a command line can be.
const LONGEST: usize = 512 << 10;

/// Receives a request: its bytes, and the descriptors that came with them.
pub(super) async fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let (mut bytes, mut descriptors) = (Vec::new(), Vec::new());
    let mut chunk = vec![0; 16 << 10];
    loop {
        let read = stream.async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received = recvmsg(stream, &mut [IoSliceMut::new(&mut chunk)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            Ok(received.bytes)
        });
        let read = read.await?;
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let length = bytes.first_chunk().map(|length| u32::from_be_bytes(*length) as usize);
        if length.is_some_and(|length| length > LONGEST) {
            return Err(io::Error::other("a request that is too long"));
        }
        if length.is_some_and(|length| bytes.len() >= 4 + length) {
            return Ok((bytes.split_off(4), descriptors));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Makes the same descriptors once more, for a program.
pub(super) fn duplicate(descriptors: &[OwnedFd; 3]) -> io::Result<[OwnedFd; 3]> {
    let [input, output, errors] = descriptors;
    Ok([input.try_clone()?, output.try_clone()?, errors.try_clone()?])
}

/// A descriptor that becomes a stream when it is first used.
///
/// Not before: whether it waits is a property that is shared with every program that has it too, and git's programs do
/// not expect one that does not.
enum Lazy<S: ?Sized> {
    Unused(Option<OwnedFd>),
    Open(Box<S>),
}

type Reader = dyn AsyncRead + Send + Unpin;
type Writer = dyn AsyncWrite + Send + Unpin;

/// A descriptor that is read from. Once its client is gone, it has ended.
pub(super) struct Input {
    stream: Lazy<Reader>,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// A descriptor that is written to. Once its client is gone, it is broken.
pub(super) struct Output {
    stream: Lazy<Writer>,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum FileType {
    Socket,
    Pipe,
    File,
}

fn kind(descriptor: OwnedFd) -> io::Result<(FileType, OwnedFd)> {
    let file = File::from(descriptor);
    let found = file.metadata()?.file_type();
    let kind = match (found.is_socket(), found.is_fifo()) {
        (true, _) => FileType::Socket,
        (_, true) => FileType::Pipe,
        _ => FileType::File,
    };
    Ok((kind, file.into()))
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    // TCP sockets are read and written in just the same way.
    let socket = std::os::unix::net::UnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

fn reader(descriptor: OwnedFd) -> io::Result<Box<Reader>> {
    Ok(match kind(descriptor)? {
        (FileType::Socket, descriptor) => Box::new(socket(descriptor)?),
        (FileType::Pipe, descriptor) => Box::new(pipe::Receiver::from_owned_fd(descriptor)?),
        (FileType::File, descriptor) => Box::new(tokio::fs::File::from_std(File::from(descriptor))),
    })
}

fn writer(descriptor: OwnedFd) -> io::Result<Box<Writer>> {
    Ok(match kind(descriptor)? {
        (FileType::Socket, descriptor) => Box::new(socket(descriptor)?),
        (FileType::Pipe, descriptor) => Box::new(pipe::Sender::from_owned_fd(descriptor)?),
        (FileType::File, descriptor) => Box::new(tokio::fs::File::from_std(File::from(descriptor))),
    })
}

impl<S: ?Sized> Lazy<S> {
    fn open(&mut self, open: impl Fn(OwnedFd) -> io::Result<Box<S>>) -> io::Result<&mut S> {
        if let Self::Unused(descriptor) = self {
            let descriptor = descriptor.take().ok_or(io::ErrorKind::NotConnected)?;
            *self = Self::Open(open(descriptor)?);
        }
        match self {
            Self::Open(stream) => Ok(stream),
            Self::Unused(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Input {
    pub(super) fn new(descriptor: OwnedFd, gone: CancellationToken) -> Self {
        Self { stream: Lazy::Unused(Some(descriptor)), gone: Box::pin(gone.cancelled_owned()) }
    }
}

impl Output {
    pub(super) fn new(descriptor: OwnedFd, gone: CancellationToken) -> Self {
        Self { stream: Lazy::Unused(Some(descriptor)), gone: Box::pin(gone.cancelled_owned()) }
    }

    fn open(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut Writer>> {
        if self.gone.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.stream.open(writer).map(Pin::new)
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.gone.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        match self.stream.open(reader) {
            Ok(stream) => Pin::new(stream).poll_read(context, buffer),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.open(context) {
            Ok(stream) => stream.poll_write(context, bytes),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.open(context) {
            Ok(stream) => stream.poll_flush(context),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.open(context) {
            Ok(stream) => stream.poll_shutdown(context),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
