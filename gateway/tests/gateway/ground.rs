//! What a gateway stands on: a site's directory with a bare git repository in it. It is made once and copied for each test,
//! since starting git takes longer than most tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use annex_gateway::branch::Branch;
use annex_gateway::gateway::Identity;
use annex_gateway::git::Git;
use annex_gateway::site::Site;
use annex_protocol::uuid::Uuid;
use keep_store::base::clock::{SharedClock, SystemClock};
use tempfile::TempDir;

use crate::clock::TokioClock;

/// The names that nodes have, in the order of their cost.
pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A site with one repository, in a directory of its own.
pub(crate) struct Ground {
    dir: TempDir,
    clock: SharedClock,
}

impl Ground {
    /// Copies the template. `configure` changes the site's configuration, and `logs` are files of the git-annex branch.
    pub(crate) fn new(configure: impl FnOnce(String) -> String, logs: &[(&str, String)]) -> Self {
        let ground = Self { dir: directory(), clock: TokioClock::shared() };
        copy(template(), ground.dir.path());
        let file = ground.root().join(annex_gateway::site::config::FILE);
        let text = configure(fs::read_to_string(&file).unwrap());
        fs::write(&file, text).unwrap();
        if !logs.is_empty() {
            let paths: Vec<Vec<u8>> = logs.iter().map(|(path, _)| path.as_bytes().to_vec()).collect();
            let content = |path: &[u8]| logs.iter().find(|(name, _)| name.as_bytes() == path);
            let changed = ground.branch().change(&paths, |path, _| Some(content(path)?.1.clone().into_bytes()));
            assert!(changed.unwrap());
        }
        ground
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// Opens the site, as each process does.
    pub(crate) fn site(&self) -> Site {
        Site::open_at(&self.root(), Arc::clone(&self.clock)).unwrap()
    }

    /// Opens the repository's git-annex branch, as each process does.
    pub(crate) fn branch(&self) -> Branch {
        Branch::open(Git::open(&repository(&self.root())).unwrap(), Arc::clone(&self.clock)).unwrap()
    }
}

/// Returns the UUIDs of the repository.
pub(crate) fn identity() -> Identity {
    let uuid = |text: &str| Uuid::parse(text.as_bytes()).unwrap();
    let cluster = uuid("00000000-0000-4000-8000-0000000000cc").to_cluster().unwrap();
    Identity { gateway: uuid("00000000-0000-4000-8000-0000000000dd"), cluster }
}

/// Returns the UUID of the node at a position.
pub(crate) fn node_uuid(position: usize) -> Uuid {
    Uuid::parse(format!("00000000-0000-4000-8000-00000000000{position}").as_bytes()).unwrap()
}

fn repository(root: &Path) -> PathBuf {
    root.join("repos/r.git")
}

/// Makes a directory, in memory where there is such a place: a database syncs its disk at each step.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    match std::env::var_os("TMPDIR") {
        None if memory.is_dir() => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap(),
        _ => tempfile::tempdir().unwrap(),
    }
}

fn template() -> &'static Path {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let made = TEMPLATE.get_or_init(|| {
        let dir = directory();
        let root = dir.path().join("site");
        let nodes = NAMES.map(|name| (name.to_owned(), format!("keep:nodes/{name}")));
        drop(Site::init(&root, &nodes).unwrap());
        let git = Git::init_bare(&repository(&root)).unwrap();
        let branch = Branch::open(git, SystemClock::shared()).unwrap();
        let names = |(position, name): (usize, &str)| format!("{} node {name} timestamp=1s\n", node_uuid(position));
        let names: String = NAMES.into_iter().enumerate().map(names).collect();
        branch.change(&[b"uuid.log".to_vec()], |_, _| Some(names.clone().into_bytes())).unwrap();
        branch.commit().unwrap();
        fs::remove_dir_all(repository(&root).join("hooks")).unwrap();
        dir
    });
    made.path()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (source, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if source.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}
