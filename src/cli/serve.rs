//! `annex-keep serve`: the gateway as a daemon.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::database::DatabaseError;
use annex_gateway::site::Site;
use annex_gateway::site::config::Address;
use keep_store::base::task::Shutdown;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::log::Format;
use super::output::Lines;
use crate::assemble::Stores;
use crate::doors::socket::Door;
use crate::doors::{http, ssh};
use crate::error::Failure;
use crate::host::hub::Hub;
use crate::upkeep;

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
    /// Where Keep is served and nothing else, as a keepstore does, instead of what the configuration says
    #[arg(long, value_name = "ADDR", value_parser = Address::parse)]
    keep: Vec<Address>,
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
        let http_door = http::Door::new(hub.clone())?;
        for listener in listeners(&site, self.http).await? {
            let at = format!("http {}", http_door.url(&listener)?);
            out.line(format_args!("listening {at}"))?;
            hub.listens(at);
            shutdown.running.spawn(http_door.clone().serve(listener));
        }
        let keep_door = http::Door::for_keep(hub.clone())?;
        let keep = if self.keep.is_empty() { site.config().keep.listen.clone() } else { self.keep };
        for address in keep {
            let listener = bind(&site, &address).await?;
            let at = format!("keep {}", keep_door.url(&listener)?);
            out.line(format_args!("listening {at}"))?;
            hub.listens(at);
            shutdown.running.spawn(keep_door.clone().serve(listener));
        }
        match hub.catalogue().await {
            Ok(_) => {}
            // It is looked for again whenever it is needed.
            Err(error @ DatabaseError::Unreachable { .. }) => tracing::error!("{error}"),
            Err(error) => return Err(error.into()),
        }
        shutdown.running.spawn(upkeep::repair(hub.clone()));
        shutdown.running.spawn(upkeep::scrub(hub.clone()));
        shutdown.running.spawn(upkeep::keep::sweep(hub.clone()));
        shutdown.running.spawn(upkeep::keep::collect(hub.clone()));
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
                    for door in [&http_door, &keep_door] {
                        if let Err(error) = door.read_certificate() {
                            tracing::error!("the certificate stays as it was: {error}");
                        }
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
        // The site is this daemon's until nothing of it runs any more.
        drop(door);
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the places where the HTTP door listens: those that systemd and the command line name, else the configured ones.
async fn listeners(site: &Site, asked: Vec<Address>) -> Result<Vec<http::Listener>, Failure> {
    let mut listeners = http::inherited().map_err(|error| Failure::failed(format!("sockets of systemd: {error}")))?;
    let configured = if listeners.is_empty() { site.config().http.listen.clone() } else { Vec::new() };
    for address in if asked.is_empty() { configured } else { asked } {
        listeners.push(bind(site, &address).await?);
    }
    Ok(listeners)
}

async fn bind(site: &Site, address: &Address) -> Result<http::Listener, Failure> {
    let bound = http::Listener::bind(address, site.root()).await;
    bound.map_err(|error| Failure::failed(format!("listening on {address}: {error}")))
}

/// Tells systemd, if that started the daemon. Whether it listens changes nothing here.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!("telling systemd: {error}");
    }
}
