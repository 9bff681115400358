//! Passwords and tokens: what a user shows over HTTP.
//!
//! A password is kept as Argon2id makes it. A token is random, so its plain SHA-256 is enough; it is an Arvados token,
//! `v2/UUID/SECRET`, and over HTTP it also stands in the place of the password.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use annex_protocol::keep::Token;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use rusqlite::OptionalExtension;
use sha2::{Digest, Sha256};

use super::cluster::BASE_36;
use super::user::{self, Change, Password, Role};
use super::{Site, SiteError};

/// A token of a user, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// What names it.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// When it ends, in seconds since the epoch.
    pub expires: Option<u64>,
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// The token, without its secret.
    pub token: TokenInfo,
    /// What its user may do on the whole site.
    pub role: Role,
}

/// Passwords that were right lately. Argon2 is slow on purpose, and clients send the password with each request.
///
/// Holds SHA-256 of the stored hash and the password together: of no use once the password was changed.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<[u8; 32], u64>>);

/// Characters of a token's secret, as Arvados has them: 258 bits. One of 40 would count as salted.
const SECRET: usize = 50;

/// How long a password that was right counts without another look, in seconds.
const TRUSTED_SECONDS: u64 = 300;

/// How long a token that has ended is still listed, at least, in seconds.
const LISTED_SECONDS: u64 = 30 * 86_400;

/// A password as it is kept: nothing from which it could be learnt.
#[derive(Clone)]
pub struct Hashed(String);

/// What is checked when there is no such user, so that this takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY$Ivt9KCDvWqwgnSaSMbS3jfnA3S2JLMpEl8DcVeHgKFg";

impl Site {
    /// Tells whether a secret is a user's password, or a live token of the user.
    pub fn authenticate(&self, name: &str, secret: &[u8]) -> Result<bool, SiteError> {
        if let Token::V2 { uuid, secret, .. } = Token::parse(secret) {
            return self.authenticate_token(name, uuid, secret);
        }
        let select = "SELECT password FROM user WHERE name = ?1";
        let stored: Option<Option<String>> = self
            .database()
            .read(|connection| connection.prepare_cached(select)?.query_row([name], |row| row.get(0)).optional())?;
        let stored = stored.flatten();
        let hash = stored.as_deref().unwrap_or(NOBODY);
        let now = self.clock().unix_seconds();
        let right = self.0.passwords.recall(hash, secret, now) || {
            let parsed = PasswordHash::new(hash).map_err(|error| SiteError::Invalid(format!("password: {error}")))?;
            let right = Argon2::default().verify_password(secret, &parsed).is_ok();
            if right && stored.is_some() {
                self.0.passwords.remember(hash, secret, now);
            }
            right
        };
        Ok(right && stored.is_some())
    }

