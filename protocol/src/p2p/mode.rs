//! What a server may be asked to change.

use super::{Message, Service};

/// How much a client may change; `docs/spec/p2p-protocol.md` §9.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Everything.
    #[default]
    ReadWrite,
    /// Content may be added, not removed; nothing may be pushed.
    AppendOnly,
    /// Nothing. Locking content still works.
    ReadOnly,
}

const READ_ONLY: &str = "this repository is read-only; write access denied";
const APPEND_ONLY: &str = "this repository is append-only; removal denied";

impl Mode {
    /// Returns the text of the ERROR that a request gets in this mode; `None` if it is allowed.
    ///
    /// The session goes on after the error, except after a CONNECT.
    pub fn refusal(self, request: &Message) -> Option<&'static str> {
        match (self, request) {
            (Self::ReadOnly, Message::Put { .. } | Message::Remove(_) | Message::RemoveBefore { .. }) => {
                Some(READ_ONLY)
            }
            (Self::AppendOnly, Message::Remove(_) | Message::RemoveBefore { .. }) => Some(APPEND_ONLY),
            (Self::ReadOnly | Self::AppendOnly, Message::Connect(Service::ReceivePack)) => Some(READ_ONLY),
            _ => None,
        }
    }
}
