//! A site: one directory with configuration, users, hosted repositories and the stores that `init` made.
//!
//! Source: `ARCHITECTURE.md`, "State on disk".

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keep_store::base::clock::{SharedClock, SystemClock};

pub mod cluster;
pub mod config;
mod database;
pub mod hold;
pub mod known;
pub mod name;
pub mod node;
pub mod password;
pub mod repair;
pub mod room;
pub mod scrub;
pub mod secret;
pub mod setting;
pub mod time;
pub mod user;

pub use config::{Config, NodeConfig, Unwanted};
use database::Database;
pub use database::SqlError;
pub use name::RepoName;

/// A site, opened. Cloning is cheap.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    root: PathBuf,
    config: Config,
    database: Arc<Database>,
    passwords: Arc<password::Verified>,
    clock: SharedClock,
}

/// What is wrong with a site, or with a request to it.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// There is no site in this directory.
    #[error("{}: not a site (there is no annex-keep.toml); `annex-keep init` makes one", .0.display())]
    Missing(PathBuf),
    /// `init` was asked for a directory that already holds a site.
    #[error("{}: already a site", .0.display())]
    Exists(PathBuf),
    /// The configuration file is not right.
    #[error("{}: {cause}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        cause: String,
    },
    /// A file of the site could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The site's database refused.
    #[error("{}: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: SqlError,
    },
    /// Something named does not exist, exists already, or is not well-formed.
    #[error("{0}")]
    Invalid(String),
}

impl Site {
    /// Makes a site in `root` with the given nodes (`NAME`, spec), or with three Keep stores inside it if none is given.
    pub fn init(root: &Path, nodes: &[(String, String)]) -> Result<Self, SiteError> {
        let config_file = root.join(config::FILE);
        if config_file.exists() {
            return Err(SiteError::Exists(root.into()));
        }
        let file_error = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SiteError::File { path, source }
        };
        std::fs::create_dir_all(root.join("repos")).map_err(file_error(root))?;
        let root = root.canonicalize().map_err(file_error(root))?;
        let default_nodes: Vec<(String, String)>;
        let nodes = if nodes.is_empty() {
            let store = |name: &str| (name.to_owned(), format!("keep:nodes/{name}"));
            default_nodes = ["a", "b", "c"].map(store).into();
            &default_nodes
        } else {
            nodes
        };
        let text = config::initial(nodes)?;
        Config::parse(&text).map_err(|cause| SiteError::Config { path: config_file.clone(), cause })?;
        // The database is made first, since a directory counts as a site as soon as it has a configuration.
        Database::open(&root)?;
        let temporary = root.join(".annex-keep.toml.new");
        std::fs::write(&temporary, text).map_err(file_error(&temporary))?;
        std::fs::rename(&temporary, root.join(config::FILE)).map_err(file_error(&config_file))?;
        Self::open(&root)
    }

    /// Opens the site in `root`.
    pub fn open(root: &Path) -> Result<Self, SiteError> {
        Self::open_at(root, SystemClock::shared())
    }

    /// Opens the site in `root`, whose time is that of `clock`.
    pub fn open_at(root: &Path, clock: SharedClock) -> Result<Self, SiteError> {
        let config = Config::read(root)?;
        let root = root.canonicalize().map_err(|source| SiteError::File { path: root.into(), source })?;
        let database = Arc::new(Database::open(&root)?);
        Ok(Self(Arc::new(Inner { root, config, database, passwords: Arc::default(), clock })))
    }

    /// Returns the same site with its configuration as it is now.
    pub fn reload(&self) -> Result<Self, SiteError> {
        Ok(self.with_config(Config::read(&self.0.root)?))
    }

    fn with_config(&self, config: Config) -> Self {
        let Inner { root, database, passwords, clock, .. } = &*self.0;
        let (root, database, passwords) = (root.clone(), Arc::clone(database), Arc::clone(passwords));
        Self(Arc::new(Inner { root, config, database, passwords, clock: Arc::clone(clock) }))
    }

    /// Returns the site's directory.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Returns the site's configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the directory of a hosted repository, which need not exist.
    pub fn repo_dir(&self, name: &RepoName) -> PathBuf {
        self.0.root.join("repos").join(format!("{name}.git"))
    }

    /// Returns the names of the hosted repositories, sorted.
    pub fn repos(&self) -> Result<Vec<RepoName>, SiteError> {
        let top = self.0.root.join("repos");
        let mut found = Vec::new();
        let mut pending = vec![top.clone()];
        while let Some(dir) = pending.pop() {
            let fail = |source| SiteError::File { path: dir.clone(), source };
            for entry in std::fs::read_dir(&dir).map_err(fail)? {
                let path = entry.map_err(fail)?.path();
                // A name that starts with a dot is a repository being made or removed.
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if hidden || !path.is_dir() {
                    continue;
                }
                if path.extension().is_some_and(|end| end == "git") {
                    let relative = path.strip_prefix(&top).unwrap_or(&path);
                    found.extend(relative.to_str().and_then(|text| RepoName::parse(text.as_bytes()).ok()));
                } else {
                    pending.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns the clock by which the site's time is measured.
    pub fn clock(&self) -> &SharedClock {
        &self.0.clock
    }

    fn database(&self) -> &Database {
        &self.0.database
    }
}
