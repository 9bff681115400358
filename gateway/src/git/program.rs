//! The git program: what serves packs to clients, makes repositories, and changes configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::{Git, GitError, ObjectId};

impl Git {
    /// Makes an empty bare repository at `dir` and opens it.
    pub fn init_bare(dir: &Path) -> Result<Self, GitError> {
        run(command().args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(dir), "init")?;
        Self::open(dir)
    }

    /// Sets values in the repository's own configuration.
    pub fn set_config(&self, values: &[(&str, &str)]) -> Result<(), GitError> {
        for (name, value) in values {
            run(command().arg("--git-dir").arg(self.dir()).args(["config", "--local", name, value]), "config")?;
        }
        Ok(())
    }

    /// Adds a value to a setting that may have several.
    pub fn add_config(&self, name: &str, value: &str) -> Result<(), GitError> {
        run(command().arg("--git-dir").arg(self.dir()).args(["config", "--local", "--add", name, value]), "config")
            .map(drop)
    }

    /// Returns the branches and the commits that they point to, without `refs/heads/` in front of the names.
    pub fn branches(&self) -> Result<BTreeMap<String, ObjectId>, GitError> {
        let mut git = command();
        let format = "--format=%(objectname) %(refname:strip=2)";
        git.arg("--git-dir").arg(self.dir()).args(["for-each-ref", format, "refs/heads"]);
        let output = run(&mut git, "for-each-ref")?;
        let text = String::from_utf8_lossy(&output);
        let branch = |line: &str| {
            let (id, name) = line.split_once(' ')?;
            Some((name.to_owned(), ObjectId::from_hex(id.as_bytes()).ok()?))
        };
        Ok(text.lines().filter_map(branch).collect())
    }

    /// Points HEAD to a branch, born or not.
    pub fn set_head(&self, branch: &str) -> Result<(), GitError> {
        let mut git = command();
        git.arg("--git-dir").arg(self.dir()).args(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        run(&mut git, "symbolic-ref").map(drop)
    }

    /// Returns the branch that HEAD names, born or not.
    pub fn head(&self) -> Result<String, GitError> {
        let output = run(command().arg("--git-dir").arg(self.dir()).args(["symbolic-ref", "HEAD"]), "symbolic-ref")?;
        let name = String::from_utf8_lossy(&output);
        Ok(name.trim().trim_start_matches("refs/heads/").to_owned())
    }
}

/// Returns a git command that no environment variable can point to another repository.
pub fn command() -> Command {
    let mut git = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH"] {
        git.env_remove(name);
    }
    git
}

fn run(git: &mut Command, name: &str) -> Result<Vec<u8>, GitError> {
    let output = git.output().map_err(|e| GitError::Program { command: name.into(), cause: e.to_string() })?;
    if output.status.success() { Ok(output.stdout) } else { Err(said(&output, name)) }
}

fn said(output: &std::process::Output, name: &str) -> GitError {
    let cause = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    GitError::Program { command: name.into(), cause }
}
