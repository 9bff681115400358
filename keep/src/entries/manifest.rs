//! The manifest block of an entry, and the proof that the store wrote it.
//!
//! `./annex-keep/<owner> <locator…> 0:<size>:<name>`: a Keep manifest of one file. Each locator carries Keep's own permission
//! signature (`docs/spec/keep-blocks.md` §2), made with the store's key, TTL 0, expiry `ffffffff`. The token that is
//! signed is the SHA-256 of the manifest without signatures: a signature vouches for owner, name, size and all blocks
//! in their order, and cannot be carried over to another manifest. Somebody who uploads a content that looks like a
//! manifest can therefore never have it taken for an entry.

use annex_protocol::keep::{BlockHash, Locator, Signer};
use annex_protocol::manifest::{self, portable_data_hash, stripped};
use sha2::{Digest, Sha256};

use super::KeepError;
use crate::store::Block;

/// How every manifest of an entry begins.
pub(super) const BEGINS: &[u8] = b"./annex-keep/";

const DIRECTORY: &[u8] = b"annex-keep/";

const EXPIRY: u64 = 0xffff_ffff;

/// Proves which manifests a store wrote.
#[derive(Debug, Clone)]
pub struct Sealer(Signer);

/// Which manifests a store writes of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manifests {
    /// A block, sealed with the store's key.
    #[default]
    Sealed,
    /// A block with what it takes to read the others: whoever knows its locator can read the entry.
    Open,
    /// None: somebody else records what an entry consists of.
    Elsewhere,
}

/// What a manifest block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Whose entry it is.
    pub owner: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
    /// Its content.
    pub blocks: Vec<Block>,
    /// Who says so.
    pub proof: Proof,
}

/// Who wrote a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The holder of the store's key.
    Sealed,
    /// Somebody else: it is not signed, or with another key.
    Foreign,
}

impl Sealer {
    /// Takes the store's key.
    pub fn new(key: &[u8]) -> Self {
        Self(Signer::new(key, 0))
    }

    /// Writes the manifest of an entry, sealed.
    pub fn write(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<Vec<u8>, KeepError> {
        let plain = manifest_of(owner, name, blocks.iter().map(|block| block.locator()).collect())?;
        let token = token(&plain.to_bytes());
        let locators = plain.streams().iter().flat_map(|stream| stream.blocks());
        let signed = locators.map(|locator| self.0.sign(locator, &token, EXPIRY)).collect();
        Ok(manifest_of(owner, name, signed)?.to_bytes())
    }

    /// Reads a manifest; `None` when the bytes are not the manifest of an entry.
    pub fn read(&self, text: &[u8]) -> Option<Manifest> {
        if !text.starts_with(BEGINS) {
            return None;
        }
        let parsed = manifest::Manifest::parse(text).ok()?;
        let [stream] = parsed.streams() else { return None };
        let [segment] = stream.segments() else { return None };
        let owner = stream.name().strip_prefix(BEGINS)?;
        check(owner, &segment.name).ok()?;
        if (segment.position, segment.size) != (0, stream.size()) {
            return None;
        }
        let token = token(&stripped(text));
        let valid = |locator: &Locator| self.0.verify(locator.to_string().as_bytes(), &token, 0).is_ok();
        let proof = if stream.blocks().iter().all(valid) { Proof::Sealed } else { Proof::Foreign };
        let blocks = stream.blocks().iter().filter(|locator| locator.hash() != BlockHash::EMPTY);
        let blocks = blocks.map(Block::try_from).collect::<Result<_, _>>().ok()?;
        Some(Manifest { owner: owner.to_vec(), name: segment.name.clone(), blocks, proof })
    }

    /// Returns the portable data hash of an entry's manifest.
    pub fn portable_data_hash(&self, owner: &[u8], name: &[u8], blocks: &[Block]) -> Result<String, KeepError> {
        let plain = manifest_of(owner, name, blocks.iter().map(|block| block.locator()).collect())?;
        Ok(portable_data_hash(&plain.to_bytes()))
    }
}

/// Fails when owner or name cannot stand in a manifest.
pub(super) fn check(owner: &[u8], name: &[u8]) -> Result<(), KeepError> {
    let component = |bytes: &[u8]| !bytes.is_empty() && !bytes.contains(&b'/') && bytes != b"." && bytes != b"..";
    match [owner, name].into_iter().find(|bytes| !component(bytes)) {
        Some(bad) => Err(KeepError::Name(bad.to_vec())),
        None => Ok(()),
    }
}

pub(super) fn manifest_of(owner: &[u8], name: &[u8], blocks: Vec<Locator>) -> Result<manifest::Manifest, KeepError> {
    check(owner, name)?;
    let directory = [DIRECTORY, owner].concat();
    manifest::Manifest::of_file(&directory, name, blocks).map_err(|_| KeepError::Name(name.to_vec()))
}

/// What the signatures of a manifest are bound to.
fn token(stripped: &[u8]) -> Vec<u8> {
    Sha256::digest(stripped).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

#[cfg(test)]
mod tests;
