//! Clients of buckets.

use annex_gateway::node::{NodeError, Patience};
use annex_gateway::site::config::S3Spec;
use keep_store::base::task::blocking;
use keep_store::s3::{Bucket, Credentials, Deadlines, Place};

/// Makes the client of a bucket. Files that are named in the configuration are read now.
pub(super) async fn bucket(spec: &S3Spec, patience: Patience) -> Result<Bucket, NodeError> {
    let (secret, ca_file) = (spec.secret(), spec.ca_file.clone());
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
    let place = Place {
        bucket: spec.bucket.clone(),
        prefix: spec.prefix.clone(),
        endpoint: spec.endpoint.clone(),
        region: spec.region.clone(),
        path_style: spec.path_style,
        storage_class: spec.storage_class.clone(),
        certificates,
    };
    let Patience { connect, answer, progress } = patience;
    Ok(Bucket::new(place, credentials.as_ref(), Deadlines { connect, answer, progress })?)
}
