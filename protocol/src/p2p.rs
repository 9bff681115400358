//! The P2P line protocol, versions 0 to 4, both directions.
//!
//! Source: `docs/spec/p2p-protocol.md`; the text of each refusal was recorded from git-annex 10.20261026.
//!
//! | file | what |
//! | --- | --- |
//! | `message` | [`Message`]: every message, and its form for an older peer |
//! | `parse`, `write` | a line to a message and back |
//! | `file` | [`AssociatedFile`] |
//! | `version` | [`Version`] and its negotiation |
//! | `mode` | [`Mode`]: what a read-only or append-only server refuses |
//! | `expect` | [`Expect`]: which messages fit where in a server's session |
//! | `decode` | [`Decoder`]: bytes to lines and data |

mod decode;
mod expect;
mod file;
mod message;
mod mode;
mod parse;
mod version;
mod write;

pub use decode::{Decoder, Event, LineTooLong};
pub use expect::{Expect, Verdict};
pub use file::AssociatedFile;
pub use message::{Message, Service};
pub use mode::Mode;
pub use parse::ParseError;
pub use version::Version;

/// The most bytes that a line may have, its line feed included.
pub const MAX_LINE: usize = 32768;
