//! What a path on a Keep server names.
//!
//! Source: `docs/spec/keep-blocks.md` §3.

use super::{BlockHash, BlockRequest};

/// What a request to a Keep server is about; what is done with it is for the method to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepCall<'a> {
    /// `/LOCATOR`: a block, or what looks enough like one to be told that it is none.
    Block(&'a [u8]),
    /// `/untrash/LOCATOR`.
    Untrash(&'a [u8]),
    /// `/index` and `/index/PREFIX`: blocks whose names begin with hex digits.
    Index(&'a [u8]),
    /// `/mounts`.
    Mounts,
    /// `/mounts/UUID/blocks` and `/mounts/UUID/blocks/PREFIX`: the blocks of one mount.
    MountBlocks {
        /// The mount.
        uuid: &'a [u8],
        /// The first hex digits of the blocks.
        prefix: &'a [u8],
    },
    /// `/trash`: the list of blocks to put in the trash.
    Trash,
    /// `/pull`: the list of blocks to fetch from other servers.
    Pull,
    /// `/status.json`.
    Status,
    /// `/metrics`.
    Metrics,
    /// `/_health/ping`.
    Ping,
}

/// Hex digits of a whole hash.
const DIGITS: usize = 32;

impl<'a> KeepCall<'a> {
    /// Reads the path of a request; `None` for paths that are none of Keep's.
    pub fn parse(path: &'a [u8]) -> Option<Self> {
        let path = path.strip_prefix(b"/")?;
        match path {
            b"index" | b"index/" => return Some(Self::Index(b"")),
            b"mounts" => return Some(Self::Mounts),
            b"trash" => return Some(Self::Trash),
            b"pull" => return Some(Self::Pull),
            b"status.json" => return Some(Self::Status),
            b"metrics" => return Some(Self::Metrics),
            b"_health/ping" => return Some(Self::Ping),
            _ => {}
        }
        if let Some(prefix) = path.strip_prefix(b"index/") {
            return is_prefix(prefix).then_some(Self::Index(prefix));
        }
        if let Some(locator) = path.strip_prefix(b"untrash/") {
            return is_block(locator).then_some(Self::Untrash(locator));
        }
        if let Some(rest) = path.strip_prefix(b"mounts/") {
            let mut parts = rest.splitn(3, |byte| *byte == b'/');
            let (uuid, blocks, prefix) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
            return (blocks == b"blocks" && is_prefix(prefix)).then_some(Self::MountBlocks { uuid, prefix });
        }
        // Old clients put two slashes in front.
        let path = path.strip_prefix(b"/").unwrap_or(path);
        is_block(path).then_some(Self::Block(path))
    }
}

/// Tells whether a name begins as a block's does: with a whole hash and nothing, or hints, behind it.
fn is_block(text: &[u8]) -> bool {
    let hash = text.get(..DIGITS).and_then(BlockHash::parse);
    hash.is_some() && (BlockRequest::parse(text).is_ok() || text.get(DIGITS) == Some(&b'+'))
}

/// Tells whether blocks can have names that begin so.
fn is_prefix(text: &[u8]) -> bool {
    text.len() <= DIGITS && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "acbd18db4cc2f85cedef654fccc4a4d8";

    fn parse(path: &str) -> Option<KeepCall<'_>> {
        KeepCall::parse(path.as_bytes())
    }

    #[test]
    fn paths_are_told_from_those_of_repositories() {
        for path in [
            "/",
            "/data",
            "/data/config",
            "/index/config",
            "/index/info/refs",
            "/mounts/config",
            "/trash/config",
            "/untrash/config",
            "/mounts/x/info/refs",
            "//",
            "/untrash/",
            "/metrics/config",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
        for (path, call) in [
            ("/index", KeepCall::Index(b"")),
            ("/index/0af", KeepCall::Index(b"0af")),
            ("/mounts", KeepCall::Mounts),
            ("/mounts/u/blocks", KeepCall::MountBlocks { uuid: b"u", prefix: b"" }),
            ("/mounts/u/blocks/a", KeepCall::MountBlocks { uuid: b"u", prefix: b"a" }),
            ("/status.json", KeepCall::Status),
            ("/_health/ping", KeepCall::Ping),
        ] {
            assert_eq!(parse(path), Some(call), "{path}");
        }
    }

    #[test]
    fn blocks_are_known_by_their_hash() {
        for rest in ["", "+3", "+3+Afoo@bar", "+x", "++"] {
            let path = format!("/{HASH}{rest}");
            let call = Some(KeepCall::Block(path.as_bytes().get(1..).unwrap()));
            assert_eq!(parse(&path), call);
            assert_eq!(parse(&format!("/{path}")), call);
        }
        for path in [
            format!("/{HASH}0"),
            format!("/{HASH}/config"),
            format!("///{HASH}"),
            HASH.to_owned(),
            format!("/{}", HASH.to_uppercase()),
            format!("/{}", &HASH[1..]),
        ] {
            assert_eq!(parse(&path), None, "{path}");
        }
        let path = format!("/untrash/{HASH}+3");
        assert_eq!(parse(&path), Some(KeepCall::Untrash(&path.as_bytes()[9..])));
    }

    proptest! {
        #[test]
        fn every_path_is_read_or_not(path in "(/{0,2}[a-z0-9+@./]{0,80}|/mounts/.{0,20}/blocks.{0,40})") {
            if let Some(KeepCall::Block(text)) = parse(&path) {
                prop_assert!(BlockHash::parse(&text[..32]).is_some());
            }
        }
    }
}
