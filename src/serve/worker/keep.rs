//! What the site's Keep needs from time to time: garbage collected, collections removed whose time is over.

use std::time::{Duration, Instant};

use super::LOOK_EVERY;
use crate::serve::arvados::ApiError;
use crate::serve::hub::Hub;

/// How often collections are looked at whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Removes collections whose time is over, and lets blocks go that were kept for none, until the daemon ends.
pub async fn sweep(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = drain.cancelled() => return,
        }
        let swept = async {
            let api = hub.api().await?;
            Ok::<_, ApiError>((api.remove_expired().await?, api.release_orphans().await?))
        };
        match swept.await {
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
            let keep = match hub.keep().await {
                Ok(keep) => keep,
                Err(error) => return tracing::warn!("collecting garbage: {error}"),
            };
            for (mount, collected) in keep.service().collect().await {
                let store = mount.store.name();
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
