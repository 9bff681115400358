//! The settings of a remote, as `git annex initremote` and `enableremote` take them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::stream::MAX_BLOCK;

/// Where the store is.
pub(super) const STORE: &str = "store";
/// How large blocks are cut.
pub(super) const BLOCK_SIZE: &str = "blocksize";
/// How long removed blocks can be brought back.
pub(super) const TRASH_LIFETIME: &str = "trashlifetime";

/// All settings with what LISTCONFIGS says about them.
pub(super) const DESCRIPTIONS: [(&str, &str); 3] = [
    (STORE, "directory of the Keep store (default: annex-keep/keep in the user's data directory)"),
    (BLOCK_SIZE, "cut content into blocks of this size, at most 64MiB (default: 64MiB)"),
    (TRASH_LIFETIME, "keep the blocks of dropped content for this long, such as 14d or 0 (default: 14d)"),
];

/// Settings as PREPARE and INITREMOTE find them; checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) store: PathBuf,
    pub(super) block_size: Option<u32>,
    pub(super) trash_lifetime: Option<Duration>,
}

/// The words of the settings, empty where not set.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) store: Vec<u8>,
    pub(super) block_size: Vec<u8>,
    pub(super) trash_lifetime: Vec<u8>,
}

/// A setting cannot be what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("store={} begins with ~, which the shell did not replace: give the whole path", .0.display())]
    Tilde(PathBuf),
    #[error("no store= is given, and neither XDG_DATA_HOME nor HOME says where the default would be")]
    NoHome,
    #[error("no store= is set: run git annex enableremote with store=DIRECTORY")]
    NoStore,
    #[error("store={}: the working directory is gone", .0.display())]
    NoDirectory(PathBuf),
    #[error("blocksize={0} is not a size from 1KiB to at most 64 MiB, such as 16MiB")]
    BlockSize(String),
    #[error("trashlifetime={0} is not a time, such as 14d, 12h, 30m, 45s, or 0")]
    TrashLifetime(String),
}

impl Words {
    /// Checks the settings of a remote that is being made or enabled: fills in the default, makes the path absolute.
    pub(super) fn complete(self) -> Result<Settings, SettingsError> {
        let store = match self.store.is_empty() {
            true => default_store().ok_or(SettingsError::NoHome)?,
            false => PathBuf::from(OsString::from_vec(self.store.clone())),
        };
        if store.starts_with("~") {
            return Err(SettingsError::Tilde(store));
        }
        let store = std::path::absolute(&store).map_err(|_| SettingsError::NoDirectory(store))?;
        self.check(store)
    }

    /// Checks the settings of a remote in use.
    pub(super) fn settings(self) -> Result<Settings, SettingsError> {
        if self.store.is_empty() {
            return Err(SettingsError::NoStore);
        }
        let store = PathBuf::from(OsString::from_vec(self.store.clone()));
        self.check(store)
    }

    fn check(self, store: PathBuf) -> Result<Settings, SettingsError> {
        let block_size = optional(self.block_size, block_size, SettingsError::BlockSize)?;
        let trash_lifetime = optional(self.trash_lifetime, lifetime, SettingsError::TrashLifetime)?;
        Ok(Settings { store, block_size, trash_lifetime })
    }
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
    // More than the calendar holds would mean for ever.
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
        assert_eq!(words("a/b").complete().unwrap().store, here.join("a/b"));
        assert_eq!(words("/a/b").complete().unwrap().store, Path::new("/a/b"));
        assert_eq!(words("~/keep").complete(), Err(SettingsError::Tilde("~/keep".into())));
        assert_eq!(words("").settings(), Err(SettingsError::NoStore));
        let bad = Words { store: b"/a".to_vec(), block_size: b"\xff".to_vec(), ..Words::default() };
        assert_eq!(bad.settings(), Err(SettingsError::BlockSize("\\xff".into())));
    }
}
