//! Asking nodes about what pushes said of them.

use std::sync::Arc;
use std::time::Duration;

use annex_gateway::gateway::upkeep::look_again;
use keep_store::base::task::blocking;
use tokio::time::Instant;

use super::hub::{Hosted, Hub};
use super::repo::RepoError;

/// Asks nodes about the claims that wait in a repository. What is not done after `limit` waits for the next time.
pub async fn settle(hub: &Hub, hosted: &Arc<Hosted>, limit: Duration) -> Result<(), RepoError> {
    let branch = hosted.repo.branch.clone();
    let mut claims = blocking(move || branch.take_claims()).await?;
    if claims.is_empty() {
        return Ok(());
    }
    let end = Instant::now() + limit;
    let gateway = hub.gateway(hosted).await;
    while let Some(claim) = claims.last() {
        match tokio::time::timeout_at(end, look_again(&gateway, claim)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{}: a push says something else of it than is known: {error}", claim.key),
            Err(_elapsed) => break,
        }
        claims.pop();
    }
    let branch = hosted.repo.branch.clone();
    let keep = move || {
        branch.note_claims(&claims)?;
        branch.commit()
    };
    Ok(blocking(keep).await?)
}
