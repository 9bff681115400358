//! The P2P protocol over HTTP, versions 0 to 4, both directions: addresses, parameters and messages.
//!
//! JSON objects that answer a request are not here: they are flat, and any JSON library reads them.
//! Source: `docs/spec/p2p-http.md` §1 to §3.
//!
//! | file | what |
//! | --- | --- |
//! | `address` | [`Address`]: the path of a request, and what it asks for |
//! | `query` | [`Query`]: the parameters of a request |
//! | `value` | UUIDs, keys and names in paths, parameters and JSON |
//! | `unlock` | [`UnlockReader`]: the messages that a client sends while it holds a lock |

mod address;
mod query;
mod unlock;
mod value;

pub use address::{Address, AddressError, Call, Resource};
pub use query::{Query, QueryError, decode_query};
pub use unlock::{Malformed, UnlockReader, unlock_message};
pub use value::{decode_value, encode_value, percent_decode, percent_encode};

/// The header that tells how many bytes of content are meant to come.
pub const DATA_LENGTH: &str = "X-git-annex-data-length";

/// The type of the JSON objects that answer a request.
pub const JSON: &str = "application/json;charset=utf-8";
