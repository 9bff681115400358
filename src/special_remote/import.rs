//! `importtree=yes`: the files of a collection that others made.

use std::path::Path;

use annex_protocol::external::{Response, Text, WireKey};
use keep_store::entries::collections::Files;

use super::content;
use super::host::{Ended, Host};
use super::settings;
use super::shared::{Record, Shared};
use super::subject::Found;
use super::trouble::Trouble;
use super::url::{identity, size_of};

/// Answers LISTIMPORTABLECONTENTS.
///
/// A file's identifier says which parts of which blocks it consists of: it changes when the content does.
pub(super) async fn list(host: &Host, shared: &Shared) -> Result<Response, Ended> {
    let files = match files(shared).await {
        Ok(files) => files,
        Err(trouble) => {
            return Ok(Response::ListImportableContentsFailure { message: Text::of_message(trouble.text()?) });
        }
    };
    for (path, extents) in files {
        let Some(name) = Text::new(&path) else {
            let message = Text::of_message(format!("{} holds a line feed", path.escape_ascii()));
            return Ok(Response::ListImportableContentsFailure { message });
        };
        host.respond(Response::ImportableContent { size: size_of(&extents), name }).await?;
        let cid = Text::of_message(identity(&extents));
        host.respond(Response::ImportableContentIdentifier { cid }).await?;
    }
    Ok(Response::ListImportableContentsSuccess)
}

/// Answers RETRIEVEIMPORT for the file that IMPORT named.
pub(super) async fn retrieve(file: &Path, host: &mut Host, shared: &Shared) -> Result<(), Trouble> {
    let path = host.named().unwrap_or_default();
    let absent = || Trouble::failed(format!("the collection has no {}", path.as_bytes().escape_ascii()));
    let extents = files(shared).await?.remove(path.as_bytes()).ok_or_else(absent)?;
    let place = shared.place().await?;
    content::fetch(&place, &Found::of(extents), content::From::Start, file, host).await
}

/// Answers CHECKPRESENTIMPORT for the file that IMPORT named: whether it is there, of the key's size, with all its blocks.
pub(super) async fn present(key: &WireKey, host: &mut Host, shared: &Shared) -> Result<bool, Trouble> {
    let path = host.named().unwrap_or_default();
    let size = key.key()?.content_size();
    let Some(extents) = files(shared).await?.remove(path.as_bytes()) else { return Ok(false) };
    let right = size.is_none_or(|size| size == size_of(&extents));
    Ok(right && shared.place().await?.store.has_file(&extents).await?)
}

/// Reads the collection as it is now.
async fn files(shared: &Shared) -> Result<Files, Trouble> {
    let place = shared.place().await?;
    let none = || Trouble::failed("importtree=yes needs collection=, and api=".into());
    let (Record::Collections(collections), settings::Place::Cluster { import: Some(name), .. }) =
        (&place.record, &place.settings.place)
    else {
        return Err(none());
    };
    let absent = || Trouble::failed(format!("there is no collection {name} that may be read"));
    collections.open(name).await?.ok_or_else(absent)
}
