//! Who an HTTP request is from, and whether that is enough.
//!
//! Source: `docs/spec/p2p-http.md` §5.

use annex_gateway::site::RepoName;
use annex_gateway::site::user::Role;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use keep_store::base::task::blocking;

use super::reply::Refused;
use crate::host::caller::Who;
use crate::host::hub::Hub;

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// What curl and browsers send.
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
/// What git-annex sends.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Finds out who sends a request. A wrong password is an error, whatever somebody without a name may do.
pub(super) async fn who(hub: &Hub, headers: &HeaderMap) -> Result<Who, Refused> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Who::Anonymous) };
    let (name, password) =
        credentials(value.as_bytes()).ok_or_else(|| Refused::bad_request("the Authorization header is malformed"))?;
    let (site, user) = (hub.site(), name.clone());
    let right = blocking(move || site.authenticate(&user, &password)).await.map_err(Refused::of)?;
    if right { Ok(Who::User(name)) } else { Err(Refused::unauthorized("wrong name or password")) }
}

/// Returns what somebody may do in a repository, if that is at least `needed`.
///
/// Refused with 401 where a name and password might help, with 403 where not.
pub(super) async fn role(hub: &Hub, who: &Who, repo: &RepoName, needed: Role) -> Result<Role, Refused> {
    let (site, asking, name) = (hub.site(), who.clone(), repo.clone());
    let role = blocking(move || asking.role(&site, &name)).await.map_err(Refused::of)?;
    match who {
        _ if role >= needed => Ok(role),
        Who::Anonymous => Err(Refused::unauthorized(format!("a name and a password are needed for {repo}"))),
        who => Err(Refused::forbidden(format!(
            "{who} may not do that in {repo}: the role is {role}, and {needed} is needed; an admin of this site can \
             allow it"
        ))),
    }
}

/// Reads a header of basic authentication. The password may contain `:`.
fn credentials(value: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = value.split_at_checked(6).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"basic "))?.1.trim_ascii();
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let (name, password) = decoded.split_at_checked(colon)?;
    Some((std::str::from_utf8(name).ok()?.to_owned(), password.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_with_and_without_padding() {
        let bob = Some(("bob".to_owned(), b":~~??".to_vec()));
        for text in ["Ym9iOjp+fj8/", "Ym9iOjp-fj8_"] {
            assert_eq!(credentials(format!("Basic {text}").as_bytes()), bob, "{text}");
        }
        for text in ["YTpi", "YTpiYw==", "YTpiYw"] {
            assert!(credentials(format!("basic  {text}").as_bytes()).is_some(), "{text}");
        }
        for value in ["Basic", "Basic !!!", "Basic YWJj", "Bearer YTpi", ""] {
            assert_eq!(credentials(value.as_bytes()), None, "{value}");
        }
    }
}
