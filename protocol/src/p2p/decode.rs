//! Bytes to lines and data, for blocking and asynchronous readers alike.

use super::MAX_LINE;

/// Cuts a byte stream into lines and announced data.
///
/// The reader hands over whatever arrived and is told how much of it was used. A line or piece of data that lies whole
/// in the input is borrowed from it; only a line that is cut by the end of the input is copied. Memory is bounded by
/// [`MAX_LINE`].
///
/// ```
/// use annex_protocol::p2p::{Decoder, Event, LineTooLong, Message};
///
/// let mut decoder = Decoder::default();
/// let mut input: &[u8] = b"DATA 3\nabcVALID\n";
/// let mut data = Vec::new();
/// while !input.is_empty() {
///     let (used, event) = decoder.next(input)?;
///     match event {
///         Some(Event::Line(line)) => {
///             if let Ok(Message::Data(length)) = Message::parse(line) {
///                 decoder.expect_data(length);
///             }
///         }
///         Some(Event::Data(piece)) => data.extend_from_slice(piece),
///         None => {}
///     }
///     input = &input[used..];
/// }
/// assert_eq!(data, b"abc");
/// assert!(decoder.is_between_lines());
/// # Ok::<(), LineTooLong>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// The start of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The last event was a line made from `partial`.
    delivered: bool,
    data_left: u64,
}

/// What was found at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// A non-empty piece of the announced data; the last one when [`Decoder::data_left`] is 0 afterwards.
    Data(&'a [u8]),
}

/// A line has more than [`MAX_LINE`] bytes; the connection has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("protocol line is longer than {MAX_LINE} bytes")]
pub struct LineTooLong;

impl Decoder {
    /// Announces that `length` raw bytes follow the last line.
    pub fn expect_data(&mut self, length: u64) {
        self.data_left = length;
    }

    /// Returns how many announced bytes have not arrived.
    pub fn data_left(&self) -> u64 {
        self.data_left
    }

    /// Tells whether the stream may end here: no data is missing and no line is half read.
    pub fn is_between_lines(&self) -> bool {
        self.data_left == 0 && (self.partial.is_empty() || self.delivered)
    }

    /// Takes the next event from the front of `input`; also returns how many bytes of it were used.
    ///
    /// Without an event all of the input was used and more is needed.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> Result<(usize, Option<Event<'a>>), LineTooLong> {
        if std::mem::take(&mut self.delivered) {
            self.partial.clear();
        }
        if self.data_left > 0 {
            let length = usize::try_from(self.data_left).map_or(input.len(), |left| left.min(input.len()));
            self.data_left -= length as u64;
            let piece = input.get(..length).filter(|piece| !piece.is_empty());
            return Ok((length, piece.map(Event::Data)));
        }
        let end = input.iter().position(|byte| *byte == b'\n');
        let (head, used) = end.map_or((input, input.len()), |end| (input.get(..end).unwrap_or_default(), end + 1));
        if self.partial.len() + used > MAX_LINE {
            return Err(LineTooLong);
        }
        if end.is_some() && self.partial.is_empty() {
            return Ok((used, Some(Event::Line(head))));
        }
        self.partial.extend_from_slice(head);
        self.delivered = end.is_some();
        Ok((used, self.delivered.then_some(Event::Line(&self.partial))))
    }
}
