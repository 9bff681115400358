//! Nodes in buckets on S3 servers: `s3://BUCKET[/PREFIX]?NAME=VALUE&…`, and Keep stores there: `keep+s3://…`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use annex_protocol::prefer::size;

use super::{Secret, query};

/// A bucket in the layout of git-annex's S3 special remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Spec {
    /// The bucket's name.
    pub bucket: String,
    /// What the names of its objects begin with, as git-annex's `fileprefix` says.
    pub prefix: String,
    /// The server's address; without one it is Amazon's for the region.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of addresses, not in their host.
    pub path_style: bool,
    /// The storage class of new objects.
    pub storage_class: Option<String>,
    /// A file of certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// New content is cut into chunks of this many bytes, as the remote's `chunk=` says.
    pub chunk: Option<u64>,
    /// Objects that are larger are uploaded in parts of this many bytes.
    pub part: Option<u64>,
    /// Requests are not signed: the bucket is public, and can only be read.
    pub anonymous: bool,
    /// Where the credentials stand, if not in the usual variables.
    pub credentials: Option<Secret>,
}

/// A Keep store in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepS3Spec {
    /// Where the bucket is, and who asks. Nothing is cut into chunks here.
    pub place: S3Spec,
    /// How many first digits of a block's name are the folder that it is in: keepstore's PrefixLength.
    pub digits: usize,
    /// The directory of its index, if not the usual one in the site; a relative one stands in the site directory.
    pub index: Option<PathBuf>,
}

/// The name of the secret with the credentials, as git-annex calls it.
const CREDENTIALS: &str = "s3creds";

/// Variables that everybody keeps S3 credentials in.
const USUAL: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

impl S3Spec {
    /// Parses what follows `s3://`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, |_, _| Ok(false))
    }

    /// Parses the same where there are more settings: `more` tells whether one is such.
    fn parse_with(text: &str, mut more: impl FnMut(&str, &str) -> Result<bool, String>) -> Result<Self, String> {
        let (place, settings) = text.split_once('?').unwrap_or((text, ""));
        let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(legal) {
            return Err(format!("\"{bucket}\" is no name of a bucket: s3://BUCKET/PREFIX?endpoint=URL"));
        }
        let mut spec = Self {
            bucket: bucket.to_owned(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            path_style: false,
            storage_class: None,
            ca_file: None,
            chunk: None,
            part: None,
            anonymous: false,
            credentials: None,
        };
        if !folder.is_empty() {
            spec.prefix = format!("{}/", folder.trim_end_matches('/'));
        }
        let mut style = None;
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            if more(name, &value)? {
                continue;
            }
            match (name, value.as_str()) {
                ("endpoint", url) => spec.endpoint = Some(endpoint(url)?),
                ("region", _) => spec.region = Some(value),
                ("requeststyle", "path") => style = Some(true),
                ("requeststyle", "virtual") => style = Some(false),
                ("storageclass", _) => spec.storage_class = Some(value),
                ("ca_file", _) => spec.ca_file = Some(value.into()),
                ("fileprefix", _) if folder.is_empty() => spec.prefix = value,
                ("fileprefix", _) => {
                    return Err("a prefix stands in the path, or in fileprefix=, not in both".to_owned());
                }
                ("chunk", size) => spec.chunk = bytes("chunk", size)?,
                ("partsize", size) => spec.part = bytes("partsize", size)?,
                ("signature", "v4") | ("encryption", "none") => {}
                ("signature", "anonymous") => spec.anonymous = true,
                ("encryption", kind) => {
                    return Err(format!(
                        "encryption={kind}: the gateway reads and writes only buckets with encryption=none"
                    ));
                }
                ("exporttree" | "importtree", "yes") => {
                    return Err(format!("{name}=yes: a node keeps keys, not trees"));
                }
                (name, value) => {
                    return Err(format!(
                        "\"{name}={value}\" is no setting of an S3 node; it has endpoint, region, \
                         requeststyle=path|virtual, fileprefix, chunk, partsize, storageclass, ca_file and \
                         signature=v4|anonymous"
                    ));
                }
            }
        }
        // Servers of one's own seldom have a name for each bucket.
        spec.path_style = style.unwrap_or(spec.endpoint.is_some());
        Ok(spec)
    }

    /// Adds the secrets that stand beside the spec.
    pub(super) fn with(self, mut secrets: BTreeMap<String, Secret>) -> Result<Self, String> {
        let credentials = secrets.remove(CREDENTIALS);
        match secrets.keys().next() {
            Some(name) => Err(format!("secrets: an S3 node has the secret {CREDENTIALS}, not {name}")),
            None => Ok(Self { credentials, ..self }),
        }
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        let ca_file = self.ca_file.as_ref().map(|path| base.join(path));
        Self { ca_file, credentials: self.credentials.as_ref().map(|secret| secret.absolute(base)), ..self.clone() }
    }

    /// Returns where the credentials stand; `None` if requests are not to be signed.
    pub fn secret(&self) -> Option<Secret> {
        let usual = || Secret::Environment(USUAL.map(str::to_owned).into());
        (!self.anonymous).then(|| self.credentials.clone().unwrap_or_else(usual))
    }
}

