//! What a process counts about requests, for Prometheus.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::operation::Operation;

/// What a process counts about requests. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Counters {
    requests: Family<RequestLabels, Counter>,
    bytes: Family<ByteLabels, Counter>,
    connections: Family<DoorLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    door: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByteLabels {
    direction: &'static str,
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabel {
    door: &'static str,
}

impl Counters {
    /// Puts everything that is counted here into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests for keys, by how they ended", self.requests.clone());
        registry.register(
            "bytes",
            "Bytes of content that came from clients (in) and went to them (out)",
            self.bytes.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
    }

    pub(super) fn ended(&self, operation: Operation, door: &'static str, outcome: &'static str) {
        self.requests.get_or_create(&RequestLabels { operation: operation.as_str(), door, outcome }).inc();
    }

    pub(super) fn passed(&self, operation: Operation, door: &'static str, bytes: u64) {
        let direction = if operation == Operation::Put { "in" } else { "out" };
        self.bytes.get_or_create(&ByteLabels { direction, door }).inc_by(bytes);
    }

    pub(super) fn connected(&self, door: &'static str) {
        self.connections.get_or_create(&DoorLabel { door }).inc();
    }

    pub(super) fn disconnected(&self, door: &'static str) {
        self.connections.get_or_create(&DoorLabel { door }).dec();
    }
}
