//! Telling a client when branches change.
//!
//! Source: `docs/spec/git-annex-shell.md` §2.4.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use annex_gateway::git::{Git, GitError, ObjectId};
use annex_protocol::p2p::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// How long a change may wait to be told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why notification ended before the client closed it.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The repository could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The connection failed.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
}

/// Sends READY, then CHANGED with the new commits whenever branches have moved, until the client closes its side or `drain`
/// ends everything.
pub async fn notify<R, W>(git: Git, drain: &CancellationToken, mut reader: R, mut writer: W) -> Result<(), NotifyError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut seen = branches(&git).await?;
    writer.write_all(b"READY\n").await?;
    writer.flush().await?;
    let mut ignored = [0; 1024];
    loop {
        let heard = tokio::select! {
            heard = tokio::time::timeout(LOOK_EVERY, reader.read(&mut ignored)) => heard,
            () = drain.cancelled() => return Ok(()),
        };
        match heard {
            Ok(Ok(0)) => return Ok(()),
            Ok(read) => {
                read?;
                continue;
            }
            Err(_elapsed) => {}
        }
        let now = branches(&git).await?;
        let changed: Vec<Vec<u8>> = now
            .iter()
            .filter(|(name, id)| seen.get(*name) != Some(id))
            .map(|(_, id)| id.to_string().into_bytes())
            .collect();
        seen = now;
        if !changed.is_empty() {
            let mut line = Vec::new();
            Message::Changed(changed).write_to(&mut line);
            writer.write_all(&line).await?;
            writer.flush().await?;
        }
    }
}

async fn branches(git: &Git) -> Result<BTreeMap<String, ObjectId>, GitError> {
    let git = git.clone();
    keep_store::base::task::blocking(move || git.branches()).await
}
