//! A PostgreSQL of Debian's, started for the tests on a Unix socket.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A running server with a directory of its own.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    process: Option<Child>,
    made: AtomicU32,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(dir.path()));
        }
        let data = dir.path().join("data");
        run(unprivileged("initdb")
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"])
            .arg(data)
            .stdout(Stdio::null()));
        let mut server = Self { dir, process: None, made: AtomicU32::new(0) };
        server.run();
        server
    }

    pub(crate) fn run(&mut self) {
        let dir = self.dir.path();
        let mut command = unprivileged("postgres");
        command.arg("-D").arg(dir.join("data")).arg("-k").arg(dir).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.psql("SELECT 1") {
            assert!(Instant::now() < deadline, "PostgreSQL does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // SIGINT: at once, and in order.
        let _ = Command::new("kill").arg("-INT").arg(process.id().to_string()).status();
        let _ = process.wait();
    }

    /// Makes an empty database and returns its address.
    pub(crate) fn database(&self) -> String {
        let name = format!("test{}", self.made.fetch_add(1, Ordering::SeqCst));
        assert!(self.psql(&format!("CREATE DATABASE {name}")), "making {name}");
        format!("postgres://postgres@/{name}?host={}", self.dir.path().display())
    }

    fn psql(&self, sql: &str) -> bool {
        let mut command = Command::new(program("psql"));
        command.arg("-h").arg(self.dir.path()).args(["-U", "postgres", "-qc", sql]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// PostgreSQL does not run as root; and it ends when the test does, even one that is killed.
fn unprivileged(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program(name)).current_dir("/");
    command
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL: run script/bootstrap");
    let newest = versions.map(|entry| entry.unwrap().path()).max().expect("PostgreSQL: run script/bootstrap");
    Path::new(&newest).join("bin").join(name)
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
