//! Nodes for tests keep the promises that they stand in for.

use std::sync::Arc;
use std::time::Duration;

use annex_gateway::node::faulty::{Fault, Faulty, Operation};
use annex_gateway::node::memory::MemoryNode;

use crate::contract::{self, AnyNode};

#[tokio::test]
async fn memory_keeps_the_promises_of_a_node() {
    contract::suite(contract::Allow::default(), async || Arc::new(MemoryNode::default()) as AnyNode).await;
    crate::short::a_short_upload_is_not_the_content(Arc::new(MemoryNode::default())).await;
}

#[tokio::test]
async fn memory_with_an_end_keeps_the_promises_of_a_node() {
    contract::suite(contract::Allow::default(), async || Arc::new(MemoryNode::with_room(16 << 20)) as AnyNode).await;
}

#[tokio::test(start_paused = true)]
async fn a_faulty_node_without_faults_keeps_the_promises_of_a_node_by_any_clock() {
    contract::suite(contract::Allow::default(), async || {
        let node = Faulty::new(Arc::new(MemoryNode::default()));
        node.always(Operation::Present, Fault::Late(Duration::from_secs(60)));
        Arc::new(node) as AnyNode
    })
    .await;
}
