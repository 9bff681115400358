//! Lists a directory volume.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use futures_util::{StreamExt, stream};

use super::trash;
use super::volume::Volume;
use crate::store::{BlockListing, BlockState, Listed, StoreError};

/// Lists blocks, trash and what was set aside; see [`crate::store::Inventory::list`].
pub(super) async fn list(volume: Arc<Volume>, prefix: String) -> Result<BlockListing, StoreError> {
    let found = Arc::clone(&volume);
    let wanted = prefix.clone();
    let folders = tokio::task::spawn_blocking(move || folders(&found, &wanted)).await.map_err(|_| volume.lost())??;
    let folders = stream::iter(folders).then(move |folder| {
        let (volume, lost, prefix) = (Arc::clone(&volume), Arc::clone(&volume), prefix.clone());
        async move {
            let listed = tokio::task::spawn_blocking(move || listed(&volume, &folder, &prefix)).await;
            match listed.map_err(|_| lost.lost()).and_then(|listed| listed) {
                Ok(listed) => stream::iter(listed.into_iter().map(Ok).collect::<Vec<_>>()),
                Err(error) => stream::iter(vec![Err(error)]),
            }
        }
    });
    Ok(folders.flatten().boxed())
}

/// The folders that can hold blocks with that prefix, and the one for damaged blocks.
fn folders(volume: &Volume, prefix: &str) -> Result<Vec<PathBuf>, StoreError> {
    volume.still_there()?;
    let mut folders = Vec::new();
    for entry in fs::read_dir(volume.root()).map_err(|e| volume.fail("list", volume.root(), e))? {
        let entry = entry.map_err(|e| volume.fail("list", volume.root(), e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_hex(name)) else { continue };
        if name.starts_with(prefix) || prefix.starts_with(name) {
            folders.push(entry.path());
        }
    }
    folders.sort();
    folders.push(volume.damaged());
    Ok(folders)
}

fn listed(volume: &Volume, folder: &Path, prefix: &str) -> Result<Vec<Listed>, StoreError> {
    let damaged = folder == volume.damaged();
    let mut listed = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(listed),
        Err(error) => return Err(volume.fail("list", folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| volume.fail("list", folder, e))?;
        let name = entry.file_name();
        let Some((hash, state)) = name.to_str().filter(|name| name.starts_with(prefix)).and_then(|n| read(n, damaged))
        else {
            continue;
        };
        // A block that went away meanwhile is no error.
        let Ok(found) = entry.metadata() else { continue };
        if found.is_file() {
            let set_aside = || name.to_str()?.rsplit_once('.')?.1.parse().ok().map(Duration::from_secs);
            let time = match state {
                BlockState::Damaged => set_aside().and_then(|age| UNIX_EPOCH.checked_add(age)).unwrap_or(UNIX_EPOCH),
                BlockState::Live | BlockState::Trashed(_) => found.modified().unwrap_or(UNIX_EPOCH),
            };
            listed.push(Listed { hash, size: found.len(), time, state });
        }
    }
    listed.sort_by_key(|listed| listed.hash);
    Ok(listed)
}

fn read(name: &str, damaged: bool) -> Option<(BlockHash, BlockState)> {
    if damaged {
        return Some((BlockHash::parse(name.split_once('.')?.0.as_bytes())?, BlockState::Damaged));
    }
    if let Some(hash) = BlockHash::parse(name.as_bytes()) {
        return Some((hash, BlockState::Live));
    }
    trash::deadline(name).map(|(hash, deadline)| (hash, BlockState::Trashed(deadline)))
}

fn is_hex(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
