//! What of an upload a server of the P2P protocol still wants.
//!
//! What it kept of an earlier upload cannot be read back from it, so those bytes are asked for and left out of what is
//! sent. The last byte waits for the commit: a server may store what came whole, whether somebody vouches for it or not.

use bytes::Bytes;

use super::error::NodeError;

pub(super) struct Window {
    /// Where the server wants to go on.
    offset: u64,
    /// The whole content's size; nothing until it is announced.
    size: u64,
    /// How much of the content was handed to us.
    position: u64,
    /// The last byte.
    held: Bytes,
}

impl Window {
    pub(super) fn new(offset: u64) -> Self {
        Self { offset, size: 0, position: 0, held: Bytes::new() }
    }

    pub(super) fn announce(&mut self, size: u64) {
        self.size = size;
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Returns how many bytes are sent in all.
    pub(super) fn length(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Takes the next bytes of the content, and returns what of them is to be sent now.
    pub(super) fn take(&mut self, mut bytes: Bytes) -> Result<Bytes, NodeError> {
        let skipped = self.offset.saturating_sub(self.position).min(bytes.len() as u64);
        self.position += bytes.len() as u64;
        if self.position > self.size {
            return Err(NodeError::WrongUpload("more content came than was announced".to_owned()));
        }
        drop(bytes.split_to(usize::try_from(skipped).unwrap_or(usize::MAX).min(bytes.len())));
        if self.position == self.size && !bytes.is_empty() {
            self.held = bytes.split_off(bytes.len() - 1);
        }
        Ok(bytes)
    }

    /// Returns the byte that was held back, if there is one.
    pub(super) fn held(&self) -> Option<u8> {
        self.held.first().copied()
    }

    /// Returns what is left to send when all content has come.
    pub(super) fn last(&mut self) -> Result<Bytes, NodeError> {
        if self.position != self.size {
            return Err(NodeError::WrongUpload(format!("{} of {} bytes came", self.position, self.size)));
        }
        Ok(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_has_is_left_out_and_the_last_byte_waits() {
        let mut window = Window::new(4);
        window.announce(10);
        assert_eq!(window.length(), 6);
        assert_eq!(window.take(Bytes::from_static(b"012")).unwrap(), "");
        assert_eq!(window.take(Bytes::from_static(b"3456")).unwrap(), "456");
        assert!(window.last().is_err(), "not all came");
        assert_eq!(window.take(Bytes::from_static(b"789")).unwrap(), "78");
        assert_eq!(window.held(), Some(b'9'));
        assert_eq!(window.last().unwrap(), "9");
        assert!(window.take(Bytes::from_static(b"x")).is_err(), "more than was announced");
    }

    #[test]
    fn a_server_that_has_everything_is_sent_nothing() {
        let mut window = Window::new(3);
        window.announce(3);
        assert_eq!(window.take(Bytes::from_static(b"abc")).unwrap(), "");
        assert_eq!(window.last().unwrap(), "");
    }
}
