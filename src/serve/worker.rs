//! What the daemon does by itself: repair, and collecting garbage of the Keep stores.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use annex_protocol::uuid::Uuid;
use futures_util::StreamExt;

use super::arvados::ApiError;
use super::hub::{Hosted, Hub};
use crate::error::Failure;
use crate::site::repair::Wanting;
use crate::task::blocking;

/// How often the repair queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often repositories are looked at for changes of what their nodes should have.
const SURVEY_EVERY: Duration = Duration::from_secs(60);

/// How often collections are looked at whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Keys that are repaired at once.
const AT_ONCE: usize = 2;

/// Keys taken from the queue at a time.
const BATCH: usize = 64;

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

/// Works off the repair queue, and fills it when what nodes should have has changed, until the daemon ends.
pub async fn repair(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    let mut surveyed = HashMap::new();
    // The first survey waits, so that a daemon that is started does not begin with it.
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = drain.cancelled() => return,
        }
        if last.elapsed() >= SURVEY_EVERY {
            survey_changed(&hub, &mut surveyed).await;
            last = Instant::now();
        }
        let working = work_off(&hub, None);
        tokio::select! {
            _ = working => {}
            () = drain.cancelled() => return,
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
            // What collections need is known to the stores before anything goes; if that cannot be found out, nothing does.
            let reconciled = async { Ok::<_, ApiError>((hub.keep().await?, hub.api().await?.reconcile().await?)) };
            let keep = match reconciled.await {
                Ok((keep, missing)) => {
                    for (collection, block) in missing {
                        tracing::error!(collection, %block, "a block of a collection is in no store");
                    }
                    keep
                }
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

/// Repairs what is due, of one repository (by its gateway's UUID) or of all. Returns what could not be repaired.
pub async fn work_off(hub: &Hub, gateway: Option<&Uuid>) -> Result<Vec<Wanting>, Failure> {
    let mut failed = Vec::new();
    loop {
        let (site, asked) = (hub.site(), gateway.cloned());
        let due = blocking(move || site.repairs_due(asked.as_ref(), BATCH)).await?;
        if due.is_empty() {
            return Ok(failed);
        }
        let mut working = futures_util::stream::iter(due).map(|wanting| one(hub, wanting)).buffer_unordered(AT_ONCE);
        while let Some(outcome) = working.next().await {
            failed.extend(outcome?);
        }
    }
}

/// Repairs one key. One that could not be repaired comes back with the reason, and waits for its next try.
async fn one(hub: &Hub, wanting: Wanting) -> Result<Option<Wanting>, Failure> {
    let Wanting { gateway, key, file, .. } = &wanting;
    let site = hub.site();
    let Some(hosted) = hub.find(gateway).await? else {
        // The repository was removed.
        let (gateway, key) = (gateway.clone(), key.clone());
        blocking(move || site.repaired(&gateway, &key)).await?;
        return Ok(None);
    };
    let repaired = hub.gateway(&hosted).await.repair(key, file).await;
    hub.commit_soon(&hosted);
    let (gateway, key) = (gateway.clone(), key.clone());
    match repaired {
        Ok(nodes) => {
            if !nodes.is_empty() {
                tracing::info!(repository = %hosted.repo.name, %key, "repaired: {} more copies", nodes.len());
            }
            blocking(move || site.repaired(&gateway, &key)).await?;
            Ok(None)
        }
        Err(error) => {
            let cause = error.to_string();
            tracing::info!(repository = %hosted.repo.name, %key, "not repaired yet: {cause}");
            let text = cause.clone();
            blocking(move || site.repair_failed(&gateway, &key, &text)).await?;
            Ok(Some(Wanting { cause, ..wanting }))
        }
    }
}

/// Surveys repositories whose placement was changed since they were surveyed.
async fn survey_changed(hub: &Hub, surveyed: &mut HashMap<Uuid, [u8; 32]>) {
    let asking = hub.clone();
    let opened = blocking(move || {
        let names = asking.site().repos()?;
        Ok::<Vec<_>, Failure>(names.iter().filter_map(|name| asking.open(name).ok()).collect())
    });
    let Ok(repos) = opened.await else { return };
    for hosted in repos {
        let identity = hosted.repo.identity.gateway.clone();
        let gateway = hub.gateway(&hosted).await;
        let before = surveyed.get(&identity).copied();
        let changed = blocking(move || {
            let now = gateway.placement_fingerprint()?;
            if before != Some(now) {
                gateway.survey()?;
            }
            Ok::<_, crate::gateway::GatewayError>(now)
        });
        match changed.await {
            Ok(now) => drop(surveyed.insert(identity, now)),
            Err(error) => tracing::warn!("{}: looking for missing copies: {error}", hosted.repo.name),
        }
    }
}

/// Looks through a repository for missing copies, and returns how many keys lack one.
pub async fn survey(hub: &Hub, hosted: &Hosted) -> Result<usize, Failure> {
    let gateway = hub.gateway(hosted).await;
    Ok(blocking(move || gateway.survey()).await?)
}
