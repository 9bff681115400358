//! The headers of Keep's protocol.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use keep_store::store::volumes::Wanted;

use crate::doors::http::reply::Refused;

/// How many copies a client wants.
const DESIRED_REPLICAS: HeaderName = HeaderName::from_static("x-keep-desired-replicas");
/// In which storage classes it wants them.
const STORAGE_CLASSES: HeaderName = HeaderName::from_static("x-keep-storage-classes");
/// How many copies there are now.
pub(super) const REPLICAS_STORED: HeaderName = HeaderName::from_static("x-keep-replicas-stored");
/// How many of them in which storage class.
pub(super) const CONFIRMED: HeaderName = HeaderName::from_static("x-keep-storage-classes-confirmed");

/// What web pages of any origin may do: nothing that a browser adds by itself gives them leave.
const CROSS_ORIGIN: [(&str, &str); 5] = [
    ("access-control-allow-methods", "GET, HEAD, PUT, POST, OPTIONS"),
    ("access-control-allow-origin", "*"),
    (
        "access-control-allow-headers",
        "Authorization, Content-Length, Content-Type, X-Keep-Desired-Replicas, X-Keep-Signature, X-Keep-Storage-Classes",
    ),
    ("access-control-expose-headers", "X-Keep-Locator, X-Keep-Replicas-Stored, X-Keep-Storage-Classes-Confirmed"),
    ("access-control-max-age", "86486400"),
];

/// Reads what a client wants of a block that it stores: one copy, if it says nothing.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Wanted, Refused> {
    let mut wanted = Wanted::default();
    if let Some(value) = headers.get(DESIRED_REPLICAS) {
        let replicas = number(value).and_then(|replicas| u32::try_from(replicas).ok());
        // As keepproxy has it, none is as good as one: a block that is not stored at all needs no request.
        wanted.replicas = replicas.ok_or_else(|| bad(&DESIRED_REPLICAS))?.max(1);
    }
    let mut classes = BTreeSet::new();
    for value in headers.get_all(STORAGE_CLASSES) {
        let text = value.to_str().map_err(|_| bad(&STORAGE_CLASSES))?;
        classes.extend(text.split(',').map(str::trim).filter(|class| !class.is_empty()).map(str::to_owned));
    }
    wanted.classes = classes;
    Ok(wanted)
}

/// Reads the size of the body, if the client said it.
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refused> {
    let length = headers.get(header::CONTENT_LENGTH);
    length.map(|value| number(value).ok_or_else(|| bad(&header::CONTENT_LENGTH))).transpose()
}

/// Lets web pages use an answer.
pub(super) fn cross_origin(mut response: Response) -> Response {
    for (name, value) in CROSS_ORIGIN {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn number(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim();
    // `parse` alone would take a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn bad(name: &HeaderName) -> Refused {
    Refused::bad_request(format!("the header {name} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &'static str) -> Result<Wanted, Refused> {
        wanted(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn what_clients_say_of_copies() {
        assert_eq!(wanted(&HeaderMap::new()).unwrap(), Wanted::default());
        for (text, replicas) in [("0", 1), ("1", 1), (" 7 ", 7)] {
            assert_eq!(read(DESIRED_REPLICAS, text).unwrap().replicas, replicas, "{text}");
        }
        for text in ["", "-1", "+1", "two", "99999999999999999999"] {
            assert!(read(DESIRED_REPLICAS, text).is_err(), "{text}");
        }
        let classes = |text| read(STORAGE_CLASSES, text).unwrap().classes.into_iter().collect::<Vec<_>>();
        assert_eq!(classes("b, a"), ["a", "b"]);
        assert_eq!(classes(" a,,a "), ["a"]);
        assert!(classes("").is_empty());
    }
}
