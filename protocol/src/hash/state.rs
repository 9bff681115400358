//! One trait over the hash crates, and the table of backends.

use std::hash::Hasher as _;

use md5::Digest;

/// A running hash.
pub(super) trait State: Send + Sync {
    fn update(&mut self, bytes: &[u8]);
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// Starts the hash of a backend (its name without `E`).
pub(super) fn new(backend: &[u8]) -> Option<Box<dyn State>> {
    Some(match backend {
        b"MD5" => rust_crypto::<md5::Md5>(),
        b"SHA1" => rust_crypto::<sha1::Sha1>(),
        b"SHA224" => rust_crypto::<sha2::Sha224>(),
        b"SHA256" => rust_crypto::<sha2::Sha256>(),
        b"SHA384" => rust_crypto::<sha2::Sha384>(),
        b"SHA512" => rust_crypto::<sha2::Sha512>(),
        b"SHA3_224" => rust_crypto::<sha3::Sha3_224>(),
        b"SHA3_256" => rust_crypto::<sha3::Sha3_256>(),
        b"SHA3_384" => rust_crypto::<sha3::Sha3_384>(),
        b"SHA3_512" => rust_crypto::<sha3::Sha3_512>(),
        b"SKEIN256" => rust_crypto::<skein::Skein256_256>(),
        b"SKEIN512" => rust_crypto::<skein::Skein512_512>(),
        b"BLAKE2B160" => blake2b(20),
        b"BLAKE2B224" => blake2b(28),
        b"BLAKE2B256" => blake2b(32),
        b"BLAKE2B384" => blake2b(48),
        b"BLAKE2B512" => blake2b(64),
        b"BLAKE2BP512" => Box::new(blake2b_simd::blake2bp::Params::new().hash_length(64).to_state()),
        b"BLAKE2S160" => blake2s(20),
        b"BLAKE2S224" => blake2s(28),
        b"BLAKE2S256" => blake2s(32),
        b"BLAKE2SP224" => Box::new(blake2s_simd::blake2sp::Params::new().hash_length(28).to_state()),
        b"BLAKE2SP256" => Box::new(blake2s_simd::blake2sp::Params::new().hash_length(32).to_state()),
        b"BLAKE3_256" => Box::new(blake3::Hasher::new()),
        b"XXH3" => Box::new(twox_hash::XxHash3_64::new()),
        _ => return None,
    })
}

struct RustCrypto<D>(D);

fn rust_crypto<D: Digest + Send + Sync + 'static>() -> Box<dyn State> {
    Box::new(RustCrypto(D::new()))
}

fn blake2b(length: usize) -> Box<dyn State> {
    Box::new(blake2b_simd::Params::new().hash_length(length).to_state())
}

fn blake2s(length: usize) -> Box<dyn State> {
    Box::new(blake2s_simd::Params::new().hash_length(length).to_state())
}

impl<D: Digest + Send + Sync> State for RustCrypto<D> {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

/// The BLAKE2 crates have four states of the same shape and no trait for them.
macro_rules! blake2_state {
    ($($state:ty),*) => {$(
        impl State for $state {
            fn update(&mut self, bytes: &[u8]) {
                self.update(bytes);
            }

            fn finish(self: Box<Self>) -> Vec<u8> {
                self.finalize().as_bytes().to_vec()
            }
        }
    )*};
}

blake2_state!(blake2b_simd::State, blake2b_simd::blake2bp::State, blake2s_simd::State, blake2s_simd::blake2sp::State);

impl State for blake3::Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.finalize().as_bytes().to_vec()
    }
}

impl State for twox_hash::XxHash3_64 {
    fn update(&mut self, bytes: &[u8]) {
        self.write(bytes);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        std::hash::Hasher::finish(self.as_ref()).to_be_bytes().to_vec()
    }
}
