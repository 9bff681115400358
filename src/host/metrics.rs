//! What is told to Prometheus.
//!
//! Labels are doors, operations and nodes. There are no users, repositories or keys in them: whoever scrapes learns how
//! the site works, not who does what, and the number of series stays small.

use std::sync::atomic::AtomicU64;

use annex_gateway::node::measured::Meters;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::host::status::{NodeState, Status};
use crate::host::traffic::Counters;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: String,
}

/// The content type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns everything that is counted, in the text format of OpenMetrics: of requests, of what nodes were asked, and how the
/// site is.
pub fn render(counters: &Counters, meters: &Meters, status: &Status) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("annex_keep");
    counters.register(&mut registry);
    meters.register(&mut registry);
    nodes(&mut registry, status);
    let gauges = [
        ("transfers_running", "Transfers that have their turn", status.running),
        ("transfers_waiting", "Transfers that wait for their turn", status.waiting),
        ("locks", "Content locks that hold", status.locks),
        ("repositories", "Hosted repositories", status.repositories.len() as u64),
        ("repositories_open", "Repositories that are open", status.open_repositories),
    ];
    for (name, help, value) in gauges {
        registry.register(name, help, ConstGauge::new(value));
    }
    registry.register_with_unit(
        "uptime",
        "Since the daemon started",
        Unit::Seconds,
        ConstGauge::new(status.uptime_seconds),
    );
    registry.register("build", "Which version runs", Info::new(Build { version: status.version.clone() }));
    let mut buffer = String::new();
    process(&mut registry);
    text::encode(&mut buffer, &registry)?;
    Ok(buffer)
}

fn nodes(registry: &mut Registry, status: &Status) {
    let (up, full, free, total, reserved) = (gauge(), gauge(), gauge(), gauge(), gauge());
    for node in &status.nodes {
        let label = NodeLabel { node: node.name.clone() };
        up.get_or_create(&label).set(u64::from(node.state != NodeState::Down));
        full.get_or_create(&label).set(u64::from(node.state == NodeState::Full));
        reserved.get_or_create(&label).set(node.reserved);
        for (family, value) in [(&free, node.free), (&total, node.total)] {
            if let Some(value) = value {
                family.get_or_create(&label).set(value);
            }
        }
    }
    registry.register("node_up", "Whether a node can be used: 1, or 0", up);
    registry.register("node_full", "Whether a node has no room left: 1, or 0", full);
    registry.register("node_reserved_bytes", "Bytes that uploads under way have still to bring to a node", reserved);
    registry.register("node_free_bytes", "Bytes that can still be stored on a node", free);
    registry.register("node_total_bytes", "Bytes that the place of a node has", total);
}

fn gauge() -> Family<NodeLabel, Gauge<u64, AtomicU64>> {
    Family::default()
}

/// What the system knows of this process, under the names that Prometheus's own libraries use.
fn process(registry: &mut Registry) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let registry = registry.sub_registry_with_prefix("process");
    if let Some(kibibytes) = field("VmRSS:") {
        registry.register("resident_memory_bytes", "Memory in use", ConstGauge::new(kibibytes * 1024));
    }
    if let Some(threads) = field("Threads:") {
        registry.register("threads", "Threads", ConstGauge::new(threads));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        registry.register("open_fds", "Open file descriptors", ConstGauge::new(files.count() as u64));
    }
    if let Some(seconds) = cpu_seconds() {
        registry.register("cpu_seconds", "Processor time used", ConstCounter::new(seconds));
    }
}

fn cpu_seconds() -> Option<f64> {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    Some(std::time::Duration::from(time).as_secs_f64())
}
