//! Bringing keys to nodes that should have them: after failures, and after changes of what nodes want.

use std::collections::BTreeSet;
use std::sync::Mutex;

use annex_protocol::key::Key;
use annex_protocol::log::LogKind;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;

use super::facts::logged;
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
        let mut receiving = self.receive(key, file, plan).await?;
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
        let stored = receiving.finish(true).await?.unwrap_or_default();
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
        let branch = &self.0.branch;
        branch.commit()?;
        let Some(tip) = branch.tip()? else { return Ok(0) };
        let mut lacking = Vec::new();
        let failed: Mutex<Option<BranchError>> = Mutex::new(None);
        branch
            .git()
            .for_each_file(tip, |path, blob| {
                let LogKind::Location(key) = LogKind::of(path) else { return Ok(()) };
                let locations = logged(&branch.git().read_blob(blob)?);
                match self.lacks(&key, &locations) {
                    Ok(true) => lacking.push(key),
                    Ok(false) => {}
                    Err(error) => {
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                    }
                }
                Ok(())
            })
            .map_err(BranchError::from)?;
        if let Some(error) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Err(error.into());
        }
        for key in &lacking {
            let gateway = self.0.identity.gateway.clone();
            let (file, cause) = (AssociatedFile::default(), "a node that wants it does not have it".to_owned());
            self.0.site.want_repair(&Wanting { gateway, key: key.clone(), file, cause, tries: 0 })?;
        }
        Ok(lacking.len())
    }

    /// Tells whether a key is on a node of the cluster, but not on all that should have it, by the location log.
    fn lacks(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<bool, BranchError> {
        let (holders, absent): (Vec<Uuid>, Vec<Uuid>) =
            self.0.nodes.iter().map(|member| member.uuid.clone()).partition(|uuid| locations.contains(uuid));
        if holders.is_empty() || absent.is_empty() {
            return Ok(false);
        }
        let chosen = self.choose_blocking(key, None, &absent, &holders)?;
        Ok(!chosen.is_empty())
    }
}
