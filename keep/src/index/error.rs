//! What can go wrong with an index.

use std::path::PathBuf;

/// Why an index could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It was there once and is not any more.
    #[error("the index {} is missing; `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Missing {
        /// Where it was.
        path: PathBuf,
    },
    /// It is being rebuilt, or that was interrupted.
    #[error("the index {} is not complete; `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Incomplete {
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be read any more.
    #[error("the index {} is damaged ({reason}); `annex-keep keep reindex` rebuilds it from the blocks", .path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// It was made by another version of this program.
    #[error("the index {} has format {found}, this program knows {known}", .path.display())]
    Format {
        /// Where it is.
        path: PathBuf,
        /// The format it has.
        found: i64,
        /// The format this program writes.
        known: i64,
    },
    /// No room is left.
    #[error("no room is left for the index {}", .path.display())]
    Full {
        /// Where it is.
        path: PathBuf,
    },
    /// The place refuses to be written.
    #[error("the index {} cannot be written: {reason}", .path.display())]
    Unwritable {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// Another failure.
    #[error("the index {}: {reason}", .path.display())]
    Failed {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
}
