//! What Arvados clients know a site by: the cluster's id, UUIDs of that cluster, and the key that signs locators.
//!
//! Source: `docs/spec/keep-federation.md` §1, `docs/spec/keep-blocks.md` §2.

use annex_protocol::keep::ClusterId;
use keep_store::base::disk::{make_secret, read_secret};
use sha2::{Digest, Sha256};

use super::{Site, SiteError};

/// The file of the key that signs locators.
const SIGNING_KEY: &str = "keep_signing_key";

/// The characters of cluster ids and UUIDs.
pub(super) const BASE_36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Characters of a UUID behind the cluster and the type.
const UUID_TAIL: usize = 15;

impl Site {
    /// Returns the key that signs locators; it is made if it is not there. Blocks.
    pub fn signing_key(&self) -> Result<Vec<u8>, SiteError> {
        let path = self.root().join(SIGNING_KEY);
        let found = read_secret(&path).and_then(|key| key.map_or_else(|| make_secret(&path), Ok));
        found.map_err(|source| SiteError::File { path, source })
    }

    /// Returns the cluster's id: the configured one, else one that begins with `x`, as private clusters do. Blocks.
    pub fn cluster(&self) -> Result<ClusterId, SiteError> {
        if let Some(cluster) = self.config().keep.cluster {
            return Ok(cluster);
        }
        let derived = format!("x{}", word(&[b"cluster", self.signing_key()?.as_slice()], 4));
        ClusterId::parse(derived.as_bytes()).ok_or_else(|| SiteError::Invalid(format!("{derived} is no cluster id")))
    }
}

/// Returns the UUID of something in a cluster, the same for the same `seed`; `kind` is its five letters, `4zz18`.
pub fn uuid(cluster: ClusterId, kind: &str, seed: &[u8]) -> String {
    format!("{cluster}-{kind}-{}", word(&[kind.as_bytes(), seed], UUID_TAIL))
}

/// Returns so many characters that `parts` decide.
fn word(parts: &[&[u8]], length: usize) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let letter = |byte: u8| BASE_36.get(usize::from(byte % 36)).map_or('0', |letter| char::from(*letter));
    digest.finalize().into_iter().take(length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_one_private_cluster_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let cluster = site.cluster().unwrap();
        assert!(cluster.to_string().starts_with('x'));
        assert_eq!(Site::open(site.root()).unwrap().cluster().unwrap(), cluster);
        let other = Site::init(&dir.path().join("other"), &[]).unwrap();
        assert_ne!(other.signing_key().unwrap(), site.signing_key().unwrap());
        let file = site.root().join("annex-keep.toml");
        let text = std::fs::read_to_string(&file).unwrap().replace("cluster = \"\"", "cluster = \"zzzzz\"");
        std::fs::write(&file, text).unwrap();
        assert_eq!(site.reload().unwrap().cluster().unwrap().to_string(), "zzzzz");
    }

    #[test]
    fn uuids_are_proper_and_stay() {
        let cluster = ClusterId::parse(b"zzzzz").unwrap();
        let one = uuid(cluster, "nyw5e", b"one");
        assert_eq!(one.len(), 27);
        assert_eq!(one, uuid(cluster, "nyw5e", b"one"));
        assert_ne!(one, uuid(cluster, "nyw5e", b"two"));
        assert_ne!(one.get(12..), uuid(cluster, "bi6l4", b"one").get(12..));
    }
}