    fn authenticate_token(&self, name: &str, id: &[u8], secret: &[u8]) -> Result<bool, SiteError> {
        let select = "SELECT EXISTS (SELECT 1 FROM token WHERE id = ?1 AND user = ?2 AND secret = ?3
            AND (expires IS NULL OR expires > ?4))";
        let id = String::from_utf8_lossy(id);
        // Compared by hash, so the time it takes tells nothing of the secret.
        let row = (id, name, Sha256::digest(secret).to_vec(), self.clock().unix_seconds());
        self.database().read(|connection| connection.prepare_cached(select)?.query_row(row, |row| row.get(0)))
    }

    /// Returns whom a live token speaks for, in its whole form (`v2/ID/SECRET`, whatever follows) or as its secret alone.
    pub fn token_owner(&self, token: &[u8]) -> Result<Option<TokenOwner>, SiteError> {
        let (id, secret) = match Token::parse(token) {
            Token::V2 { uuid, secret, .. } => (Some(String::from_utf8_lossy(uuid).into_owned()), secret),
            Token::V1(secret) | Token::Other(secret) => (None, secret),
        };
        let select = "SELECT token.id, user, created, expires, role FROM token JOIN user ON user = name
            WHERE secret = ?1 AND (?2 IS NULL OR id = ?2) AND (expires IS NULL OR expires > ?3)";
        // Looked up by its hash, so the time it takes tells nothing of the secret.
        let asked = (Sha256::digest(secret).to_vec(), id, self.clock().unix_seconds());
        let found: Option<(TokenInfo, String)> = self.database().read(|connection| {
            let row = |row: &rusqlite::Row<'_>| Ok((token_info(row)?, row.get(4)?));
            connection.prepare_cached(select)?.query_row(asked, row).optional()
        })?;
        found.map(|(token, role)| Ok(TokenOwner { token, role: role.parse()? })).transpose()
    }

    /// Sets a user's password, or takes it away.
    pub fn set_password(&self, name: &str, password: Option<&[u8]>) -> Result<(), SiteError> {
        let password = match password {
            Some(password) => Password::Set(Hashed::of(password)?),
            None => Password::Remove,
        };
        self.set_user(name, &Change { password: Some(password), ..Change::default() })
    }

    /// Makes a token for a user, and returns its only copy.
    pub fn make_token(&self, name: &str, expires: Option<u64>) -> Result<String, SiteError> {
        let id = format!("{}-gj3su-{}", self.cluster()?, random_word(15)?);
        let secret = random_word(SECRET)?;
        let insert = "INSERT INTO token (id, user, secret, created, expires) SELECT ?1, name, ?3, ?4, ?5
            FROM user WHERE name = ?2";
        let now = self.clock().unix_seconds();
        let row = (&id, name, Sha256::digest(secret.as_bytes()).to_vec(), now, expires);
        let made = self.database().write(|transaction| {
            let forgotten = now.saturating_sub(LISTED_SECONDS);
            transaction.execute("DELETE FROM token WHERE expires <= ?1", [forgotten])?;
            transaction.execute(insert, row)
        })?;
        if made == 0 { Err(user::unknown(name)) } else { Ok(format!("v2/{id}/{secret}")) }
    }

    /// Returns the tokens of a user, or of all; those that ended lately, too.
    pub fn tokens(&self, name: Option<&str>) -> Result<Vec<TokenInfo>, SiteError> {
        let select =
            "SELECT id, user, created, expires FROM token WHERE ?1 IS NULL OR user = ?1 ORDER BY user, created";
        self.database().read(|connection| connection.prepare_cached(select)?.query_map([name], token_info)?.collect())
    }

    /// Ends a token.
    pub fn revoke_token(&self, id: &str) -> Result<(), SiteError> {
        let removed =
            self.database().write(|transaction| transaction.execute("DELETE FROM token WHERE id = ?1", [id]))?;
        if removed == 0 { Err(SiteError::Invalid(format!("there is no token {id}"))) } else { Ok(()) }
    }
}

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

fn token_info(row: &rusqlite::Row<'_>) -> rusqlite::Result<TokenInfo> {
    Ok(TokenInfo { id: row.get(0)?, user: row.get(1)?, created: row.get(2)?, expires: row.get(3)? })
}

/// Returns so many random characters `0-9a-z`.
fn random_word(length: usize) -> Result<String, SiteError> {
    let mut word = String::with_capacity(length);
    while word.len() < length {
        let mut bytes = [0; 64];
        random(&mut bytes)?;
        // Bytes from 252 on would favour the first letters.
        let letters = bytes.iter().filter(|byte| **byte < 252).filter_map(|byte| BASE_36.get(usize::from(byte % 36)));
        word.extend(letters.take(length - word.len()).map(|letter| char::from(*letter)));
    }
    Ok(word)
}

