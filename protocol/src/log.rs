//! The files of the git-annex branch.
//!
//! Source: `docs/spec/git-annex-branch.md`; vectors `log-lines.json` and `journal-names.json`.
//!
//! Everything here is a function from bytes to bytes: the caller reads the file (under the journal lock), hands over
//! its content and the time, and stores what comes back. Five line formats carry all of the files:
//!
//! | format | lines | type | equal clocks |
//! | --- | --- | --- | --- |
//! | presence | `TS status info` | [`PresenceLog`], [`LocationLog`] | first line wins |
//! | old UUID-based | `U value timestamp=TS` | [`FieldLog`] | last line wins |
//! | new UUID-based, map | `TS field value` | [`FieldLog`] | last line wins |
//! | single value | `TS value` | [`SingleLog`] | greatest value wins |
//! | metadata | `TS field +value -value` | [`MetadataLog`] | all lines count |
//!
//! Rewriting drops superseded lines of the same field only. Lines that cannot be parsed are kept, because a newer
//! git-annex may understand them; git-annex itself would drop them.

mod chunk;
mod clock;
mod cluster;
mod config;
mod difference;
mod export;
mod field;
mod group;
mod journal;
mod kind;
mod lines;
mod location;
mod maxsize;
mod merge;
mod metadata;
mod numcopies;
mod preferred;
mod presence;
mod proxy;
mod remote;
mod single;
mod state;
mod transitions;
mod trust;
mod url;
mod uuid;

pub use chunk::{ChunkCount, ChunkField};
pub use clock::Clock;
pub use cluster::ClusterNodes;
pub use config::ConfigValue;
pub use difference::Differences;
pub use export::{ExportField, ExportedTree};
pub use field::{FieldLog, Layout, LogField, Record};
pub use group::Groups;
pub use journal::{branch_path, journal_name, journal_round_trips};
pub use kind::LogKind;
pub use location::{LocationLog, affirm_location, mark_key_dead, record_locations, without_clusters, without_lines};
pub use maxsize::MaxSize;
pub use merge::{Union, union};
pub use metadata::{Metadata, MetadataLog};
pub use numcopies::Copies;
pub use preferred::{GroupPreferred, Preferred};
pub use presence::{PresenceLine, PresenceLog, Status};
pub use proxy::{Proxied, ProxiedRemotes};
pub use remote::RemoteConfig;
pub use single::SingleLog;
pub use state::{ContentIdentifiers, RemoteState};
pub use transitions::{Transition, TransitionLog};
pub use trust::Trust;
pub use url::{Downloader, recorded_urls};
pub use uuid::Description;

#[cfg(test)]
mod tests;
