//! Settings of single repositories.

use super::config;
use super::user::Role;
use super::{RepoName, Site, SiteError};

impl Site {
    /// Returns what somebody without a name may do in a repository.
    pub fn anonymous(&self, repo: &RepoName) -> Result<Role, SiteError> {
        let select = "SELECT anonymous FROM repo_setting WHERE repo = ?1";
        let set: Option<(Option<String>,)> = self.database().read(|sql| sql.first(select, [repo.to_string()]))?;
        match set.and_then(|(role,)| role) {
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
        self.database().write(|sql| sql.change(upsert, (repo.to_string(), text)).map(drop))
    }

    /// Forgets what was set for a repository that is no more: settings, and roles of single users.
    pub fn forget_repo(&self, repo: &RepoName) -> Result<(), SiteError> {
        self.database().write(|sql| {
            sql.change("DELETE FROM repo_setting WHERE repo = ?1", [repo.to_string()])?;
            sql.change("DELETE FROM user_role WHERE repo = ?1", [repo.to_string()]).map(drop)
        })
    }
}
