//! What a client says on its connection, until it has asked for something.

use std::net::IpAddr;

use russh::keys::{Algorithm, Certificate};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, MethodKind, MethodSet, Pty};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::auth::{self, Finding, Identity};
use super::life::Life;
use super::session::{self, Opened, SessionRequest};
use crate::error::Failure;
use crate::host::hub::Hub;

/// A client.
pub(super) struct Client {
    hub: Hub,
    peer: IpAddr,
    life: Life,
    /// Ends what belongs to the connection when russh has done with it.
    _end: DropGuard,
    identity: Option<Identity>,
    /// Why a key or certificate was refused that the client does hold.
    refused: Option<String>,
    /// The client was told what to do.
    told: bool,
    opened: Option<Opened>,
    /// Cancelled when the client closes its session.
    gone: CancellationToken,
}

impl Client {
    pub(super) fn new(hub: Hub, peer: IpAddr, life: Life) -> Self {
        let (end, gone) = (life.cut.clone().drop_guard(), life.cut.child_token());
        Self { hub, peer, life, _end: end, identity: None, refused: None, told: false, opened: None, gone }
    }

    /// Lets the client in, or not.
    fn judge(&mut self, found: Result<Finding, Failure>) -> Auth {
        match found {
            Ok(Finding::Known(identity)) => {
                tracing::debug!(user = identity.user, peer = %self.peer, "ssh: logged in");
                self.identity = Some(identity);
                return Auth::Accept;
            }
            Ok(Finding::Refused(reason)) => self.refused = Some(reason),
            Ok(Finding::Unknown) => {}
            Err(failure) => self.failed(&failure),
        }
        Auth::reject()
    }

    fn failed(&mut self, failure: &Failure) {
        tracing::error!(peer = %self.peer, "ssh: finding out who that is: {}", failure.text);
        self.refused = Some("this site cannot look up its users just now; its log says why".to_owned());
    }

    /// Begins what the client asks for.
    fn begin(&mut self, id: ChannelId, ask: SessionRequest, session: &mut Session) -> Result<(), Error> {
        let (Some(opened), Some(identity)) = (self.opened.take_if(|opened| opened.channel.id() == id), &self.identity)
        else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let command =
            session::run(self.hub.clone(), identity.clone(), ask, opened, self.life.cut.clone(), self.gone.clone());
        self.hub.shutdown().running.spawn(self.life.commands.track_future(command));
        Ok(())
    }
}

impl Handler for Client {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        // A signature with SHA-1 proves nothing.
        if *offer.algorithm == (Algorithm::Rsa { hash: None }) {
            return Ok(Auth::reject());
        }
        Ok(match auth::may_fit(&self.hub, offer.public_key).await {
            Ok(true) => Auth::Accept,
            Ok(false) => Auth::reject(),
            Err(failure) => {
                self.failed(&failure);
                Auth::reject()
            }
        })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        let found = auth::by_key(&self.hub, user, key.public_key).await;
        Ok(self.judge(found))
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Error> {
        let found = auth::by_certificate(&self.hub, user, self.peer, certificate).await;
        Ok(self.judge(found))
    }

    /// This lets nobody in. It is the only way to make OpenSSH show a text to somebody who is refused.
    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        if self.told {
            let proceed_with_methods = Some(MethodSet::from(&[MethodKind::PublicKey][..]));
            return Ok(Auth::Reject { proceed_with_methods, partial_success: false });
        }
        self.told = true;
        let certificates = !self.hub.site().config().ssh.user_ca.is_empty();
        let instructions = auth::advice(user, certificates, self.refused.as_deref());
        tracing::info!(peer = %self.peer, "ssh: not let in: {instructions}");
        Ok(Auth::Partial { name: "".into(), instructions: instructions.into(), prompts: (&[][..]).into() })
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Error> {
        self.life.known.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        let draining = self.hub.shutdown().drain.is_cancelled();
        match self.life.turn.clone().try_acquire_owned() {
            Ok(turn) if !draining => {
                self.gone = self.life.cut.child_token();
                self.opened = Some(Opened { channel, turn, git_protocol: None, terminal: false });
                reply.accept().await;
            }
            _ => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }

    async fn channel_close(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.opened = None;
        self.gone.cancel();
        Ok(())
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        match &mut self.opened {
            Some(opened)
                if name == "GIT_PROTOCOL" && value.len() < 256 && value.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                opened.git_protocol = Some(value.to_owned());
                session.channel_success(id)
            }
            _ => session.channel_failure(id),
        }
    }

    /// A terminal is granted, so that the client shows no error; it only changes how lines end.
    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        match &mut self.opened {
            Some(opened) => {
                opened.terminal = true;
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.begin(id, SessionRequest::Nothing, session)
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Error> {
        self.begin(id, SessionRequest::Command(line.to_vec()), session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        self.begin(id, SessionRequest::Subsystem(name.to_owned()), session)
    }
}
