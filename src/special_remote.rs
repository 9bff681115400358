//! Role one: the external special remote program, `git-annex-remote-keep`.
//!
//! git-annex starts it and speaks with it over pipes (`docs/spec/external-special-remote.md`): one conversation, or
//! with ASYNC one a job, all in one process. Content goes to a Keep store under the remote's UUID, so that repositories
//! that share a store share blocks, and yet each remote has what was stored through it and nothing else.

mod answer;
mod content;
mod host;
mod import;
mod input;
mod job;
mod output;
mod progress;
mod session;
mod settings;
mod shared;
mod state;
mod subject;
mod trouble;
mod url;

pub use session::serve;
