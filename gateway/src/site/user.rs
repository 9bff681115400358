//! Users of a site: who may do what where.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

use super::database::{Sql, SqlError};
use super::password::Hashed;
use super::{RepoName, Site, SiteError};

/// What a user may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing.
    None,
    /// Read content and history.
    Read,
    /// Also store content and push.
    Append,
    /// Also remove content, and make repositories.
    Write,
    /// Also change placement, users and repositories.
    Admin,
}

const ROLES: [(&str, Role); 5] = [
    ("none", Role::None),
    ("read", Role::Read),
    ("append", Role::Append),
    ("write", Role::Write),
    ("admin", Role::Admin),
];

/// A user's ssh public key, as `authorized_keys` lines hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// For example `ssh-ed25519`.
    pub algorithm: String,
    /// The key itself in base64.
    pub key: String,
    /// Free text behind the key.
    pub comment: String,
}

/// A user as listed.
#[derive(Debug, Clone)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The role in repositories not listed in `roles`.
    pub role: Role,
    /// Roles in single repositories.
    pub roles: Vec<(RepoName, Role)>,
    /// The public keys.
    pub keys: Vec<PublicKey>,
    /// Whether there is a password.
    pub password: bool,
    /// How many live tokens there are.
    pub tokens: u64,
}

/// What is changed of a user. All of it is done, or nothing.
#[derive(Debug, Default)]
pub struct Change {
    /// The role for the whole site.
    pub role: Option<Role>,
    /// Roles in single repositories; `None` drops one, so that the role for the whole site holds there again.
    pub roles: Vec<(RepoName, Option<Role>)>,
    /// Keys that are added.
    pub keys: Vec<PublicKey>,
    /// Fingerprints of keys that are taken away.
    pub without_keys: Vec<String>,
    /// What becomes of the password.
    pub password: Option<Password>,
}

/// What becomes of a password.
#[derive(Debug)]
pub enum Password {
    /// It is this one from now on.
    Set(Hashed),
    /// There is none any more.
    Remove,
}

/// Names that users cannot have: the common login of the ssh door, and the words for anonymous callers in logs and
/// messages.
const TAKEN_NAMES: [&str; 3] = ["git", "anonymous", "owner"];

