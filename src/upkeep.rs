//! What the daemon does by itself: repair, scrub, and what its Keep needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::gateway::GatewayError;
use annex_gateway::gateway::upkeep::{self, Repaired, Surveyed};
use annex_gateway::site::config::Surplus;
use annex_gateway::site::repair::Wanting;
use annex_protocol::uuid::Uuid;
use futures_util::StreamExt;
use keep_store::base::task::blocking;
use tokio::time::Instant;

use crate::error::Failure;
use crate::host::claims;
use crate::host::hub::{Hosted, Hub};

pub mod keep;
mod scrub;

pub use scrub::{Progress, scrub};

/// How often the repair queue is looked at: other processes put keys there, too.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often repositories are looked at for changes of what their nodes should have.
const SURVEY_EVERY: Duration = Duration::from_secs(60);

/// How long nodes of one repository are asked at a time about what pushes said of them.
const CLAIMS_TIME: Duration = Duration::from_secs(20);

/// How long the queue is left alone when it could not be worked off.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Keys taken from the queue at a time.
const BATCH: usize = 64;

/// Works off the repair queue, and fills it when what nodes should have has changed, until the daemon ends.
///
/// A daemon that is started surveys nothing in its first minute; one that has read its configuration again, at once.
pub async fn repair(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    let mut reloads = hub.reloads();
    let mut surveyed = HashMap::new();
    let mut last = Instant::now();
    loop {
        let reloaded = tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => false,
            changed = reloads.changed() => changed.is_ok(),
            () = drain.cancelled() => return,
        };
        if reloaded || last.elapsed() >= SURVEY_EVERY {
            survey_changed(&hub, &mut surveyed).await;
            last = Instant::now();
        }
        let working = async {
            if let Err(error) = work_off(&hub, None).await {
                tracing::error!("working off the repair queue: {}", error.text);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        };
        tokio::select! {
            () = working => {}
            () = drain.cancelled() => return,
        }
    }
}

/// What came of repairs.
#[derive(Debug, Default)]
pub struct Worked {
    /// What could not be repaired, and why.
    pub failed: Vec<Wanting>,
    /// How many copies were dropped from nodes that do not want them.
    pub dropped: usize,
}

/// Repairs what is due, of one repository (by its gateway's UUID) or of all.
pub async fn work_off(hub: &Hub, gateway: Option<&Uuid>) -> Result<Worked, Failure> {
    let mut all = Worked::default();
    loop {
        let (site, asked) = (hub.site(), gateway.cloned());
        let at_once = site.config().repair.at_once;
        let due = blocking(move || site.repairs_due(asked.as_ref(), BATCH)).await?;
        if due.is_empty() {
            return Ok(all);
        }
        let mut working = futures_util::stream::iter(due).map(|wanting| one(hub, wanting)).buffer_unordered(at_once);
        while let Some(outcome) = working.next().await {
            let Worked { failed, dropped } = outcome?;
            all.failed.extend(failed);
            all.dropped += dropped;
        }
    }
}

