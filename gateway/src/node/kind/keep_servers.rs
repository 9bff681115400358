//! Servers of Arvados Keep as several kinds of nodes name and ask them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keep_store::base::clock::SharedClock;
use keep_store::base::task::blocking;
use keep_store::store::servers::{Access, Http, ServerOptions, Token, Waits};

use super::query;
use super::secret::Secret;
use crate::node::patience::Patience;

/// What servers of Keep are asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeepServersSpec {
    /// Copies that each block must have.
    pub replicas: Option<u32>,
    /// Storage classes that they must be in.
    pub classes: Vec<String>,
    /// A file of certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificates are not looked at.
    pub insecure: bool,
    /// Where the token stands, if not in the usual variable.
    pub token: Option<Secret>,
}

/// The name of the secret.
const TOKEN: &str = "token";

/// The variable that everybody keeps an Arvados token in.
const USUAL: &str = "ARVADOS_API_TOKEN";

/// The settings that both kinds have.
pub(in crate::node) const SETTINGS: &str = "replicas, storageclasses, ca_file and insecure=yes";

impl KeepServersSpec {
    /// Takes a setting that both kinds have; tells whether it is one.
    pub(in crate::node) fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let class = |class: &str| {
            let good = !class.is_empty() && class.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
            good.then(|| class.to_owned()).ok_or(format!("storageclasses={value}: this should be names, as a,b"))
        };
        match (name, value) {
            ("replicas", number) => {
                let number = number.parse().ok().filter(|number| (1..100).contains(number));
                self.replicas = Some(number.ok_or(format!("replicas={value}: this should be 1 to 99"))?);
            }
            ("storageclasses", _) => self.classes = value.split(',').map(class).collect::<Result<_, _>>()?,
            ("ca_file", _) => self.ca_file = Some(value.into()),
            ("insecure", "yes") => self.insecure = true,
            ("insecure", "no") => self.insecure = false,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the secret that stands beside the spec.
    pub(in crate::node) fn take_secrets(&mut self, secrets: &mut BTreeMap<String, Secret>) -> Result<(), String> {
        self.token = secrets.remove(TOKEN);
        match secrets.keys().next() {
            Some(name) => Err(format!("secrets: a node on Keep servers has the secret {TOKEN}, not {name}")),
            None => Ok(()),
        }
    }

    /// Returns the same with relative file names made absolute by `base`.
    pub(in crate::node) fn in_folder(&self, base: &Path) -> Self {
        let ca_file = self.ca_file.as_ref().map(|path| base.join(path));
        Self { ca_file, token: self.token.as_ref().map(|secret| secret.absolute(base)), ..self.clone() }
    }

    /// Returns where the token stands; `None` if nobody says, and the usual variable is not set either.
    pub fn secret(&self) -> Option<Secret> {
        let usual = || std::env::var_os(USUAL).map(|_| Secret::Environment(vec![USUAL.to_owned()]));
        self.token.clone().or_else(usual)
    }

    /// Returns the settings that are not the usual ones, as they are written in a spec.
    pub(in crate::node) fn settings(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("replicas", self.replicas.map(|number| number.to_string())),
            ("storageclasses", (!self.classes.is_empty()).then(|| self.classes.join(","))),
            ("ca_file", self.ca_file.as_ref().map(|path| path.display().to_string())),
            ("insecure", self.insecure.then(|| "yes".to_owned())),
        ]
    }
}

/// Checks `HOST[:PORT]`.
pub(in crate::node) fn address(host: &str, form: &str) -> Result<String, String> {
    let host = host.trim_end_matches('/');
    // What stands before an @ may be a token, and is not shown.
    if host.contains('@') {
        return Err(format!("{form}: without a user, whose token is a secret"));
    }
    match !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/#".contains(&byte)) {
        true => Ok(host.to_owned()),
        false => Err(format!("\"{host}\" is no HOST[:PORT]: {form}")),
    }
}

/// Writes the settings of a spec that are there.
pub(in crate::node) fn display(
    f: &mut fmt::Formatter<'_>,
    settings: impl Iterator<Item = (&'static str, Option<String>)>,
) -> fmt::Result {
    let set: Vec<_> = settings.filter_map(|(name, value)| Some((name, value?))).collect();
    query::write(f, set.iter().map(|(name, value)| (*name, value.as_str())))
}

/// Makes the client for the servers. Files that are named in the configuration are read now.
pub(in crate::node) async fn client(spec: &KeepServersSpec, patience: Patience) -> Result<Http, String> {
    let token = match spec.secret() {
        None => Token::None,
        Some(Secret::File(path)) => Token::File(path),
        Some(secret) => Token::Given(blocking(move || secret.read()).await?),
    };
    let (ca_file, insecure) = (spec.ca_file.clone(), spec.insecure);
    Http::new(&Access { token, ca_file, insecure, connect: patience.connect }).await
}

/// Returns how servers are asked.
///
/// A request to a node ends within the node's patience. Within that time servers are asked again, and other servers
/// instead.
pub(in crate::node) fn remote_options(
    spec: &KeepServersSpec,
    patience: Patience,
    clock: &SharedClock,
) -> ServerOptions {
    let Patience { answer, .. } = patience;
    ServerOptions {
        replicas: spec.replicas,
        classes: spec.classes.clone(),
        retries: 2,
        pause: Duration::from_millis(500).min(answer / 20),
        waits: Waits {
            look: answer.mul_f64(0.8),
            change: patience.commit().mul_f64(0.8),
            block: answer / 4,
            store: answer,
        },
        // Each upload under way holds one or two blocks in memory; further uploads wait for that memory.
        writing: 16,
        // The servers are asked about each block every time, so the node's answer is always theirs.
        trusted: Duration::ZERO,
        // It reads from the servers each time: a scrub checks the servers, not this program's memory.
        cache: 0,
        clock: Arc::clone(clock),
    }
}
