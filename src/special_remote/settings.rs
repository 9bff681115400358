//! The settings of a remote, as `git annex initremote` and `enableremote` take them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annex_protocol::keep::{Locator, ObjectKind};
use keep_store::base::stream::MAX_BLOCK;

/// Where the store is.
pub(super) const STORE: &str = "store";
/// Keep servers instead of a directory.
pub(super) const KEEP: &str = "keep";
/// An Arvados cluster instead of a directory.
pub(super) const API: &str = "api";
/// Where collections are made there.
pub(super) const PROJECT: &str = "project";
/// How keys are divided among collections.
pub(super) const COLLECTIONS: &str = "collections";
/// Which collection is imported.
pub(super) const COLLECTION: &str = "collection";
/// How many copies servers make.
pub(super) const REPLICAS: &str = "replicas";
/// Where servers put them.
pub(super) const STORAGE_CLASSES: &str = "storageclasses";
/// Whom to trust besides the system's authorities.
pub(super) const CA_FILE: &str = "cafile";
/// How large blocks are cut.
pub(super) const BLOCK_SIZE: &str = "blocksize";
/// How long removed blocks can be brought back.
pub(super) const TRASH_LIFETIME: &str = "trashlifetime";

/// All settings with what LISTCONFIGS says about them.
pub(super) const DESCRIPTIONS: [(&str, &str); 11] = [
    (STORE, "directory of the Keep store (default: annex-keep/keep in the user's data directory)"),
    (KEEP, "instead of store=: addresses of Keep servers, such as http://host:25107, separated by commas"),
    (API, "instead of store=: API server of an Arvados cluster, such as https://x.arvadosapi.com"),
    (PROJECT, "with api=: UUID of the project that the collections are in (default: the user's own)"),
    (COLLECTIONS, "with api=: few, each with many keys; or key, one for each key (default: few)"),
    (COLLECTION, "with importtree=yes: UUID or portable data hash of the collection to import"),
    (REPLICAS, "copies that servers make of each block (default: the cluster's; with keep= 2, or 1 of one server)"),
    (STORAGE_CLASSES, "storage classes for the copies, separated by commas (default: the servers' own)"),
    (CA_FILE, "file with certificates of authorities to trust besides the system's (default: SSL_CERT_FILE)"),
    (BLOCK_SIZE, "cut content into blocks of this size, at most 64MiB (default: 64MiB)"),
    (
        TRASH_LIFETIME,
        "keep the blocks of dropped content for this long, such as 14d or 0 (default: 14d; only with store=)",
    ),
];

/// Settings as PREPARE and INITREMOTE find them; checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) place: Place,
    pub(super) block_size: Option<u32>,
    pub(super) trash_lifetime: Option<Duration>,
    pub(super) replicas: Option<u32>,
    pub(super) classes: Vec<String>,
    pub(super) ca_file: Option<PathBuf>,
}

/// Where blocks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// On these servers.
    Servers(Vec<String>),
    /// On an Arvados cluster.
    Cluster {
        /// Its API server.
        api: String,
        /// Where collections are made; `None`: in the user's own project.
        project: Option<String>,
        /// Each key has a collection of its own.
        single: bool,
        /// The collection whose files are imported.
        import: Option<String>,
    },
}

/// The words of the settings, empty where not set.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) store: Vec<u8>,
    pub(super) keep: Vec<u8>,
    pub(super) api: Vec<u8>,
    pub(super) project: Vec<u8>,
    pub(super) collections: Vec<u8>,
    pub(super) collection: Vec<u8>,
    pub(super) replicas: Vec<u8>,
    pub(super) storage_classes: Vec<u8>,
    pub(super) ca_file: Vec<u8>,
    pub(super) block_size: Vec<u8>,
    pub(super) trash_lifetime: Vec<u8>,
}

