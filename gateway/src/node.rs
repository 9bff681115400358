//! Nodes: places that hold the content of a repository's keys.
//!
//! A node knows nothing of doors, users or other nodes. What it must do is the port, `node/port.rs`; each kind of node is
//! an adapter in a file (and a folder) of its own. Decorators add to any node: `lazy` opens it when it is first asked,
//! `measured` counts what is asked of it, `deadline` waits for it no longer than it deserves.

pub mod annex;
pub mod arvados;
mod chunks;
pub(crate) mod deadline;
pub mod directory;
mod error;
pub mod external;
#[cfg(any(test, feature = "test-nodes"))]
pub mod faulty;
mod foreign;
pub mod keep;
pub mod kind;
mod kinds;
mod lazy;
pub mod measured;
#[cfg(any(test, feature = "test-nodes"))]
pub mod memory;
mod only_ours;
pub mod p2p;
pub mod p2p_http;
mod patience;
mod peer;
mod port;
mod probe_key;
mod relock;
pub mod s3;
pub(crate) mod silence;
mod spooling;
mod turns;
mod window;

pub use error::{NodeError, NodeErrorKind};
pub use kinds::{NodeSpec, Section};
pub use lazy::{Lazy, Opener};
pub use patience::Patience;
pub use peer::Peer;
pub use port::{ByteStream, Capacity, Content, FileUpload, Hold, Incoming, Node, Onward, Pieces, Space, Upload};
pub use spooling::Spooling;