impl KeepS3Spec {
    /// Parses what follows `keep+s3://`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut digits, mut index) = (0, None);
        let place = S3Spec::parse_with(text, |name, value| {
            match name {
                "prefixlength" => {
                    digits = value.parse().ok().filter(|digits| *digits <= 16).ok_or("prefixlength: 0 to 16")?;
                }
                "index" => index = Some(value.into()),
                "chunk" | "partsize" => {
                    return Err(format!("{name}: a Keep store cuts content into blocks of its own"));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { place, digits, index })
    }

    /// Adds the secrets that stand beside the spec.
    pub(super) fn with(self, secrets: BTreeMap<String, Secret>) -> Result<Self, String> {
        Ok(Self { place: self.place.with(secrets)?, ..self })
    }

    pub(super) fn absolute(&self, base: &Path) -> Self {
        let index = self.index.as_ref().map(|index| base.join(index));
        Self { place: self.place.absolute(base), digits: self.digits, index }
    }
}

/// Reads a size as git-annex does; 0 is none.
fn bytes(name: &str, text: &str) -> Result<Option<u64>, String> {
    let bytes = size(text.as_bytes()).and_then(|bytes| u64::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| format!("{name}={text} should be a size, for example {name}=10MiB"))?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

fn endpoint(url: &str) -> Result<String, String> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match host.map(|host| host.trim_end_matches('/')) {
        // Credentials in an address would stand in messages.
        Some(host) if !host.is_empty() && !host.contains(['@', '?', '#', ' ']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "endpoint should be http(s)://HOST[:PORT], {}",
            if url.contains('@') { "without a user" } else { url }
        )),
    }
}

impl fmt::Display for KeepS3Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        write!(f, "keep+{place}")?;
        let digits = (self.digits > 0).then(|| self.digits.to_string());
        let index = self.index.as_ref().map(|path| path.display().to_string());
        let settings = [("prefixlength", digits), ("index", index)];
        let settings = settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        query::more(f, if place.contains('?') { '&' } else { '?' }, settings)
    }
}

