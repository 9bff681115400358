//! Copies on nodes that do not want them, and how they go.
//!
//! Source: `docs/spec/preferred-content.md` §4 and §9. The gateway knows keys and not all of their file names, so a
//! copy that some name could make wanted is none of these. Nor is required content, or a copy in a repository that is
//! trusted (others count on it without asking), untrusted or dead.

use std::collections::BTreeSet;

use annex_protocol::key::Key;
use annex_protocol::log::Trust;
use annex_protocol::prefer::Question;
use annex_protocol::uuid::Uuid;
use futures_util::future::join_all;
use keep_store::base::task::blocking;

use super::{Gateway, GatewayError};
use crate::branch::BranchError;

impl Gateway {
    /// Returns the nodes whose copy of a key is surplus, given who has the key: they do not want it, and enough others
    /// (by numcopies and mincopies) have it. Blocks.
    pub(super) fn surplus(&self, key: &Key, locations: &BTreeSet<Uuid>) -> Result<Vec<Uuid>, BranchError> {
        let holders = self.0.nodes.iter().filter(|member| locations.contains(&member.uuid));
        let holders: Vec<_> = holders.collect();
        if holders.len() < 2 {
            return Ok(Vec::new());
        }
        let needed = self.copies_needed()?;
        if holders.len() <= needed {
            return Ok(Vec::new());
        }
        let counting = self.counting()?.into_iter().filter_map(|position| self.0.nodes.get(position));
        let counting: BTreeSet<&Uuid> = counting.map(|member| &member.uuid).collect();
        let unwanted = self.judge(key, locations.clone(), |placement, facts| {
            let unwanted = holders.iter().filter(|member| {
                let repository = &member.uuid;
                let question = Question { repository, key, file: None, facts };
                !member.draining
                    && placement.trust(repository) == Trust::Semitrusted
                    && !placement.might_want_to_keep(&question)
            });
            unwanted.map(|member| member.uuid.clone()).collect::<Vec<_>>()
        })?;
        let mut surplus = Vec::new();
        for uuid in unwanted {
            let others = holders.iter().filter(|member| member.uuid != uuid);
            if others.filter(|member| counting.contains(&member.uuid)).count() < needed {
                continue;
            }
            // Repair would only bring it back.
            let staying = self.0.nodes.iter().filter(|member| !member.draining).map(|member| member.uuid.clone());
            let (present, absent): (Vec<Uuid>, Vec<Uuid>) =
                staying.partition(|member| locations.contains(member) && *member != uuid);
            if !self.choose_blocking(key, None, &absent, &present)?.contains(&uuid) {
                surplus.push(uuid);
            }
        }
        Ok(surplus)
    }

    /// Removes a key from nodes that do not want it, from each once enough other nodes hold it under lock. Returns the
    /// names of the nodes that do not have it any more.
    ///
    /// An error if a surplus copy could not be removed; those that could are gone.
    pub async fn drop_surplus(&self, key: &Key) -> Result<Vec<String>, GatewayError> {
        let mut gone: Vec<String> = Vec::new();
        let mut failures = Vec::new();
        let mut tried = BTreeSet::new();
        // One after the other: what nodes want depends on who has the key.
        while let Some(uuid) = self.surplus_now(key).await?.into_iter().find(|uuid| !tried.contains(uuid)) {
            let found = self.0.nodes.iter().enumerate().find(|(_, member)| member.uuid == uuid);
            let Some((position, member)) = found else { break };
            match self.remove_proved(position, key).await {
                Ok(()) => {
                    tracing::info!("{key}: dropped from node {}, which does not want it", member.name);
                    gone.push(member.name.clone());
                }
                Err(error) => {
                    let (node, source) = (member.name.clone(), Box::new(error));
                    failures.push(GatewayError::SurplusStays { node, source });
                }
            }
            tried.insert(uuid);
        }
        GatewayError::of_all(failures).map(|()| gone)
    }

    /// Asks the nodes who has a key, and returns whose copy is surplus. A node that cannot be asked has what the log says.
    async fn surplus_now(&self, key: &Key) -> Result<Vec<Uuid>, GatewayError> {
        let mut locations = self.logged(key).await?;
        let asked = self.0.nodes.iter().map(|member| async move { (member, member.node.present(key).await) });
        for (member, said) in join_all(asked).await {
            match said {
                Ok(true) => drop(locations.insert(member.uuid.clone())),
                Ok(false) => drop(locations.remove(&member.uuid)),
                Err(_) => {}
            }
        }
        let (gateway, key) = (self.clone(), key.clone());
        Ok(blocking(move || gateway.surplus(&key, &locations)).await?)
    }
}
