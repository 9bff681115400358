//! The names of keys on encrypted special remotes.

use hmac::digest::KeyInit;
use hmac::{EagerHash, Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::{Fields, Key};

/// How many bytes of a cipher key the HMAC; the rest is the passphrase.
const SECRET_LEN: usize = 256;

/// The algorithm that hides key names: an encrypted remote's `mac=` setting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mac {
    /// `HMACSHA1`, what git-annex uses if nothing is set.
    #[default]
    HmacSha1,
    /// `HMACSHA224`.
    HmacSha224,
    /// `HMACSHA256`.
    HmacSha256,
    /// `HMACSHA384`.
    HmacSha384,
    /// `HMACSHA512`.
    HmacSha512,
}

impl Mac {
    /// Returns the algorithm that a `mac=` setting names.
    pub fn parse(name: &[u8]) -> Option<Self> {
        [Self::HmacSha1, Self::HmacSha224, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512]
            .into_iter()
            .find(|mac| mac.as_str().as_bytes() == name)
    }

    /// Returns the name as it stands in the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMACSHA1",
            Self::HmacSha224 => "HMACSHA224",
            Self::HmacSha256 => "HMACSHA256",
            Self::HmacSha384 => "HMACSHA384",
            Self::HmacSha512 => "HMACSHA512",
        }
    }

    fn hex(self, secret: &[u8], message: &[u8]) -> String {
        match self {
            Self::HmacSha1 => hex::<Sha1>(secret, message),
            Self::HmacSha224 => hex::<Sha224>(secret, message),
            Self::HmacSha256 => hex::<Sha256>(secret, message),
            Self::HmacSha384 => hex::<Sha384>(secret, message),
            Self::HmacSha512 => hex::<Sha512>(secret, message),
        }
    }
}

impl Key {
    /// Returns the key under which an encrypted remote stores this one: `GPGHMACSHA1--…`.
    ///
    /// `cipher` is the remote's secret: for `encryption=shared` the `cipher=` setting, once decoded from base64; for
    /// others that, decrypted. Chunk keys have names of their own.
    /// Source: `docs/spec/external-special-remote.md` §11; vectors `encrypted-keys.json`.
    pub fn encrypted(&self, mac: Mac, cipher: &[u8]) -> Self {
        let secret = cipher.get(..SECRET_LEN).unwrap_or(cipher);
        let backend = format!("GPG{}", mac.as_str());
        let fields =
            Fields { backend: backend.as_bytes(), size: None, mtime: None, chunk_size: None, chunk_number: None };
        Self::assemble(&fields, mac.hex(secret, self.as_bytes()).as_bytes())
    }
}

#[expect(clippy::expect_used, reason = "the error has no way to happen")]
fn hex<D: EagerHash>(secret: &[u8], message: &[u8]) -> String {
    let mut hmac = Hmac::<D>::new_from_slice(secret).expect("HMAC takes keys of any length");
    hmac.update(message);
    hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
