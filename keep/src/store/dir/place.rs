//! Puts a finished block in its place, whatever stands there.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek};

use annex_protocol::keep::BlockHash;
use md5::{Digest, Md5};

use super::temp::Body;
use super::volume::{Volume, is_at};
use crate::base::disk::rename_new;
use crate::store::{Block, Placed, StoreError};

/// When a block that was put in place is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// When [`place`] returns.
    Now,
    /// After the next [`Volume::sync`].
    Later,
}

/// Puts `body` in place as `block`; see [`crate::store::BlockWriter::finish`] and [`crate::store::PlaceUnsynced::place`].
pub(super) fn place(volume: &Volume, mut body: Body, block: Block, durable: Durable) -> Result<Placed, StoreError> {
    if body.len() != u64::from(block.size) {
        return Err(StoreError::Size { block, size: body.len() });
    }
    let path = volume.block(block.hash);
    let mut placed = Placed::New;
    loop {
        match standing(volume, &mut body, block, durable)? {
            Standing::Equal => return Ok(if placed == Placed::New { Placed::Existing } else { placed }),
            Standing::SetAside => placed = Placed::Repaired,
            Standing::Nothing => {}
        }
        let file = body.file(volume)?;
        if durable == Durable::Now {
            file.sync(volume)?;
        }
        let Some(from) = file.path() else { return Err(volume.lost()) };
        match rename_new(from, &path) {
            Ok(()) => {
                file.keep();
                if durable == Durable::Now {
                    volume.sync_folder(&volume.folder(block.hash))?;
                }
                return Ok(placed);
            }
            // Somebody else was first: look at theirs.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                volume.still_there()?;
                volume.make_folder(block.hash)?;
                if durable == Durable::Now {
                    volume.sync_folder(volume.root())?;
                }
            }
            Err(error) => return Err(volume.fail("rename to", &path, error)),
        }
    }
}

enum Standing {
    Nothing,
    Equal,
    SetAside,
}

/// Looks at what stands in the block's place: an equal block is touched and made durable, a damaged one set aside.
fn standing(volume: &Volume, body: &mut Body, block: Block, durable: Durable) -> Result<Standing, StoreError> {
    let path = volume.block(block.hash);
    let fail = |operation: &'static str| {
        let path = path.clone();
        move |error| volume.fail(operation, &path, error)
    };
    loop {
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Standing::Nothing),
            Err(error) => return Err(fail("open")(error)),
        };
        // keepstore's own rule: under this lock a block is touched or trashed, and whoever comes second looks again.
        file.lock().map_err(fail("lock"))?;
        if !is_at(&file, &path) {
            continue;
        }
        let size = file.metadata().map_err(fail("look at"))?.len();
        if size == u64::from(block.size) && body.equals(&mut file).map_err(fail("compare with"))? {
            file.set_modified(volume.now()).map_err(fail("touch"))?;
            // It may stem from somebody who did not sync, or has not yet.
            if durable == Durable::Now {
                file.sync_data().map_err(fail("sync"))?;
                volume.sync_folder(&volume.folder(block.hash))?;
            }
            return Ok(Standing::Equal);
        }
        let found = hash(&mut file).map_err(fail("read"))?;
        if found == block.hash {
            return Err(StoreError::Collision { store: volume.name(), block });
        }
        let reason = format!("it has {size} bytes, and the MD5 {found}");
        if volume.set_aside(block.hash, &file, &reason)? {
            return Ok(Standing::SetAside);
        }
    }
}

/// Hashes a whole file.
pub(super) fn hash(file: &mut File) -> io::Result<BlockHash> {
    file.rewind()?;
    let mut md5 = Md5::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(<[u8; 16]>::from(md5.finalize()).into()),
            size => md5.update(buffer.get(..size).unwrap_or_default()),
        }
    }
}
