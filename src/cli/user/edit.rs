//! `annex-keep user add` and `user set`.

use std::path::{Path, PathBuf};

use annex_gateway::site::user::{Change, PublicKey, Role};
use annex_gateway::site::{RepoName, Site, SiteError};

use super::password::PasswordOptions;
use crate::cli::output::Lines;
use crate::cli::site::SiteOption;
use crate::error::Failure;

/// Add a user, and print the line for sshd's authorized_keys of each key
#[derive(Debug, clap::Args)]
pub(super) struct Add {
    #[command(flatten)]
    edit: Edit,
}

/// Change a user; what is not named stays as it is
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    #[command(flatten)]
    edit: Edit,
    /// Take the password away: over HTTP, tokens are left
    #[arg(long, conflicts_with_all = ["password", "password_stdin"])]
    no_password: bool,
    /// Take a public key away, by its file or its fingerprint (SHA256:…); may be given several times
    #[arg(long = "remove-key", value_name = "FILE|FINGERPRINT")]
    without_keys: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Edit {
    /// The user's name
    name: String,
    /// A public key file; may be given several times
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// What the user may do: read, append (read and store), write (and remove), admin (and placement, users), none
    #[arg(long)]
    role: Option<Role>,
    /// Another role in one repository; `default` drops it again. May be given several times
    #[arg(long = "repo", value_name = "NAME=ROLE", value_parser = repo_role)]
    roles: Vec<(RepoName, Option<Role>)>,
    #[command(flatten)]
    password: PasswordOptions,
    #[command(flatten)]
    site: SiteOption,
}

impl Add {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.edit.site.open()?;
        let change = self.edit.change()?;
        site.add_user(&self.edit.name, &change)?;
        authorized(&site, &self.edit.name, &change)
    }
}

impl Set {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.edit.site.open()?;
        let mut change = self.edit.change()?;
        change.without_keys = self.without_keys.iter().map(|named| fingerprint(named)).collect::<Result<_, _>>()?;
        if self.no_password {
            change.password = Some(annex_gateway::site::user::Password::Remove);
        }
        site.set_user(&self.edit.name, &change)?;
        authorized(&site, &self.edit.name, &change)
    }
}

impl Edit {
    fn change(&self) -> Result<Change, Failure> {
        let keys = self.keys.iter().map(|path| public_key(path)).collect::<Result<_, _>>()?;
        let password = self.password.read()?;
        Ok(Change { role: self.role, roles: self.roles.clone(), keys, password, ..Change::default() })
    }
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let named = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    PublicKey::parse(&text).map_err(|error| named(&error))
}

fn fingerprint(named: &str) -> Result<String, Failure> {
    if named.starts_with("SHA256:") {
        return Ok(named.to_owned());
    }
    Ok(public_key(Path::new(named))?.fingerprint())
}

/// Prints what makes the system's sshd let the user in, and nothing else.
fn authorized(site: &Site, name: &str, change: &Change) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let mut out = Lines::new();
    for key in &change.keys {
        let command = format!("{} shell --site {} --user {name}", quoted(&program), quoted(site.root()));
        let command = command.replace('\\', "\\\\").replace('"', "\\\"");
        out.line(format_args!("restrict,command=\"{command}\" {} {} {}", key.algorithm, key.key, key.comment))?;
    }
    out.end()
}

/// Quotes a path for the shell that sshd starts, where it needs it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(&b);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn repo_role(text: &str) -> Result<(RepoName, Option<Role>), SiteError> {
    let invalid = || SiteError::Invalid(format!("\"{text}\" should be NAME=ROLE"));
    let (name, role) = text.rsplit_once('=').ok_or_else(invalid)?;
    let role = if role == "default" { None } else { Some(role.parse()?) };
    Ok((RepoName::parse(name.as_bytes())?, role))
}
