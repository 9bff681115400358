//! `annex-keep status`: how a site is.

use std::process::ExitCode;

use keep_store::base::task::{Shutdown, blocking};

use super::output::{Lines, size};
use super::site::SiteOption;
use crate::assemble::Stores;
use crate::doors::socket::ask_status;
use crate::error::{Exit, Failure};
use crate::host::hub::Hub;
use crate::host::status::{self, NodeState, NodeStatus};

/// Tell how a site is: its nodes, transfers, locks; exit code 3 if a node is down
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    site: SiteOption,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let root = self.site.root()?.to_path_buf();
        let told = blocking(move || ask_status(&root)).await;
        let told = told.map_err(|error| Failure::failed(format!("the daemon does not answer: {error}")))?;
        let status: status::Status = match told {
            Some(text) => serde_json::from_str(&text)
                .map_err(|_| Failure::failed(format!("the daemon's answer is not a status: {text}")))?,
            None => {
                let hub = Hub::new(self.site.open()?, Box::new(Stores::default()), Shutdown::default());
                status::status(&hub, false).await?
            }
        };
        let mut out = Lines::new();
        if self.json {
            out.line(serde_json::to_string(&status)?)?;
        } else {
            show(&mut out, &status)?;
        }
        out.end()?;
        let down = status.nodes.iter().any(|node| node.state == NodeState::Down);
        Ok(if down { Exit::Partly.into() } else { ExitCode::SUCCESS })
    }
}

fn show(out: &mut Lines, status: &status::Status) -> Result<(), Failure> {
    if status.daemon {
        let ending = if status.draining { ", ending" } else { "" };
        let (version, process, seconds) = (&status.version, status.process, status.uptime_seconds);
        out.line(format_args!("annex-keep {version}, process {process}, up for {}{ending}", duration(seconds)))?;
        for at in &status.listening {
            out.line(format_args!("listening {at}"))?;
        }
    } else {
        out.line("no daemon is running; this is what the site's files tell")?;
    }
    for node in &status.nodes {
        out.line(format_args!("node {}", told(node)))?;
    }
    out.line(format_args!("repositories: {}, locks: {}", status.repositories.len(), status.locks))?;
    if status.repairs > 0 || status.lost > 0 {
        let lost = match status.lost {
            0 => String::new(),
            lost => format!(", {lost} lost: no node has their content any more (`annex-keep repair` names them)"),
        };
        out.line(format_args!("keys that wait for repair: {}{lost}", status.repairs))?;
    }
    if status.daemon {
        let (connections, running, waiting) = (status.connections, status.running, status.waiting);
        out.line(format_args!("connections: {connections}, transfers: {running} running, {waiting} waiting"))?;
        for transfer in &status.transfers {
            let wait = if transfer.waits { "waits, " } else { "" };
            out.line(format_args!(
                "{} {} {} {}: {wait}{} bytes, {}",
                transfer.operation,
                transfer.key,
                transfer.user,
                transfer.repository,
                transfer.bytes,
                duration(transfer.seconds)
            ))?;
        }
    }
    Ok(())
}

fn told(node: &NodeStatus) -> String {
    let state = match node.state {
        NodeState::Up => "up",
        NodeState::Full => "full",
        NodeState::Down => "down",
    };
    let mut text = format!("{}: {state}", node.name);
    if let Some(reason) = &node.reason {
        text.push_str(&format!(": {reason}"));
    }
    if let (Some(free), Some(total)) = (node.free, node.total) {
        text.push_str(&format!(", {} free of {}", size(free), size(total)));
    }
    if let (Some(held), Some(most)) = (node.held, node.max_size) {
        text.push_str(&format!(", holds {} of at most {}", size(held), size(most)));
    }
    if node.reserved > 0 {
        text.push_str(&format!(", {} on the way", size(node.reserved)));
    }
    text.push_str(&format!(" ({})", node.store));
    if node.requests > 0 {
        let (read, written) = (size(node.bytes_out), size(node.bytes_in));
        text.push_str(&format!(", {} requests, {} failed, {read} read, {written} written", node.requests, node.errors));
    }
    if let Some(error) = &node.last_error {
        text.push_str(&format!(", last error: {error}"));
    }
    text
}

fn duration(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_as_people_read_them() {
        assert_eq!(
            [0, 999, 1000, 1_234_567, 20_000_000_000].map(size),
            ["0 bytes", "999 bytes", "1.0 kB", "1.2 MB", "20.0 GB"]
        );
        assert_eq!([0, 61, 3600, 90000].map(duration), ["0 s", "1 min", "1 h 0 min", "1 d 1 h"]);
    }
}
