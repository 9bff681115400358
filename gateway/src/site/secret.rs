//! Passwords and tokens: what a user shows over HTTP.
//!
//! A token is random, so its plain SHA-256 is enough. It is an Arvados token, `v2/UUID/SECRET`, and over HTTP it also
//! stands in the place of the password.

use annex_protocol::keep::Token;
use sha2::{Digest, Sha256};

use super::cluster::BASE_36;
use super::password::{Hashed, random};
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

/// Characters of a token's secret, as Arvados has them: 258 bits. One of 40 would count as salted.
const SECRET: usize = 50;

/// How long a token that has ended is still listed, at least, in seconds.
const LISTED_SECONDS: u64 = 30 * 86_400;

impl Site {
    /// Tells whether a secret is a user's password, or a live token of the user.
    pub fn authenticate(&self, name: &str, secret: &[u8]) -> Result<bool, SiteError> {
        if let Token::V2 { uuid, secret, .. } = Token::parse(secret) {
            return self.authenticate_token(name, uuid, secret);
        }
        let select = "SELECT password FROM user WHERE name = ?1";
        let stored: Option<(Option<String>,)> = self.database().read(|sql| sql.first(select, [name]))?;
        let stored = stored.and_then(|(password,)| password);
        self.0.passwords.check(stored.as_deref(), secret, self.clock().unix_seconds())
    }

    fn authenticate_token(&self, name: &str, id: &[u8], secret: &[u8]) -> Result<bool, SiteError> {
        let select = "SELECT EXISTS (SELECT 1 FROM token WHERE id = ?1 AND user = ?2 AND secret = ?3
            AND (expires IS NULL OR expires > ?4))";
        let id = String::from_utf8_lossy(id);
        // Compared by hash, so the time it takes tells nothing of the secret.
        let row = (id, name, Sha256::digest(secret).to_vec(), self.clock().unix_seconds());
        let (right,) = self.database().read(|sql| sql.one(select, row))?;
        Ok(right)
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
        let found: Option<_> = self.database().read(|sql| sql.first(select, asked))?;
        let owner = |(id, user, created, expires, role): (_, _, _, _, String)| {
            Ok(TokenOwner { token: TokenInfo { id, user, created, expires }, role: role.parse()? })
        };
        found.map(owner).transpose()
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
        let made = self.database().write(|sql| {
            let forgotten = now.saturating_sub(LISTED_SECONDS);
            sql.change("DELETE FROM token WHERE expires <= ?1", [forgotten])?;
            sql.change(insert, row)
        })?;
        if made == 0 { Err(user::unknown(name)) } else { Ok(format!("v2/{id}/{secret}")) }
    }

    /// Returns the tokens of a user, or of all; those that ended lately, too.
    pub fn tokens(&self, name: Option<&str>) -> Result<Vec<TokenInfo>, SiteError> {
        let select =
            "SELECT id, user, created, expires FROM token WHERE ?1 IS NULL OR user = ?1 ORDER BY user, created";
        let rows: Vec<_> = self.database().read(|sql| sql.all(select, [name]))?;
        let token = |(id, user, created, expires)| TokenInfo { id, user, created, expires };
        Ok(rows.into_iter().map(token).collect())
    }

    /// Ends a token.
    pub fn revoke_token(&self, id: &str) -> Result<(), SiteError> {
        let removed = self.database().write(|sql| sql.change("DELETE FROM token WHERE id = ?1", [id]))?;
        if removed == 0 { Err(SiteError::Invalid(format!("there is no token {id}"))) } else { Ok(()) }
    }
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
}
