//! The certificate of the HTTP door.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use annex_gateway::site::config::Tls;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with the files of a certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of them cannot be read, or is no PEM file.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// A certificate that may be replaced while connections use it.
pub(super) struct Certificate(RwLock<Arc<ServerConfig>>);

impl Certificate {
    /// Reads the files; relative ones stand in the site's directory `root`.
    pub(super) fn read(root: &Path, files: &Tls) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(config(root, files)?)))
    }

    /// Reads the files again, for connections that come from now on. On errors the old certificate stays.
    pub(super) fn read_again(&self, root: &Path, files: &Tls) -> Result<(), TlsError> {
        let fresh = config(root, files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Returns how a connection is encrypted.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn config(root: &Path, files: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = (root.join(&files.certificate), root.join(&files.key));
    let chain = read(&certificate, |text| CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>())?;
    if chain.is_empty() {
        return Err(TlsError::File { path: certificate, cause: "there is no certificate in it".to_owned() });
    }
    let private = read(&key, PrivateKeyDer::from_pem_slice)?;
    // The provider is named, so that no other crate's choice matters.
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|source| TlsError::Pair { certificate, key, source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> Result<T, pem::Error>) -> Result<T, TlsError> {
    let fail = |cause: String| TlsError::File { path: path.into(), cause };
    let text = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    parse(&text).map_err(|error| fail(error.to_string()))
}
