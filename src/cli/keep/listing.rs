//! `annex-keep keep ls`, `index`, `status` and `reindex`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::TryStreamExt;
use keep_store::entries::Options;
use keep_store::store::BlockState;
use serde_json::json;

use super::Store;
use crate::cli::output::{Lines, shown};
use crate::error::{Exit, Failure};

/// List entries.
#[derive(Debug, clap::Args)]
pub(super) struct Ls {
    #[command(flatten)]
    store: Store,
    /// Only those of one owner
    #[arg(long)]
    owner: Option<OsString>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// List blocks as a keepstore does: locator and time in nanoseconds, then an empty line.
#[derive(Debug, clap::Args)]
pub(super) struct Index {
    #[command(flatten)]
    store: Store,
    /// Only blocks whose hash begins with these digits
    #[arg(default_value = "")]
    prefix: String,
    /// Print one JSON object a line, blocks in the trash and damaged ones too
    #[arg(long)]
    json: bool,
}

/// Count what the store holds.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    store: Store,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Rebuild the index from the blocks.
#[derive(Debug, clap::Args)]
pub(super) struct Reindex {
    #[command(flatten)]
    store: Store,
    /// Take manifests that this store's key did not seal, for a store whose key was lost
    #[arg(long)]
    accept_unsigned: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let store = self.store.open().await?;
        let mut entries = store.entries(self.owner.as_deref().map(OsStrExt::as_bytes));
        let mut lines = Lines::new();
        while let Some(entry) = entries.try_next().await? {
            let (owner, name, size) = (shown(&entry.owner), shown(&entry.name), entry.size);
            let hash = store.portable_data_hash(&entry)?;
            let manifest = entry.manifest.to_string();
            let line = if self.json {
                let blocks: Vec<_> = entry.blocks.iter().map(ToString::to_string).collect();
                json!({ "owner": owner, "name": name, "size": size, "manifest": manifest,
                    "portable_data_hash": hash, "blocks": blocks, "stored": nanos(entry.stored) })
                .to_string()
            } else {
                format!("{owner} {size} {manifest} {name}")
            };
            if !lines.line(line)? {
                break;
            }
        }
        lines.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Index {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let digits = self.prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || self.prefix.len() > 32 {
            return Err(Failure::usage(format!("{} is no beginning of a block's hash", self.prefix)));
        }
        let store = self.store.open().await?;
        let mut listing = store.blocks().list(&self.prefix).await?;
        let mut lines = Lines::new();
        while let Some(listed) = listing.try_next().await? {
            let (hash, size, time) = (listed.hash, listed.size, nanos(listed.time));
            let locator = format!("{hash}+{size}");
            let read = match (self.json, listed.state) {
                (false, BlockState::Live) => lines.line(format_args!("{locator} {time}"))?,
                (false, _) => true,
                (true, BlockState::Live) => lines.line(json!({ "block": locator, "mtime": time, "state": "live" }))?,
                (true, BlockState::Damaged) => {
                    lines.line(json!({ "block": locator, "mtime": time, "state": "damaged" }))?
                }
                (true, BlockState::Trashed(deadline)) => {
                    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    lines.line(json!({ "block": locator, "mtime": time, "state": "trashed", "deadline": deadline }))?
                }
            };
            if !read {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if !self.json {
            lines.line("")?;
        }
        lines.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Status {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let store = self.store.open().await?;
        let status = store.status().await?;
        let mut lines = Lines::new();
        // Nobody knows the end of a bucket.
        let known = |bytes: u64| (bytes < u64::MAX).then_some(bytes);
        if self.json {
            lines.line(json!({
                "store": store.name(), "total": known(status.total), "free": known(status.free), "used": status.used,
                "blocks": status.blocks, "trash": status.trash, "trash_bytes": status.trash_bytes,
                "damaged": status.damaged, "entries": status.entries, "entry_bytes": status.entry_bytes,
                "uploads": status.uploads,
            }))?;
        } else {
            lines.line(format_args!("store     {}", store.name()))?;
            lines.line(format_args!("entries   {} ({} bytes)", status.entries, status.entry_bytes))?;
            lines.line(format_args!("blocks    {} ({} bytes)", status.blocks, status.used))?;
            lines.line(format_args!("trash     {} ({} bytes)", status.trash, status.trash_bytes))?;
            lines.line(format_args!("damaged   {}", status.damaged))?;
            lines.line(format_args!("uploads   {} unfinished", status.uploads))?;
            if let (Some(free), Some(total)) = (known(status.free), known(status.total)) {
                lines.line(format_args!("free      {free} of {total} bytes"))?;
            }
        }
        lines.end()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Reindex {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let store = self.store.place()?.open_for_reindex(Options::default()).await?;
        let text = "Keep servers do not tell what they hold, so this index cannot be rebuilt from them";
        let store = store.ok_or_else(|| Failure::usage(text))?;
        let done = store.reindex(self.accept_unsigned).await?;
        let mut lines = Lines::new();
        if self.json {
            let texts =
                |blocks: &[keep_store::store::Block]| blocks.iter().map(ToString::to_string).collect::<Vec<_>>();
            lines.line(json!({ "entries": done.entries, "forgotten": done.forgotten,
                "foreign": texts(&done.foreign), "damaged": texts(&done.damaged) }))?;
        } else {
            lines.line(format_args!("{} entries", done.entries))?;
            if done.forgotten > 0 {
                lines.line(format_args!("{} entries without a manifest forgotten", done.forgotten))?;
            }
            for block in &done.foreign {
                lines.line(format_args!("left out, not written by this store: {block}"))?;
            }
            for block in &done.damaged {
                lines.line(format_args!("damaged manifest, set aside: {block}"))?;
            }
        }
        lines.end()?;
        Ok(if done.damaged.is_empty() { ExitCode::SUCCESS } else { Exit::Partly.into() })
    }
}

fn nanos(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