impl Site {
    /// Adds a user; without a role the user may write.
    pub fn add_user(&self, name: &str, change: &Change) -> Result<(), SiteError> {
        check_name(name)?;
        let role = change.role.unwrap_or(Role::Write).to_string();
        self.database().try_write(|sql| {
            let insert = "INSERT INTO user (name, role) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            if sql.change(insert, (name, role))? == 0 {
                return Ok(Err(SiteError::Invalid(format!("there is a user {name} already"))));
            }
            apply(sql, name, change)
        })
    }

    /// Changes a user.
    pub fn set_user(&self, name: &str, change: &Change) -> Result<(), SiteError> {
        self.database().try_write(|sql| {
            if let Some(role) = change.role {
                sql.change("UPDATE user SET role = ?2 WHERE name = ?1", (name, role.to_string()))?;
            }
            if !exists(sql, name)? {
                return Ok(Err(unknown(name)));
            }
            apply(sql, name, change)
        })
    }

    /// Removes a user with all keys and roles.
    pub fn remove_user(&self, name: &str) -> Result<(), SiteError> {
        let removed = self.database().write(|sql| sql.change("DELETE FROM user WHERE name = ?1", [name]))?;
        if removed == 0 { Err(unknown(name)) } else { Ok(()) }
    }

    /// Returns all users, by name.
    pub fn users(&self) -> Result<Vec<User>, SiteError> {
        let now = self.clock().unix_seconds();
        let select = "SELECT name, role, password IS NOT NULL,
            (SELECT count(*) FROM token WHERE user = name AND (expires IS NULL OR expires > ?1))
            FROM user ORDER BY name";
        let rows: Vec<_> = self.database().read(|sql| {
            let found: Vec<(String, String, bool, u64)> = sql.all(select, [now])?;
            let user = |(name, role, password, tokens): (String, String, bool, u64)| {
                let (keys, roles) = (keys(sql, &name)?, roles(sql, &name)?);
                Ok((User { name, role: Role::None, roles: Vec::new(), keys, password, tokens }, role, roles))
            };
            found.into_iter().map(user).collect()
        })?;
        let parse = |(repo, role): (String, String)| Ok((RepoName::parse(repo.as_bytes())?, role.parse()?));
        rows.into_iter()
            .map(|(user, role, roles)| {
                let roles = roles.into_iter().map(parse).collect::<Result<_, SiteError>>()?;
                Ok(User { role: role.parse()?, roles, ..user })
            })
            .collect()
    }

    /// Returns what a user may do in a repository; an error if there is no such user.
    pub fn role(&self, user: &str, repo: &RepoName) -> Result<Role, SiteError> {
        let select = "SELECT coalesce((SELECT role FROM user_role WHERE user = name AND repo = ?2), role)
            FROM user WHERE name = ?1";
        let found: Option<(String,)> = self.database().read(|sql| sql.first(select, (user, repo.to_string())))?;
        let (role,) = found.ok_or_else(|| unknown(user))?;
        role.parse()
    }

    /// Returns the user who owns a public key, given as in `authorized_keys`.
    pub fn key_owner(&self, algorithm: &str, key: &str) -> Result<Option<String>, SiteError> {
        self.database().read(|sql| owner(sql, algorithm, key))
    }

    /// Tells whether there is such a user.
    pub fn has_user(&self, name: &str) -> Result<bool, SiteError> {
        self.database().read(|sql| exists(sql, name))
    }
}

pub(super) fn unknown(name: &str) -> SiteError {
    SiteError::Invalid(format!("there is no user {name}"))
}

fn exists(sql: &Sql<'_>, name: &str) -> Result<bool, SqlError> {
    let (exists,) = sql.one("SELECT EXISTS (SELECT 1 FROM user WHERE name = ?1)", [name])?;
    Ok(exists)
}

fn owner(sql: &Sql<'_>, algorithm: &str, key: &str) -> Result<Option<String>, SqlError> {
    let select = "SELECT user FROM user_key WHERE algorithm = ?1 AND key = ?2";
    let owner: Option<(String,)> = sql.first(select, (algorithm, key))?;
    Ok(owner.map(|(owner,)| owner))
}

fn keys(sql: &Sql<'_>, user: &str) -> Result<Vec<PublicKey>, SqlError> {
    let rows: Vec<_> = sql.all("SELECT algorithm, key, comment FROM user_key WHERE user = ?1", [user])?;
    Ok(rows.into_iter().map(|(algorithm, key, comment)| PublicKey { algorithm, key, comment }).collect())
}

fn roles(sql: &Sql<'_>, user: &str) -> Result<Vec<(String, String)>, SqlError> {
    sql.all("SELECT repo, role FROM user_role WHERE user = ?1 ORDER BY repo", [user])
}

