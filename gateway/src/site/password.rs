//! Passwords, kept as Argon2id makes them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use annex_protocol::keep::Token;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};

use super::SiteError;

/// A password as it is kept: nothing from which it could be learnt.
#[derive(Clone)]
pub struct Hashed(String);

/// Passwords that were right lately. Argon2 is slow on purpose, and clients send the password with each request.
///
/// Holds SHA-256 of the stored hash and the password together: of no use once the password was changed.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<[u8; 32], u64>>);

/// How long a password that was right counts without another look, in seconds.
const TRUSTED_SECONDS: u64 = 300;

/// What is checked when there is no such user, so that this takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY$Ivt9KCDvWqwgnSaSMbS3jfnA3S2JLMpEl8DcVeHgKFg";

impl Hashed {
    /// Hashes a password with Argon2id and fresh salt, which takes time.
    pub fn of(password: &[u8]) -> Result<Self, SiteError> {
        let invalid = |text: &str| Err(SiteError::Invalid(text.to_owned()));
        if password.is_empty() {
            return invalid("the password is empty");
        }
        if matches!(Token::parse(password), Token::V2 { .. }) {
            return invalid("a password cannot have the form of a token, v2/ID/SECRET");
        }
        let mut salt = [0; 16];
        random(&mut salt)?;
        let hash = Argon2::default().hash_password_with_salt(password, &salt);
        Ok(Self(hash.map_err(|error| SiteError::Invalid(format!("password: {error}")))?.to_string()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hashed")
    }
}

impl Verified {
    /// Tells whether a secret is the password that is `stored`, which takes time; `None` where there is none. `now` is in
    /// seconds since the epoch.
    pub(super) fn check(&self, stored: Option<&str>, secret: &[u8], now: u64) -> Result<bool, SiteError> {
        let hash = stored.unwrap_or(NOBODY);
        let right = self.recall(hash, secret, now) || {
            let parsed = PasswordHash::new(hash).map_err(|error| SiteError::Invalid(format!("password: {error}")))?;
            let right = Argon2::default().verify_password(secret, &parsed).is_ok();
            if right && stored.is_some() {
                self.remember(hash, secret, now);
            }
            right
        };
        Ok(right && stored.is_some())
    }

    fn recall(&self, hash: &str, secret: &[u8], now: u64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&together(hash, secret)).is_some_and(|until| *until > now)
    }

    fn remember(&self, hash: &str, secret: &[u8], now: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| *until > now);
        known.insert(together(hash, secret), now + TRUSTED_SECONDS);
    }
}

fn together(hash: &str, secret: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(hash.len().to_le_bytes()).chain_update(hash).chain_update(secret).finalize().into()
}

/// Fills bytes with random numbers.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), SiteError> {
    getrandom::fill(bytes).map_err(|error| SiteError::Invalid(format!("no random numbers to be had: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_form_of_a_token_is_refused() {
        assert!(Hashed::of(b"v2/a/b").is_err(), "it would never be looked at");
        assert!(Hashed::of(b"v2/a").is_ok());
    }

    #[test]
    fn what_stands_for_nobody_is_a_hash() {
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
