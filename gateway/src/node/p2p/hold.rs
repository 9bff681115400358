//! LOCKCONTENT: content kept from being removed.
//!
//! Source: `docs/spec/p2p-protocol.md` §6.

use annex_protocol::key::Key;
use annex_protocol::p2p::Message;
use async_trait::async_trait;

use super::client::Client;
use super::connection::unexpected;
use super::pool::{Lease, Purpose};
use crate::node::error::NodeError;
use crate::node::port::Hold;
use crate::node::relock::lock_again;

/// A lock with the connection that holds it.
///
/// The server keeps it while the connection stands, and for [`LOCKED`](crate::lock_time::LOCKED) from the lock's start when
/// that breaks.
pub(super) struct P2pHold {
    client: Client,
    key: Key,
    lease: Lease,
}

impl P2pHold {
    /// Locks a key; `None` if it is not there, or just being removed.
    pub(super) async fn take(client: &Client, key: &Key) -> Result<Option<Self>, NodeError> {
        let (lease, answer) = client.ask(Purpose::Lock, &Message::LockContent(key.clone())).await?;
        match answer {
            Message::Success => Ok(Some(Self { client: client.clone(), key: key.clone(), lease })),
            Message::Failure => {
                lease.give_back();
                Ok(None)
            }
            other => Err(unexpected("LOCKCONTENT", &other)),
        }
    }

    /// Ends a lock. UNLOCKCONTENT has no answer, so something else is asked: git-annex would keep content locked for ten
    /// minutes if several of its locks ended at the same moment.
    async fn unlock(mut lease: Lease, key: &Key) -> Result<(), NodeError> {
        lease.connection.queue(&Message::UnlockContent);
        lease.connection.ask(&Message::CheckPresent(key.clone())).await?;
        lease.give_back();
        Ok(())
    }
}

#[async_trait]
impl Hold for P2pHold {
    /// Locks once more, and only then gives the earlier lock back: the time counts from the start of a lock.
    async fn renew(&mut self) -> Result<(), NodeError> {
        let (client, key) = (&self.client, &self.key);
        let fresh = lock_again(|| Self::take(client, key)).await?;
        let earlier = std::mem::replace(&mut self.lease, fresh.lease);
        if let Err(error) = Self::unlock(earlier, &self.key).await {
            tracing::debug!("giving back a lock that another has taken the place of: {error}");
        }
        Ok(())
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        Self::unlock(self.lease, &self.key).await
    }
}
