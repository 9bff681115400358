//! Who a client is: by a public key of a user of the site, or by a certificate.

use std::net::IpAddr;

use keep_store::base::task::blocking;
use russh::keys::{Certificate, PublicKey};

use super::certificate;
use crate::error::Failure;
use crate::host::hub::Hub;

/// The ssh user name with which the key alone decides who somebody is.
const ANYBODY: &str = "git";

/// Who somebody has proved to be.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The user of the site.
    pub(super) user: String,
    /// What is done whatever the client asks.
    pub(super) forced: Option<Vec<u8>>,
}

/// What was found out about a key or a certificate.
pub(super) enum Finding {
    /// It lets its owner in.
    Known(Identity),
    /// It does not, for this reason.
    Refused(String),
    /// Nothing is known about it.
    Unknown,
}

/// Tells whether the client should sign with a key: a user has it, or it may be that of a certificate.
pub(super) async fn may_fit(hub: &Hub, key: &PublicKey) -> Result<bool, Failure> {
    if !hub.site().config().ssh.user_ca.is_empty() {
        return Ok(true);
    }
    Ok(owner(hub, key).await?.is_some())
}

/// Finds out what a key that the client holds means for somebody who logs in as `user`.
pub(super) async fn by_key(hub: &Hub, user: &str, key: &PublicKey) -> Result<Finding, Failure> {
    Ok(match owner(hub, key).await? {
        Some(owner) if owner == user || user == ANYBODY => Finding::Known(Identity { user: owner, forced: None }),
        Some(owner) => Finding::Refused(format!(
            "your key belongs to the user {owner} of this site, not to {user}: log in as {owner}, or as {ANYBODY}"
        )),
        None => Finding::Unknown,
    })
}

/// Finds out what a certificate, whose key the client holds, means for somebody who logs in as `user` from `peer`.
pub(super) async fn by_certificate(
    hub: &Hub,
    user: &str,
    peer: IpAddr,
    certificate: &Certificate,
) -> Result<Finding, Failure> {
    let (site, user, certificate) = (hub.site(), user.to_owned(), certificate.clone());
    blocking(move || {
        let authorities = certificate::authorities(site.root(), &site.config().ssh.user_ca)?;
        let forced = match certificate::check(&certificate, &authorities, &user, peer) {
            Ok(forced) => forced,
            Err(refused) => return Ok(Finding::Refused(refused.to_string())),
        };
        if !site.has_user(&user)? {
            let text = format!(
                "your certificate is good, but this site has no user {user}; an admin adds one with: annex-keep user \
                 add {user}"
            );
            return Ok(Finding::Refused(text));
        }
        Ok(Finding::Known(Identity { user, forced }))
    })
    .await
}

async fn owner(hub: &Hub, key: &PublicKey) -> Result<Option<String>, Failure> {
    let (site, text) = (hub.site(), key.to_openssh()?);
    let mut words = text.split_ascii_whitespace();
    let (Some(algorithm), Some(key)) = (words.next(), words.next()) else { return Ok(None) };
    let (algorithm, key) = (algorithm.to_owned(), key.to_owned());
    Ok(blocking(move || site.key_owner(&algorithm, &key)).await?)
}

/// Says what to do to somebody who is not let in.
pub(super) fn advice(user: &str, certificates: bool, refused: Option<&str>) -> String {
    let certificate = if certificates { ", and you showed no certificate that is valid now" } else { "" };
    let text = match refused {
        Some(reason) => reason.to_owned(),
        None if user == ANYBODY => format!(
            "no key of yours belongs to a user of this site{certificate}; an admin adds one with: annex-keep user add \
             NAME --key FILE.pub"
        ),
        None => format!(
            "no key of yours belongs to a user {user} of this site{certificate}; an admin adds one with: annex-keep \
             user add {user} --key FILE.pub (user set, if {user} is there already)"
        ),
    };
    // Names are what the client says, and may be anything.
    format!("annex-keep: {text}").chars().filter(|c| !c.is_control()).take(1000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_one_line_whatever_the_name() {
        let text = advice("x\u{1b}[2J\r\ny", true, None);
        assert!(text.contains("a user x[2Jy of this site, and you showed no certificate"), "{text}");
        assert_eq!(advice(&"x".repeat(100_000), false, None).len(), 1000);
        assert_eq!(advice("bob", true, Some("no.")), "annex-keep: no.");
        assert!(advice("git", false, None).contains("user add NAME"));
    }
}
