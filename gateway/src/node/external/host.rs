//! The host's side of what a program asks for while it works.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use annex_protocol::external::{RemoteRequest, RemoteResponse, Text, WireKey, Word};
use annex_protocol::key::Key;
use annex_protocol::uuid::Uuid;
use keep_store::base::task::blocking;

use super::breakdown::Breakdown;
use super::remembered::{About, Remembered};

/// Returns a secret by its name: for GETCONFIG its first line, for GETCREDS user and password on two lines.
///
/// Asked each time, off the runtime; the error says what could not be read.
pub type Secrets = Arc<dyn Fn(&str) -> Result<Option<String>, String> + Send + Sync>;

/// What the programs of a node may ask about.
pub(super) struct Host {
    pub(super) name: String,
    /// The TYPE of `git-annex-remote-TYPE`.
    pub(super) kind: String,
    pub(super) uuid: Uuid,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) secrets: Secrets,
    pub(super) remembered: Remembered,
    /// The answer to GETGITDIR: a directory of the node's own.
    pub(super) dir: PathBuf,
}

impl Host {
    /// Answers a question, or takes note of a remark; what comes back is to be sent in that order.
    pub(super) async fn answer(&self, request: RemoteRequest) -> Result<Vec<RemoteResponse>, Breakdown> {
        use RemoteRequest as R;
        let remembered = &self.remembered;
        match request {
            R::DirHash { key } => Ok(value(parsed(&key)?.hash_dir_mixed())),
            R::DirHashLower { key } => Ok(value(parsed(&key)?.hash_dir_lower())),
            R::GetConfig { name } => Ok(value(self.setting(name.as_bytes()).await?)),
            R::GetCreds { name } => Ok(vec![self.creds(name.as_bytes()).await?]),
            R::GetUuid => Ok(value(self.uuid.as_bytes())),
            R::GetGitDir => Ok(value(self.dir.as_os_str().as_encoded_bytes())),
            R::GetGitRemoteName => Ok(value(&self.name)),
            R::GetWanted => Ok(value(remembered.get(About::Wanted, "").await?.unwrap_or_default())),
            R::GetState { key } => Ok(value(remembered.get(About::Key, key.as_bytes()).await?.unwrap_or_default())),
            R::GetUrls { key, prefix } => {
                let urls = remembered.urls(key.as_bytes(), prefix.as_bytes()).await?;
                Ok(urls.into_iter().chain([Vec::new()]).flat_map(value).collect())
            }
            R::DownloadUrl { .. } => {
                let message = Text::of_message("this host downloads nothing for its programs");
                Ok(vec![RemoteResponse::DownloadUrlFailure { message }])
            }
            remark => self.note(remark).await.map(|()| Vec::new()),
        }
    }

    async fn note(&self, remark: RemoteRequest) -> Result<(), Breakdown> {
        use RemoteRequest as R;
        let (node, remembered) = (&self.name, &self.remembered);
        let shown = |text: &Text| String::from_utf8_lossy(text.as_bytes()).into_owned();
        match remark {
            R::SetConfig { name, value } => remembered.set(About::Setting, name.as_bytes(), value.as_bytes()).await?,
            R::SetCreds { name, user, password } => {
                let both = [user.as_bytes(), b"\n", password.as_bytes()].concat();
                remembered.set(About::Creds, name.as_bytes(), both).await?;
            }
            R::SetState { key, value } => remembered.set(About::Key, key.as_bytes(), value.as_bytes()).await?,
            R::SetWanted { expression } => remembered.set(About::Wanted, "", expression.as_bytes()).await?,
            R::SetUrlPresent { key, url } | R::SetUriPresent { key, uri: url } => {
                remembered.set_url(key.as_bytes(), url.as_bytes(), true).await?;
            }
            R::SetUrlMissing { key, url } | R::SetUriMissing { key, uri: url } => {
                remembered.set_url(key.as_bytes(), url.as_bytes(), false).await?;
            }
            R::Debug { text } => tracing::debug!("node {node}: {}", shown(&text)),
            R::Info { text } => tracing::info!("node {node}: {}", shown(&text)),
            R::Version { .. } => return Err(Breakdown::Broken("it sent VERSION in the middle of its work".to_owned())),
            _ => {}
        }
        Ok(())
    }

    /// What the program set itself comes before the configuration: it may have completed what stands there.
    async fn setting(&self, name: &[u8]) -> Result<Vec<u8>, Breakdown> {
        if let Some(set) = self.remembered.get(About::Setting, name).await? {
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

    async fn creds(&self, name: &[u8]) -> Result<RemoteResponse, Breakdown> {
        let set = match self.secret(name).await? {
            Some(secret) => Some(secret.into_bytes()),
            None => self.remembered.get(About::Creds, name).await?,
        };
        let set = set.unwrap_or_default();
        let mut lines = set.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let user = Word::new(lines.next().unwrap_or_default());
        let user = user.ok_or_else(|| Breakdown::Broken("the user of its credentials has a space".to_owned()))?;
        Ok(RemoteResponse::Creds { user, password: Text::of_message(lines.next().unwrap_or_default()) })
    }

    async fn secret(&self, name: &[u8]) -> Result<Option<String>, Breakdown> {
        let (secrets, name) = (self.secrets.clone(), String::from_utf8_lossy(name).into_owned());
        blocking(move || secrets(&name)).await.map_err(Breakdown::Broken)
    }
}

fn value(text: impl AsRef<[u8]>) -> Vec<RemoteResponse> {
    vec![RemoteResponse::Value { text: Text::of_message(text) }]
}

fn parsed(key: &WireKey) -> Result<Key, Breakdown> {
    key.key().map_err(|error| Breakdown::Broken(format!("it asks for the hash directory of what is no key: {error}")))
}
