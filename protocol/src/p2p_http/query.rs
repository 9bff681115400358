//! The parameters of a request.

use super::value::{decode_value, encode_value, percent_decode, percent_encode};
use crate::key::Key;
use crate::line;
use crate::uuid::Uuid;

/// The parameters that the protocol knows, in any order. Which of them a request needs, the reader says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub client: Option<Uuid>,
    /// Gateways that the request has come through, which are not to be asked again.
    pub bypass: Vec<Uuid>,
    /// The key, where it does not stand in the path.
    pub key: Option<Key>,
    /// A file that has the key as its content: a plain path, not the form of the line protocol.
    pub file: Option<Vec<u8>>,
    /// Where in the content the data begins.
    pub offset: Option<u64>,
    /// The time from which on nothing is to be removed.
    pub timestamp: Option<u64>,
    /// A lock, as the server named it.
    pub lock: Option<Vec<u8>>,
    /// The content is said to have come another way; the body is empty.
    pub data_present: bool,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is needed and not there.
    #[error("Query parameter {0} is required")]
    Missing(&'static str),
    /// It is there and cannot be read.
    #[error("Error parsing query parameter {0} failed: {1}")]
    Unreadable(&'static str, &'static str),
}

impl Query {
    /// Reads the part of a URL after `?`. Parameters that the protocol does not know are passed over; of those that
    /// can stand there once, the first counts.
    pub fn parse(text: &[u8]) -> Result<Self, QueryError> {
        let mut query = Self::default();
        let mut data_present = None;
        for parameter in text.split(|byte| *byte == b'&') {
            let mut parts = parameter.splitn(2, |byte| *byte == b'=');
            let name = decode_query(parts.next().unwrap_or_default());
            let value = decode_query(parts.next().unwrap_or_default());
            match name.as_slice() {
                b"clientuuid" => first(&mut query.client, || uuid("clientuuid", &value))?,
                b"bypass" => query.bypass.push(uuid("bypass", &value)?),
                b"key" => first(&mut query.key, || {
                    let text = bytes("key", &value)?;
                    Key::parse(&text).map_err(|_| QueryError::Unreadable("key", "not a git-annex key"))
                })?,
                b"associatedfile" => first(&mut query.file, || bytes("associatedfile", &value))?,
                b"offset" => first(&mut query.offset, || number("offset", &value))?,
                b"timestamp" => first(&mut query.timestamp, || number("timestamp", &value))?,
                b"lockid" => first(&mut query.lock, || bytes("lockid", &value))?,
                b"data-present" => first(&mut data_present, || match value.as_slice() {
                    b"true" => Ok(true),
                    b"false" => Ok(false),
                    _ => Err(QueryError::Unreadable("data-present", "neither true nor false")),
                })?,
                _ => {}
            }
        }
        query.data_present = data_present.unwrap_or_default();
        Ok(query)
    }

    /// Returns the part of a URL after `?`.
    pub fn to_text(&self) -> String {
        let text = |value: &[u8]| percent_encode(encode_value(value).as_bytes());
        let uuid = |uuid: &Uuid| text(uuid.as_bytes());
        let mut parameters: Vec<(&str, String)> = Vec::new();
        parameters.extend(self.client.as_ref().map(|client| ("clientuuid", uuid(client))));
        parameters.extend(self.bypass.iter().map(|bypass| ("bypass", uuid(bypass))));
        parameters.extend(self.key.as_ref().map(|key| ("key", text(key.as_bytes()))));
        parameters.extend(self.file.as_ref().map(|file| ("associatedfile", text(file))));
        parameters.extend(self.offset.map(|offset| ("offset", offset.to_string())));
        parameters.extend(self.timestamp.map(|timestamp| ("timestamp", timestamp.to_string())));
        parameters.extend(self.lock.as_ref().map(|lock| ("lockid", text(lock))));
        parameters.extend(self.data_present.then(|| ("data-present", "true".to_owned())));
        parameters.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

/// As HTML forms encode: `+` is a space. git-annex's clients never send it for either.
/// Reads a name or a value of a query or a form: `+` is a space, and percent encoding is undone.
pub fn decode_query(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced)
}

fn first<T>(place: &mut Option<T>, read: impl FnOnce() -> Result<T, QueryError>) -> Result<(), QueryError> {
    if place.is_none() {
        *place = Some(read()?);
    }
    Ok(())
}

fn bytes(name: &'static str, value: &[u8]) -> Result<Vec<u8>, QueryError> {
    decode_value(value).ok_or(QueryError::Unreadable(name, "neither UTF-8 nor base64 in square brackets"))
}

fn uuid(name: &'static str, value: &[u8]) -> Result<Uuid, QueryError> {
    Uuid::parse(&bytes(name, value)?).ok_or(QueryError::Unreadable(name, "not a UUID"))
}

fn number(name: &'static str, value: &[u8]) -> Result<u64, QueryError> {
    line::number(value).ok_or(QueryError::Unreadable(name, "not a number"))
}
