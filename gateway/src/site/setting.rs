//! Settings of single repositories.

use rusqlite::OptionalExtension;

use super::config;
use super::user::Role;
use super::{RepoName, Site, SiteError};

impl Site {
    /// Returns what somebody without a name may do in a repository.
    pub fn anonymous(&self, repo: &RepoName) -> Result<Role, SiteError> {
        let select = "SELECT anonymous FROM repo_setting WHERE repo = ?1";
        let set: Option<Option<String>> = self.database().read(|connection| {
            connection.prepare_cached(select)?.query_row([repo.to_string()], |row| row.get(0)).optional()
        })?;
        match set.flatten() {
            Some(text) => config::anonymous(&text).map_err(SiteError::Invalid),
            None => Ok(self.config().anonymous),
        }
    }

    /// Sets what somebody without a name may do in a repository; `None` for what the site says.
    pub fn set_anonymous(&self, repo: &RepoName, role: Option<Role>) -> Result<(), SiteError> {
        let text = role.map(|role| role.to_string());
        if let Some(text) = &text {
            config::anonymous(text).map_err(SiteError::Invalid)?;
        }
        let upsert = "INSERT INTO repo_setting (repo, anonymous) VALUES (?1, ?2)
            ON CONFLICT (repo) DO UPDATE SET anonymous = ?2";
        self.database().write(|transaction| transaction.execute(upsert, (repo.to_string(), text)).map(drop))
    }

    /// Forgets what was set for a repository that is no more: settings, and roles of single users.
    pub fn forget_repo(&self, repo: &RepoName) -> Result<(), SiteError> {
        self.database().write(|transaction| {
            transaction.execute("DELETE FROM repo_setting WHERE repo = ?1", [repo.to_string()])?;
            transaction.execute("DELETE FROM user_role WHERE repo = ?1", [repo.to_string()]).map(drop)
        })
    }
}
