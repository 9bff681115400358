//! A site of ours as an Arvados cluster on loopback, one for each program of tests. It ends with the program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// What it takes to be a client of the cluster.
pub(crate) struct Cluster {
    /// `http://…`: the API server, and a keepstore that asks for signatures.
    pub(crate) address: String,
    /// The token of somebody who may write.
    pub(crate) token: String,
    _running: Child,
    _site: TempDir,
}

/// Returns the cluster, started by whoever comes first.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

fn start() -> Cluster {
    let site = TempDir::new().unwrap();
    let path = site.path().join("site").display().to_string();
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(&["init", &path]);
    run(&["user", "add", "alice", "--site", &path, "--role", "write"]);
    let token = run(&["user", "token", "alice", "--site", &path]);
    // Ended by the shell when our end of its input is closed.
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" serve \"$1\" --ssh 127.0.0.1:0 --http 127.0.0.1:0 & read -r _; kill $!", PROGRAM, &path]);
    let mut running = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    let address = lines.by_ref().find_map(|line| Some(line.unwrap().strip_prefix("listening http ")?.to_owned()));
    assert!(lines.any(|line| line.unwrap() == "ready"));
    let address = address.unwrap().trim_end_matches('/').to_owned();
    Cluster { address, token, _running: running, _site: site }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_annex-keep");
