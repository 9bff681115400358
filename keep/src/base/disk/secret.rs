//! A secret in a file, made once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::sync_folder;

/// A secret has at least this many characters.
const SHORTEST: usize = 32;

/// Reads a secret, without white space around it; `None` when there is no such file. Blocks.
pub fn read_secret(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => check_secret(&text).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a secret of 256 bits in hex, durably and for its owner alone, unless somebody was faster; returns the one that is
/// there. Blocks.
pub fn make_secret(path: &Path) -> io::Result<Vec<u8>> {
    let temporary = path.with_extension(uuid::Uuid::new_v4().simple().to_string());
    let made = write(&temporary).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| path.parent().map_or(Ok(()), sync_folder)),
    });
    let _gone = fs::remove_file(&temporary);
    made?;
    read_secret(path)?.ok_or_else(|| ErrorKind::NotFound.into())
}

/// Returns the secret in a text, without the end of its line; an error if it is too short to be one.
pub fn check_secret(text: &[u8]) -> io::Result<Vec<u8>> {
    let secret = text.trim_ascii();
    if secret.len() < SHORTEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is too short"));
    }
    Ok(secret.to_vec())
}

/// Returns a line with a new secret of 256 bits in hex. Blocks.
pub fn fresh_secret() -> io::Result<String> {
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push('\n');
    Ok(text)
}

fn write(path: &Path) -> io::Result<()> {
    let text = fresh_secret()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(read_secret(&path).unwrap().is_none());
        let made = make_secret(&path).unwrap();
        assert_eq!(made.len(), 64);
        assert_eq!(make_secret(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        fs::write(&path, "short\n").unwrap();
        assert!(read_secret(&path).is_err());
    }
}
