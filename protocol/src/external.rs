//! The external special remote protocol, with its export and import interfaces: messages of both sides.
//!
//! The host is git-annex, or a gateway that runs such programs; the program is `git-annex-remote-TYPE`.
//! Source: `docs/spec/external-special-remote.md`; recorded conversations of git-annex 10.20261026.
//!
//! | file | what |
//! | --- | --- |
//! | `message` | [`HostMessage`] and [`ProgramMessage`]: everything that one side sends |
//! | `host` | [`Request`] and [`RemoteResponse`], host to program |
//! | `program` | [`Response`] and [`RemoteRequest`], program to host |
//! | `answer` | which response fits which request |
//! | `param` | [`WireKey`], [`Word`], [`Text`] and the other parameters |
//! | `extension` | [`Extensions`] and their negotiation |
//! | `job` | [`Job`]: the prefix of ASYNC |
//! | `table` | the macro that makes parser and writer of a message from one line |

#[macro_use]
mod table;

mod answer;
mod extension;
mod host;
mod job;
mod message;
mod param;
mod program;

pub use answer::Fit;
pub use extension::{Extension, Extensions};
pub use host::{RemoteResponse, Request};
pub use job::Job;
pub use message::{HostMessage, ParseError, ProgramMessage};
pub use param::{Availability, Cost, Direction, Text, UrlContent, WireKey, Word};
pub use program::{RemoteRequest, Response};
