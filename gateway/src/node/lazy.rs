//! A node that is opened when it is first asked, and tried again each time as long as that fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::error::NodeError;
use super::port::{Capacity, Content, Hold, Incoming, Node, Onward};

/// Opens a node.
#[async_trait]
pub trait Opener: Send + Sync {
    /// Opens the node. An error says why it cannot be asked now.
    async fn open(&self) -> Result<Arc<dyn Node>, NodeError>;
}

/// A node that is opened when it is first asked. Cloning shares it.
#[derive(Clone)]
pub struct Lazy {
    node: Arc<Opening>,
    /// The gateways that the request came through.
    gateways: BTreeSet<Uuid>,
}

struct Opening {
    opener: Box<dyn Opener>,
    opened: OnceCell<Arc<dyn Node>>,
}

impl Lazy {
    /// Makes the node; nothing is opened yet.
    pub fn new(opener: Box<dyn Opener>) -> Self {
        let node = Arc::new(Opening { opener, opened: OnceCell::new() });
        Self { node, gateways: BTreeSet::new() }
    }

    /// Returns the node to ask, opened if it was not yet.
    async fn node(&self) -> Result<Arc<dyn Node>, NodeError> {
        let opened = self.node.opened.get_or_try_init(|| self.node.opener.open()).await?;
        if self.gateways.is_empty() {
            return Ok(Arc::clone(opened));
        }
        match opened.onward(&self.gateways) {
            Onward::AsIs => Ok(Arc::clone(opened)),
            Onward::By(node) => Ok(node),
            Onward::LeadsBack => {
                Err(NodeError::Unreachable("it leads back to a gateway that the request came through".to_owned()))
            }
        }
    }
}

#[async_trait]
impl Node for Lazy {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.node().await?.present(key).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        self.node().await?.get(key, offset).await
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        self.node().await?.put(key, file).await
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.node().await?.remove(key).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.node().await?.set_aside(key).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.node().await?.lock(key).await
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.node().await?.capacity().await
    }

    /// Only an opened node knows where it leads, and this question cannot wait for it. So a node that is not open yet
    /// says that it is asked by another one, which opens it when it is asked something, and then goes the way it says.
    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        let gateways: BTreeSet<Uuid> = self.gateways.union(gateways).cloned().collect();
        match self.node.opened.get() {
            Some(node) => node.onward(&gateways),
            None => Onward::By(Arc::new(Self { node: Arc::clone(&self.node), gateways })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::node::p2p::{Bounds, P2pNode, Program};
    use crate::node::{Patience, Peer};

    const NODE: &[u8] = b"0b6b4c8e-3c2e-4a52-8d1e-2f9a3a1c7d10";
    const OTHER: &[u8] = b"1b0e07ac-3fb0-4d2c-8b39-7a2a2b4f7a11";

    fn uuid(text: &[u8]) -> Uuid {
        Uuid::parse(text).unwrap()
    }

    /// Opens a repository behind a program that cannot be started, the second time.
    struct SecondTime(Arc<Mutex<u32>>);

    #[async_trait]
    impl Opener for SecondTime {
        async fn open(&self) -> Result<Arc<dyn Node>, NodeError> {
            let mut tries = self.0.lock().unwrap();
            *tries += 1;
            if *tries < 2 {
                return Err(NodeError::Unreachable("not yet".to_owned()));
            }
            let peer = Peer { uuid: uuid(NODE), gateway: None, client: uuid(OTHER), bypass: BTreeSet::new() };
            let program = Program::new(vec![b"/no/such/program".to_vec()]);
            Ok(Arc::new(P2pNode::new(program, peer, Patience::default(), Bounds::default())))
        }
    }

    fn key() -> Key {
        Key::parse(b"WORM-s0--a").unwrap()
    }

    #[tokio::test]
    async fn it_is_opened_when_it_is_asked_and_again_as_long_as_that_fails() {
        let tries = Arc::default();
        let node = Lazy::new(Box::new(SecondTime(Arc::clone(&tries))));
        assert!(matches!(node.onward(&BTreeSet::from([uuid(OTHER)])), Onward::By(_)));
        assert_eq!(*tries.lock().unwrap(), 0);
        assert_eq!(node.present(&key()).await, Err(NodeError::Unreachable("not yet".to_owned())));
        for _ in 0..2 {
            assert!(node.present(&key()).await.unwrap_err().reason().contains("/no/such/program"));
        }
        assert_eq!(*tries.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_request_never_goes_back_whether_the_node_was_open_or_not() {
        let tries = Arc::new(Mutex::new(1));
        let node = Lazy::new(Box::new(SecondTime(tries)));
        let Onward::By(unopened) = node.onward(&BTreeSet::from([uuid(NODE)])) else { panic!("it is not open yet") };
        let error = unopened.present(&key()).await.unwrap_err();
        assert!(error.reason().contains("leads back"), "{error}");
        assert!(matches!(unopened.onward(&BTreeSet::new()), Onward::LeadsBack));
        assert!(matches!(node.onward(&BTreeSet::from([uuid(NODE)])), Onward::LeadsBack), "it is open now");
        assert!(matches!(node.onward(&BTreeSet::from([uuid(OTHER)])), Onward::By(_)));
    }
}
