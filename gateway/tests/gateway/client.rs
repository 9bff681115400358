//! What clients do at a gateway, and what they are told.

use std::time::Duration;

use annex_gateway::gateway::{Gateway, GatewayError, Put, Stored, Target};
use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use bytes::Bytes;

/// A content and its key.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) key: Key,
    pub(crate) bytes: Bytes,
}

impl Subject {
    /// Makes a content of so many bytes, which repeat nowhere near.
    pub(crate) fn new(size: usize) -> Self {
        let byte = |at: usize| (at as u32 ^ size as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3];
        let bytes: Bytes = (0..size).map(byte).collect::<Vec<_>>().into();
        let mut hasher = Hasher::for_backend(b"SHA256E").unwrap();
        hasher.update(&bytes);
        let key = Key::parse(format!("SHA256E-s{size}--{}.dat", hasher.finish()).as_bytes()).unwrap();
        Self { key, bytes }
    }

    /// Takes the size out of the key.
    pub(crate) fn without_size(self) -> Self {
        let text = self.key.to_string().replacen(&format!("-s{}", self.bytes.len()), "", 1);
        Self { key: Key::parse(text.as_bytes()).unwrap(), ..self }
    }

    /// Returns other bytes from the first to the last; those of an empty content with one more.
    pub(crate) fn wrong(&self) -> Bytes {
        match self.bytes.is_empty() {
            true => Bytes::from_static(b"x"),
            false => self.bytes.iter().map(|byte| !byte).collect::<Vec<_>>().into(),
        }
    }
}

/// How a client sends content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// All of it.
    Whole,
    /// All, but says that it may not be right.
    Unsure,
    /// As many bytes, of which not all are right.
    Wrong,
    /// A byte more than the key says.
    TooMuch,
    /// So many eighths of it; then it is lost, and whoever speaks for it says so.
    BreaksOff(usize),
    /// So many eighths of it; then all that worked for it is dropped.
    Vanishes(usize),
    /// So many eighths of it, as if that were all.
    Short(usize),
    /// So many eighths of something else; then it is lost.
    WrongAndBreaksOff(usize),
}

/// What a client was told of its upload.
#[derive(Debug)]
pub(crate) enum Sent {
    /// These nodes have the content already.
    Already(Vec<Uuid>),
    /// It is stored.
    Stored(Stored),
    /// It is not.
    NotStored,
}

/// Bytes that are sent at a time, and how long a client takes for them.
const PIECE: usize = 30_000;
const PAUSE: Duration = Duration::from_millis(5);

/// Uploads a content.
pub(crate) async fn put(
    gateway: &Gateway,
    target: Target,
    subject: &Subject,
    manner: Manner,
) -> Result<Sent, GatewayError> {
    let mut receiving = match gateway.put(target, &subject.key, &AssociatedFile::default()).await? {
        Put::AlreadyHave(nodes) => return Ok(Sent::Already(nodes)),
        Put::Receive(receiving) => receiving,
    };
    let mut bytes = match manner {
        Manner::Wrong | Manner::WrongAndBreaksOff(_) => subject.wrong(),
        _ => subject.bytes.clone(),
    };
    if manner == Manner::TooMuch {
        bytes = [&bytes[..], b"x"].concat().into();
    }
    let size = bytes.len();
    let end = match manner {
        Manner::BreaksOff(part) | Manner::Vanishes(part) | Manner::Short(part) | Manner::WrongAndBreaksOff(part) => {
            size * part / 8
        }
        _ => size,
    };
    let offset = usize::try_from(receiving.offset()).unwrap().min(size);
    receiving.announce((size - offset) as u64).await;
    let mut rest = bytes.slice(offset..end.max(offset));
    while !rest.is_empty() {
        receiving.push(rest.split_to(PIECE.min(rest.len()))).await;
        tokio::time::sleep(PAUSE).await;
    }
    let stored = match manner {
        Manner::BreaksOff(_) | Manner::WrongAndBreaksOff(_) => {
            receiving.suspend().await;
            None
        }
        Manner::Vanishes(_) => None,
        Manner::Unsure => receiving.finish(false).await?,
        Manner::Whole | Manner::Wrong | Manner::TooMuch | Manner::Short(_) => receiving.finish(true).await?,
    };
    Ok(stored.map_or(Sent::NotStored, Sent::Stored))
}

/// What a client got of a content.
#[derive(Debug)]
pub(crate) struct Got {
    /// The bytes from the offset on, as far as they came.
    pub(crate) bytes: Vec<u8>,
    /// What was said at the end.
    pub(crate) ended: Result<(), GatewayError>,
}

/// Downloads a content from an offset on.
pub(crate) async fn get(
    gateway: &Gateway,
    target: Target,
    key: &Key,
    offset: u64,
) -> Result<Option<Got>, GatewayError> {
    let Some(mut body) = gateway.get(target, key, offset).await? else { return Ok(None) };
    let length = body.length();
    let mut bytes = Vec::new();
    let ended = loop {
        match body.next().await {
            Some(Ok(more)) => bytes.extend_from_slice(&more),
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    assert!(bytes.len() as u64 <= length, "no more comes than was announced");
    assert!(ended.is_err() || bytes.len() as u64 == length, "what ends well is as long as was announced");
    Ok(Some(Got { bytes, ended }))
}
