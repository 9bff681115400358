//! `annex-keep user`: the users of a site.

use std::process::ExitCode;

use clap::Subcommand;

use super::site::SiteOption;
use crate::error::Failure;

mod edit;
mod list;
mod password;
mod token;

/// List, add, change and remove users
#[derive(Debug, clap::Args)]
pub(super) struct User {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::List),
    Add(edit::Add),
    Set(edit::Set),
    /// Remove a user with all keys, tokens and roles
    Remove {
        /// The user's name
        name: String,
        #[command(flatten)]
        site: SiteOption,
    },
    Token(token::Make),
    Tokens(token::List),
    Revoke(token::Revoke),
}

impl User {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self.action {
            Action::List(list) => list.run()?,
            Action::Add(add) => add.run()?,
            Action::Set(set) => set.run()?,
            Action::Remove { name, site } => site.open()?.remove_user(&name)?,
            Action::Token(make) => make.run()?,
            Action::Tokens(list) => list.run()?,
            Action::Revoke(revoke) => revoke.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
