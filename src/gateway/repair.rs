//! Bringing keys to nodes that should have them: after failures, and after changes of what nodes want.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::policy::Admission;
use super::{Gateway, GatewayError, Target};
use crate::annex::BranchError;
use crate::site::repair::Wanting;
use crate::task::blocking;

impl Gateway {
    /// Stores a key on every node that should have it and does not, from copies that are there. Returns the nodes
    /// that have it now and had it not before.
    ///
    /// What is copied is verified like an upload. An error if a copy is still missing, or may be.
    pub async fn repair(&self, key: &Key, file: &AssociatedFile) -> Result<Vec<Uuid>, GatewayError> {
        let plan = self.plan(Target::Cluster, key, file).await?;
        let unknown = plan.failures.join("; ");
        self.record_present(key, &plan.holders).await?;
        if plan.holders.is_empty() && unknown.is_empty() {
            return Err(GatewayError::Refused("no node has the content any more".to_owned()));
        }
        if plan.targets.is_empty() || plan.holders.is_empty() {
            return if unknown.is_empty() { Ok(Vec::new()) } else { Err(GatewayError::Refused(unknown)) };
        }
        let holders = plan.holders.clone();
        let mut receiving = self.receive(key, file, plan, Admission::of_stored(key)).await?;
        let copied = async {
            let source = self.get(Target::Cluster, key, receiving.offset()).await?;
            let mut source = source.ok_or_else(|| GatewayError::Refused("the content is gone".to_owned()))?;
            receiving.announce(source.length()).await;
            while let Some(bytes) = source.next().await {
                receiving.push(bytes?).await;
            }
            Ok::<(), GatewayError>(())
        };
        if let Err(error) = copied.await {
            receiving.suspend().await;
            return Err(error);
        }
        let missing = receiving.failures().join("; ");
        let stored = receiving.finish(true).await?.map(|stored| stored.nodes).unwrap_or_default();
        let fresh: Vec<Uuid> = stored.into_iter().filter(|uuid| !holders.contains(uuid)).collect();
        if missing.is_empty() { Ok(fresh) } else { Err(GatewayError::Refused(missing)) }
    }

    /// Puts a key into the repair queue.
    pub(super) async fn want_repair(&self, key: &Key, file: &AssociatedFile, cause: String) {
        let (site, gateway) = (self.0.site.clone(), self.0.identity.gateway.clone());
        let wanting = Wanting { gateway, key: key.clone(), file: file.clone(), cause, tries: 0 };
        if let Err(error) = blocking(move || site.want_repair(&wanting)).await {
            tracing::error!("{key}: it cannot be put into the repair queue: {error}");
        }
    }

    /// Looks through all keys by the git-annex branch, and puts those that lack a wanted copy into the repair queue.
    /// Returns how many. Blocks.
    pub fn survey(&self) -> Result<usize, GatewayError> {
        let mut lacking = Vec::new();
        self.0.branch.for_each_key(|key, locations| {
            if self.lacks(&key, &locations.present().collect())? {
                lacking.push(key);
            }
            Ok(())
        })?;
        for key in &lacking {
            let gateway = self.0.identity.gateway.clone();
            let (file, cause) = (AssociatedFile::default(), "a node that wants it does not have it".to_owned());
            self.0.site.want_repair(&Wanting { gateway, key: key.clone(), file, cause, tries: 0 })?;
        }
        Ok(lacking.len())
    }

    /// Tells whether a key is on a node of the cluster, but not on all that should have it, by the location log.
    fn lacks(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<bool, BranchError> {
        if !self.0.nodes.iter().any(|member| locations.contains(&member.uuid)) {
            return Ok(false);
        }
        let staying = self.0.nodes.iter().filter(|member| !member.draining).map(|member| member.uuid.clone());
        let (holders, absent): (Vec<Uuid>, Vec<Uuid>) = staying.partition(|uuid| locations.contains(uuid));
        if absent.is_empty() {
            return Ok(false);
        }
        let chosen = self.choose_blocking(key, None, &absent, &holders)?;
        Ok(!chosen.is_empty())
    }
}
