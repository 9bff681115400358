//! One job: a request, its answer, the next request.

use std::sync::Arc;

use super::answer;
use super::host::{Ended, Host};
use super::shared::Shared;

/// Answers the requests of one job, until its channel closes.
pub(super) async fn run(mut host: Host, shared: Arc<Shared>) -> Result<(), Ended> {
    while let Some(request) = host.request().await? {
        if let Some(response) = answer::answer(request, &mut host, &shared).await? {
            host.respond(response).await?;
        }
    }
    Ok(())
}
