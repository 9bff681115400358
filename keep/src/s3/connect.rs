//! Where a bucket is, and who asks.

use std::fmt;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use super::{Deadlines, S3Error};

/// A bucket, or the part of it under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPlace {
    /// The bucket's name.
    pub bucket: String,
    /// What the names of all objects begin with: git-annex's `fileprefix`.
    pub prefix: String,
    /// The server's address; without one it is Amazon's for the region.
    pub endpoint: Option<String>,
    /// The region that requests are signed for. Default: `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket stands in the path of addresses, not in their host.
    pub path_style: bool,
    /// The storage class of new objects.
    pub storage_class: Option<String>,
    /// Certificates (PEM) that are trusted besides the system's.
    pub certificates: Option<Vec<u8>>,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's ID.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session's token, for keys that last for a time.
    pub token: Option<String>,
}

impl Credentials {
    /// Reads them as git-annex keeps them, a line each: ID, secret, and perhaps a token. The error has no part of them.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
        match (lines.next(), lines.next(), lines.next(), lines.next()) {
            (Some(id), Some(secret), token, None) => Ok(Self { id, secret, token }),
            _ => Err("S3 credentials are two lines: the access key's ID, and the secret access key"),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl fmt::Display for BucketPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)?;
        self.endpoint.as_ref().map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
    }
}

/// Makes a client; without credentials requests are not signed.
pub(super) fn client(
    place: &BucketPlace,
    credentials: Option<&Credentials>,
    deadlines: Deadlines,
) -> Result<AmazonS3, S3Error> {
    let failed = |error| S3Error::new(&place.to_string(), &error);
    // The client's own deadline is for a whole answer, however long its content: ours are kept by the caller.
    let mut options = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(deadlines.connect)
        .with_allow_http(place.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://")));
    for certificate in
        Certificate::from_pem_bundle(place.certificates.as_deref().unwrap_or_default()).map_err(failed)?
    {
        options = options.with_root_certificate(certificate);
    }
    let backoff = BackoffConfig { max_backoff: deadlines.answer / 20, ..BackoffConfig::default() };
    let retries = RetryConfig { backoff, max_retries: 3, retry_timeout: deadlines.answer / 2 };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&place.bucket)
        .with_region(place.region.as_deref().unwrap_or("us-east-1"))
        .with_virtual_hosted_style_request(!place.path_style)
        .with_client_options(options)
        .with_retry(retries)
        // Signing it would hash content on the runtime. What the server took is checked by its MD5.
        .with_unsigned_payload(true)
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = &place.endpoint {
        let hosted = endpoint.split_once("://").filter(|_| !place.path_style);
        let endpoint = hosted.map(|(scheme, host)| format!("{scheme}://{}.{host}", place.bucket));
        builder = builder.with_endpoint(endpoint.as_ref().or(place.endpoint.as_ref()).cloned().unwrap_or_default());
    }
    builder = match credentials {
        Some(credentials) => {
            let signed = builder.with_access_key_id(&credentials.id).with_secret_access_key(&credentials.secret);
            credentials.token.iter().fold(signed, |builder, token| builder.with_token(token))
        }
        None => builder.with_skip_signature(true),
    };
    builder.build().map_err(failed)
}
