//! What nodes that hash nothing do with an upload that ends too early.

use crate::contract::{AnyNode, bytes, key_of, send, start};

/// For nodes that know by the key's size when a commit comes too early; the gateway, which hashes all, never does that.
pub(crate) async fn a_short_upload_is_not_the_content(node: AnyNode) {
    let content = bytes(2_500_000, 7);
    let key = key_of(&content);
    let mut pieces = start(&node, &key).await.unwrap();
    send(&mut pieces, &content, 2_000_000, 500_000).await.unwrap();
    pieces.upload.commit().await.unwrap_err();
    assert!(!node.present(&key).await.unwrap());
}
