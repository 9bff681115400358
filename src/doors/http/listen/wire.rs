//! The bytes of a connection: noted as activity, and heard out at the end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;

/// A connection's stream.
///
/// At the end it takes what the client still sends, for a while: a stream that is closed with something unread is reset, and
/// the client might never see the answer that tells why.
pub(super) struct Wire<S> {
    stream: S,
    activity: Activity,
    farewell: Option<Farewell>,
}

struct Farewell {
    /// How long it may take in all.
    end: Pin<Box<Sleep>>,
    /// A client that sends nothing for this long has nothing more to say.
    silence: Pin<Box<Sleep>>,
    left: usize,
}

const FAREWELL_TIME: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: usize = 256 << 20;

impl<S> Wire<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity, farewell: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.activity.sent(written.is_ready());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.activity.sent(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            self.activity.sent(false);
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.farewell.is_none() {
            ready!(Pin::new(&mut wire.stream).poll_shutdown(cx))?;
        }
        let farewell = wire.farewell.get_or_insert_with(|| Farewell {
            end: Box::pin(sleep(FAREWELL_TIME)),
            silence: Box::pin(sleep(SILENCE)),
            left: FAREWELL_BYTES,
        });
        let mut scratch = [0; 16 << 10];
        while farewell.end.as_mut().poll(cx).is_pending() && farewell.left > 0 {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut wire.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return farewell.silence.as_mut().poll(cx).map(Ok),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    farewell.left = farewell.left.saturating_sub(buffer.filled().len());
                    farewell.silence.set(sleep(SILENCE));
                }
                // It has nothing more to say, or is gone.
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