/// Writes what is changed beside the role; a key that another user has undoes the whole change.
fn apply(sql: &Sql<'_>, name: &str, change: &Change) -> Result<Result<(), SiteError>, SqlError> {
    for (repo, role) in &change.roles {
        let repo = repo.to_string();
        let Some(role) = role else {
            sql.change("DELETE FROM user_role WHERE user = ?1 AND repo = ?2", (name, repo))?;
            continue;
        };
        let upsert = "INSERT INTO user_role (user, repo, role) VALUES (?1, ?2, ?3)
            ON CONFLICT (user, repo) DO UPDATE SET role = ?3";
        sql.change(upsert, (name, repo, role.to_string()))?;
    }
    if let Some(password) = &change.password {
        let hash = match password {
            Password::Set(hashed) => Some(hashed.as_str()),
            Password::Remove => None,
        };
        sql.change("UPDATE user SET password = ?2 WHERE name = ?1", (name, hash))?;
    }
    for fingerprint in &change.without_keys {
        let known = keys(sql, name)?;
        let Some(key) = known.iter().find(|key| key.fingerprint() == *fingerprint) else {
            return Ok(Err(SiteError::Invalid(format!("user {name} has no key {fingerprint}"))));
        };
        let delete = "DELETE FROM user_key WHERE algorithm = ?1 AND key = ?2";
        sql.change(delete, (&key.algorithm, &key.key))?;
    }
    for key in &change.keys {
        if let Some(owner) = owner(sql, &key.algorithm, &key.key)?.filter(|owner| owner != name) {
            let text = format!("the key {} {} belongs to user {owner}", key.algorithm, key.comment);
            return Ok(Err(SiteError::Invalid(text)));
        }
        let upsert = "INSERT INTO user_key (user, algorithm, key, comment) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (algorithm, key) DO UPDATE SET comment = ?4";
        sql.change(upsert, (name, &key.algorithm, &key.key, &key.comment))?;
    }
    Ok(Ok(()))
}

