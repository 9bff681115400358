//! The host's side of what a program asks for while it works.

use std::collections::BTreeMap;
use std::path::PathBuf;

use annex_protocol::external::{RemoteRequest, RemoteResponse, Text, WireKey, Word};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use super::state::{Kind, State};
use super::{Secrets, Trouble};
use crate::node::error::NodeError;

/// What the programs of a node may ask about.
pub(super) struct Host {
    pub(super) name: String,
    /// The TYPE of `git-annex-remote-TYPE`.
    pub(super) kind: String,
    pub(super) uuid: Uuid,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) secrets: Secrets,
    pub(super) state: State,
    /// The answer to GETGITDIR: a directory of the node's own.
    pub(super) dir: PathBuf,
}

impl Host {
    /// Answers a question, or takes note of a remark; what comes back is to be sent in that order.
    pub(super) async fn answer(&self, request: RemoteRequest) -> Result<Vec<RemoteResponse>, Trouble> {
        use RemoteRequest as R;
        let state = &self.state;
        match request {
            R::DirHash { key } => Ok(value(parsed(&key)?.hash_dir_mixed())),
            R::DirHashLower { key } => Ok(value(parsed(&key)?.hash_dir_lower())),
            R::GetConfig { name } => Ok(value(self.setting(name.as_bytes()).await?)),
            R::GetCreds { name } => Ok(vec![self.creds(name.as_bytes()).await?]),
            R::GetUuid => Ok(value(self.uuid.as_bytes())),
            R::GetGitDir => Ok(value(self.dir.as_os_str().as_encoded_bytes())),
            R::GetGitRemoteName => Ok(value(&self.name)),
            R::GetWanted => Ok(value(state.get(Kind::Wanted, "").await?.unwrap_or_default())),
            R::GetState { key } => Ok(value(state.get(Kind::Key, key.as_bytes()).await?.unwrap_or_default())),
            R::GetUrls { key, prefix } => {
                let urls = state.urls(key.as_bytes(), prefix.as_bytes()).await?;
                Ok(urls.into_iter().chain([Vec::new()]).flat_map(value).collect())
            }
            R::DownloadUrl { .. } => {
                let message = Text::of_message("this host downloads nothing for its programs");
                Ok(vec![RemoteResponse::DownloadUrlFailure { message }])
            }
            remark => self.note(remark).await.map(|()| Vec::new()),
        }
    }

    async fn note(&self, remark: RemoteRequest) -> Result<(), Trouble> {
        use RemoteRequest as R;
        let (node, state) = (&self.name, &self.state);
        let shown = |text: &Text| String::from_utf8_lossy(text.as_bytes()).into_owned();
        match remark {
            R::SetConfig { name, value } => state.set(Kind::Setting, name.as_bytes(), value.as_bytes()).await?,
            R::SetCreds { name, user, password } => {
                let both = [user.as_bytes(), b"\n", password.as_bytes()].concat();
                state.set(Kind::Creds, name.as_bytes(), both).await?;
            }
            R::SetState { key, value } => state.set(Kind::Key, key.as_bytes(), value.as_bytes()).await?,
            R::SetWanted { expression } => state.set(Kind::Wanted, "", expression.as_bytes()).await?,
            R::SetUrlPresent { key, url } | R::SetUriPresent { key, uri: url } => {
                state.set_url(key.as_bytes(), url.as_bytes(), true).await?;
            }
            R::SetUrlMissing { key, url } | R::SetUriMissing { key, uri: url } => {
                state.set_url(key.as_bytes(), url.as_bytes(), false).await?;
            }
            R::Debug { text } => tracing::debug!("node {node}: {}", shown(&text)),
            R::Info { text } => tracing::info!("node {node}: {}", shown(&text)),
            R::Version { .. } => return Err(Trouble::Broken("it sent VERSION in the middle of its work".to_owned())),
            _ => {}
        }
        Ok(())
    }

    /// What the program set itself comes before the configuration: it may have completed what stands there.
    async fn setting(&self, name: &[u8]) -> Result<Vec<u8>, Trouble> {
        if let Some(set) = self.state.get(Kind::Setting, name).await? {
            return Ok(set);
        }
        if let Some(secret) = self.secret(name).await? {
            return Ok(secret.lines().next().unwrap_or_default().into());
        }
        let name = std::str::from_utf8(name).unwrap_or_default();
        let standard = match name {
            "name" => &self.name,
            "type" => "external",
            "externaltype" => &self.kind,
            "encryption" => "none",
            _ => "",
        };
        Ok(self.settings.get(name).map_or(standard, String::as_str).into())
    }

    async fn creds(&self, name: &[u8]) -> Result<RemoteResponse, Trouble> {
        let set = match self.secret(name).await? {
            Some(secret) => Some(secret.into_bytes()),
            None => self.state.get(Kind::Creds, name).await?,
        };
        let set = set.unwrap_or_default();
        let mut lines = set.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let user = Word::new(lines.next().unwrap_or_default());
        let user = user.ok_or_else(|| Trouble::Broken("the user of its credentials has a space".to_owned()))?;
        Ok(RemoteResponse::Creds { user, password: Text::of_message(lines.next().unwrap_or_default()) })
    }

    async fn secret(&self, name: &[u8]) -> Result<Option<String>, Trouble> {
        let (secrets, name) = (self.secrets.clone(), String::from_utf8_lossy(name).into_owned());
        blocking(move || secrets(&name)).await.map_err(Trouble::Broken)
    }
}

fn value(text: impl AsRef<[u8]>) -> Vec<RemoteResponse> {
    vec![RemoteResponse::Value { text: Text::of_message(text) }]
}

fn parsed(key: &WireKey) -> Result<Key, Trouble> {
    key.key().map_err(|error| Trouble::Broken(format!("it asks for the hash directory of what is no key: {error}")))
}

impl From<NodeError> for Trouble {
    fn from(error: NodeError) -> Self {
        Self::Broken(error.to_string())
    }
}
