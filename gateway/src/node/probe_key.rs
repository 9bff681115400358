//! A key to ask a node about that can do nothing but answer.

use annex_protocol::key::Key;

use super::error::NodeError;

/// Returns the key of empty content.
pub(super) fn probe_key() -> Result<Key, NodeError> {
    let text = b"SHA256-s0--e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    Key::parse(text).map_err(|error| NodeError::Failed(error.to_string()))
}
