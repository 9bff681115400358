//! A node that counts what is asked of it, one account for all repositories that use it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use futures_util::StreamExt;
use keep_store::base::clock::{SharedClock, SystemClock};
use keep_store::base::stream::Piece;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::error::NodeError;
use super::port::{ByteStream, Capacity, Content, FileUpload, Hold, Incoming, Node, Onward, Pieces, Upload};

mod busy;

pub use busy::Load;
use busy::{Busy, Moving};

/// The accounts of all nodes of a site. Cloning shares them.
#[derive(Clone)]
pub struct Meters {
    requests: Family<OperationOf, Counter>,
    errors: Family<OperationOf, Counter>,
    bytes: Family<DirectionOf, Counter>,
    seconds: Family<OperationOf, Histogram, fn() -> Histogram>,
    last: Arc<Mutex<HashMap<String, LastError>>>,
    busy: Arc<Mutex<HashMap<String, Arc<Busy>>>>,
    clock: SharedClock,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationOf {
    node: String,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionOf {
    node: String,
    direction: &'static str,
}

/// What a node said when it last failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// What it said.
    pub text: String,
    /// When, in seconds since the epoch.
    pub at: u64,
}

/// What a node was asked, in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Requests of all kinds.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Bytes sent to the node.
    pub bytes_in: u64,
    /// Bytes that came from it.
    pub bytes_out: u64,
    /// Its last error.
    pub last_error: Option<LastError>,
}

const OPERATIONS: [&str; 7] = ["present", "get", "put", "commit", "remove", "lock", "read"];
const IN: &str = "in";
const OUT: &str = "out";

/// Upper bounds of the latency histogram, in seconds.
const LATENCY_BOUNDS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];

impl Default for Meters {
    fn default() -> Self {
        let (requests, errors, bytes) = (Family::default(), Family::default(), Family::default());
        let seconds = Family::new_with_constructor((|| Histogram::new(LATENCY_BOUNDS)) as fn() -> Histogram);
        Self {
            requests,
            errors,
            bytes,
            seconds,
            last: Arc::default(),
            busy: Arc::default(),
            clock: SystemClock::shared(),
        }
    }
}

impl Meters {
    /// Returns the same accounts; `clock` tells the time of what is counted from now on.
    #[must_use]
    pub fn at(&self, clock: &SharedClock) -> Self {
        Self { clock: Arc::clone(clock), ..self.clone() }
    }

    /// Returns what a node was asked so far.
    pub fn account(&self, node: &str) -> Account {
        let asked = |family: &Family<OperationOf, Counter>| {
            let of = |operation| {
                family.get(&OperationOf { node: node.to_owned(), operation }).map_or(0, |counter| counter.get())
            };
            OPERATIONS.into_iter().map(of).sum()
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Account {
            requests: asked(&self.requests),
            errors: asked(&self.errors),
            bytes_in: self.moved(node, IN).get(),
            bytes_out: self.moved(node, OUT).get(),
            last_error: last.get(node).cloned(),
        }
    }

    /// Adds the accounts to what is told to Prometheus.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("node_requests", "Requests to a node", self.requests.clone());
        registry.register("node_errors", "Requests to a node that failed", self.errors.clone());
        registry.register("node_bytes", "Bytes of content sent to a node and from it", self.bytes.clone());
        let help = "Time until a node answered; for get and put, until bytes could flow";
        registry.register("node_latency_seconds", help, self.seconds.clone());
    }

    /// Returns the meter of the node that the site calls `name`.
    pub fn of(&self, name: &str) -> Meter {
        Meter(Arc::new(OfNode { name: name.to_owned(), meters: self.clone(), busy: self.busy(name) }))
    }

    /// Returns the account of what a node is doing now.
    fn busy(&self, node: &str) -> Arc<Busy> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(busy.entry(node.to_owned()).or_default())
    }

    fn moved(&self, node: &str, direction: &'static str) -> Counter {
        self.bytes.get_or_create_owned(&DirectionOf { node: node.to_owned(), direction })
    }

    fn failed(&self, node: &str, operation: &'static str, text: String) {
        self.errors.get_or_create(&OperationOf { node: node.to_owned(), operation }).inc();
        let at = self.clock.unix_seconds();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(node.to_owned(), LastError { text, at });
    }
}

/// What is counted about one node. Cloning shares it.
#[derive(Clone, Default)]
pub struct Meter(Arc<OfNode>);

