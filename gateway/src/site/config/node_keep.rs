//! Nodes on servers of Arvados Keep: a whole cluster, `arvados://HOST[:PORT]?NAME=VALUE&…`, and services without one,
//! `keep+http(s)://HOST[:PORT][,…]?…`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use annex_protocol::keep::ObjectKind;

use super::{Secret, query};

/// An Arvados cluster: blocks on its Keep services, keys as files of collections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArvadosSpec {
    /// The API server, `HOST[:PORT]`; it is asked over TLS.
    pub host: String,
    /// UUID of the project that the collections are in; the user's own without one.
    pub project: Option<String>,
    /// Each key has a collection of its own.
    pub single: bool,
    /// How servers are asked, and for what.
    pub servers: KeepServersSpec,
}

/// Keep services without an API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepHttpSpec {
    /// `http(s)://HOST[:PORT]`, one or several.
    pub addresses: Vec<String>,
    /// The directory of the index, if not the usual one in the site; a relative one stands in the site directory.
    pub index: Option<PathBuf>,
    /// How services are asked, and for what.
    pub servers: KeepServersSpec,
}

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

impl ArvadosSpec {
    /// Parses what follows `arvados://`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (host, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut spec = Self {
            host: address(host, "arvados://HOST[:PORT]?project=UUID")?,
            project: None,
            single: false,
            servers: KeepServersSpec::default(),
        };
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            match (name, value.as_str()) {
                ("project", uuid) if ObjectKind::is_owner(uuid) => spec.project = Some(value),
                ("project", uuid) => {
                    return Err(format!("project={uuid} is no UUID of a project or user, such as zzzzz-j7d0g-…"));
                }
                ("collections", "few") => spec.single = false,
                ("collections", "key") => spec.single = true,
                (name, text) if spec.servers.set(name, text)? => {}
                (name, value) => {
                    return Err(format!(
                        "\"{name}={value}\" is no setting of an Arvados node; it has project, collections=few|key, {SETTINGS}"
                    ));
                }
            }
        }
        Ok(spec)
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        Self { servers: self.servers.absolute(base), ..self.clone() }
    }
}

impl KeepHttpSpec {
    /// Parses what follows `keep+http://` or `keep+https://`.
    pub(super) fn parse(scheme: &str, text: &str) -> Result<Self, String> {
        let (hosts, settings) = text.split_once('?').unwrap_or((text, ""));
        let form = format!("keep+{scheme}://HOST[:PORT],…");
        let addresses = hosts.split(',').map(|host| Ok(format!("{scheme}://{}", address(host, &form)?)));
        let addresses: Vec<String> = addresses.collect::<Result<_, String>>()?;
        let mut spec = Self { addresses, index: None, servers: KeepServersSpec::default() };
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            match name {
                "index" => spec.index = Some(value.into()),
                name if spec.servers.set(name, &value)? => {}
                name => {
                    return Err(format!(
                        "\"{name}={value}\" is no setting of a node on Keep services; it has index, {SETTINGS}"
                    ));
                }
            }
        }
        Ok(spec)
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        let index = self.index.as_ref().map(|index| base.join(index));
        Self { addresses: self.addresses.clone(), index, servers: self.servers.absolute(base) }
    }
}

/// What both kinds have.
const SETTINGS: &str = "replicas, storageclasses, ca_file and insecure=yes";

impl KeepServersSpec {
    /// Takes a setting that both kinds have; tells whether it is one.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
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

    /// Adds the secret that stands beside the spec.
    pub(super) fn with(self, mut secrets: BTreeMap<String, Secret>) -> Result<Self, String> {
        let token = secrets.remove(TOKEN);
        match secrets.keys().next() {
            Some(name) => Err(format!("secrets: a node on Keep servers has the secret {TOKEN}, not {name}")),
            None => Ok(Self { token, ..self }),
        }
    }

    fn absolute(&self, base: &Path) -> Self {
        let ca_file = self.ca_file.as_ref().map(|path| base.join(path));
        Self { ca_file, token: self.token.as_ref().map(|secret| secret.absolute(base)), ..self.clone() }
    }

    /// Returns where the token stands; `None` if nobody says, and the usual variable is not set either.
    pub fn secret(&self) -> Option<Secret> {
        let usual = || std::env::var_os(USUAL).map(|_| Secret::Environment(vec![USUAL.to_owned()]));
        self.token.clone().or_else(usual)
    }

