//! The ssh door: a server of our own, for git, git-annex, and nobody's shell.
//!
//! Everything of russh stays behind this file. A connection serves one session at a time: in russh, a session that is
//! not read from would stall all others of its connection. OpenSSH's connection sharing copes: a client whose second
//! session is refused opens a connection of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::host::hub::Hub;

mod auth;
mod certificate;
mod client;
mod connection;
mod host_key;
mod life;
mod session;
mod streams;

pub use certificate::AuthorityError;
pub use host_key::{HostKey, HostKeyError};

/// A place where the door listens.
pub struct Listener(TcpListener);

/// What connections of the door share. Cloning is cheap.
#[derive(Clone)]
pub struct Door {
    hub: Hub,
    key: HostKey,
}

/// Why the door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The host key cannot be used.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The certificate authorities are not known.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

/// How long a client that is turned away may take to hear it.
const PARTING_TIME: Duration = Duration::from_secs(2);

/// What a client is told that comes when there are too many, instead of the protocol's first line.
const TOO_MANY: &[u8] = b"annex-keep: too many connections are open; try again later\r\n";

impl Door {
    /// Makes the door of a site; its host key too, if there is none. Blocks.
    pub fn new(hub: &Hub) -> Result<Self, DoorError> {
        let site = hub.site();
        let key = HostKey::load_or_make(site.root())?;
        certificate::authorities(site.root(), &site.config().ssh.user_ca)?;
        Ok(Self { hub: hub.clone(), key })
    }

    /// Returns the fingerprint of the host key as ssh shows it.
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint()
    }
}

impl Listener {
    /// Listens on a TCP address.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    /// Returns the address of this place.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Takes connections until the shutdown drains.
pub async fn serve(listener: Listener, door: Door) {
    let shutdown = door.hub.shutdown().clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.0.accept() => accepted,
            () = shutdown.drain.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => accept(stream, peer, &door),
            Err(error) => {
                // Out of file descriptors, most likely: taken up again when some are free.
                tracing::warn!("ssh: accepting a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn accept(stream: TcpStream, peer: SocketAddr, door: &Door) {
    let Ok(connected) = door.hub.traffic().connect("ssh") else {
        tracing::warn!(%peer, "ssh: refused, too many connections are open");
        tokio::spawn(tokio::time::timeout(PARTING_TIME, turn_away(stream)));
        return;
    };
    let _ = stream.set_nodelay(true);
    let door = door.clone();
    let running = door.hub.shutdown().running.clone();
    running.spawn(async move {
        connection::serve(stream, peer, door).await;
        drop(connected);
    });
}

/// Says that there are too many connections. If the connection was closed while the client still sends, the client
/// would not see the text.
async fn turn_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(TOO_MANY).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(())
}