/// Repairs one key. If that fails, the reason is returned, and the key waits for its next try unless it was never here.
async fn one(hub: &Hub, wanting: Wanting) -> Result<Worked, Failure> {
    let site = hub.site();
    let Some(hosted) = hub.find(&wanting.gateway).await? else {
        // The repository was removed.
        blocking(move || site.repaired(&wanting.gateway, &wanting.key)).await?;
        return Ok(Worked::default());
    };
    let mut dropped = 0;
    let repaired = repair_one(hub, &hosted, &wanting, &mut dropped).await;
    hub.commit_soon(&hosted);
    let (repository, key) = (&hosted.repo.name, &wanting.key);
    let cause = match &repaired {
        Ok(Repaired::Stored(nodes)) => {
            if !nodes.is_empty() {
                tracing::info!(%repository, %key, "repaired: {} more copies", nodes.len());
            }
            None
        }
        Ok(Repaired::Lost) => {
            tracing::error!(%repository, %key, "lost: {LOST}");
            None
        }
        Ok(Repaired::Unknown) => Some("no node has the content".to_owned()),
        Err(error) => {
            tracing::info!(%repository, %key, "not repaired yet: {error}");
            Some(error.to_string())
        }
    };
    let failed = cause.map(|cause| Wanting { cause, ..wanting.clone() });
    let note = move || match (repaired, wanting) {
        (Ok(Repaired::Stored(_) | Repaired::Unknown), Wanting { gateway, key, .. }) => site.repaired(&gateway, &key),
        (Ok(Repaired::Lost), Wanting { gateway, key, .. }) => site.repair_is_lost(&gateway, &key, LOST),
        (Err(error), Wanting { gateway, key, .. }) => site.repair_failed(&gateway, &key, &error.to_string()),
    };
    blocking(note).await?;
    Ok(Worked { failed: failed.into_iter().collect(), dropped })
}

/// The reason that is recorded for a key that is lost.
const LOST: &str = "no node has the content any more; it is not tried again until a node has it";

/// Brings a key to where it should be, and then away from where it should not be, if the site wants that.
async fn repair_one(
    hub: &Hub,
    hosted: &Hosted,
    wanting: &Wanting,
    dropped: &mut usize,
) -> Result<Repaired, GatewayError> {
    let gateway = hub.gateway(hosted).await;
    let repaired = upkeep::repair(&gateway, &wanting.key, &wanting.file, &hub.paces().repair).await?;
    if drops_surplus(hub) && matches!(repaired, Repaired::Stored(_)) {
        *dropped += upkeep::drop_surplus(&gateway, &wanting.key).await?.len();
    }
    Ok(repaired)
}

/// Tells whether copies on nodes that do not want them are to be dropped.
pub fn drops_surplus(hub: &Hub) -> bool {
    hub.site().config().repair.surplus == Surplus::Drop
}

/// Surveys repositories whose placement was changed since they were surveyed.
async fn survey_changed(hub: &Hub, surveyed: &mut HashMap<Uuid, [u8; 32]>) {
    let Ok(repos) = repositories(hub).await else { return };
    for hosted in repos {
        if let Err(error) = claims::settle(hub, &hosted, CLAIMS_TIME).await {
            tracing::warn!("{}: asking nodes about what pushes said of them: {error}", hosted.repo.name);
        }
        let identity = hosted.repo.identity.gateway.clone();
        let gateway = hub.gateway(&hosted).await;
        let before = surveyed.get(&identity).copied();
        let drop_surplus = drops_surplus(hub);
        let changed = blocking(move || {
            upkeep::look_at_lost(&gateway)?;
            let now = upkeep::placement_fingerprint(&gateway)?;
            if before != Some(now) {
                upkeep::survey(&gateway, drop_surplus)?;
            }
            Ok::<_, GatewayError>(now)
        });
        match changed.await {
            Ok(now) => drop(surveyed.insert(identity, now)),
            Err(error) => tracing::warn!("{}: looking for missing copies: {error}", hosted.repo.name),
        }
    }
}

/// Opens all repositories of the site; what cannot be opened is left out.
async fn repositories(hub: &Hub) -> Result<Vec<Arc<Hosted>>, Failure> {
    let hub = hub.clone();
    blocking(move || {
        let names = hub.site().repos()?;
        Ok(names.iter().filter_map(|name| hub.open(name).ok()).collect())
    })
    .await
}

/// Looks through a repository for missing and surplus copies, and at its lost keys; what is missing comes into the queue.
pub async fn survey(hub: &Hub, hosted: &Hosted) -> Result<Surveyed, Failure> {
    let gateway = hub.gateway(hosted).await;
    let look = move || {
        upkeep::look_at_lost(&gateway)?;
        upkeep::survey(&gateway, false)
    };
    Ok(blocking(look).await?)
}