    fn settings(&self) -> [(&'static str, Option<String>); 4] {
        [
            ("replicas", self.replicas.map(|number| number.to_string())),
            ("storageclasses", (!self.classes.is_empty()).then(|| self.classes.join(","))),
            ("ca_file", self.ca_file.as_ref().map(|path| path.display().to_string())),
            ("insecure", self.insecure.then(|| "yes".to_owned())),
        ]
    }
}

/// Checks `HOST[:PORT]`.
fn address(host: &str, form: &str) -> Result<String, String> {
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

impl fmt::Display for ArvadosSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arvados://{}", self.host)?;
        let own = [("project", self.project.clone()), ("collections", self.single.then(|| "key".to_owned()))];
        display(f, own.into_iter().chain(self.servers.settings()))
    }
}

impl fmt::Display for KeepHttpSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, address) in self.addresses.iter().enumerate() {
            match (number, address.split_once("://")) {
                (0, _) => write!(f, "keep+{address}")?,
                (_, host) => write!(f, ",{}", host.map_or(address.as_str(), |(_, host)| host))?,
            }
        }
        let index = self.index.as_ref().map(|path| path.display().to_string());
        display(f, [("index", index)].into_iter().chain(self.servers.settings()))
    }
}

fn display(f: &mut fmt::Formatter<'_>, settings: impl Iterator<Item = (&'static str, Option<String>)>) -> fmt::Result {
    let set: Vec<_> = settings.filter_map(|(name, value)| Some((name, value?))).collect();
    query::write(f, set.iter().map(|(name, value)| (*name, value.as_str())))
}

#[cfg(test)]
mod tests {
    use crate::site::config::{Config, NodeSpec, Secret};

    fn config(lines: &str) -> Result<Config, String> {
        Config::parse(&format!("[nodes.a]\nid = \"59a5eba9-ef36-4fc5-b11d-effc1bd2effc\"\n{lines}\n"))
    }

    #[test]
    fn specs_are_read_as_they_are_written() {
        for text in [
            "arvados://x.example.org",
            "arvados://x.example.org:8443?project=zzzzz-j7d0g-0123456789abcde&collections=key&replicas=3&insecure=yes",
            "arvados://[::1]:8000?storageclasses=default,archival&ca_file=ca.pem",
            "keep+http://a:25107",
            "keep+https://a:25107,b:25107?index=/var/index&replicas=1",
        ] {
            let spec = NodeSpec::parse(text).unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
            assert!(!spec.is_local());
        }
        assert_eq!(NodeSpec::parse("arvados://h/?collections=few").unwrap().to_string(), "arvados://h");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
        assert!(refused("arvados://").contains("arvados://HOST"));
        assert!(refused("arvados://h?project=mine").contains("no UUID"));
        assert!(refused("arvados://h?replicas=0").contains("1 to 99"));
        assert!(refused("arvados://h?storageclasses=a,,b").contains("storageclasses"));
        assert!(refused("arvados://h?index=/x").contains("is no setting"));
        assert!(refused("arvados://h?insecure=maybe").contains("is no setting"));
        assert!(refused("keep+http://a,").contains("HOST"));
        assert!(refused("keep+http://a/path").contains("no HOST"));
        assert!(refused("keep+https://a?project=x").contains("is no setting"));
        let error = refused("arvados://hunter2@h");
        assert!(error.contains("without a user") && !error.contains("hunter2"));
        let error = config("store = \"arvados://h\"\nsecrets = { password = \"file:x\" }").unwrap_err();
        assert!(error.contains("secret token"), "{error}");
    }

    #[test]
    fn a_token_stands_in_a_file_and_the_node_is_far() {
        let lines = "store = \"keep+http://a\"\nsecrets = { token = \"file:token\" }\nknown_seconds = 5";
        let config = config(lines).unwrap();
        assert!(!config.nodes["a"].scrub);
        let NodeSpec::KeepHttp(spec) = config.nodes["a"].store.absolute("/site".as_ref()) else {
            panic!("another kind")
        };
        assert_eq!(spec.servers.secret(), Some(Secret::File("/site/token".into())));
    }
}
