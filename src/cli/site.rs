//! The `--site` option that most commands share.

use std::path::{Path, PathBuf};

use annex_gateway::site::Site;

use crate::error::Failure;

#[derive(Debug, clap::Args)]
pub(super) struct SiteOption {
    /// The site's directory
    #[arg(long, env = "ANNEX_KEEP_SITE", value_name = "DIR")]
    site: Option<PathBuf>,
}

impl SiteOption {
    pub(super) fn open(&self) -> Result<Site, Failure> {
        Ok(Site::open(self.root()?)?)
    }

    /// Returns the site's directory, unopened.
    pub(super) fn root(&self) -> Result<&Path, Failure> {
        let which = || Failure::usage("which site? Name it with --site DIR, or in ANNEX_KEEP_SITE");
        self.site.as_deref().ok_or_else(which)
    }
}
