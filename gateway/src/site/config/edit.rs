//! Changing the configuration file without touching what people wrote in it.

use toml_edit::DocumentMut;

use super::{Config, FILE};
use crate::site::{Site, SiteError};

/// Changes the configuration file by `change`, if the result is a configuration. Durable when this returns.
pub(in crate::site) fn edit(
    site: &Site,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<(), SiteError> {
    let path = site.root().join(FILE);
    let file_error = |source| SiteError::File { path: path.clone(), source };
    let (text, _) = edited(site, change)?;
    let temporary = site.root().join(".annex-keep.toml.new");
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        std::fs::File::open(site.root())?.sync_all()
    });
    written.map_err(file_error)
}

/// Returns what the configuration would be, as text and checked, if it were changed by `change`.
pub(in crate::site) fn edited(
    site: &Site,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), String>,
) -> Result<(String, Config), SiteError> {
    let path = site.root().join(FILE);
    let invalid = |cause: String| SiteError::Config { path: path.clone(), cause };
    let text = std::fs::read_to_string(&path).map_err(|source| SiteError::File { path: path.clone(), source })?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| invalid(error.to_string()))?;
    change(&mut document).map_err(SiteError::Invalid)?;
    let text = document.to_string();
    let config = Config::parse(&text).map_err(invalid)?;
    Ok((text, config))
}