impl fmt::Display for S3Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        let folder = self.prefix.strip_suffix('/').filter(|folder| {
            !folder.is_empty() && !folder.ends_with('/') && !folder.starts_with('/') && !folder.contains('?')
        });
        if let Some(folder) = folder {
            write!(f, "/{folder}")?;
        }
        let prefix = (folder.is_none() && !self.prefix.is_empty()).then(|| self.prefix.clone());
        let style =
            (self.path_style != self.endpoint.is_some()).then_some(if self.path_style { "path" } else { "virtual" });
        let settings = [
            ("endpoint", self.endpoint.clone()),
            ("region", self.region.clone()),
            ("requeststyle", style.map(str::to_owned)),
            ("fileprefix", prefix),
            ("chunk", self.chunk.map(|bytes| bytes.to_string())),
            ("partsize", self.part.map(|bytes| bytes.to_string())),
            ("storageclass", self.storage_class.clone()),
            ("ca_file", self.ca_file.as_ref().map(|path| path.display().to_string())),
            ("signature", self.anonymous.then(|| "anonymous".to_owned())),
        ];
        query::write(f, settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))))
    }
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
            "s3://bucket",
            "s3://bucket/a/b?endpoint=http://localhost:5000&chunk=1048576&partsize=10485760",
            "s3://bucket?region=eu-west-1&requeststyle=path&fileprefix=photos-&storageclass=STANDARD_IA",
            "keep+s3://bucket/folder?region=x&prefixlength=3&index=/var/index",
            "keep+s3://bucket?prefixlength=3",
            "s3://bucket?endpoint=https://s3.example.org&requeststyle=virtual&ca_file=ca.pem&signature=anonymous",
        ] {
            let spec = NodeSpec::parse(text).unwrap();
            assert_eq!(spec.to_string(), text);
            assert_eq!(NodeSpec::parse(&spec.to_string()).unwrap(), spec);
        }
        assert_eq!(
            NodeSpec::parse("s3://b?fileprefix=a%2Fb/&chunk=1MiB").unwrap().to_string(),
            "s3://b/a/b?chunk=1048576"
        );
        assert_eq!(NodeSpec::parse("s3://b/?encryption=none&chunk=0&signature=v4").unwrap().to_string(), "s3://b");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let refused = |text: &str| NodeSpec::parse(text).unwrap_err();
        assert!(refused("s3://b?encryption=shared").contains("encryption=none"));
        assert!(refused("s3://b?exporttree=yes").contains("not trees"));
        assert!(refused("s3://b?chunk=many").contains("chunk=10MiB"));
        assert!(refused("keep+s3://b?chunk=1MiB").contains("blocks of its own"));
        assert!(refused("keep+s3://b?prefixlength=x").contains("prefixlength"));
        assert!(refused("s3://b?prefixlength=3").contains("prefixlength"));
        assert!(refused("s3://b?color=red").contains("color"));
        assert!(refused("s3://?region=x").contains("no name of a bucket"));
        assert!(refused("s3://b/a?fileprefix=c").contains("not in both"));
        assert!(refused("s3://b?endpoint=localhost").contains("http(s)://"));
        let error = refused("s3://b?endpoint=http://user:hunter2@host");
        assert!(error.contains("without a user") && !error.contains("hunter2"));
        assert!(config("store = \"s3://b\"").unwrap_err().contains("set repo"));
        let error = config("store = \"s3://b\"\nrepo = \"data\"\nsecrets = { password = \"file:x\" }").unwrap_err();
        assert!(error.contains("s3creds"));
        config("store = \"s3://b\"\nrepo = \"data\"\nprocesses = 3").unwrap_err();
    }

    #[test]
    fn credentials_stand_in_a_file_or_in_variables() {
        let node = |lines: &str| match config(lines).unwrap().nodes["a"].store.absolute("/site".as_ref()) {
            NodeSpec::S3(spec) => spec.secret(),
            _ => panic!("another kind"),
        };
        let file = node("store = \"s3://b\"\nrepo = \"data\"\nsecrets = { s3creds = \"file:aws\" }");
        assert_eq!(file, Some(Secret::File("/site/aws".into())));
        let usual = Secret::Environment(vec!["AWS_ACCESS_KEY_ID".to_owned(), "AWS_SECRET_ACCESS_KEY".to_owned()]);
        assert_eq!(node("store = \"s3://b\"\nrepo = \"data\""), Some(usual));
        assert_eq!(node("store = \"s3://b?signature=anonymous\"\nrepo = \"data\""), None);
    }
}
