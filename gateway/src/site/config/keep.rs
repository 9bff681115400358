//! Keep: how the site's Keep stores are served to Keep's own clients.

use std::collections::BTreeSet;
use std::time::Duration;

use annex_protocol::keep::ClusterId;
use serde::Deserialize;

use super::listen::Address;

/// How a site serves Keep.
#[derive(Debug, Clone)]
pub struct Keep {
    /// The cluster's id; without one, it is derived from the signing key.
    pub cluster: Option<ClusterId>,
    /// Where Keep, and nothing else, is served besides the HTTP door.
    pub listen: Vec<Address>,
    /// How long a signature is good, and how long a block that nothing refers to stays.
    pub signature_lifetime: Duration,
    /// How long blocks stay in the trash.
    pub trash_lifetime: Duration,
    /// How often the daemon looks for blocks that nothing refers to; never if it is zero.
    pub collect_every: Duration,
    /// Bytes of blocks on their way in that may be in memory.
    pub memory: u64,
}

/// What Keep's clients see of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepVolume {
    /// They write nothing here.
    pub read_only: bool,
    /// How many copies one copy here counts for.
    pub replication: u32,
    /// Its storage classes.
    pub classes: BTreeSet<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawKeep {
    cluster: String,
    listen: Vec<String>,
    signature_seconds: Option<u64>,
    trash_seconds: Option<u64>,
    collect_seconds: Option<u64>,
    memory: Option<super::limits::Size>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawVolume {
    read_only: bool,
    replication: u32,
    storage_classes: BTreeSet<String>,
}

/// Two weeks, as Keep has it.
const LIFETIME: Duration = Duration::from_secs(14 * 86_400);
const COLLECT_EVERY: Duration = Duration::from_secs(86_400);
const MEMORY: u64 = 1 << 30;

/// The storage class of volumes that name none, and what clients ask for who name none.
const DEFAULT_CLASS: &str = "default";

impl RawKeep {
    pub(super) fn check(self) -> Result<Keep, String> {
        let cluster = match self.cluster.as_str() {
            "" => None,
            text => Some(ClusterId::parse(text.as_bytes()).ok_or_else(|| {
                format!("keep: cluster: \"{text}\" is no cluster id: it has five characters 0-9 and a-z")
            })?),
        };
        let listen = self.listen.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>()?;
        let memory = super::limits::bytes("keep: memory", self.memory)?.unwrap_or(MEMORY);
        Ok(Keep {
            cluster,
            listen,
            signature_lifetime: self.signature_seconds.map_or(LIFETIME, Duration::from_secs),
            trash_lifetime: self.trash_seconds.map_or(LIFETIME, Duration::from_secs),
            collect_every: self.collect_seconds.map_or(COLLECT_EVERY, Duration::from_secs),
            memory,
        })
    }
}

impl Default for RawVolume {
    fn default() -> Self {
        Self { read_only: false, replication: 1, storage_classes: BTreeSet::from([DEFAULT_CLASS.to_owned()]) }
    }
}

impl RawVolume {
    pub(super) fn check(self) -> Result<KeepVolume, String> {
        let Self { read_only, replication, storage_classes: classes } = self;
        // Clients list classes with commas between them.
        let legal = |class: &String| !class.is_empty() && class.bytes().all(|b| b.is_ascii_graphic() && b != b',');
        if let Some(class) = classes.iter().find(|class| !legal(class)) {
            return Err(format!("keep: storage_classes: \"{class}\" is no name of a storage class"));
        }
        if classes.is_empty() || replication == 0 {
            return Err("keep: storage_classes and replication say at least one".to_owned());
        }
        Ok(KeepVolume { read_only, replication, classes })
    }
}