/// A user name stands in forced commands and log lines: plain words only.
fn check_name(name: &str) -> Result<(), SiteError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@' | b'+');
    if name.is_empty() || name.len() > 100 || name.starts_with('-') || !name.bytes().all(legal) {
        let text = format!("\"{name}\" is not a user name: use letters, digits, '.', '_', '-', '@' and '+'");
        return Err(SiteError::Invalid(text));
    }
    if TAKEN_NAMES.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        return Err(SiteError::Invalid(format!(
            "\"{name}\" cannot be a user's name: this program uses it for something else"
        )));
    }
    Ok(())
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ROLES.iter().find(|(_, role)| role == self).map_or("none", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Role {
    type Err = SiteError;

    fn from_str(text: &str) -> Result<Self, SiteError> {
        let found = ROLES.iter().find(|(name, _)| *name == text).map(|(_, role)| *role);
        found.ok_or_else(|| SiteError::Invalid(format!("\"{text}\" is not a role: read, append, write, admin or none")))
    }
}

impl PublicKey {
    /// Parses the text of a `.pub` file: one key, no options in front of it.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let invalid = |why: &str| SiteError::Invalid(format!("not an ssh public key: {why}"));
        let line = lines().next().ok_or_else(|| invalid("the file is empty"))?;
        if lines().count() > 1 {
            return Err(invalid("the file holds more than one line"));
        }
        let mut words = line.split_ascii_whitespace();
        let algorithm = words.next().unwrap_or_default();
        let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|start| algorithm.starts_with(start));
        if !known {
            return Err(invalid("it should start with ssh-ed25519 or another algorithm"));
        }
        let key = words.next().unwrap_or_default();
        // The key names its algorithm once more, inside.
        let decoded = STANDARD.decode(key).map_err(|_| invalid("its second word is no base64"))?;
        let named = [&u32::try_from(algorithm.len()).unwrap_or_default().to_be_bytes(), algorithm.as_bytes()].concat();
        if !decoded.starts_with(&named) {
            return Err(invalid("its second word is no key of the algorithm that its first word names"));
        }
        let comment = words.collect::<Vec<_>>().join(" ");
        Ok(Self { algorithm: algorithm.to_owned(), key: key.to_owned(), comment })
    }

    /// Returns the key's fingerprint as OpenSSH shows it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        let blob = STANDARD.decode(&self.key).unwrap_or_default();
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(name: &str) -> RepoName {
        RepoName::parse(name.as_bytes()).unwrap()
    }

    #[test]
    fn roles_hold_for_the_site_and_for_single_repositories() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let change =
            Change { role: Some(Role::Read), roles: vec![(repo("mine"), Some(Role::Admin))], ..Change::default() };
        site.add_user("alice", &change).unwrap();
        assert_eq!(site.role("alice", &repo("data")).unwrap(), Role::Read);
        assert_eq!(site.role("alice", &repo("mine")).unwrap(), Role::Admin);
        assert!(site.add_user("alice", &change).is_err(), "a name is taken once");
        site.set_user("alice", &Change { roles: vec![(repo("mine"), Some(Role::None))], ..Change::default() }).unwrap();
        assert_eq!(site.role("alice", &repo("mine")).unwrap(), Role::None);
        site.set_user("alice", &Change { roles: vec![(repo("mine"), None)], ..Change::default() }).unwrap();
        assert_eq!(site.role("alice", &repo("mine")).unwrap(), Role::Read);
        site.remove_user("alice").unwrap();
        assert!(site.role("alice", &repo("data")).is_err());
        assert!(site.set_user("alice", &Change::default()).is_err());
    }

    #[test]
    fn a_key_belongs_to_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = PublicKey::parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA alice at home\n").unwrap();
        assert_eq!(key.comment, "alice at home");
        let change = || Change { keys: vec![key.clone()], ..Change::default() };
        site.add_user("alice", &change()).unwrap();
        let error = site.add_user("bob", &change()).unwrap_err();
        assert!(error.to_string().contains("belongs to user alice"), "{error}");
        assert_eq!(site.users().unwrap().len(), 1, "bob was not added by half");
        assert_eq!(site.key_owner(&key.algorithm, &key.key).unwrap().as_deref(), Some("alice"));
        assert_eq!(site.key_owner(&key.algorithm, "AAAA").unwrap(), None);
        assert!(site.has_user("alice").unwrap() && !site.has_user("bob").unwrap());
    }

    #[test]
    fn a_change_is_done_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        let key = PublicKey::parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA x").unwrap();
        site.add_user("bob", &Change { keys: vec![key.clone()], ..Change::default() }).unwrap();
        let password = || Some(Password::Set(Hashed::of(b"secret").unwrap()));
        let change = || Change { keys: vec![key.clone()], password: password(), ..Change::default() };
        assert!(site.add_user("alice", &change()).is_err(), "bob has that key");
        assert_eq!(site.users().unwrap().len(), 1);
        site.add_user("alice", &Change::default()).unwrap();
        assert!(site.set_user("alice", &change()).is_err());
        assert!(!site.authenticate("alice", b"secret").unwrap());
        let wrong = Change { without_keys: vec!["SHA256:x".into()], password: password(), ..Change::default() };
        assert!(site.set_user("bob", &wrong).is_err());
        let right = Change { without_keys: vec![key.fingerprint()], password: password(), ..Change::default() };
        site.set_user("bob", &right).unwrap();
        assert!(site.authenticate("bob", b"secret").unwrap());
        let users = site.users().unwrap();
        let bob = users.iter().find(|user| user.name == "bob").unwrap();
        assert!(bob.password && bob.keys.is_empty());
        assert!(!users.iter().any(|user| user.name == "alice" && user.password));
    }

    #[test]
    fn names_of_somebody_else_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let site = Site::init(&dir.path().join("site"), &[]).unwrap();
        for name in ["git", "Git", "anonymous", "owner", "", "-x", "a b", "é", "a/b"] {
            assert!(site.add_user(name, &Change::default()).is_err(), "{name}");
        }
        site.add_user("gitte", &Change::default()).unwrap();
    }

    #[test]
    fn a_fingerprint_is_the_one_that_openssh_shows() {
        let text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github.com";
        let key = PublicKey::parse(text).unwrap();
        assert_eq!(key.fingerprint(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
    }

    #[test]
    fn only_public_keys_are_taken() {
        assert!(PublicKey::parse("-----BEGIN OPENSSH PRIVATE KEY-----").is_err());
        assert!(PublicKey::parse("command=\"x\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA").is_err());
        assert!(PublicKey::parse("").is_err());
        assert!(PublicKey::parse("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA").is_err(), "a key of another algorithm");
    }
}
