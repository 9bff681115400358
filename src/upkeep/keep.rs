//! What the site's Keep needs from time to time: garbage collected, collections removed whose time is over.

use std::time::Duration;

use keep_store::entries::{Collected, KeepError};
use keep_store::store::Block;
use tokio::time::Instant;

use super::LOOK_EVERY;
use crate::arvados::ApiError;
use crate::host::hub::Hub;

/// How often collections are looked at whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// What came of collecting garbage.
pub struct Gathered {
    /// Blocks of collections, named first, that no store has.
    pub missing: Vec<(String, Block)>,
    /// The stores, by name, and what went.
    pub stores: Vec<(String, Result<Collected, KeepError>)>,
}

/// Removes collections whose time is over, and lets blocks go that were kept for none, until the daemon ends.
pub async fn sweep(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = drain.cancelled() => return,
        }
        match sweep_now(&hub).await {
            Ok((0, 0)) => {}
            Ok((expired, orphans)) => tracing::info!("{expired} collections removed, {orphans} left-overs cleared"),
            Err(error) => tracing::warn!("removing collections whose time is over: {error}"),
        }
    }
}

/// Collects garbage of the Keep stores from time to time, until the daemon ends.
pub async fn collect(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = drain.cancelled() => return,
        }
        let every = hub.site().config().keep.collect_every;
        if every.is_zero() || last.elapsed() < every {
            continue;
        }
        let collecting = async {
            let Gathered { missing, stores } = match collect_now(&hub).await {
                Ok(gathered) => gathered,
                Err(error) => return tracing::warn!("collecting garbage: {error}"),
            };
            for (collection, block) in missing {
                tracing::error!(collection, %block, "a block of a collection is in no store");
            }
            for (store, collected) in stores {
                match collected {
                    Ok(done) if done.trashed + done.deleted > 0 => {
                        tracing::info!(store, trashed = done.trashed, deleted = done.deleted, "collected garbage");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(store, "collecting garbage: {error}"),
                }
            }
        };
        tokio::select! {
            () = collecting => {}
            () = drain.cancelled() => return,
        }
        last = Instant::now();
    }
}

/// Removes collections whose time is over, and what was kept for none; returns how many of each.
pub async fn sweep_now(hub: &Hub) -> Result<(u64, u64), ApiError> {
    let api = hub.api().await?;
    Ok((api.remove_expired().await?, api.release_orphans().await?))
}

/// Collects the garbage of all stores.
///
/// What collections need is known to the stores before anything goes; if that cannot be found out, nothing does.
pub async fn collect_now(hub: &Hub) -> Result<Gathered, ApiError> {
    let missing = hub.api().await?.reconcile().await?;
    let keep = hub.keep().await?;
    let stores = keep.service().collect().await.into_iter().map(|(mount, done)| (mount.store.name(), done)).collect();
    Ok(Gathered { missing, stores })
}
