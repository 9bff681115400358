//! P2P lines and data over any pair of byte streams.

use std::io;
use std::time::Duration;

use annex_protocol::p2p::{Decoder, Event, LineTooLong, Message, ParseError};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// One end of a P2P conversation.
pub struct Wire<R, W> {
    reader: R,
    writer: W,
    input: BytesMut,
    decoder: Decoder,
    output: Vec<u8>,
}

/// How the other side ended a conversation.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It closed its side in the middle of announced data, or of a line.
    #[error("the connection was closed in the middle of a message")]
    Cut,
    /// Nothing moved for as long as the site allows a transfer to stand still.
    #[error("the transfer stalled for too long")]
    Stalled,
    /// It sent a line without an end.
    #[error(transparent)]
    Line(#[from] LineTooLong),
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
}

/// How much is read at once: enough to make the cost of a system call small, little enough for a thousand clients.
const READ_BYTES: usize = 256 << 10;
/// How much is read at once while only lines are expected.
const LINE_BYTES: usize = 4 << 10;
/// Data no longer than this goes out together with the lines around it: the other side wakes up once for all.
const SMALL_BYTES: usize = 16 << 10;
/// A buffer is filled until less than this is free in it. What a pipe gives at once, all the same, is a quarter of a buffer:
/// in one of its own it would keep four times its size from others for as long as anybody has it.
const FREE_BYTES: usize = 32 << 10;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    /// Makes an end that reads and writes these; nothing is read yet.
    pub fn new(reader: R, writer: W) -> Self {
        Self { reader, writer, input: BytesMut::new(), decoder: Decoder::default(), output: Vec::new() }
    }

    /// Returns the next message, or `None` when the other side closed the connection between two.
    ///
    /// Cancelling loses nothing.
    pub async fn receive(&mut self) -> Result<Option<Result<Message, ParseError>>, WireError> {
        loop {
            if !self.input.is_empty() {
                let (used, event) = self.decoder.next(&self.input)?;
                let message = match event {
                    Some(Event::Line(line)) => Some(Message::parse(line)),
                    Some(Event::Data(_)) | None => None,
                };
                drop(self.input.split_to(used));
                if let Some(message) = message {
                    return Ok(Some(message));
                }
                continue;
            }
            if self.input.capacity() > LINE_BYTES {
                // Who only waits for a line keeps no buffer for data.
                self.input = BytesMut::new();
            }
            if self.fill(LINE_BYTES).await? == 0 {
                return if self.decoder.is_between_lines() { Ok(None) } else { Err(WireError::Cut) };
            }
        }
    }

    /// Announces that `length` bytes of data come next.
    pub fn expect_data(&mut self, length: u64) {
        self.decoder.expect_data(length);
    }

    /// Returns the next piece of announced data, or `None` after the last.
    pub async fn data(&mut self) -> Result<Option<Bytes>, WireError> {
        if self.decoder.data_left() == 0 {
            return Ok(None);
        }
        while self.input.is_empty() {
            let left = usize::try_from(self.decoder.data_left()).unwrap_or(READ_BYTES);
            if self.fill(left.saturating_add(LINE_BYTES).min(READ_BYTES)).await? == 0 {
                return Err(WireError::Cut);
            }
        }
        let (used, _) = self.decoder.next(&self.input)?;
        Ok(Some(self.input.split_to(used).freeze()))
    }

    /// Adds a message to what is sent by the next [`Wire::flush`].
    pub fn queue(&mut self, message: &Message) {
        message.write_to(&mut self.output);
    }

    /// Sends a message now.
    pub async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        self.queue(message);
        self.flush().await
    }

    /// Sends data that was announced. An error if nothing of it moves for as long as `stalled`.
    pub async fn send_data(&mut self, bytes: &[u8], stalled: Duration) -> Result<(), WireError> {
        if self.output.len() + bytes.len() <= SMALL_BYTES {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        self.write_queued().await?;
        let mut left = bytes;
        while !left.is_empty() {
            match timeout(stalled, self.writer.write(left)).await.map_err(|_| WireError::Stalled)?? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                written => left = left.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Sends what was queued.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        self.write_queued().await?;
        Ok(self.writer.flush().await?)
    }

    async fn write_queued(&mut self) -> Result<(), WireError> {
        if !self.output.is_empty() {
            self.writer.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }

    async fn fill(&mut self, room: usize) -> Result<usize, WireError> {
        if self.input.capacity() - self.input.len() < room.min(FREE_BYTES) {
            self.input.reserve(room);
        }
        Ok(self.reader.read_buf(&mut self.input).await?)
    }
}
