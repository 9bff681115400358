//! Reading copies again, at the pace that the site sets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::gateway::upkeep::{self, Due};
use annex_gateway::gateway::{ErrorKind, Gateway, HasKind};
use annex_gateway::site::Site;
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;
use tokio::time::Instant;

use crate::error::Failure;
use crate::host::hub::{Hosted, Hub};

/// Copies of a repository that are looked up at a time.
const BATCH: usize = 20_000;

/// When nothing is due, copies are looked up again after a hundredth of the time between two looks, but within these.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3600)];

/// Reads copies again that are due, the one that was read longest ago first, until the daemon ends.
pub async fn scrub(hub: Hub) {
    let drain = hub.shutdown().drain.clone();
    let mut reloads = hub.reloads();
    loop {
        let pause = tokio::select! {
            pause = round(&hub) => pause.unwrap_or_else(|error| {
                tracing::error!("reading copies again: {}", error.text);
                super::AFTER_FAILURE
            }),
            () = drain.cancelled() => return,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = reloads.changed() => {}
            () = drain.cancelled() => return,
        }
    }
}

/// Reads what is due now. Returns how long to wait before looking again.
async fn round(hub: &Hub) -> Result<Duration, Failure> {
    let site = hub.site();
    let [shortest, longest] = PAUSES;
    let Some(every) = site.config().scrub.every else { return Ok(longest) };
    let before = site.clock().unix_seconds().saturating_sub(every.as_secs());
    let (copies, all) = due(hub, &site, before).await?;
    let mut progress = Progress::new(site.clone());
    let mut skipped = BTreeSet::new();
    for (hosted, gateway, copy) in copies {
        if skipped.contains(&copy.node) {
            continue;
        }
        if hub.site().config().scrub.every != Some(every) {
            break;
        }
        match upkeep::scrub(&gateway, &copy.node, &copy.key, &hub.paces().scrub).await {
            Ok(_) => progress.read(copy.uuid, copy.key).await?,
            Err(error) => {
                tracing::warn!("{}: reading {} again: {error}", hosted.repo.name, copy.key);
                if error.kind() == ErrorKind::Unreachable {
                    skipped.insert(copy.node);
                }
            }
        }
        hub.commit_soon(&hosted);
    }
    progress.end().await?;
    // What was read before that is due again, whether it is remembered or not.
    let old = before.saturating_sub(every.as_secs());
    blocking(move || site.forget_scrubbed(old)).await?;
    Ok(if all { (every / 100).clamp(shortest, longest) } else { Duration::ZERO })
}

type Copies = Vec<(Arc<Hosted>, Gateway, Due)>;

/// Returns the copies of all repositories that were last read before a time, the oldest first; and whether these are all.
async fn due(hub: &Hub, site: &Site, before: u64) -> Result<(Copies, bool), Failure> {
    let scrubbed = site.config().nodes.iter().filter(|(_, node)| node.scrub);
    let nodes: Arc<BTreeSet<String>> = Arc::new(scrubbed.map(|(name, _)| name.clone()).collect());
    let (mut copies, mut all) = (Vec::new(), true);
    for hosted in super::repositories(hub).await? {
        let gateway = hub.gateway(&hosted).await;
        let (asked, nodes) = (gateway.clone(), Arc::clone(&nodes));
        let found = blocking(move || upkeep::copies_due(&asked, &nodes, before, BATCH)).await?;
        all &= found.len() < BATCH;
        copies.extend(found.into_iter().map(|copy| (Arc::clone(&hosted), gateway.clone(), copy)));
    }
    copies.sort_by(|(_, _, one), (_, _, other)| one.cmp(other));
    Ok((copies, all))
}

/// Remembers which copies were read. After a crash, copies that were not recorded yet are read once more.
pub struct Progress {
    site: Site,
    copies: Vec<(Uuid, Key)>,
    since: Instant,
}

impl Progress {
    /// So many copies, or copies for so long, are recorded together.
    const COPIES: usize = 100;
    const TIME: Duration = Duration::from_secs(5);

    /// Starts with nothing read.
    pub fn new(site: Site) -> Self {
        Self { site, copies: Vec::new(), since: Instant::now() }
    }

    /// Notes that a copy was read.
    pub async fn read(&mut self, node: Uuid, key: Key) -> Result<(), Failure> {
        self.copies.push((node, key));
        if self.copies.len() >= Self::COPIES || self.since.elapsed() >= Self::TIME {
            self.end().await?;
        }
        Ok(())
    }

    /// Records all that was read.
    pub async fn end(&mut self) -> Result<(), Failure> {
        let (site, copies) = (self.site.clone(), std::mem::take(&mut self.copies));
        self.since = Instant::now();
        if copies.is_empty() { Ok(()) } else { Ok(blocking(move || site.scrubbed(&copies)).await?) }
    }
}
