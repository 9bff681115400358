//! One connection, from its first byte to its end.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keep_store::base::task::Shutdown;
use russh::keys::Algorithm;
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Door;
use super::client::Client;
use super::life::Life;
use super::streams::Severable;

/// A client has this long to prove who it is.
const LOGIN_TIME: Duration = Duration::from_secs(60);
/// A client that is told to end gets this long to end by itself.
const PARTING_TIME: Duration = Duration::from_secs(1);
/// A refused key is answered this much later.
const REJECTION_DELAY: Duration = Duration::from_millis(50);
/// So often a silent client is asked whether it is there, and given up when it did not answer [`MOST_SILENCES`] times.
const KEEPALIVE: Duration = Duration::from_secs(60);
const MOST_SILENCES: usize = 3;
/// Agents offer all keys they hold, one after the other.
const MOST_ATTEMPTS: usize = 20;

/// Serves a connection until it ends.
pub(super) async fn serve<S>(stream: S, peer: SocketAddr, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_within(LOGIN_TIME, stream, peer, door).await;
}

async fn serve_within<S>(login_time: Duration, stream: S, peer: SocketAddr, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shutdown = door.hub.shutdown().clone();
    let life = Life::new();
    let stream = Severable::new(stream, life.cut.clone());
    let config = Arc::new(config(&door));
    let client = Client::new(door.hub, peer.ip(), life.clone());
    let serving = async {
        match russh::server::run_stream(config, stream, client).await {
            Ok(session) => session.await,
            Err(error) => Err(error),
        }
    };
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = until_cut(&life, &shutdown, login_time) => {
            life.cut.cancel();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, "ssh: {error}");
    }
}

/// Returns when the connection is not to go on.
async fn until_cut(life: &Life, shutdown: &Shutdown, login_time: Duration) {
    tokio::select! {
        () = life.known.cancelled() => {}
        () = tokio::time::sleep(login_time) => return,
        () = shutdown.drain.cancelled() => return,
    }
    shutdown.drain.cancelled().await;
    life.commands.close();
    let ended = async {
        // A command may have come in the moment of the signal.
        for _ in 0..2 {
            life.commands.wait().await;
            tokio::time::sleep(PARTING_TIME).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = shutdown.stop.cancelled() => {}
    }
}

fn config(door: &Door) -> Config {
    // OpenSSH takes chacha20 whenever it is offered, and that costs more than twice as much.
    let ciphers: &[cipher::Name] = if door.hub.site().config().ssh.chacha20 {
        &[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305]
    } else {
        &[cipher::AES_256_GCM]
    };
    // This list is also what clients may sign with: SHA-1 is not among it.
    let key = Preferred::DEFAULT.key.iter().filter(|key| **key != Algorithm::Rsa { hash: None }).cloned().collect();
    Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-annex-keep_", env!("CARGO_PKG_VERSION")))),
        methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::KeyboardInteractive][..]),
        auth_rejection_time: REJECTION_DELAY,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![door.key.private()],
        preferred: Preferred { cipher: Cow::Borrowed(ciphers), key, ..Preferred::DEFAULT },
        max_auth_attempts: MOST_ATTEMPTS,
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: MOST_SILENCES,
        nodelay: true,
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::io::AsyncReadExt;

    use super::*;
    use std::sync::Arc;

    use crate::host::hub::{Assemble, Hub};
    use crate::host::repo::Repo;
    use annex_gateway::database::{Database, DatabaseError};
    use annex_gateway::gateway::Gateway;
    use annex_gateway::node::Node;
    use annex_gateway::node::measured::Meters;
    use annex_gateway::site::{Site, SiteError};
    use keep_store::service::Mount;

    #[derive(Default)]
    struct Nobody(Meters);

    #[async_trait]
    impl Assemble for Nobody {
        fn nodes(&self, _site: &Site) -> Vec<(String, Arc<dyn Node>)> {
            Vec::new()
        }

        fn mounts(&self, _site: &Site) -> Result<Vec<Mount>, SiteError> {
            Ok(Vec::new())
        }

        fn meters(&self) -> &Meters {
            &self.0
        }

        async fn gateway(&self, _site: &Site, _repo: &Repo) -> Gateway {
            unreachable!("no session comes this far")
        }

        async fn database(&self, _site: &Site) -> Result<Arc<dyn Database>, DatabaseError> {
            unreachable!("no session comes this far")
        }
    }

    #[tokio::test]
    async fn who_does_not_log_in_is_cut_off_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(dir.path(), &[]).unwrap();
        let door = Door::new(&Hub::new(site, Box::new(Nobody::default()), Shutdown::default())).unwrap();
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let serving = serve_within(Duration::from_millis(100), near, ([127, 0, 0, 1], 1).into(), door);
        let serving = tokio::spawn(serving);
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.unwrap();
        serving.await.unwrap();
        assert!(said.starts_with(b"SSH-2.0-annex-keep_"));
    }
}