#[derive(Default)]
struct OfNode {
    name: String,
    meters: Meters,
    busy: Arc<Busy>,
}

impl Meter {
    /// Returns how busy the node is.
    pub fn load(&self) -> Load {
        self.0.busy.load()
    }

    /// Notes why an upload leaves the node out that was not even asked.
    pub fn passed_over(&self, why: &NodeError) {
        self.failed("put", why.to_string());
    }

    fn failed(&self, operation: &'static str, text: String) {
        self.0.meters.failed(&self.0.name, operation, text);
    }

    fn moved(&self, direction: &'static str) -> Counter {
        self.0.meters.moved(&self.0.name, direction)
    }

    /// Counts a request and what became of it.
    async fn count<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let asked = OperationOf { node: self.0.name.clone(), operation };
        self.0.meters.requests.get_or_create(&asked).inc();
        let started = Instant::now();
        let done = work.await;
        self.0.meters.seconds.get_or_create(&asked).observe(started.elapsed().as_secs_f64());
        if let Err(error) = &done {
            self.failed(operation, error.to_string());
        }
        done
    }
}

/// A node that counts what is asked of it.
pub struct Measured {
    node: Arc<dyn Node>,
    meter: Meter,
}

impl Measured {
    /// Counts what is asked of a node.
    pub fn new(node: Arc<dyn Node>, meter: Meter) -> Self {
        Self { node, meter }
    }
}

#[async_trait]
impl Node for Measured {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        self.meter.count("present", self.node.present(key)).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let moving = self.meter.0.busy.begin();
        let content = self.meter.count("get", self.node.get(key, offset)).await?;
        let (meter, bytes) = (self.meter.clone(), self.meter.moved(OUT));
        Ok(content.map(|Content { size, stream, verified }| {
            let counted = stream.inspect(move |read| match read {
                Ok(read) => {
                    bytes.inc_by(read.len() as u64);
                }
                Err(error) => meter.failed("read", error.to_string()),
            });
            Content { size, stream: moving.timed(counted).boxed(), verified }
        }))
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let moving = self.meter.0.busy.begin();
        let incoming = self.meter.count("put", self.node.put(key, file)).await?;
        let (meter, bytes) = (self.meter.clone(), self.meter.moved(IN));
        Ok(match incoming {
            Incoming::Pieces(Pieces { upload, kept, takes_blocks }) => {
                let upload = Box::new(MeasuredUpload { upload, meter, bytes, _moving: moving });
                Incoming::Pieces(Pieces { upload, kept, takes_blocks })
            }
            Incoming::WholeFile(upload) => {
                Incoming::WholeFile(Box::new(MeasuredFile { upload, meter, bytes, _moving: moving }))
            }
        })
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.meter.count("remove", self.node.remove(key)).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.meter.count("remove", self.node.set_aside(key)).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        self.meter.count("lock", self.node.lock(key)).await
    }

    /// Asked by the site itself, and not counted.
    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.node.capacity().await
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        match self.node.onward(gateways) {
            Onward::By(node) => Onward::By(Arc::new(Self::new(node, self.meter.clone()))),
            onward @ (Onward::AsIs | Onward::LeadsBack) => onward,
        }
    }
}

struct MeasuredUpload {
    upload: Box<dyn Upload>,
    meter: Meter,
    bytes: Counter,
    _moving: Moving,
}

struct MeasuredFile {
    upload: Box<dyn FileUpload>,
    meter: Meter,
    bytes: Counter,
    _moving: Moving,
}

#[async_trait]
impl FileUpload for MeasuredFile {
    async fn store(self: Box<Self>, file: &Path, size: u64) -> Result<(), NodeError> {
        self.meter.count("commit", self.upload.store(file, size)).await?;
        self.bytes.inc_by(size);
        Ok(())
    }
}

#[async_trait]
impl Upload for MeasuredUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        self.upload.kept().await
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.upload.restart().await
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.upload.announce(size).await
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        if let Piece::Data(bytes) = &piece {
            self.bytes.inc_by(bytes.len() as u64);
        }
        let taken = self.upload.piece(piece).await;
        if let Err(error) = &taken {
            self.meter.failed("put", error.to_string());
        }
        taken
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        self.meter.count("commit", self.upload.commit()).await
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.upload.suspend().await
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        self.upload.abort().await
    }
}
