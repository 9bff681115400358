//! Streams that end when they should: a connection that can be cut, and answers that are not waited for without end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::io::StreamReader;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A connection that fails from the moment on when it is cut.
pub(super) struct Severable<S> {
    inner: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Severable<S> {
    pub(super) fn new(inner: S, cut: CancellationToken) -> Self {
        Self { inner, cut: Box::pin(cut.cancelled_owned()) }
    }

    /// Asked before each step, which also wakes the task when the cut comes.
    fn whole(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Severable<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Severable<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What goes to the client. It fails once the client is gone, or has taken nothing for too long; then all of the
/// channel's answers fail.
pub(super) struct Answers<W> {
    inner: W,
    gone: CancellationToken,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    patience: Duration,
    /// Runs while the client takes nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<W> Answers<W> {
    pub(super) fn new(inner: W, gone: CancellationToken, patience: Duration) -> Self {
        Self { inner, ended: Box::pin(gone.clone().cancelled_owned()), gone, patience, deadline: None }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Answers<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone")));
        }
        if let Poll::Ready(written) = Pin::new(&mut this.inner).poll_write(cx, buf) {
            this.deadline = None;
            return Poll::Ready(written);
        }
        let end = Instant::now() + this.patience;
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        ready!(deadline.as_mut().poll(cx));
        this.gone.cancel();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Returns what the client sends on its channel.
pub(super) fn input(channel: ChannelReadHalf) -> impl AsyncRead + Send + Unpin {
    let pieces = stream::unfold(channel, |mut channel| async move {
        loop {
            match channel.wait().await? {
                ChannelMsg::Data { data } => return Some((Ok::<Bytes, io::Error>(data), channel)),
                ChannelMsg::Eof | ChannelMsg::Close => return None,
                _ => {}
            }
        }
    });
    StreamReader::new(Box::pin(pieces))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_is_slow_is_not() {
        let (near, mut far) = tokio::io::duplex(4);
        let gone = CancellationToken::new();
        let mut answers = Answers::new(near, gone.clone(), Duration::from_secs(2));
        let slow = tokio::spawn(async move {
            let mut buffer = [0; 4];
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                far.read_exact(&mut buffer).await.unwrap();
            }
            far
        });
        answers.write_all(&[1; 28]).await.unwrap();
        let _far = slow.await.unwrap();
        answers.patience = Duration::from_millis(10);
        let error = answers.write_all(&[1; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(gone.is_cancelled());
        assert_eq!(answers.write_all(&[1]).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_cut_wakes_who_waits() {
        let (near, _far) = tokio::io::duplex(4);
        let cut = CancellationToken::new();
        let mut stream = Severable::new(near, cut.clone());
        let waiting = tokio::spawn(async move { stream.read_u8().await });
        cut.cancel();
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
