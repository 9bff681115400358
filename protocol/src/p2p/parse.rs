//! A line to a message.

use nom::combinator::{eof, map_opt, rest, value};
use nom::error::{Error, ErrorKind};
use nom::{IResult, Parser};

use super::{AssociatedFile, Message, Service};
use crate::key::Key;
use crate::line::{field, number, words};
use crate::uuid::Uuid;

/// A line is no message: unknown word, wrong fields, or a field that cannot be read.
///
/// Its text is what a server answers in an ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown command")]
pub struct ParseError;

impl Message {
    /// Parses a line, given without its line feed; one carriage return at its end is ignored.
    ///
    /// Fields end at a single white-space character, so that two in a row enclose an empty field; the last field takes
    /// the rest of the line. Numbers are decimal digits only.
    pub fn parse(line: &[u8]) -> Result<Self, ParseError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        message(line).map(|(_, message)| message).map_err(|_| ParseError)
    }
}

fn message(line: &[u8]) -> IResult<&[u8], Message> {
    let (input, command) = field(line)?;
    match command {
        b"AUTH" => (map_opt(field, Uuid::parse), rest)
            .map(|(uuid, token): (_, &[u8])| Message::Auth { uuid, token: token.to_vec() })
            .parse(input),
        b"AUTH-SUCCESS" => map_opt(rest, Uuid::parse).map(Message::AuthSuccess).parse(input),
        b"AUTH-FAILURE" => only(Message::AuthFailure).parse(input),
        b"VERSION" => map_opt(rest, version).map(Message::Version).parse(input),
        b"BYPASS" => uuids.map(Message::Bypass).parse(input),
        b"CHECKPRESENT" => key.map(Message::CheckPresent).parse(input),
        b"LOCKCONTENT" => key.map(Message::LockContent).parse(input),
        b"UNLOCKCONTENT" => only(Message::UnlockContent).parse(input),
        b"GETTIMESTAMP" => only(Message::GetTimestamp).parse(input),
        b"TIMESTAMP" => map_opt(rest, number).map(Message::Timestamp).parse(input),
        b"REMOVE" => key.map(Message::Remove).parse(input),
        b"REMOVE-BEFORE" => {
            (map_opt(field, number), key).map(|(deadline, key)| Message::RemoveBefore { deadline, key }).parse(input)
        }
        b"GET" => (map_opt(field, number), map_opt(field, AssociatedFile::parse), key)
            .map(|(offset, file, key)| Message::Get { offset, file, key })
            .parse(input),
        b"PUT" => {
            (map_opt(field, AssociatedFile::parse), key).map(|(file, key)| Message::Put { file, key }).parse(input)
        }
        b"PUT-FROM" => map_opt(rest, number).map(Message::PutFrom).parse(input),
        b"ALREADY-HAVE" => only(Message::AlreadyHave).parse(input),
        b"ALREADY-HAVE-PLUS" => uuids.map(Message::AlreadyHavePlus).parse(input),
        b"DATA" => map_opt(rest, number).map(Message::Data).parse(input),
        b"DATA-PRESENT" => only(Message::DataPresent).parse(input),
        b"VALID" => only(Message::Valid).parse(input),
        b"INVALID" => only(Message::Invalid).parse(input),
        b"SUCCESS" => only(Message::Success).parse(input),
        b"SUCCESS-PLUS" => uuids.map(Message::SuccessPlus).parse(input),
        b"FAILURE" => only(Message::Failure).parse(input),
        b"FAILURE-PLUS" => uuids.map(Message::FailurePlus).parse(input),
        b"CONNECT" => map_opt(rest, service).map(Message::Connect).parse(input),
        b"CONNECTDONE" => {
            map_opt(rest, number).map_opt(|code| u32::try_from(code).ok()).map(Message::ConnectDone).parse(input)
        }
        b"NOTIFYCHANGE" => only(Message::NotifyChange).parse(input),
        b"CHANGED" => rest.map(|text| Message::Changed(words(text).map(<[u8]>::to_vec).collect())).parse(input),
        b"ERROR" => rest.map(|text: &[u8]| Message::Error(text.to_vec())).parse(input),
        _ => Err(nom::Err::Error(Error::new(line, ErrorKind::Tag))),
    }
}

fn key(input: &[u8]) -> IResult<&[u8], Key> {
    map_opt(rest, |text| Key::parse(text).ok()).parse(input)
}

fn uuids(input: &[u8]) -> IResult<&[u8], Vec<Uuid>> {
    map_opt(rest, |text| words(text).map(Uuid::parse).collect()).parse(input)
}

/// A message without fields.
fn only<'a>(message: Message) -> impl Parser<&'a [u8], Output = Message, Error = Error<&'a [u8]>> {
    value(message, eof)
}

/// A version too large to count is still higher than ours.
fn version(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| number(text).unwrap_or(u64::MAX))
}

fn service(text: &[u8]) -> Option<Service> {
    [Service::UploadPack, Service::ReceivePack].into_iter().find(|service| service.as_str().as_bytes() == text)
}
