//! The key by which clients know the site.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{HashAlg, PrivateKey};

/// The key's file in the site directory, in OpenSSH's format.
const FILE: &str = "host_ed25519";

/// A site's host key.
#[derive(Clone)]
pub struct HostKey(PrivateKey);

/// Why a host key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// Its file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its file holds something else.
    #[error("{}: not an ssh host key of type ed25519 without a passphrase: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: russh::keys::ssh_key::Error,
    },
    /// Others can read its file.
    #[error("{0}: others on this machine can read the host key; chmod 600 {0}")]
    Open(String),
}

impl HostKey {
    /// Returns the host key of the site in `root`, made now if there is none. Blocks.
    pub fn load_or_make(root: &Path) -> Result<Self, HostKeyError> {
        let path = root.join(FILE);
        let fail = |source| HostKeyError::File { path: path.clone(), source };
        match File::open(&path) {
            Ok(file) => Self::load(&path, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(root, &path)?;
                Self::load(&path, &File::open(&path).map_err(fail)?)
            }
            Err(error) => Err(fail(error)),
        }
    }

    fn load(path: &Path, file: &File) -> Result<Self, HostKeyError> {
        let fail = |source| HostKeyError::File { path: path.into(), source };
        let format = |source| HostKeyError::Format { path: path.into(), source };
        if file.metadata().map_err(fail)?.permissions().mode() & 0o077 != 0 {
            return Err(HostKeyError::Open(path.display().to_string()));
        }
        let text = io::read_to_string(file).map_err(fail)?;
        let key = PrivateKey::from_openssh(text).map_err(format)?;
        if key.is_encrypted() {
            return Err(format(russh::keys::ssh_key::Error::Encrypted));
        }
        // RSA above all is out of the question: signing with it leaks the key (RUSTSEC-2023-0071).
        if key.algorithm() != russh::keys::Algorithm::Ed25519 {
            return Err(format(russh::keys::ssh_key::Error::AlgorithmUnsupported { algorithm: key.algorithm() }));
        }
        Ok(Self(key))
    }

    /// Returns the fingerprint as ssh shows it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(super) fn private(&self) -> PrivateKey {
        self.0.clone()
    }
}

/// Makes a key. Another process may do the same: the first one's stays.
fn make(root: &Path, path: &Path) -> Result<(), HostKeyError> {
    let fail = |source| HostKeyError::File { path: path.into(), source };
    let mut seed = [0; Ed25519Keypair::BYTE_SIZE / 2];
    getrandom::fill(&mut seed).map_err(|error| fail(io::Error::other(error)))?;
    let text = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), "annex-keep")
        .and_then(|key| key.to_openssh(LineEnding::LF))
        .map_err(|source| HostKeyError::Format { path: path.into(), source })?;
    let temporary = root.join(format!(".{FILE}.{}", std::process::id()));
    // A process of the same number may have been killed here.
    let _ = std::fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(fail)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&temporary, path));
    let removed = std::fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
        _ => {}
    }
    removed.and_then(|()| File::open(root)?.sync_all()).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = HostKey::load_or_make(dir.path()).unwrap().fingerprint();
        assert!(made.starts_with("SHA256:"));
        assert_eq!(HostKey::load_or_make(dir.path()).unwrap().fingerprint(), made);
        let path = dir.path().join(FILE);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(HostKey::load_or_make(dir.path()), Err(HostKeyError::Open(_))));
    }

    #[test]
    fn other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, "not a key\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(HostKey::load_or_make(dir.path()), Err(HostKeyError::Format { .. })));
    }
}