/// A setting cannot be what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("{}={} begins with ~, which the shell did not replace: give the whole path", .0, .1.display())]
    Tilde(&'static str, PathBuf),
    #[error("no store= is given, and neither XDG_DATA_HOME nor HOME says where the default would be")]
    NoHome,
    #[error("no store=, keep= or api= is set: run git annex enableremote with one of them")]
    NoStore,
    #[error("{}={}: the working directory is gone", .0, .1.display())]
    NoDirectory(&'static str, PathBuf),
    #[error("blocks are in one place: set one of store=, keep= and api=")]
    Two,
    #[error("project=, collection= and collections= are for api=")]
    NoCluster,
    #[error("api={0} is no address such as https://x.arvadosapi.com")]
    Api(String),
    #[error("project={0} is no UUID of a project or user, such as zzzzz-j7d0g-0123456789abcde")]
    Project(String),
    #[error("collection={0} is neither the UUID nor the portable data hash of a collection")]
    Collection(String),
    #[error("collections={0} is neither few nor key")]
    Collections(String),
    #[error("keep={0} is no list of addresses such as http://host:25107,https://keep.example.org")]
    Keep(String),
    #[error("replicas={0} is no number from 1 to 99")]
    Replicas(String),
    #[error("storageclasses={0} is no list of names such as default,archival")]
    StorageClasses(String),
    #[error("blocksize={0} is not a size from 1KiB to at most 64 MiB, such as 16MiB")]
    BlockSize(String),
    #[error("trashlifetime={0} is not a time, such as 14d, 12h, 30m, 45s, or 0")]
    TrashLifetime(String),
}

impl Words {
    /// Checks the settings of a remote that is being made or enabled: fills in the default, makes paths absolute.
    pub(super) fn complete(mut self) -> Result<Settings, SettingsError> {
        if self.keep.is_empty() && self.api.is_empty() {
            let given = (!self.store.is_empty()).then(|| PathBuf::from(OsString::from_vec(self.store.clone())));
            let store = given.or_else(default_store).ok_or(SettingsError::NoHome)?;
            self.store = absolute(STORE, store)?.into_os_string().into_vec();
        }
        if !self.ca_file.is_empty() {
            let ca_file = PathBuf::from(OsString::from_vec(self.ca_file));
            self.ca_file = absolute(CA_FILE, ca_file)?.into_os_string().into_vec();
        }
        self.settings()
    }

    /// Checks the settings of a remote in use.
    pub(super) fn settings(self) -> Result<Settings, SettingsError> {
        let store = (!self.store.is_empty()).then(|| PathBuf::from(OsString::from_vec(self.store)));
        let servers = optional(self.keep, servers, SettingsError::Keep)?;
        let api = optional(self.api, api, SettingsError::Api)?;
        let project = optional(self.project, project, SettingsError::Project)?;
        let single = optional(self.collections, single, SettingsError::Collections)?;
        let import = optional(self.collection, collection_name, SettingsError::Collection)?;
        if api.is_none() && (project.is_some() || single.is_some() || import.is_some()) {
            return Err(SettingsError::NoCluster);
        }
        let place = match (store, servers, api) {
            (Some(store), None, None) => Place::Directory(store),
            (None, Some(servers), None) => Place::Servers(servers),
            (None, None, Some(api)) => Place::Cluster { api, project, single: single.unwrap_or_default(), import },
            (None, None, None) => return Err(SettingsError::NoStore),
            _ => return Err(SettingsError::Two),
        };
        let replicas = |text: &str| text.parse().ok().filter(|number| (1..100).contains(number));
        Ok(Settings {
            place,
            block_size: optional(self.block_size, block_size, SettingsError::BlockSize)?,
            trash_lifetime: optional(self.trash_lifetime, lifetime, SettingsError::TrashLifetime)?,
            replicas: optional(self.replicas, replicas, SettingsError::Replicas)?,
            classes: optional(self.storage_classes, classes, SettingsError::StorageClasses)?.unwrap_or_default(),
            ca_file: (!self.ca_file.is_empty()).then(|| PathBuf::from(OsString::from_vec(self.ca_file))),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Servers(servers) => f.write_str(&servers.join(",")),
            Self::Cluster { api, .. } => f.write_str(api),
        }
    }
}

fn absolute(setting: &'static str, path: PathBuf) -> Result<PathBuf, SettingsError> {
    if path.starts_with("~") {
        return Err(SettingsError::Tilde(setting, path));
    }
    std::path::absolute(&path).map_err(|_| SettingsError::NoDirectory(setting, path))
}

/// `http(s)://host[:port]`, several of them with commas between.
fn servers(text: &str) -> Option<Vec<String>> {
    let server = |text: &str| {
        let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?.trim_end_matches('/');
        let plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@".contains(&byte));
        plain.then(|| text.trim_end_matches('/').to_owned())
    };
    text.split(',').map(server).collect()
}

/// `host[:port]`, with or without `https://`.
fn api(text: &str) -> Option<String> {
    let address = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    servers(&address).filter(|list| list.len() == 1)?.pop()
}

/// The UUID of a group (`j7d0g`) or user (`tpzed`).
fn project(text: &str) -> Option<String> {
    ObjectKind::is_owner(text).then(|| text.to_owned())
}

/// Returns the name of a collection as the API server takes it: a UUID, or a portable data hash without hints.
pub(super) fn collection_name(text: &str) -> Option<String> {
    match Locator::parse(text.as_bytes()) {
        Ok(hash) => Some(hash.stripped().to_string()),
        Err(_) => matches!(ObjectKind::of(text), Some((_, ObjectKind::Collection))).then(|| text.to_owned()),
    }
}

fn single(text: &str) -> Option<bool> {
    match text {
        "few" => Some(false),
        "key" => Some(true),
        _ => None,
    }
}

fn classes(text: &str) -> Option<Vec<String>> {
    let good = |class: &str| !class.is_empty() && class.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
    text.split(',').map(|class| good(class).then(|| class.to_owned())).collect()
}

fn optional<T>(
    word: Vec<u8>,
    parse: impl Fn(&str) -> Option<T>,
    error: impl Fn(String) -> SettingsError,
) -> Result<Option<T>, SettingsError> {
    if word.is_empty() {
        return Ok(None);
    }
    let word = String::from_utf8(word).map_err(|bad| error(bad.as_bytes().escape_ascii().to_string()))?;
    parse(&word).map(Some).ok_or_else(|| error(word))
}

/// `$XDG_DATA_HOME/annex-keep/keep`.
fn default_store() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join(Path::new("annex-keep/keep")))
}

