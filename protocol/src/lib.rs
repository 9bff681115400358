//! Every format that annex-keep reads or writes, on the wire or on disk.
//!
//! Pure code: bytes in, values out. No I/O, no runtime, no clock.
//!
//! | module | format |
//! | --- | --- |
//! | [`key`] | git-annex keys, their file names and hash directories |
//! | [`uuid`] | repository and cluster UUIDs |
//! | [`hash`] | the hash behind each key backend |
//! | [`p2p`] | the P2P line protocol, versions 0 to 4 |
//! | [`p2p_http`] | the P2P protocol over HTTP |
//! | [`external`] | the external special remote protocol, both sides |
//! | [`shell`] | git-annex-shell command lines |
//! | [`log`] | the files of the git-annex branch |
//! | [`prefer`] | preferred content expressions |
//! | [`keep`] | Keep locators, hints, permission signatures, rendezvous order |
//! | [`manifest`] | Keep manifests and portable data hashes |

pub mod external;
pub mod hash;
mod hex;
pub mod keep;
pub mod key;
mod line;
pub mod log;
pub mod manifest;
pub mod p2p;
pub mod p2p_http;
pub mod prefer;
pub mod shell;
pub mod uuid;
