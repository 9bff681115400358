//! A block on its way: in memory while it is small, else in a temporary file.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::noted;
use super::volume::Volume;
use crate::store::StoreError;

/// The bytes of a block that has no place yet.
#[derive(Debug)]
pub(super) enum Body {
    /// All its bytes: few enough to be compared with what is in place before a file is made.
    Memory(Vec<Bytes>, u64),
    /// A temporary file.
    File(Temporary, u64),
}

/// A file that is removed when dropped, unless it was given a name.
#[derive(Debug)]
pub(super) struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

/// Blocks up to this size are gathered in memory.
const SMALL: u64 = 128 << 10;

const COMPARE: usize = 256 << 10;

impl Body {
    pub(super) fn new() -> Self {
        Self::Memory(Vec::new(), 0)
    }

    /// Takes all bytes of a small block.
    pub(super) fn of(bytes: Bytes) -> Self {
        let len = bytes.len() as u64;
        Self::Memory(vec![bytes], len)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(_, len) | Self::File(_, len) => *len,
        }
    }

    pub(super) fn push(&mut self, volume: &Volume, bytes: Bytes) -> Result<(), StoreError> {
        if let Self::Memory(parts, len) = self {
            *len += bytes.len() as u64;
            parts.push(bytes);
            if *len > SMALL {
                self.file(volume)?;
            }
            return Ok(());
        }
        self.file(volume)?.write(volume, &bytes)?;
        if let Self::File(_, len) = self {
            *len += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes sure that the bytes are in a temporary file.
    pub(super) fn file(&mut self, volume: &Volume) -> Result<&mut Temporary, StoreError> {
        if let Self::Memory(parts, len) = self {
            volume.room_for(*len)?;
            let mut file = Temporary::create(volume)?;
            for part in parts.drain(..) {
                file.write(volume, &part)?;
            }
            *self = Self::File(file, *len);
        }
        match self {
            Self::File(file, _) => Ok(file),
            Self::Memory(..) => Err(volume.lost()),
        }
    }

    /// Tells whether `other` has just these bytes; it is as long.
    pub(super) fn equals(&mut self, other: &mut File) -> std::io::Result<bool> {
        let mut theirs = vec![0; COMPARE];
        match self {
            Self::Memory(parts, _) => {
                for part in parts.iter().flat_map(|part| part.chunks(COMPARE)) {
                    let theirs = theirs.get_mut(..part.len()).unwrap_or_default();
                    if !filled(other, theirs)? || theirs != part {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::File(temporary, len) => {
                temporary.file.rewind()?;
                let mut ours = vec![0; COMPARE];
                let mut left = *len;
                while left > 0 {
                    let size = left.min(COMPARE as u64) as usize;
                    let (ours, theirs) =
                        (ours.get_mut(..size).unwrap_or_default(), theirs.get_mut(..size).unwrap_or_default());
                    temporary.file.read_exact(ours)?;
                    if !filled(other, theirs)? || ours != theirs {
                        return Ok(false);
                    }
                    left -= size as u64;
                }
                Ok(true)
            }
        }
    }
}

impl Temporary {
    fn create(volume: &Volume) -> Result<Self, StoreError> {
        let folder = volume.temporary();
        let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::Missing { path: volume.root().to_path_buf() });
            }
            Err(error) => return Err(volume.fail("create", &path, error)),
        };
        Ok(Self { file, path: Some(path) })
    }

    fn write(&mut self, volume: &Volume, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|e| volume.fail("write", self.shown(), e))
    }

    /// Notes the BLAKE3 of the bytes with them.
    pub(super) fn note(&self, blake3: &[u8; 32]) {
        noted::note(&self.file, blake3);
    }

    /// Makes the bytes durable.
    pub(super) fn sync(&self, volume: &Volume) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|e| volume.fail("sync", self.shown(), e))
    }

    /// Where it stands while it has no name.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Marks the file as named: it stays.
    pub(super) fn keep(&mut self) {
        self.path = None;
    }

    fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _cleaned_after_a_day = fs::remove_file(path);
        }
    }
}

/// Fills `buffer`; false when the file ends before.
fn filled(file: &mut File, buffer: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
