//! Keep manifests and portable data hashes.
