//! `annex-keep user`: the users of a site.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::output::Lines;
use super::site::SiteOption;
use crate::error::Failure;
use crate::site::user::{Change, PublicKey, Role};
use crate::site::{RepoName, SiteError};

/// List, add, change and remove users
#[derive(Debug, clap::Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List users with their roles and keys
    List {
        #[command(flatten)]
        site: SiteOption,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Add a user, and print the line for sshd's authorized_keys of each key
    Add(Edit),
    /// Change a user
    Set(Edit),
    /// Remove a user
    Remove {
        /// The user's name
        name: String,
        #[command(flatten)]
        site: SiteOption,
    },
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
    /// Another role in one repository
    #[arg(long = "repo", value_name = "NAME=ROLE", value_parser = repo_role)]
    roles: Vec<(RepoName, Role)>,
    /// Read a password for HTTP from standard input, its first line
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    site: SiteOption,
}

impl User {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::List { site, json } => list(&site, json)?,
            Action::Add(edit) => {
                let change = edit.change()?;
                let site = edit.site.open()?;
                let password = edit.password()?;
                site.add_user(&edit.name, &change)?;
                set_password(&site, &edit.name, password)?;
                authorized(&site, &edit.name, &change)?;
            }
            Action::Set(edit) => {
                let change = edit.change()?;
                let site = edit.site.open()?;
                let password = edit.password()?;
                site.set_user(&edit.name, &change)?;
                set_password(&site, &edit.name, password)?;
                authorized(&site, &edit.name, &change)?;
            }
            Action::Remove { name, site } => site.open()?.remove_user(&name)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Edit {
    fn change(&self) -> Result<Change, Failure> {
        let key = |path: &PathBuf| {
            let named = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
            PublicKey::parse(&text).map_err(|error| named(&error))
        };
        let keys = self.keys.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Change { role: self.role, roles: self.roles.clone(), keys })
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        if !self.password_stdin {
            return Ok(None);
        }
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

fn set_password(site: &crate::site::Site, name: &str, password: Option<String>) -> Result<(), Failure> {
    Ok(password.map_or(Ok(()), |password| site.set_password(name, Some(password.as_bytes())))?)
}

/// Prints what makes the system's sshd let the user in, and nothing else.
fn authorized(site: &crate::site::Site, name: &str, change: &Change) -> Result<(), Failure> {
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
fn quoted(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(&b);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn repo_role(text: &str) -> Result<(RepoName, Role), SiteError> {
    let invalid = || SiteError::Invalid(format!("\"{text}\" should be NAME=ROLE"));
    let (name, role) = text.rsplit_once('=').ok_or_else(invalid)?;
    Ok((RepoName::parse(name.as_bytes())?, role.parse()?))
}

fn list(site: &SiteOption, json: bool) -> Result<(), Failure> {
    let mut out = Lines::new();
    for user in site.open()?.users()? {
        let roles = user.roles.iter().map(|(repo, role)| (repo.to_string(), role.to_string()));
        if json {
            let roles: std::collections::BTreeMap<_, _> = roles.collect();
            let key = |key: &PublicKey| format!("{} {} {}", key.algorithm, key.key, key.comment);
            let keys: Vec<_> = user.keys.iter().map(key).collect();
            let role = user.role.to_string();
            out.line(json!({ "name": user.name, "role": role, "repos": roles, "keys": keys }))?;
        } else {
            let roles: String = roles.map(|(repo, role)| format!(" {repo}={role}")).collect();
            out.line(format_args!("{} {}{roles} ({} keys)", user.name, user.role, user.keys.len()))?;
        }
    }
    out.end()
}
