//! The site's own socket: where `annex-keep shell` hands conversations over, and `annex-keep status` asks.
//!
//! It is a Unix socket, `SITE/run/socket`, for the user whom the daemon runs as and for root. A client sends one request
//! ([`SocketRequest`]), with its standard streams beside it if they are to be spoken on. The daemon answers [`TAKEN`] before it
//! touches those, or [`NOT_TAKEN`], after which the client goes on by itself. So nothing is ever said twice, whichever of
//! the two dies when.

use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use self::ask::{SocketRequest, Told};
use crate::doors::conversation::{ClientCommand, Programs, Streams, converse};
use crate::host::caller::{Caller, Who};
use crate::host::hub::Hub;
use crate::host::status::status;

pub mod ask;
mod client;
mod descriptor;

pub use client::{Handed, ask_status, hand_over};

/// The daemon's side of the socket, and its claim to be the only daemon of the site.
pub struct Door {
    listener: UnixListener,
    directory: PathBuf,
    /// The claim goes with the open file.
    _claim: File,
}

/// Why the socket is not there.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon serves the site.
    #[error("{}: another daemon serves this site (process {process}); stop it first", site.display())]
    Claimed {
        /// The site.
        site: PathBuf,
        /// The other daemon.
        process: String,
    },
    /// A file could not be made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The directory of a site where its daemon's socket is.
const DIRECTORY: &str = "run";
const SOCKET: &str = "socket";

/// The conversation is the daemon's from here on.
const TAKEN: u8 = b'+';
/// The client has to go on by itself.
const NOT_TAKEN: u8 = b'-';

/// A client has this long to say what it wants.
const ASK_TIME: Duration = Duration::from_secs(10);

/// A conversation whose client is gone has this long to put things in order.
const END_TIME: Duration = Duration::from_secs(10);

/// The name under which requests are counted that came in here.
const DOOR: &str = "shell";

impl Door {
    /// Claims a site and opens its socket. A socket that a killed daemon left is replaced.
    pub fn open(site: &Path) -> Result<Self, SocketError> {
        let directory = site.join(DIRECTORY);
        let fail = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SocketError::File { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(fail(&directory))?;
        std::fs::set_permissions(&directory, Permissions::from_mode(0o700)).map_err(fail(&directory))?;
        let claim = claim(site, &directory.join("lock"))?;
        let (path, new) = (directory.join(SOCKET), directory.join("socket.new"));
        // Whoever left this is gone, since the claim was free.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(&new)(error)),
            _ => {}
        }
        let opened = File::open(&directory).map_err(fail(&directory))?;
        let listener = UnixListener::bind(short(&opened, "socket.new")).map_err(fail(&new))?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o600)).map_err(fail(&new))?;
        std::fs::rename(&new, &path).map_err(fail(&path))?;
        Ok(Self { listener, directory, _claim: claim })
    }

    /// Returns where the socket is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Takes connections until the shutdown drains. The claim stays as long as the returned value lives.
    pub async fn serve(&self, hub: &Hub) {
        let shutdown = hub.shutdown().clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.drain.cancelled() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let hub = hub.clone();
                    shutdown.running.spawn(async move {
                        if let Err(error) = Box::pin(connection(&hub, stream)).await {
                            tracing::debug!("socket: {error}");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("socket: accepting a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        // From here on shells serve their clients by themselves.
        let _ = std::fs::remove_file(self.path());
    }
}

/// Claims the site for this process, for as long as the file is open.
fn claim(site: &Path, path: &Path) -> Result<File, SocketError> {
    let fail = |source| SocketError::File { path: path.into(), source };
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let process = std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
            return Err(SocketError::Claimed { site: site.into(), process });
        }
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(fail)?;
    Ok(file)
}

/// Returns a path to a file in an open directory that is short enough for a socket's address, however deep that is.
fn short(directory: &File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

async fn connection(hub: &Hub, mut stream: UnixStream) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        tracing::warn!("socket: user {peer} was refused");
        return Ok(());
    }
    let received = tokio::time::timeout(ASK_TIME, descriptor::receive(&stream)).await;
    let (bytes, descriptors) = received.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    match (SocketRequest::parse(&bytes), <[OwnedFd; 3]>::try_from(descriptors)) {
        (Some(SocketRequest::Status), _) => {
            let text = match status(hub, true).await {
                Ok(status) => serde_json::to_string(&status)?,
                Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
            };
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        (Some(SocketRequest::Shell(told)), Ok(descriptors)) if !hub.shutdown().drain.is_cancelled() => {
            stream.write_all(&[TAKEN]).await?;
            let code = conversation(hub, &told, descriptors, &mut stream).await?;
            stream.write_all(&[code]).await
        }
        // Of another version, or too late.
        _ => stream.write_all(&[NOT_TAKEN]).await,
    }
}

/// Does what the client of a shell asks, on the client's own streams. Returns the exit code.
async fn conversation(hub: &Hub, told: &Told, descriptors: [OwnedFd; 3], stream: &mut UnixStream) -> io::Result<u8> {
    let who = told.user.clone().map_or(Who::Owner, Who::User);
    let caller = Caller::with_variables(who, |name| told.variable(name));
    let gone = tokio_util::sync::CancellationToken::new();
    let programs = Programs::Files(descriptor::duplicate(&descriptors)?);
    let [input, output, errors] = descriptors;
    let mut streams = Streams {
        input: Box::new(descriptor::Input::new(input, gone.clone())),
        output: Box::new(descriptor::Output::new(output, gone.clone())),
        errors: Box::new(descriptor::Output::new(errors, gone.clone())),
        programs,
    };
    let refused = match (hub.traffic().connect(DOOR), told.command()) {
        (Err(crowded), _) => crowded.to_string(),
        (_, Err(refusal)) => refusal.to_string(),
        (Ok(connected), Ok(command)) => {
            let git_protocol = told.variable("GIT_PROTOCOL").and_then(|value| String::from_utf8(value).ok());
            let asked = ClientCommand { command, git_protocol, door: DOOR };
            let mut talk = Box::pin(async {
                let code = converse(hub, &caller, asked, streams).await;
                drop(connected);
                code
            });
            tokio::select! {
                code = &mut talk => return Ok(code),
                () = hung_up(stream) => {}
                () = hub.shutdown().stop.cancelled() => {}
            }
            // The conversation hears that its client has gone: an upload keeps what came.
            gone.cancel();
            return Ok(tokio::time::timeout(END_TIME, talk).await.unwrap_or(1));
        }
    };
    streams.errors.write_all(format!("annex-keep: {refused}\n").as_bytes()).await?;
    streams.errors.flush().await?;
    Ok(1)
}

/// Waits until the other side is gone; it has nothing more to say.
async fn hung_up(stream: &mut UnixStream) {
    let mut ignored = [0; 64];
    while matches!(stream.read(&mut ignored).await, Ok(read) if read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_site_has_one_daemon_and_a_socket_that_was_left_is_replaced() {
        let site = tempfile::tempdir().unwrap();
        let door = Door::open(site.path()).unwrap();
        let Err(error) = Door::open(site.path()) else { panic!("two daemons") };
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(door);
        assert!(site.path().join("run/socket").exists(), "as a killed daemon leaves it");
        drop(Door::open(site.path()).unwrap());
    }
}
