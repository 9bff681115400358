//! The port `BlockStore`: blocks by hash.