fn random(bytes: &mut [u8]) -> Result<(), SiteError> {
    getrandom::fill(bytes).map_err(|error| SiteError::Invalid(format!("no random numbers to be had: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> (tempfile::TempDir, Site) {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        site.add_user("alice", &Change::default()).unwrap();
        site.add_user("bob", &Change::default()).unwrap();
        (dir, site)
    }

    #[test]
    fn a_password_is_right_until_it_is_changed() {
        let (_dir, site) = site();
        assert!(!site.authenticate("alice", b"secret:x").unwrap(), "none is set");
        site.set_password("alice", Some(b"secret:x")).unwrap();
        for _ in 0..2 {
            assert!(site.authenticate("alice", b"secret:x").unwrap());
        }
        assert!(!site.authenticate("alice", b"secret").unwrap());
        assert!(!site.authenticate("bob", b"secret:x").unwrap());
        assert!(!site.authenticate("nobody", b"secret:x").unwrap());
        site.set_password("alice", Some(b"other")).unwrap();
        assert!(!site.authenticate("alice", b"secret:x").unwrap(), "though it was right a moment ago");
        site.set_password("alice", None).unwrap();
        assert!(!site.authenticate("alice", b"other").unwrap());
        assert!(site.set_password("nobody", Some(b"x")).is_err());
        assert!(site.set_password("alice", Some(b"")).is_err());
    }

    #[test]
    fn a_token_is_good_for_its_user_until_it_ends_or_is_revoked() {
        let (_dir, site) = site();
        let token = site.make_token("alice", None).unwrap();
        assert!(token.starts_with("v2/"), "{token}");
        assert!(site.authenticate("alice", token.as_bytes()).unwrap());
        assert!(!site.authenticate("bob", token.as_bytes()).unwrap());
        let wrong = format!("{token}x");
        assert!(!site.authenticate("alice", wrong.as_bytes()).unwrap());
        let ended = site.make_token("alice", Some(site.clock().unix_seconds())).unwrap();
        assert!(!site.authenticate("alice", ended.as_bytes()).unwrap());
        let id = token.split('/').nth(1).unwrap();
        assert_eq!(site.tokens(Some("alice")).unwrap().len(), 2);
        assert!(site.tokens(Some("bob")).unwrap().is_empty());
        site.revoke_token(id).unwrap();
        assert!(!site.authenticate("alice", token.as_bytes()).unwrap());
        assert!(site.revoke_token(id).is_err());
        assert!(site.make_token("nobody", None).is_err());
    }

    #[test]
    fn a_token_tells_its_user_in_both_forms() {
        let (_dir, site) = site();
        let token = site.make_token("alice", None).unwrap();
        let mut parts = token.split('/').skip(1);
        let (id, secret) = (parts.next().unwrap(), parts.next().unwrap());
        assert!(id.starts_with(&format!("{}-gj3su-", site.cluster().unwrap())) && id.len() == 27, "{id}");
        assert!(matches!(Token::parse(secret.as_bytes()), Token::V1(_)), "{secret}");
        for form in [token.as_str(), secret, &format!("{token}/container")] {
            let owner = site.token_owner(form.as_bytes()).unwrap().unwrap();
            assert_eq!((owner.token.user.as_str(), owner.token.id.as_str(), owner.role), ("alice", id, Role::Write));
        }
        for wrong in [id, "", "v2//", &secret[1..], &format!("v2/{id}x/{secret}"), &token.to_uppercase()] {
            assert!(site.token_owner(wrong.as_bytes()).unwrap().is_none(), "{wrong}");
        }
        site.revoke_token(id).unwrap();
        assert!(site.token_owner(token.as_bytes()).unwrap().is_none());
        let ended = site.make_token("bob", Some(site.clock().unix_seconds())).unwrap();
        assert!(site.token_owner(ended.as_bytes()).unwrap().is_none());
    }

    #[test]
    fn a_token_that_ended_long_ago_is_forgotten() {
        let (_dir, site) = site();
        let now = site.clock().unix_seconds();
        site.make_token("alice", Some(now - LISTED_SECONDS - 1)).unwrap();
        site.make_token("alice", Some(now - 1)).unwrap();
        assert_eq!(site.tokens(None).unwrap().len(), 1, "the next one made clears the old one");
        site.make_token("bob", None).unwrap();
        assert_eq!(site.tokens(None).unwrap().len(), 2);
        let live = site.users().unwrap().iter().map(|user| user.tokens).collect::<Vec<_>>();
        assert_eq!(live, [0, 1], "alice's has ended");
    }

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
