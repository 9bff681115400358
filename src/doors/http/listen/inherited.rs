//! Sockets that systemd opened for this process.
//!
//! Source: systemd's `sd_listen_fds(3)`.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::{Listener, Socket};

/// Takes the sockets that were handed over for the HTTP door: those without a name (`FileDescriptorName=`) of another door.
pub fn inherited() -> io::Result<Vec<Listener>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut sockets = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..sockets.len() {
        if names.get(index).is_some_and(|name| name.starts_with("ssh")) {
            continue;
        }
        let socket = if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
            listener.set_nonblocking(true)?;
            Socket::Unix(UnixListener::from_std(listener)?)
        } else if let Some(listener) = sockets.take_tcp_listener(index)? {
            listener.set_nonblocking(true)?;
            Socket::Tcp(TcpListener::from_std(listener)?)
        } else {
            continue;
        };
        listeners.push(Listener { socket, _file: None });
    }
    Ok(listeners)
}
