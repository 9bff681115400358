//! Real git-annex repositories to be nodes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use annex_gateway::node::p2p::{Bounds, P2pNode, Program};
use annex_gateway::node::p2p_http::{HttpNode, Server};
use annex_gateway::node::{Patience, Peer};
use annex_protocol::uuid::Uuid;
use tempfile::TempDir;

pub(crate) const CLIENT: &str = "0aaa1111-2222-3333-4444-555566667777";

/// A git-annex repository with a home of its own.
pub(crate) struct Repository {
    pub(crate) dir: TempDir,
    pub(crate) uuid: String,
    /// Where git-annex is.
    programs: PathBuf,
}

/// `git annex p2phttp` on a repository.
pub(crate) struct HttpServer {
    server: Child,
    pub(crate) port: u16,
}

/// The current git-annex.
pub(crate) fn current() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.peers/venv/bin")
}

/// Debian's git-annex, which speaks version 1.
pub(crate) fn old() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.peers/old/usr/bin")
}

/// Long enough for a busy machine.
pub(crate) fn patience() -> Patience {
    let minute = Duration::from_secs(60);
    Patience { connect: minute, answer: minute, progress: minute }
}

/// The repository, asked for by nobody's gateway.
pub(crate) fn peer(uuid: &str) -> Peer {
    let parse = |text: &str| Uuid::parse(text.as_bytes()).unwrap();
    Peer { uuid: parse(uuid), gateway: None, client: parse(CLIENT), bypass: BTreeSet::new() }
}

impl Repository {
    pub(crate) fn new(programs: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut repository = Self { dir, uuid: String::new(), programs };
        std::fs::write(repository.path("gitconfig"), "[user]\nname = Tester\nemail = tester@example.org\n").unwrap();
        repository.run(&["git", "init", "-q", "--bare", "repo"], ".");
        repository.run(&["git", "annex", "init", "-q", "node"], "repo");
        repository.uuid = repository.run(&["git", "config", "annex.uuid"], "repo");
        repository
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn environment(&self) -> Vec<String> {
        let path = std::env::var("PATH").unwrap();
        vec![
            "env".to_owned(),
            format!("HOME={}", self.dir.path().display()),
            format!("GIT_CONFIG_GLOBAL={}", self.path("gitconfig").display()),
            "LC_ALL=C.UTF-8".to_owned(),
            format!("PATH={}:{path}", self.programs.display()),
        ]
    }

    fn command(&self, words: &[&str], place: &str) -> Command {
        let environment = self.environment();
        let mut command = Command::new(&environment[0]);
        command.args(&environment[1..]).args(words).current_dir(self.path(place));
        command
    }

    /// Runs a program in a directory of the repository's home, and returns what it prints.
    pub(crate) fn run(&self, words: &[&str], place: &str) -> String {
        let output = self.command(words, place).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// git-annex-shell on the repository.
    pub(crate) fn shell(&self) -> Vec<Vec<u8>> {
        let mut words = self.environment();
        let repo = self.path("repo").display().to_string();
        words.extend(["git-annex-shell", "p2pstdio", &repo, CLIENT, "--uuid", &self.uuid].map(str::to_owned));
        words.into_iter().map(String::into_bytes).collect()
    }

    pub(crate) fn p2p_node(&self) -> P2pNode {
        P2pNode::new(Program::new(self.shell()), peer(&self.uuid), patience(), Bounds::default())
    }

    /// Starts a server that lets everybody do everything.
    pub(crate) fn serve_http(&self) -> HttpServer {
        self.serve_http_on(None)
    }

    /// Starts it on a port, or on one that was free a moment ago.
    pub(crate) fn serve_http_on(&self, port: Option<u16>) -> HttpServer {
        for _ in 0..10 {
            let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let port = port.unwrap_or_else(free);
            let text = port.to_string();
            let words = ["git-annex", "p2phttp", "--jobs", "8", "--wideopen", "--bind", "127.0.0.1", "--port", &text];
            let mut command = self.command(&words, "repo");
            let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
            let errors = BufReader::new(server.stderr.take().unwrap());
            let dead = std::thread::spawn(move || errors.lines().map_while(Result::ok).last());
            for _ in 0..600 {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return HttpServer { server, port };
                }
                if dead.is_finished() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            drop(HttpServer { server, port });
        }
        panic!("git annex p2phttp did not start");
    }
}

impl HttpServer {
    pub(crate) fn node(&self, uuid: &str) -> HttpNode {
        let url = format!("annex+http://127.0.0.1:{}/git-annex/", self.port);
        HttpNode::new(Server { url, credentials: None, ca_file: None }, peer(uuid), patience())
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // git-annex is started by a program in Python.
        let group = nix::unistd::Pid::from_raw(self.server.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.server.wait();
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // git-annex takes write permission from its objects.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.dir.path()).status();
    }
}
