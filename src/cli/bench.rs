//! `annex-keep bench`: how fast is a server, and how fast can it be on this machine?

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::node::NodeSpec;
use annex_gateway::node::kind::{Access, Beside};
use annex_protocol::prefer::size;
use annex_protocol::uuid::Uuid;
use clap::{Args, Subcommand, ValueEnum};

use super::output::Lines;
use crate::assemble::Stores;
use crate::error::{Exit, Failure};

mod content;
mod load;
mod machine;
mod report;

use content::Contents;
use load::{Connections, Load};

/// Measure how fast a server of the P2P protocol, or a Keep store, does what clients ask of it
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Node(Box<OfNode>),
    Machine(OfMachine),
}

/// Store, ask for, fetch, lock and remove keys of made-up content, and tell rates and latencies. Every byte is verified
///
/// What is measured is any place that a site can have as a node. The keys are new ones in each run, and are removed
/// at its end if `remove` is among the operations.
#[derive(Debug, Args)]
struct OfNode {
    /// Where: `keep:DIR`, `annex:DIR`, `directory:DIR`, `ssh://[USER@]HOST[:PORT]/PATH`, `annex+http(s)://HOST[:PORT]/PATH`,
    /// `s3://BUCKET`, `arvados://HOST`, or `command:LINE` with `{client}` and `{uuid}` for UUIDs
    spec: String,
    /// The repository, node or cluster that is asked for
    #[arg(long)]
    uuid: String,
    /// What is done, in this order; one after the other, each with all keys
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "OPERATION",
        default_value = "connect,put,checkpresent,get,lock,remove"
    )]
    operations: Vec<Operation>,
    /// How many keys
    #[arg(long, default_value_t = 100)]
    keys: u32,
    /// The size of each, for example 4KiB
    #[arg(long, value_parser = bytes, default_value = "4KiB")]
    size: u64,
    /// Let each content say the same again after so many bytes, a multiple of 64KiB: with 64MiB a Keep store needs room
    /// for one block of a key of any size
    #[arg(long, value_parser = bytes, value_name = "SIZE")]
    repeat: Option<u64>,
    /// How many connections at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// End each operation after this many seconds, with the keys done by then
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    limit: u64,
    /// For annex+http: the user
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// For annex+http: a file with the user's password as its first line
    #[arg(long, requires = "user", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Measure the limits of this machine: hashes of one core, the disk with syncs, TCP over loopback, pipes
#[derive(Debug, Args)]
struct OfMachine {
    /// A directory on the disk in question
    dir: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// One thing that clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Operation {
    /// Begin a conversation, up to the answer to a first question
    Connect,
    /// Store a key
    Put,
    /// Ask for a key that is there
    Checkpresent,
    /// Fetch a key
    Get,
    /// Lock a key, and give the lock back
    Lock,
    /// Remove a key
    Remove,
}

impl Bench {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::Node(node) => node.run().await,
            Action::Machine(OfMachine { dir, json }) => {
                let limits = machine::measure(&dir).await?;
                let mut out = Lines::new();
                if json {
                    out.line(serde_json::to_string(&limits)?)?;
                } else {
                    for line in limits.lines() {
                        out.line(line)?;
                    }
                }
                out.end()?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl OfNode {
    async fn run(self) -> Result<ExitCode, Failure> {
        let uuid = Uuid::parse(self.uuid.as_bytes()).ok_or_else(|| Failure::usage("--uuid: that is no UUID"))?;
        let connections = self.open(&uuid)?;
        let contents = Arc::new(Contents::make(self.keys, self.size, self.repeat).await?);
        let load = Arc::new(Load::new(connections, contents, Duration::from_secs(self.limit)));
        let mut out = Lines::new();
        let mut failed = false;
        let mut results = Vec::new();
        for operation in self.operations {
            let result = load.run(operation).await;
            for failure in result.failures() {
                eprintln!("annex-keep: {failure}");
                failed = true;
            }
            if !self.json {
                out.line(&result)?;
            }
            results.push(result);
        }
        if self.json {
            let report =
                report::Report { target: self.spec, size: self.size, connections: self.connections, results: &results };
            out.line(serde_json::to_string(&report)?)?;
        }
        out.end()?;
        Ok(if failed { Exit::Failed.into() } else { ExitCode::SUCCESS })
    }

    /// Makes the connections: each a node of its own, so that none waits for another's answer.
    fn open(&self, uuid: &Uuid) -> Result<Connections, Failure> {
        let mut spec = NodeSpec::parse(&self.spec).map_err(Failure::usage)?.absolute(&std::env::current_dir()?);
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let access = Access { user: Some(user.clone()), password_file: Some(file.clone()), ..Access::default() };
            let given = spec.with(Beside { access, ..Beside::default() });
            spec = given.map_err(|_refused| Failure::usage("--user is for annex+http"))?;
        }
        let (stores, uuid) = (Stores::default(), uuid.clone());
        let connect = move || stores.outside(&spec, &uuid);
        if connect().is_none() {
            return Err(Failure::usage(format!(
                "{}: it needs a site, as external special remotes do, or index=PATH",
                self.spec
            )));
        }
        Ok(Connections { count: self.connections, connect: Box::new(connect) })
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| "a size is expected, for example 4KiB".to_owned())
}
