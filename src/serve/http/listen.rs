//! Connections of the HTTP door.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::task::Shutdown;

/// A place where the door listens.
pub struct Listener(TcpListener);

/// A client has this long to send the head of its next request.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// Bytes of one connection that may wait in memory.
const BUFFER: usize = 512 << 10;

impl Listener {
    /// Listens on a TCP address.
    pub async fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    /// Returns the URL of this place.
    pub fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}/", self.0.local_addr()?))
    }
}

/// Takes connections until the shutdown drains.
pub async fn serve(listener: Listener, routes: Router, shutdown: Shutdown) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.0.accept() => accepted,
            () = shutdown.drain.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let (routes, ending) = (routes.clone(), shutdown.clone());
                shutdown.running.spawn(async move { connection(stream, routes, &ending).await });
            }
            Err(error) => {
                // Out of file descriptors, most likely: taken up again when some are free.
                tracing::warn!("http: accepting a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    routes: Router,
    shutdown: &Shutdown,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(BUFFER);
    builder.http2().timer(TokioTimer::new()).adaptive_window(true);
    let serving = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = shutdown.drain.cancelled() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving.as_mut() => served,
                () = shutdown.stop.cancelled() => return,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!("http: {error}");
    }
}
