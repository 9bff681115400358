//! `annex-keep serve`: the gateway as a daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::log::Format;
use super::output::Lines;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::serve::hub::Hub;
use crate::serve::socket::Door;
use crate::serve::{http, ssh, worker};
use crate::site::Site;
use crate::site::config::Address;
use crate::task::Shutdown;

/// Run the gateway in the foreground, until SIGTERM or SIGINT
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// The site's directory
    #[arg(env = "ANNEX_KEEP_SITE")]
    site: PathBuf,
    /// Where ssh listens, ADDRESS:PORT, instead of what the configuration says; may be given several times
    #[arg(long, value_name = "ADDR")]
    ssh: Vec<SocketAddr>,
    /// Where HTTP listens, ADDRESS:PORT or unix:PATH, instead of what the configuration says; may be given several times
    #[arg(long, value_name = "ADDR", value_parser = Address::parse)]
    http: Vec<Address>,
    /// How the log looks that goes to standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

/// How long transfers under way may go on after the daemon was told to end.
const DRAIN_TIME: Duration = Duration::from_secs(30);

impl Serve {
    pub(super) fn log_format(&self) -> Format {
        self.log_format
    }

    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let site = Site::open(&self.site)?;
        let door = Arc::new(Door::open(site.root())?);
        let shutdown = Shutdown::default();
        let hub = Hub::new(site.clone(), Box::new(Stores::default()), shutdown.clone());
        // Taken first, so that a signal that comes early is not lost.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut out = Lines::new();
        let at = format!("shell {}", door.path().display());
        out.line(format_args!("listening {at}"))?;
        hub.listens(at);
        let (taking, taken) = (Arc::clone(&door), hub.clone());
        shutdown.running.spawn(async move { taking.serve(&taken).await });
        let ssh = if self.ssh.is_empty() { site.config().ssh.listen.clone() } else { self.ssh };
        let ssh_door = ssh::Door::new(&hub)?;
        for address in ssh {
            let bound = ssh::Listener::tcp(address).await;
            let listener = bound.map_err(|error| Failure::failed(format!("listening on {address}: {error}")))?;
            let at = format!("ssh {} {}", listener.address()?, ssh_door.fingerprint());
            out.line(format_args!("listening {at}"))?;
            hub.listens(at);
            shutdown.running.spawn(ssh::serve(listener, ssh_door.clone()));
        }
        let http = if self.http.is_empty() { site.config().http.listen.clone() } else { self.http };
        for address in http {
            let Address::Tcp(address) = address else { continue };
            let bound = http::Listener::tcp(address).await;
            let listener = bound.map_err(|error| Failure::failed(format!("listening on {address}: {error}")))?;
            let at = format!("http {}", listener.url()?);
            out.line(format_args!("listening {at}"))?;
            hub.listens(at);
            shutdown.running.spawn(http::serve(listener, http::routes(hub.clone()), shutdown.clone()));
        }
        shutdown.running.spawn(worker::repair(hub.clone()));
        out.line("ready")?;
        out.end()?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => match hub.reload() {
                    Ok(()) => tracing::info!("the configuration was read again"),
                    Err(error) => tracing::error!("the configuration stays as it was: {error}"),
                },
            }
        }
        tracing::info!("ending: no new work; what is under way has {} s", DRAIN_TIME.as_secs());
        shutdown.drain.cancel();
        shutdown.running.close();
        if tokio::time::timeout(DRAIN_TIME, shutdown.running.wait()).await.is_err() {
            shutdown.stop.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(5), shutdown.running.wait()).await;
        }
        // The site is this daemon's until nothing of it runs any more.
        drop(door);
        Ok(ExitCode::SUCCESS)
    }
}
