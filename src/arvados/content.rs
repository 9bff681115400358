//! A collection's manifest: taken only if the caller could read all of its blocks, given out with signatures.

use std::collections::BTreeSet;

use annex_protocol::keep::{BlockHash, Locator, SignatureError};
use annex_protocol::manifest::{Manifest, portable_data_hash, with_signatures, without_signatures};
use keep_store::base::task::blocking;
use keep_store::store::Block;

use super::{Api, ApiError, Asking};
use crate::arvados::catalogue::Collection;

/// A manifest that was looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// Its text without signatures: what is stored.
    pub(super) text: String,
    /// Its hash.
    pub(super) hash: String,
    /// The blocks that it names, each once.
    pub(super) blocks: Vec<Block>,
    /// How many files it has.
    pub(super) files: i64,
    /// Their size together.
    pub(super) size: i64,
}

/// Missing blocks that an error names.
const NAMED: usize = 5;

impl Api {
    /// Looks a manifest through: its form, and whether the caller could read each block.
    ///
    /// A block counts as readable by a signature for the caller's token, or if it is one of `known`: of a collection that
    /// the caller may read. A signature that was made for something else is refused in any case.
    pub(super) async fn accept(
        &self,
        asking: &Asking,
        text: String,
        known: BTreeSet<Locator>,
    ) -> Result<Content, ApiError> {
        let (keep, asking) = (self.keep.clone(), asking.clone());
        blocking(move || {
            let manifest = Manifest::parse(text.as_bytes()).map_err(|error| ApiError::Invalid(error.to_string()))?;
            let locators = manifest.streams().iter().flat_map(|stream| stream.blocks());
            for locator in locators {
                if locator.hash() == BlockHash::EMPTY && locator.size() != 0 {
                    return Err(ApiError::Invalid(format!("{}: the empty block has no bytes", locator.stripped())));
                }
                let verified = keep.service().verify(locator.to_string().as_bytes(), &asking.holder.token);
                let known = asking.viewer.admin || known.contains(&locator.stripped());
                match verified {
                    Ok(()) => {}
                    Err(SignatureError::Missing | SignatureError::Expired) if known => {}
                    Err(error) => {
                        let text = format!("Permission denied: block {}: {error}", locator.stripped());
                        return Err(ApiError::Forbidden(text));
                    }
                }
            }
            Content::of(&manifest, &text)
        })
        .await
    }

    /// Sees to it that the blocks stay as long as a collection refers to them under `reference`.
    ///
    /// Refused, and nothing is kept, if the stores lack one.
    pub(super) async fn refer(&self, reference: &str, content: &Content) -> Result<(), ApiError> {
        let missing = self.keep.service().refer(reference, &content.blocks).await?;
        if missing.is_empty() {
            return Ok(());
        }
        self.release(reference).await;
        let names: Vec<_> = missing.iter().take(NAMED).map(|block| block.locator().to_string()).collect();
        Err(ApiError::Invalid(format!("{} blocks are in no store of this site: {}", missing.len(), names.join(" "))))
    }

    /// Lets blocks go that were kept under `reference`. What fails now is tried again by the daemon.
    pub(super) async fn release(&self, reference: &str) {
        if let Err(error) = self.keep.service().release(reference).await {
            tracing::warn!("releasing the blocks of {reference}: {error}");
        }
    }

    /// Returns a collection's manifest as the caller may use it: each block signed for the caller's token, until the
    /// collection is trashed at the latest. That of a trashed collection is not signed.
    pub async fn signed(&self, asking: &Asking, collection: &Collection) -> String {
        let (keep, holder, text) = (self.keep.clone(), asking.holder.clone(), collection.manifest.clone());
        let trash_at = collection.base.trash_at;
        if trash_at.is_some_and(|at| at <= self.now()) {
            return text;
        }
        let trash_at = trash_at.and_then(|at| u64::try_from(at / 1_000_000).ok());
        let before = [holder.owner.token.expires, trash_at].into_iter().flatten().min();
        blocking(move || {
            let sign = |locator: &Locator| keep.service().sign(locator, &holder.token, before);
            // What was text stays text: only blocks change, and those are ASCII.
            String::from_utf8(with_signatures(text.as_bytes(), sign)).unwrap_or(text)
        })
        .await
    }
}

impl Content {
    /// Takes the facts from a manifest and its text.
    pub(super) fn of(manifest: &Manifest, text: &str) -> Result<Self, ApiError> {
        let invalid = |error: &dyn std::fmt::Display| ApiError::Invalid(format!("Manifest invalid: {error}"));
        let files = manifest.files().map_err(|reason| invalid(&reason))?;
        let size: u64 = files.iter().map(|(_, file)| file.size()).sum();
        let blocks = manifest.blocks();
        let blocks = blocks.iter().filter(|locator| locator.hash() != BlockHash::EMPTY).map(block);
        let hash = portable_data_hash(text.as_bytes());
        let text = String::from_utf8(without_signatures(text.as_bytes())).map_err(|error| invalid(&error))?;
        Ok(Self {
            blocks: blocks.collect::<Result<_, _>>()?,
            files: i64::try_from(files.iter().count()).unwrap_or(i64::MAX),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            hash,
            text,
        })
    }

    /// Writes the content into a collection, under a new reference.
    pub(super) fn put_in(self, collection: &mut Collection) {
        collection.reference = format!("{}.{}", collection.base.uuid, uuid::Uuid::new_v4().simple());
        collection.portable_data_hash = self.hash;
        collection.manifest = self.text;
        collection.file_count = self.files;
        collection.file_size_total = self.size;
    }
}

/// Returns the blocks that a stored manifest names.
pub(super) fn blocks_of(collection: &Collection) -> BTreeSet<Locator> {
    Manifest::parse(collection.manifest.as_bytes()).map(|manifest| manifest.blocks()).unwrap_or_default()
}

pub(super) fn block(locator: &Locator) -> Result<Block, ApiError> {
    let too_large = |_| ApiError::Invalid(format!("{locator}: no block is that large"));
    Ok(Block { hash: locator.hash(), size: u32::try_from(locator.size()).map_err(too_large)? })
}
