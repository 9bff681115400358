//! git-annex-shell command lines: what arrives over ssh, and what goes to a node.
//!
//! Source: `docs/spec/git-annex-shell.md` §1 to §3; texts of errors as git-annex 10.20261026 gives them.
//!
//! | file | what |
//! | --- | --- |
//! | `words` | [`split`] and [`quote`]: shell words |
//! | `command` | [`Command`]: a command line and back |
//! | `parse` | words to a command, options and fields |
//! | `directory` | [`Directory`]: the forms in which a repository is named |
//! | `limits` | [`Limits`]: what the `GIT_ANNEX_SHELL_*` variables allow |

mod command;
mod directory;
mod limits;
mod parse;
mod words;

pub use command::{Action, AnnexCommand, Command, GitService};
pub use directory::{Base, Directory};
pub use limits::{LimitError, Limits};
pub use parse::CommandError;
pub use words::{UnterminatedQuote, quote, split};
