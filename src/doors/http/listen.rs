//! Where the HTTP door listens, and how many it lets in.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use annex_gateway::site::config::Address;
use axum::Router;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::tls::{Certificate, TlsError};
use crate::host::hub::Hub;
use crate::host::traffic::Connected;

mod activity;
mod answer;
mod connection;
mod inherited;
mod prompt;
mod socket;
mod wire;

pub use inherited::inherited;
use prompt::Prompt;
use socket::SocketFile;

/// A place where the door listens.
pub struct Listener {
    socket: Socket,
    /// Taken away with the listener.
    _file: Option<SocketFile>,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(Prompt),
    Unix(UnixStream),
}

/// How a request came in. Stands in its extensions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Via {
    /// Encrypted.
    pub(super) secure: bool,
    /// From this machine, perhaps by a reverse proxy.
    pub(super) local: bool,
}

/// The HTTP door. Cloning is cheap.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    hub: Hub,
    routes: Router,
    certificate: Option<Certificate>,
    crowded: Notify,
}

/// A client that begins to encrypt has this long to come to an end.
const HANDSHAKE_TIME: Duration = Duration::from_secs(15);

/// While somebody waits for a place, idle connections are asked this often to make room.
const ASK_FOR_ROOM: Duration = Duration::from_millis(250);

impl Listener {
    /// Listens at an address; a relative path of a Unix socket stands in `root`. Blocks shortly.
    pub async fn bind(address: &Address, root: &Path) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self { socket: Socket::Tcp(TcpListener::bind(address).await?), _file: None }),
            Address::Unix(path) => {
                let (listener, file) = socket::bind(&root.join(path))?;
                Ok(Self { socket: Socket::Unix(UnixListener::from_std(listener)?), _file: Some(file) })
            }
        }
    }

    async fn accept(&self) -> io::Result<(Stream, bool)> {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(Prompt::new(stream)), is_local(&peer)))
            }
            Socket::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), true)),
        }
    }
}

fn is_local(peer: &SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

impl Door {
    /// Opens the door of a site: reads its certificate, if it has one. Nobody listens yet.
    pub fn new(hub: Hub) -> Result<Self, TlsError> {
        let routes = super::routes(hub.clone());
        Self::with(hub, routes)
    }

    /// Opens a door where nothing but Keep is served.
    pub fn for_keep(hub: Hub) -> Result<Self, TlsError> {
        let routes = super::keep_routes(hub.clone());
        Self::with(hub, routes)
    }

    fn with(hub: Hub, routes: Router) -> Result<Self, TlsError> {
        let site = hub.site();
        let tls = site.config().http.tls.as_ref();
        let certificate = tls.map(|files| Certificate::read(site.root(), files)).transpose()?;
        Ok(Self(Arc::new(Shared { hub, routes, certificate, crowded: Notify::new() })))
    }

    /// Reads the certificate again. What goes wrong is an error, and the old one stays.
    pub fn read_certificate(&self) -> Result<(), TlsError> {
        let site = self.0.hub.site();
        match (&self.0.certificate, &site.config().http.tls) {
            (Some(certificate), Some(files)) => certificate.read_again(site.root(), files)?,
            (None, None) => {}
            _ => tracing::warn!("[http.tls] was added or removed: that takes effect when the daemon starts again"),
        }
        Ok(())
    }

    /// Returns the URL of a place where this door listens, or `unix:PATH`.
    pub fn url(&self, listener: &Listener) -> io::Result<String> {
        match &listener.socket {
            Socket::Tcp(socket) => {
                let scheme = if self.0.certificate.is_some() { "https" } else { "http" };
                Ok(format!("{scheme}://{}/", socket.local_addr()?))
            }
            Socket::Unix(socket) => {
                let address = socket.local_addr()?;
                Ok(format!("unix:{}", address.as_pathname().unwrap_or(Path::new("?")).display()))
            }
        }
    }

    /// Takes connections until the shutdown drains.
    pub async fn serve(self, listener: Listener) {
        let drain = &self.0.hub.shutdown().drain;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drain.cancelled() => return,
            };
            match accepted {
                Ok((stream, local)) => {
                    let place = tokio::select! {
                        place = self.place() => place,
                        () = drain.cancelled() => return,
                    };
                    let door = self.clone();
                    self.0.hub.shutdown().running.spawn(async move {
                        door.welcome(stream, local).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: taken up again when some are free.
                    tracing::warn!("http: accepting a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Waits for a place, and asks connections that are not used to make room. Who comes now waits in the system's queue.
    async fn place(&self) -> Connected {
        let mut told = false;
        loop {
            if let Ok(place) = self.0.hub.traffic().connect("http") {
                return place;
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("http: as many connections as limits.connections allows; new ones wait");
            }
            self.0.crowded.notify_waiters();
            tokio::time::sleep(ASK_FOR_ROOM).await;
        }
    }

    async fn welcome(&self, stream: Stream, local: bool) {
        match stream {
            Stream::Unix(stream) => self.connection(stream, Via { secure: false, local }).await,
            Stream::Tcp(stream) => {
                let Some(certificate) = &self.0.certificate else {
                    return self.connection(stream, Via { secure: false, local }).await;
                };
                let accepting = TlsAcceptor::from(certificate.current()).accept(stream);
                match tokio::time::timeout(HANDSHAKE_TIME, accepting).await {
                    Ok(Ok(stream)) => self.connection(stream, Via { secure: true, local }).await,
                    Ok(Err(error)) => tracing::debug!("https: {error}"),
                    Err(_) => tracing::debug!("https: a client did not begin in time"),
                }
            }
        }
    }
}
