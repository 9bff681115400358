//! API tokens, and how they are salted before another cluster sees them.

use super::ClusterId;
use super::signature::{equal, hmac_sha1};
use crate::hex;

/// A token as a client presents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// `v2/UUID/SECRET`, perhaps with the UUID of a container behind it.
    V2 {
        /// The token's UUID; its first five characters name the issuer.
        uuid: &'a [u8],
        /// The secret, or the salted secret (40 characters).
        secret: &'a [u8],
        /// The container that the token is bound to.
        container: Option<&'a [u8]>,
    },
    /// A bare secret of the old form: more than 40 characters `0-9a-z`.
    V1(&'a [u8]),
    /// Something else, perhaps an OpenID Connect token.
    Other(&'a [u8]),
}

/// Why a token cannot be salted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaltError {
    /// The secret has 40 characters, so it counts as salted.
    #[error("the token is already salted")]
    AlreadySalted,
    /// A bare secret does not tell its UUID.
    #[error("the token has the obsolete form")]
    Obsolete,
    /// Not a token of Arvados.
    #[error("not an Arvados token")]
    Format,
}

/// The length of a salted secret: the hex digits of a SHA1.
const SALTED: usize = 40;

impl<'a> Token<'a> {
    /// Tells the form of a token; every string has one.
    pub fn parse(text: &'a [u8]) -> Self {
        let mut parts = text.split(|byte| *byte == b'/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(b"v2"), Some(uuid), Some(secret)) => Self::V2 { uuid, secret, container: parts.next() },
            _ if text.len() > SALTED && text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) => {
                Self::V1(text)
            }
            _ => Self::Other(text),
        }
    }

    /// Returns the token to send to a cluster: salted, so that it is of use nowhere else.
    ///
    /// The cluster that issued it gets it unchanged. Source: `docs/spec/keep-federation.md` §2.1.
    pub fn salted(&self, target: ClusterId) -> Result<Vec<u8>, SaltError> {
        match *self {
            Self::V2 { uuid, secret, container } if uuid.starts_with(target.as_bytes()) => {
                Ok([b"v2", uuid, secret].into_iter().chain(container).collect::<Vec<_>>().join(&b'/'))
            }
            Self::V2 { secret, .. } if secret.len() == SALTED => Err(SaltError::AlreadySalted),
            Self::V2 { uuid, secret, .. } => Ok([b"v2", uuid, salt(secret, target).as_bytes()].join(&b'/')),
            Self::V1(_) => Err(SaltError::Obsolete),
            Self::Other(_) => Err(SaltError::Format),
        }
    }
}

/// Tells, at the issuer, whether a presented secret is the stored one, plain or salted for `remote`.
///
/// `remote` is the cluster that asks, or the issuer itself. Compares in constant time.
pub fn salted_secret_matches(stored: &[u8], presented: &[u8], remote: ClusterId) -> bool {
    let plain = equal(stored, presented);
    let salted = equal(salt(stored, remote).as_bytes(), presented);
    plain | salted
}

fn salt(secret: &[u8], cluster: ClusterId) -> String {
    hex::encode(&hmac_sha1(secret, cluster.as_bytes()))
}
