//! `cluster.log`: the nodes of clusters. Source: `docs/spec/git-annex-branch.md` §5 and §6.

use std::collections::BTreeSet;

use super::field::{FieldLog, Layout, Record};
use super::lines::words;
use crate::uuid::Uuid;

/// The nodes of a cluster, dead ones included; the log's field is the cluster's UUID. A node may be a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterNodes(pub BTreeSet<Uuid>);

impl Record for ClusterNodes {
    const LAYOUT: Layout = Layout::ClockFirst;
    type Field = Uuid;

    fn parse(text: &[u8]) -> Option<Self> {
        words(text).map(Uuid::parse).collect::<Option<_>>().map(Self)
    }

    fn write(&self) -> Vec<u8> {
        self.0.iter().map(Uuid::as_bytes).collect::<Vec<_>>().join(&b' ')
    }
}

impl FieldLog<ClusterNodes> {
    /// Adds to `locations` every cluster that has one of them among its nodes, and clusters of such clusters.
    ///
    /// Dead repositories must have been removed from `locations` before.
    pub fn add_clusters(&self, locations: &mut BTreeSet<Uuid>) {
        loop {
            let holds = |nodes: &ClusterNodes| nodes.0.iter().any(|node| locations.contains(node));
            let clusters = self.iter().filter(|(cluster, nodes)| cluster.is_cluster() && holds(nodes));
            let new: Vec<Uuid> = clusters
                .filter(|(cluster, _)| !locations.contains(cluster))
                .map(|(cluster, _)| cluster.clone())
                .collect();
            if new.is_empty() {
                return;
            }
            locations.extend(new);
        }
    }
}
