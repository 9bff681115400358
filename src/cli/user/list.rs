//! `annex-keep user list`.

use std::collections::BTreeMap;

use annex_gateway::site::user::{PublicKey, User};
use serde_json::json;

use crate::cli::output::Lines;
use crate::cli::site::SiteOption;
use crate::error::Failure;

/// List users with their roles, keys, and whether they have a password
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    site: SiteOption,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut out = Lines::new();
        for user in self.site.open()?.users()? {
            out.line(if self.json { as_json(&user) } else { as_text(&user) })?;
        }
        out.end()
    }
}

fn as_json(user: &User) -> String {
    let roles: BTreeMap<_, _> = user.roles.iter().map(|(repo, role)| (repo.to_string(), role.to_string())).collect();
    let key = |key: &PublicKey| json!({ "fingerprint": key.fingerprint(), "algorithm": key.algorithm, "comment": key.comment });
    let keys: Vec<_> = user.keys.iter().map(key).collect();
    let role = user.role.to_string();
    let User { name, password, tokens, .. } = user;
    json!({ "name": name, "role": role, "repos": roles, "keys": keys, "password": password, "tokens": tokens })
        .to_string()
}

/// A line for the user, and below it one for each key.
fn as_text(user: &User) -> String {
    let roles: String = user.roles.iter().map(|(repo, role)| format!(" {repo}={role}")).collect();
    let password = if user.password { "password" } else { "no password" };
    let keys: String = user.keys.iter().map(|key| format!("\n  {} {}", key.fingerprint(), key.comment)).collect();
    format!("{} {}{roles} ({password}, tokens: {}){keys}", user.name, user.role, user.tokens)
}
