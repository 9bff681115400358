//! What a program asked to be remembered: settings, credentials, a state for each key, URLs.
//!
//! One small SQLite file a node, readable by its owner alone, since it may hold credentials. Several processes use it.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keep_store::base::task::blocking;
use rusqlite::{Connection, OptionalExtension};

use crate::node::error::NodeError;

/// The memory of a node. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Remembered(Arc<Mutex<Connection>>);

/// What a value belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum About {
    /// A setting, by its name: SETCONFIG.
    Setting,
    /// Credentials, by their name: SETCREDS. Two lines, user and password.
    Creds,
    /// What the program noted about a key: SETSTATE.
    Key,
    /// SETWANTED; its name is empty.
    Wanted,
    /// With which settings INITREMOTE succeeded last; its name is empty.
    Initialized,
    /// A key whose content came back wrong; the value says how.
    Bad,
}

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS item (
        kind TEXT NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS url (key BLOB NOT NULL, url BLOB NOT NULL, PRIMARY KEY (key, url)) WITHOUT ROWID;
";

const BUSY: Duration = Duration::from_secs(60);

impl About {
    fn word(self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Creds => "creds",
            Self::Key => "key",
            Self::Wanted => "wanted",
            Self::Initialized => "initialized",
            Self::Bad => "bad",
        }
    }
}

impl Remembered {
    /// Opens the memory in `dir`, which is made if it is not there. Blocks.
    pub(super) fn open(dir: &Path) -> Result<Self, NodeError> {
        let path = dir.join("state.db");
        let fail = |error: &dyn std::fmt::Display| NodeError::Unreachable(format!("{}: {error}", path.display()));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        // SQLite gives the files beside it the same permissions.
        let file = made.and_then(|()| OpenOptions::new().create(true).append(true).mode(0o600).open(&path));
        file.map_err(|error| fail(&error))?;
        let opened = Connection::open(&path).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(TABLES)?;
            Ok(connection)
        });
        Ok(Self(Arc::new(Mutex::new(opened.map_err(|error| fail(&error))?))))
    }

    pub(super) async fn get(&self, kind: About, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>, NodeError> {
        let name = name.as_ref().to_vec();
        let select = "SELECT value FROM item WHERE kind = ?1 AND name = ?2";
        self.run(move |connection| {
            connection.prepare_cached(select)?.query_row((kind.word(), name), |row| row.get(0)).optional()
        })
        .await
    }

    pub(super) async fn set(
        &self,
        kind: About,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), NodeError> {
        let (name, value) = (name.as_ref().to_vec(), value.as_ref().to_vec());
        let upsert = "INSERT INTO item (kind, name, value) VALUES (?1, ?2, ?3)
            ON CONFLICT (kind, name) DO UPDATE SET value = ?3 WHERE value != ?3";
        self.run(move |connection| connection.prepare_cached(upsert)?.execute((kind.word(), name, value)).map(drop))
            .await
    }

    pub(super) async fn unset(&self, kind: About, name: impl AsRef<[u8]>) -> Result<(), NodeError> {
        let name = name.as_ref().to_vec();
        let delete = "DELETE FROM item WHERE kind = ?1 AND name = ?2";
        self.run(move |connection| connection.prepare_cached(delete)?.execute((kind.word(), name)).map(drop)).await
    }

    pub(super) async fn set_url(&self, key: &[u8], url: &[u8], present: bool) -> Result<(), NodeError> {
        let (key, url) = (key.to_vec(), url.to_vec());
        let change = match present {
            true => "INSERT OR IGNORE INTO url (key, url) VALUES (?1, ?2)",
            false => "DELETE FROM url WHERE key = ?1 AND url = ?2",
        };
        self.run(move |connection| connection.prepare_cached(change)?.execute((key, url)).map(drop)).await
    }

    /// Returns the URLs of a key that start with `prefix`.
    pub(super) async fn urls(&self, key: &[u8], prefix: &[u8]) -> Result<Vec<Vec<u8>>, NodeError> {
        let (key, prefix) = (key.to_vec(), prefix.to_vec());
        self.run(move |connection| {
            let mut select = connection.prepare_cached("SELECT url FROM url WHERE key = ?1 ORDER BY url")?;
            let urls: Result<Vec<Vec<u8>>, _> = select.query_map([key], |row| row.get(0))?.collect();
            Ok(urls?.into_iter().filter(|url| url.starts_with(&prefix)).collect())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, NodeError> {
        let state = Arc::clone(&self.0);
        let done = blocking(move || work(&state.lock().unwrap_or_else(PoisonError::into_inner))).await;
        done.map_err(|error| {
            NodeError::Failed(format!("the file in which the gateway remembers its settings and state: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_there_for_the_next_process_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = Remembered::open(&dir.path().join("state")).unwrap();
        state.set(About::Creds, "aws", "user\nsecret").await.unwrap();
        state.set(About::Key, "WORM--a", "one").await.unwrap();
        state.set(About::Key, "WORM--a", "two").await.unwrap();
        for url in ["http://a", "http://b", "ftp://c"] {
            state.set_url(b"WORM--a", url.as_bytes(), true).await.unwrap();
        }
        state.set_url(b"WORM--a", b"http://a", false).await.unwrap();
        let again = Remembered::open(&dir.path().join("state")).unwrap();
        assert_eq!(again.get(About::Creds, "aws").await.unwrap().unwrap(), b"user\nsecret");
        assert_eq!(again.get(About::Key, "WORM--a").await.unwrap().unwrap(), b"two");
        assert!(again.get(About::Setting, "WORM--a").await.unwrap().is_none());
        assert_eq!(again.urls(b"WORM--a", b"http").await.unwrap(), [b"http://b"]);
        again.unset(About::Key, "WORM--a").await.unwrap();
        assert!(state.get(About::Key, "WORM--a").await.unwrap().is_none());
        for entry in std::fs::read_dir(dir.path().join("state")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
    }
}
