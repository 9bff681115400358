//! The `--site` option that most commands share.

use std::path::PathBuf;

use crate::error::Failure;
use crate::site::Site;

#[derive(Debug, clap::Args)]
pub(super) struct SiteOption {
    /// The site's directory
    #[arg(long, env = "ANNEX_KEEP_SITE", value_name = "DIR")]
    site: Option<PathBuf>,
}

impl SiteOption {
    pub(super) fn open(&self) -> Result<Site, Failure> {
        let Some(root) = &self.site else {
            return Err(Failure::usage("which site? Name it with --site DIR, or in ANNEX_KEEP_SITE"));
        };
        Ok(Site::open(root)?)
    }
}
