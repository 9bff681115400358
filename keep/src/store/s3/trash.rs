//! The trash of a bucket: one copy of a block at most, with marks that say until when, and tell it from a later one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annex_protocol::keep::BlockHash;
use futures_util::TryStreamExt;

use super::Volume;
use crate::s3::{Object, S3Error};
use crate::store::{Condemned, StoreError};

/// What the names of marks begin with.
pub(super) const MARKS: &str = ".annex-keep/trash/";

/// How long a copy lasts that a keepstore put in the trash: its own default.
const FOREIGN: Duration = Duration::from_secs(14 * 24 * 3600);

/// Digits of a deadline in a mark's name: marks of a block are listed in the order of their deadlines.
const DIGITS: usize = 12;

/// Moves a block to the trash; see [`crate::store::Retention::trash`].
pub(super) async fn trash(
    volume: &Volume,
    hash: BlockHash,
    deadline: SystemTime,
    unless_since: Option<SystemTime>,
) -> Result<bool, StoreError> {
    let _held = volume.locks.of(&volume.name(), hash).await?;
    let (from, to) = (volume.block(hash), volume.trashed(hash));
    let Some(found) = volume.bucket.head(&from).await? else { return volume.still_there().await.map(|()| false) };
    let touched = volume.touched(hash, &found).await?;
    // Servers tell whole seconds.
    if unless_since.is_some_and(|since| touched + Duration::from_secs(1) >= since) {
        return Ok(false);
    }
    let before = marks(volume, hash).await?;
    let mark = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
    let name = format!("{MARKS}{hash}.{:0DIGITS$}.{mark}", seconds(deadline));
    volume.bucket.put(&name, Vec::new()).await?;
    copy(volume, &from, &to, found.size).await?;
    volume.bucket.delete(&from).await?;
    for name in before {
        volume.bucket.delete(&name).await?;
    }
    Ok(true)
}

/// Renews a block's time; see [`crate::store::Retention::touch`].
pub(super) async fn touch(volume: &Volume, hash: BlockHash) -> Result<bool, StoreError> {
    let _held = volume.locks.of(&volume.name(), hash).await?;
    if volume.bucket.head(&volume.block(hash)).await?.is_none() {
        return volume.still_there().await.map(|()| false);
    }
    volume.touch(hash).await.map(|()| true)
}

/// Brings a block back, touched; see [`crate::store::Retention::untrash`].
pub(super) async fn untrash(volume: &Volume, hash: BlockHash) -> Result<bool, StoreError> {
    let _held = volume.locks.of(&volume.name(), hash).await?;
    let (from, to) = (volume.trashed(hash), volume.block(hash));
    if volume.bucket.head(&to).await?.is_some() {
        return Ok(true);
    }
    let Some(found) = volume.bucket.head(&from).await? else { return volume.still_there().await.map(|()| false) };
    volume.touch(hash).await?;
    copy(volume, &from, &to, found.size).await?;
    forget(volume, hash).await?;
    Ok(true)
}

/// Names the copy that is due; see [`crate::store::Retention::condemn`].
pub(super) async fn condemn(volume: &Volume, hash: BlockHash, due: SystemTime) -> Result<Vec<Condemned>, StoreError> {
    let _held = volume.locks.of(&volume.name(), hash).await?;
    let Some(copy) = volume.bucket.head(&volume.trashed(hash)).await? else { return Ok(Vec::new()) };
    let mut marks = marks(volume, hash).await?;
    if seconds(deadline(&copy, marks.iter().map(String::as_str))) > seconds(due) {
        return Ok(Vec::new());
    }
    if marks.is_empty() {
        let number = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
        let name = format!("{MARKS}{hash}.{:0DIGITS$}.{number}", seconds(due));
        volume.bucket.put(&name, Vec::new()).await?;
        marks.push(name);
    }
    let newest = marks.iter().filter_map(|name| mark(name)).max_by_key(|(_, deadline, _)| *deadline);
    Ok(newest.map(|(_, _, mark)| Condemned { hash, size: copy.size, mark }).into_iter().collect())
}

/// Deletes a marked copy; see [`crate::store::Retention::delete`].
pub(super) async fn delete(volume: &Volume, copy: Condemned) -> Result<bool, StoreError> {
    let _held = volume.locks.of(&volume.name(), copy.hash).await?;
    let marks = marks(volume, copy.hash).await?;
    if !marks.iter().any(|name| mark(name).is_some_and(|(_, _, mark)| mark == copy.mark)) {
        return Ok(false);
    }
    if volume.bucket.head(&volume.block(copy.hash)).await?.is_none() {
        volume.bucket.delete(&volume.recent(copy.hash)).await?;
    }
    forget(volume, copy.hash).await?;
    Ok(true)
}

/// Reads a mark's name: block, deadline in seconds since 1970, and what tells it from others.
pub(super) fn mark(name: &str) -> Option<(BlockHash, u64, u64)> {
    let mut parts = name.strip_prefix(MARKS)?.split('.');
    let (hash, deadline, mark) = (parts.next()?, parts.next()?, parts.next()?);
    Some((BlockHash::parse(hash.as_bytes())?, deadline.parse().ok()?, mark.parse().ok()?))
}

/// Returns until when a copy in the trash lasts, by its marks.
pub(super) fn deadline<'a>(copy: &Object, marks: impl Iterator<Item = &'a str>) -> SystemTime {
    let last = marks.filter_map(mark).map(|(_, deadline, _)| deadline).max();
    let last = last.and_then(|last| UNIX_EPOCH.checked_add(Duration::from_secs(last)));
    last.unwrap_or_else(|| copy.time.checked_add(FOREIGN).unwrap_or(copy.time))
}

/// Whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

async fn marks(volume: &Volume, hash: BlockHash) -> Result<Vec<String>, StoreError> {
    let listed = volume.bucket.list(&format!("{MARKS}{hash}."));
    Ok(listed.map_ok(|(name, _)| name).try_collect().await?)
}

/// Removes the copy in the trash, and then its marks.
async fn forget(volume: &Volume, hash: BlockHash) -> Result<(), StoreError> {
    volume.bucket.delete(&volume.trashed(hash)).await?;
    for name in marks(volume, hash).await? {
        volume.bucket.delete(&name).await?;
    }
    Ok(())
}

/// Copies an object, and looks whether it came whole: a server may say so and have failed.
async fn copy(volume: &Volume, from: &str, to: &str, size: u64) -> Result<(), StoreError> {
    if volume.bucket.copy(from, to).await? && volume.bucket.head(to).await?.is_some_and(|copy| copy.size == size) {
        return Ok(());
    }
    Err(S3Error::Failed(format!("{}: the server did not copy {from} to {to}", volume.bucket.place())).into())
}
