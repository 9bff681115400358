//! The index, looked through without being parsed.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

const WINDOW: usize = 1 << 20;

/// Tells whether an object's name stands in an index file; every version of the format has them as they are.
///
/// A name that stands there for another reason (a tree of the same name is as good as impossible) counts as well.
pub(super) fn mentions(path: &Path, id: &[u8]) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut window = Vec::with_capacity(WINDOW + id.len());
    loop {
        let read = (&mut file).take(WINDOW as u64).read_to_end(&mut window)?;
        if window.windows(id.len()).any(|part| part == id) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // What stands across the border of two windows.
        window.drain(..window.len().saturating_sub(id.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        assert!(!mentions(&path, &[7; 20]).unwrap());
        for at in [0, 5, WINDOW - 21, WINDOW - 20, WINDOW - 1, WINDOW, 2 * WINDOW - 3, 3 * WINDOW - 20] {
            let mut bytes = vec![1; 3 * WINDOW];
            bytes[at..at + 20].copy_from_slice(&[7; 20]);
            std::fs::write(&path, bytes).unwrap();
            assert!(mentions(&path, &[7; 20]).unwrap(), "{at}");
            assert!(!mentions(&path, &[8; 20]).unwrap());
        }
    }
}
