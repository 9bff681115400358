//! User certificates: whether a certificate lets somebody in, and what it forces on them.
//!
//! Source: OpenSSH `PROTOCOL.certkeys`. russh has checked the dates, and the signature with the key that the certificate
//! itself names; whether that key is an authority here, and all the rest, is checked below.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, PublicKey};

/// Why a certificate lets nobody in. It is told to the one who showed it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum CertificateError {
    #[error("the authority that signed your certificate is not trusted by this site")]
    Authority,
    #[error("your certificate is one for hosts, not for users")]
    Type,
    #[error("your certificate is for the users {allowed}, not for {user}")]
    Principal { allowed: String, user: String },
    #[error("your certificate names no users; this site takes only certificates that do")]
    NoPrincipals,
    #[error("your certificate cannot be used from the address {0}")]
    Source(IpAddr),
    #[error("your certificate has the critical option \"{0}\", which this site does not know")]
    Option(String),
}

/// Why the authorities are not known.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a file is no public key.
    #[error("{}, line {line}: not an ssh public key: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong.
        source: russh::keys::ssh_key::Error,
    },
}

/// Reads the keys of the authorities. Relative files stand in `root`. Blocks.
pub(super) fn authorities(root: &Path, files: &[PathBuf]) -> Result<Vec<KeyData>, AuthorityError> {
    let mut keys = Vec::new();
    for file in files {
        let path = root.join(file);
        let text =
            std::fs::read_to_string(&path).map_err(|source| AuthorityError::File { path: path.clone(), source })?;
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::from_openssh(line);
            let key = key.map_err(|source| AuthorityError::Key { path: path.clone(), line: number + 1, source })?;
            keys.push(key.key_data().clone());
        }
    }
    Ok(keys)
}

/// Checks a certificate that `user` shows from `peer`. Returns the command that it forces, if it forces one.
pub(super) fn check(
    certificate: &Certificate,
    authorities: &[KeyData],
    user: &str,
    peer: IpAddr,
) -> Result<Option<Vec<u8>>, CertificateError> {
    let weak = certificate.signature().algorithm() == Algorithm::Rsa { hash: None };
    if weak || !authorities.contains(certificate.signature_key()) {
        return Err(CertificateError::Authority);
    }
    if !certificate.cert_type().is_user() {
        return Err(CertificateError::Type);
    }
    let principals = certificate.valid_principals();
    if principals.is_empty() {
        return Err(CertificateError::NoPrincipals);
    }
    if !principals.iter().any(|principal| principal == user) {
        return Err(CertificateError::Principal { allowed: principals.join(", "), user: user.to_owned() });
    }
    let mut forced = None;
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "force-command" => forced = Some(value.clone().into_bytes()),
            "source-address" if contains(value, peer) => {}
            "source-address" => return Err(CertificateError::Source(peer.to_canonical())),
            _ => return Err(CertificateError::Option(name.clone())),
        }
    }
    Ok(forced)
}

/// Tells whether a list of addresses and networks has an address; one that is malformed has none.
fn contains(list: &str, address: IpAddr) -> bool {
    let networks: Option<Vec<_>> = list.split(',').map(network).collect();
    let address = address.to_canonical();
    networks.is_some_and(|networks| networks.into_iter().any(|(base, bits)| same_network(base, address, bits)))
}

/// Reads an address, or a network as ADDRESS/BITS.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.trim().parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(all), |bits| bits.trim().parse().ok())?;
    (bits <= all).then_some((address, bits))
}

fn same_network(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    // A shift by the whole width is none: a network of 0 bits has everything.
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (one.to_bits() ^ other.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (one.to_bits() ^ other.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::new(Ed25519Keypair::from_seed(&[seed; 32]).into(), "").unwrap()
    }

    fn certificate(change: impl FnOnce(&mut Builder)) -> Certificate {
        let user = key(1).public_key().key_data().clone();
        let mut builder = Builder::new([7; 16].to_vec(), user, 0, u64::from(u32::MAX)).unwrap();
        change(&mut builder);
        builder.sign(&key(2)).unwrap()
    }

    fn for_alice(option: Option<(&str, &str)>) -> Certificate {
        certificate(|builder| {
            builder.valid_principal("alice").unwrap();
            if let Some((name, value)) = option {
                builder.critical_option(name, value).unwrap();
            }
        })
    }

    fn checked(certificate: &Certificate, user: &str) -> Result<Option<Vec<u8>>, CertificateError> {
        let authorities = [key(2).public_key().key_data().clone()];
        check(certificate, &authorities, user, "192.0.2.7".parse().unwrap())
    }

    #[test]
    fn the_right_user_with_a_trusted_authority_comes_in() {
        assert_eq!(checked(&for_alice(None), "alice"), Ok(None));
        let forced = checked(&for_alice(Some(("force-command", "true"))), "alice");
        assert_eq!(forced, Ok(Some(b"true".to_vec())));
    }

    #[test]
    fn everything_else_stays_out() {
        let peer = "192.0.2.7".parse().unwrap();
        let others = [key(3).public_key().key_data().clone()];
        assert_eq!(check(&for_alice(None), &others, "alice", peer), Err(CertificateError::Authority));
        assert_eq!(check(&for_alice(None), &[], "alice", peer), Err(CertificateError::Authority));
        assert!(matches!(checked(&for_alice(None), "bob"), Err(CertificateError::Principal { .. })));
        let nobody = certificate(|builder| {
            builder.all_principals_valid().unwrap();
        });
        assert_eq!(checked(&nobody, "alice"), Err(CertificateError::NoPrincipals));
        let host = certificate(|builder| {
            builder.cert_type(CertType::Host).unwrap().valid_principal("alice").unwrap();
        });
        assert_eq!(checked(&host, "alice"), Err(CertificateError::Type));
        assert!(matches!(
            checked(&for_alice(Some(("verify-required", ""))), "alice"),
            Err(CertificateError::Option(_))
        ));
        for (list, comes_in) in [("192.0.2.0/24", true), ("10.0.0.0/8,192.0.2.7", true), ("10.0.0.0/8", false)] {
            let certificate = for_alice(Some(("source-address", list)));
            assert_eq!(checked(&certificate, "alice").is_ok(), comes_in, "{list}");
        }
    }

    #[test]
    fn networks() {
        let has = |list, address: &str| contains(list, address.parse().unwrap());
        assert!(has("0.0.0.0/0", "8.8.8.8") && has("::/0", "2001:db8::1") && has("2001:db8::/32", "2001:db8::1"));
        assert!(has("192.0.2.7", "::ffff:192.0.2.7"), "an IPv6 socket shows IPv4 clients like this");
        assert!(!has("::/0", "8.8.8.8") && !has("192.0.2.6/32", "192.0.2.7") && !has("2001:db8::/32", "2001:db9::1"));
        for malformed in ["", "192.0.2.7,", "192.0.2.0/33", "192.0.2.7,!10.0.0.1", "192.0.2.*", "192.0.2.0/-1"] {
            assert!(!has(malformed, "192.0.2.7"), "{malformed}");
        }
    }
}
