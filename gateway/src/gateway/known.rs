//! What is known about a node without asking it, if the site says that nobody else changes what it has.
//!
//! Only the question whether content is there is answered from this. What decides about a removal, a lock or a copy always
//! asks the node.

use annex_protocol::key::Key;
use keep_store::base::task::blocking;

use super::Member;
use crate::node::NodeError;
use crate::site::{Site, SiteError};

/// What is known about nodes. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Known(Site);

impl Known {
    pub(super) fn new(site: Site) -> Self {
        Self(site)
    }

    /// Tells whether a node has a key. If it was seen to have it within `known_seconds`, it is not asked.
    pub(super) async fn present(&self, member: &Member, key: &Key) -> Result<bool, NodeError> {
        let Some(within) = self.known_seconds(member) else { return member.node.present(key).await };
        let asked = self
            .of_known(member, key, move |site, member, key| Ok((site.knows(&member.uuid, key, within)?, site.now()?)));
        // If the database fails, the node is asked.
        let (known, asked) = asked.await.map_or((false, None), |(known, now)| (known, Some(now)));
        if known {
            return Ok(true);
        }
        let present = member.node.present(key).await?;
        if let (true, Some(asked)) = (present, asked) {
            let learnt = self.of_known(member, key, move |site, member, key| site.learn(&member.uuid, key, asked));
            if let Err(error) = learnt.await {
                tracing::warn!("{key}: remembering that node {} has it: {error}", member.name);
            }
        }
        Ok(present)
    }

    /// Forgets what is known about a key on a node, before and after it is removed there. An error means that others may
    /// still take it for present.
    pub(super) async fn forget(&self, member: &Member, key: &Key) -> Result<(), SiteError> {
        if self.known_seconds(member).is_none() {
            return Ok(());
        }
        self.of_known(member, key, |site, member, key| site.forget_known(&member.uuid, key)).await
    }

    fn known_seconds(&self, member: &Member) -> Option<u64> {
        self.0.config().nodes.get(&member.name)?.known_seconds
    }

    async fn of_known<T: Send + 'static>(
        &self,
        member: &Member,
        key: &Key,
        ask: impl FnOnce(&Site, &Member, &Key) -> Result<T, SiteError> + Send + 'static,
    ) -> Result<T, SiteError> {
        let (site, member, key) = (self.0.clone(), member.clone(), key.clone());
        blocking(move || ask(&site, &member, &key)).await
    }
}
