//! `annex-keep serve`: the gateway as a daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::output::Lines;
use crate::assemble::Stores;
use crate::error::Failure;
use crate::serve::http;
use crate::serve::hub::Hub;
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
}

/// How long transfers under way may go on after the daemon was told to end.
const DRAIN_TIME: Duration = Duration::from_secs(30);

impl Serve {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let site = Site::open(&self.site)?;
        let shutdown = Shutdown::default();
        let hub = Hub::new(site.clone(), Box::new(Stores::default()), shutdown.clone());
        // Taken first, so that a signal that comes early is not lost.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut out = Lines::new();
        let door = http::Door::new(hub.clone())?;
        for listener in listeners(&site, self.http).await? {
            out.line(format_args!("listening http {}", door.url(&listener)?))?;
            shutdown.running.spawn(door.clone().serve(listener));
        }
        out.line("ready")?;
        out.end()?;
        tell(&[NotifyState::Ready]);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => {
                    let since = NotifyState::monotonic_usec_now();
                    tell(&[NotifyState::Reloading].into_iter().chain(since.ok()).collect::<Vec<_>>());
                    match hub.reload() {
                        Ok(()) => tracing::info!("the configuration was read again"),
                        Err(error) => tracing::error!("the configuration stays as it was: {error}"),
                    }
                    if let Err(error) = door.read_certificate() {
                        tracing::error!("the certificate stays as it was: {error}");
                    }
                    tell(&[NotifyState::Ready]);
                }
            }
        }
        tell(&[NotifyState::Stopping]);
        tracing::info!("ending: no new work; what is under way has {} s", DRAIN_TIME.as_secs());
        shutdown.drain.cancel();
        shutdown.running.close();
        if tokio::time::timeout(DRAIN_TIME, shutdown.running.wait()).await.is_err() {
            shutdown.stop.cancel();
            let _ = tokio::time::timeout(Duration::from_secs(5), shutdown.running.wait()).await;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the places where the HTTP door listens: those that systemd and the command line name, else the configured ones.
async fn listeners(site: &Site, asked: Vec<Address>) -> Result<Vec<http::Listener>, Failure> {
    let mut listeners = http::inherited().map_err(|error| Failure::failed(format!("sockets of systemd: {error}")))?;
    let configured = if listeners.is_empty() { site.config().http.listen.clone() } else { Vec::new() };
    for address in if asked.is_empty() { configured } else { asked } {
        let bound = http::Listener::bind(&address, site.root()).await;
        listeners.push(bound.map_err(|error| Failure::failed(format!("listening on {address}: {error}")))?);
    }
    Ok(listeners)
}

/// Tells systemd, if that started the daemon. Whether it listens changes nothing here.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!("telling systemd: {error}");
    }
}
