//! Buckets on S3 servers, `s3://BUCKET[/PREFIX]?NAME=VALUE&…`, as several kinds of nodes name them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use annex_protocol::prefer::size;

use keep_store::base::task::blocking;
use keep_store::s3::{Bucket, BucketPlace, Credentials, Deadlines, S3Error};

use super::query;
use super::secret::Secret;
use crate::node::error::NodeError;
use crate::node::patience::Patience;

/// A bucket, or what is in it under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSpec {
    /// Where it is. The certificates come from `ca_file` when a client is made.
    pub place: BucketPlace,
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

/// The name of the secret with the credentials, as git-annex calls it.
const CREDENTIALS: &str = "s3creds";

/// Variables that everybody keeps S3 credentials in.
const USUAL: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

impl BucketSpec {
    /// Parses what follows `s3://`.
    pub(in crate::node) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, |_, _| Ok(false))
    }

    /// Parses the same for a kind with further settings: `more` takes one, and tells whether it is known.
    pub(in crate::node) fn parse_with(
        text: &str,
        mut more: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Result<Self, String> {
        let (place, settings) = text.split_once('?').unwrap_or((text, ""));
        let (bucket, folder) = place.split_once('/').unwrap_or((place, ""));
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(legal) {
            return Err(format!("\"{bucket}\" is no name of a bucket: s3://BUCKET/PREFIX?endpoint=URL"));
        }
        let mut place = BucketPlace {
            bucket: bucket.to_owned(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            path_style: false,
            storage_class: None,
            certificates: None,
        };
        if !folder.is_empty() {
            place.prefix = format!("{}/", folder.trim_end_matches('/'));
        }
        let mut spec = Self { place, ca_file: None, chunk: None, part: None, anonymous: false, credentials: None };
        let mut style = None;
        for setting in query::settings(settings) {
            let (name, value) = setting?;
            if more(name, &value)? {
                continue;
            }
            match (name, value.as_str()) {
                ("endpoint", url) => spec.place.endpoint = Some(endpoint(url)?),
                ("region", _) => spec.place.region = Some(value),
                ("requeststyle", "path") => style = Some(true),
                ("requeststyle", "virtual") => style = Some(false),
                ("storageclass", _) => spec.place.storage_class = Some(value),
                ("ca_file", _) => spec.ca_file = Some(value.into()),
                ("fileprefix", _) if folder.is_empty() => spec.place.prefix = value,
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
        // Servers that are not Amazon's seldom have a DNS name for each bucket.
        spec.place.path_style = style.unwrap_or(spec.place.endpoint.is_some());
        Ok(spec)
    }

    /// Takes the secrets that stand beside the spec.
    pub(in crate::node) fn take_secrets(&mut self, secrets: &mut BTreeMap<String, Secret>) -> Result<(), String> {
        self.credentials = secrets.remove(CREDENTIALS);
        match secrets.keys().next() {
            Some(name) => Err(format!("secrets: an S3 node has the secret {CREDENTIALS}, not {name}")),
            None => Ok(()),
        }
    }

    /// Makes the client of the bucket. Files that are named in the configuration are read now.
    pub(in crate::node) async fn client(&self, patience: Patience) -> Result<Bucket, NodeError> {
        let (secret, ca_file) = (self.secret(), self.ca_file.clone());
        let read = move || {
            let credentials = secret.map(|secret| {
                let text =
                    secret.read().map_err(|error| format!("S3 credentials (secrets = {{ s3creds = … }}): {error}"))?;
                Credentials::parse(&text).map_err(str::to_owned)
            });
            let certificates =
                ca_file.map(|path| std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display())));
            Ok((credentials.transpose()?, certificates.transpose()?))
        };
        let (credentials, certificates) = blocking(read).await.map_err(NodeError::Unreachable)?;
        let place = BucketPlace { certificates, ..self.place.clone() };
        let Patience { connect, answer, progress } = patience;
        Ok(Bucket::new(place, credentials.as_ref(), Deadlines { connect, answer, progress })?)
    }

    /// Returns the same with relative file names made absolute by `base`.
    pub(in crate::node) fn in_folder(&self, base: &Path) -> Self {
        let ca_file = self.ca_file.as_ref().map(|path| base.join(path));
        Self { ca_file, credentials: self.credentials.as_ref().map(|secret| secret.absolute(base)), ..self.clone() }
    }

    /// Returns where the credentials stand; `None` if requests are not to be signed.
    pub fn secret(&self) -> Option<Secret> {
        let usual = || Secret::Environment(USUAL.map(str::to_owned).into());
        (!self.anonymous).then(|| self.credentials.clone().unwrap_or_else(usual))
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
        // Credentials in an address would be shown in messages.
        Some(host) if !host.is_empty() && !host.contains(['@', '?', '#', ' ']) => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(format!(
            "endpoint should be http(s)://HOST[:PORT], {}",
            if url.contains('@') { "without a user" } else { url }
        )),
    }
}

impl fmt::Display for BucketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BucketPlace { bucket, prefix, endpoint, region, path_style, storage_class, .. } = &self.place;
        write!(f, "s3://{bucket}")?;
        let folder = prefix.strip_suffix('/').filter(|folder| {
            !folder.is_empty() && !folder.ends_with('/') && !folder.starts_with('/') && !folder.contains('?')
        });
        if let Some(folder) = folder {
            write!(f, "/{folder}")?;
        }
        let prefix = (folder.is_none() && !prefix.is_empty()).then(|| prefix.clone());
        let style = (*path_style != endpoint.is_some()).then_some(if *path_style { "path" } else { "virtual" });
        let settings = [
            ("endpoint", endpoint.clone()),
            ("region", region.clone()),
            ("requeststyle", style.map(str::to_owned)),
            ("fileprefix", prefix),
            ("chunk", self.chunk.map(|bytes| bytes.to_string())),
            ("partsize", self.part.map(|bytes| bytes.to_string())),
            ("storageclass", storage_class.clone()),
            ("ca_file", self.ca_file.as_ref().map(|path| path.display().to_string())),
            ("signature", self.anonymous.then(|| "anonymous".to_owned())),
        ];
        query::write(f, settings.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))))
    }
}

impl From<S3Error> for NodeError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Unreachable(text) => Self::Unreachable(text),
            S3Error::Full(text) => Self::Full(text),
            S3Error::Failed(text) => Self::Failed(text),
        }
    }
}