/// A size as git-annex writes them: `16MiB`, `1 MB`, `65536`.
fn block_size(text: &str) -> Option<u32> {
    let (number, unit) = number(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        _ => return None,
    };
    let size = u32::try_from(number.checked_mul(factor)?).ok()?;
    (1 << 10..=MAX_BLOCK).contains(&size).then_some(size)
}

fn lifetime(text: &str) -> Option<Duration> {
    let (number, unit) = number(text)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "" if number == 0 => 0,
        _ => return None,
    };
    // A time beyond the calendar would mean for ever.
    number.checked_mul(seconds).filter(|seconds| *seconds < 1 << 40).map(Duration::from_secs)
}

/// Splits digits from the unit behind them.
fn number(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(unit)?;
    Some((digits.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("64MiB", 1 << 26),
            ("67108864", 1 << 26),
            ("1 mb", 1_000_000),
            ("1KiB", 1024),
            ("8k", 8000),
            ("2Mib", 2 << 20),
        ] {
            assert_eq!(block_size(text), Some(size), "{text}");
        }
        for text in ["", "banana", "0", "1000", "65MiB", "67108865", "-1", "1.5MiB", "1TiB", "99999999999999999999MiB"]
        {
            assert_eq!(block_size(text), None, "{text}");
        }
    }

    #[test]
    fn lifetimes() {
        for (text, seconds) in [("0", 0), ("0d", 0), ("14d", 1_209_600), ("336h", 1_209_600), ("30m", 1800), ("5 s", 5)]
        {
            assert_eq!(lifetime(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "soon", "14", "-1d", "1y", "99999999999999d"] {
            assert_eq!(lifetime(text), None, "{text}");
        }
    }

    #[test]
    fn paths_become_absolute_and_other_settings_are_checked() {
        let words = |store: &str| Words { store: store.into(), ..Words::default() };
        let here = std::env::current_dir().unwrap();
        assert_eq!(words("a/b").complete().unwrap().place, Place::Directory(here.join("a/b")));
        assert_eq!(words("/a/b").complete().unwrap().place, Place::Directory("/a/b".into()));
        assert_eq!(words("~/keep").complete(), Err(SettingsError::Tilde(STORE, "~/keep".into())));
        assert_eq!(words("").settings(), Err(SettingsError::NoStore));
        let bad = Words { store: b"/a".to_vec(), block_size: b"\xff".to_vec(), ..Words::default() };
        assert_eq!(bad.settings(), Err(SettingsError::BlockSize("\\xff".into())));
    }

    #[test]
    fn servers_are_addresses_without_a_path() {
        let list = |text: &str| servers(text).map(|list| list.join(" "));
        assert_eq!(list("http://a:25107").unwrap(), "http://a:25107");
        assert_eq!(list("https://a/,http://[::1]:1").unwrap(), "https://a http://[::1]:1");
        for text in ["", "a:25107", "http://", "http://a,", "http://a/b", "ftp://a", "http://user@a", "http://a b"] {
            assert_eq!(list(text), None, "{text}");
        }
        assert_eq!(api("x.example:8443").unwrap(), "https://x.example:8443");
        assert_eq!(api("http://x/").unwrap(), "http://x");
        assert_eq!(api("a,https://b"), None);
        assert!(project("zzzzz-j7d0g-0123456789abcde").is_some() && project("zzzzz-4zz18-0123456789abcde").is_none());
        let alone =
            Words { store: b"/a".to_vec(), project: b"zzzzz-j7d0g-0123456789abcde".to_vec(), ..Words::default() };
        assert_eq!(alone.settings(), Err(SettingsError::NoCluster));
        let both = Words { store: b"/a".to_vec(), keep: b"http://a".to_vec(), ..Words::default() };
        assert_eq!(both.settings(), Err(SettingsError::Two));
    }
}
