//! The forms in which a repository is named.

use std::fmt;

/// A repository as the client names it, kept byte for byte.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Directory(Box<[u8]>);

/// Where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base<'a> {
    /// `/path`: the file system's root.
    Root,
    /// `/~/path`, `~/path` or `path`: the home directory of whoever is logged in.
    Home,
    /// `/~user/path` or `~user/path`: that user's home directory.
    HomeOf(&'a [u8]),
}

impl Directory {
    /// Returns the directory as it was named.
    pub fn new(name: impl Into<Box<[u8]>>) -> Self {
        Self(name.into())
    }

    /// Returns the bytes as they came.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns where the path starts and the rest of it, without leading slashes. Nothing is resolved.
    pub fn parts(&self) -> (Base<'_>, &[u8]) {
        let tilde = self.0.strip_prefix(b"/~").or_else(|| self.0.strip_prefix(b"~"));
        match tilde {
            Some(rest) => {
                let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
                let (user, path) = rest.split_at(end);
                (if user.is_empty() { Base::Home } else { Base::HomeOf(user) }, without_slashes(path))
            }
            None if self.0.starts_with(b"/") => (Base::Root, without_slashes(&self.0)),
            None => (Base::Home, &self.0),
        }
    }

    /// Returns the absolute path for a user with this home directory: no `.` or `..`, no double slash, none at the end.
    ///
    /// `None` for another user's home directory. Symbolic links are not looked at.
    pub(super) fn normal(&self, home: &[u8]) -> Option<Vec<u8>> {
        let (base, path) = self.parts();
        let start: &[u8] = match base {
            Base::Root => b"",
            Base::Home => home,
            Base::HomeOf(_) => return None,
        };
        let mut steps: Vec<&[u8]> = Vec::new();
        for step in start.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
            match step {
                b"" | b"." => {}
                b".." => drop(steps.pop()),
                step => steps.push(step),
            }
        }
        Some([b"/", steps.join(&b'/').as_slice()].concat())
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({})", self.0.escape_ascii())
    }
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    path.get(slashes..).unwrap_or_default()
}
