//! Where an Arvados client puts its token.
//!
//! Source: `docs/spec/keep-blocks.md` §3.1.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

/// Returns the token of a request: the first one found of the Authorization header (`Bearer`, `OAuth2`, the password of
/// `Basic`), `api_token` in the query, and the cookie `arvados_api_token`.
pub(super) fn presented(headers: &HeaderMap, query: Option<&str>) -> Option<Vec<u8>> {
    let given = |token: &Vec<u8>| !token.is_empty();
    let from_header =
        || headers.get_all(header::AUTHORIZATION).iter().find_map(|value| authorization(value.as_bytes()));
    let from_query = || {
        let value = query?.split('&').find_map(|parameter| parameter.strip_prefix("api_token="))?;
        Some(annex_protocol::p2p_http::percent_decode(value.as_bytes()))
    };
    let from_cookie = || {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let value = cookies
            .flat_map(|line| line.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix("arvados_api_token="))?;
        URL_SAFE.decode(value).ok()
    };
    from_header().filter(given).or_else(|| from_query().filter(given)).or_else(|| from_cookie().filter(given))
}

fn authorization(value: &[u8]) -> Option<Vec<u8>> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at_checked(space)?;
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"oauth2") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    decoded.get(colon + 1..).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn token(headers: &[(HeaderName, &'static str)], query: Option<&str>) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        presented(&headers.collect(), query).map(|token| String::from_utf8(token).unwrap())
    }

    #[test]
    fn tokens_are_found_where_clients_put_them() {
        let authorization = header::AUTHORIZATION;
        for value in ["Bearer v2/a/b", "OAuth2 v2/a/b", "bearer  v2/a/b ", "Basic eDp2Mi9hL2I="] {
            assert_eq!(
                token(&[(authorization.clone(), value)], Some("api_token=c")).as_deref(),
                Some("v2/a/b"),
                "{value}"
            );
        }
        assert_eq!(token(&[], Some("x=y&api_token=v2%2Fa%2Fb")).as_deref(), Some("v2/a/b"));
        let cookies = [(header::COOKIE, "x=y; arvados_api_token=djIvYS9i")];
        assert_eq!(token(&cookies, None).as_deref(), Some("v2/a/b"));
        assert_eq!(token(&cookies, Some("api_token=c")).as_deref(), Some("c"));
        for value in ["Bearer", "Bearer ", "Digest x", "", "Basic !"] {
            assert_eq!(token(&[(authorization.clone(), value)], None), None, "{value}");
        }
    }
}
