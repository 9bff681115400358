//! Permission signatures: proof that this cluster let the holder of a token see a block.

use hmac::{Hmac, KeyInit, Mac};
use nom::Parser;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::combinator::{all_consuming, opt, verify};
use nom::multi::many0_count;
use nom::sequence::preceded;
use sha1::Sha1;

use super::Locator;
use super::locator::{digits, hint_text};
use crate::hex;

/// Signs and verifies locators with a cluster's key.
///
/// Source: `docs/spec/keep-blocks.md` §2. All times are Unix seconds.
#[derive(Clone)]
pub struct Signer {
    key: Box<[u8]>,
    ttl_hex: String,
}

/// Why a locator gives no permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no well-formed signature.
    #[error("the locator is not signed")]
    Missing,
    /// The signature was good until a time that has passed; it may be wrong as well.
    #[error("the locator's signature has expired")]
    Expired,
    /// Made with another key, token, TTL, or for another block.
    #[error("invalid signature")]
    Invalid,
}

impl Signer {
    /// Takes the cluster's `BlobSigningKey` and `BlobSigningTTL` (seconds); another TTL makes other signatures.
    pub fn new(key: &[u8], ttl: u64) -> Self {
        Self { key: key.into(), ttl_hex: format!("{ttl:x}") }
    }

    /// Signs a locator for the holder of `token` until `expiry`; a signature that it had is replaced.
    ///
    /// The hint stands right after the size. With an empty key or token the locator comes back unchanged.
    #[must_use]
    pub fn sign(&self, locator: &Locator, token: &[u8], expiry: u64) -> Locator {
        let token = token.trim_ascii();
        if self.key.is_empty() || token.is_empty() {
            return locator.clone();
        }
        let expiry = format!("{expiry:08x}");
        let signature = hex::encode(&self.mac(locator.hash().to_string().as_bytes(), token, expiry.as_bytes()));
        locator.with_permission(format!("A{signature}@{expiry}"))
    }

    /// Verifies the signature on a locator as a client sent it.
    ///
    /// Looks at the form, then at the expiry, then at the signature; size and other hints are not covered.
    pub fn verify(&self, locator: &[u8], token: &[u8], now: u64) -> Result<(), SignatureError> {
        let signed = Signed::parse(locator).ok_or(SignatureError::Missing)?;
        let expiry = std::str::from_utf8(signed.expiry).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        if expiry.is_none_or(|expiry| expiry < now) {
            return Err(SignatureError::Expired);
        }
        let expected = hex::encode(&self.mac(signed.hash, token.trim_ascii(), signed.expiry));
        if equal(expected.as_bytes(), signed.signature) { Ok(()) } else { Err(SignatureError::Invalid) }
    }

    fn mac(&self, hash: &[u8], token: &[u8], expiry: &[u8]) -> [u8; 20] {
        hmac_sha1(&self.key, &[hash, token, expiry, self.ttl_hex.as_bytes()].join(&b'@'))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("ttl_hex", &self.ttl_hex).finish_non_exhaustive()
    }
}

pub(super) fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    // HMAC takes keys of every length, so the error cannot happen.
    Hmac::<Sha1>::new_from_slice(key).map_or([0; 20], |mac| mac.chain_update(message).finalize().into_bytes().into())
}

/// Compares in a time that does not tell where the first difference is.
pub(super) fn equal(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The parts of a signed locator that a signature is made of.
struct Signed<'a> {
    hash: &'a [u8],
    signature: &'a [u8],
    expiry: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Hash, perhaps a size, hints, and exactly one `A` hint among them.
    fn parse(text: &'a [u8]) -> Option<Self> {
        let hex = |count| take_while_m_n(count, count, |b: u8| b.is_ascii_hexdigit());
        let others = || many0_count(preceded(tag("+"), verify(hint_text, |hint: &[u8]| !hint.starts_with(b"A"))));
        let size = opt(preceded(tag("+"), digits));
        let (_, (hash, _, _, _, signature, _, expiry, _)) =
            all_consuming((hex(32), size, others(), tag("+A"), hex(40), tag("@"), hex(8), others()))
                .parse(text)
                .ok()?;
        Some(Self { hash, signature, expiry })
    }
}
