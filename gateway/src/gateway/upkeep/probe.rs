//! Trying a node out: can it store, give back, keep and remove?

use annex_protocol::hash::Hasher;
use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use bytes::Bytes;
use futures_util::StreamExt;
use keep_store::base::stream::{Cutter, MAX_BLOCK};

use crate::gateway::{Gateway, GatewayError, Member};
use crate::node::NodeError;
use crate::node::deadline::answered;

/// One thing that was tried on a node.
#[derive(Debug)]
pub struct Tried {
    /// What.
    pub what: &'static str,
    /// Why it does not work; `None` if it does.
    pub failure: Option<String>,
}

/// Stores a small key on a node, reads it, locks and removes it, and tells what works. Nothing of it stays.
///
/// `salt` makes the key one that nobody else has.
pub async fn probe(gateway: &Gateway, name: &str, salt: &[u8]) -> Result<Vec<Tried>, GatewayError> {
    let member = gateway.named(name)?;
    let content = Bytes::from([b"annex-keep tries out a node: ", salt].concat());
    let key = probe_key(&content).ok_or(GatewayError::NoProbe)?;
    let mut tried = Vec::new();
    let mut note = |what, outcome: Result<(), NodeError>| {
        let failure = outcome.err().map(|error| error.to_string());
        let works = failure.is_none();
        tried.push(Tried { what, failure });
        works
    };
    if note("is asked", expect(member.node.present(&key).await, &false, "it says that it has what it never got"))
        && note("stores", store(gateway, member, &key, &content).await)
    {
        note("knows what it has", expect(member.node.present(&key).await, &true, "it does not say that it has it"));
        note("gives back", fetch(member, &key, 0, &content).await);
        note("gives back the end", fetch(member, &key, 10, &content.slice(10..)).await);
        let locked = async {
            let hold = member.node.lock(&key).await?;
            hold.ok_or_else(|| NodeError::Failed("it could not be locked".to_owned()))?.release().await
        };
        note("locks", locked.await);
    }
    note("removes", member.node.remove(&key).await.map(drop));
    note("knows what is gone", expect(member.node.present(&key).await, &false, "it says that it still has it"));
    Ok(tried)
}

async fn store(gateway: &Gateway, member: &Member, key: &Key, content: &Bytes) -> Result<(), NodeError> {
    let incoming = member.node.put(key, &AssociatedFile::default()).await?;
    let mut pieces = incoming.in_pieces(&gateway.shared.spool, &gateway.shared.identity.gateway, key).await?;
    if pieces.kept > 0 {
        pieces.restart().await?;
    }
    let mut upload = pieces.upload;
    upload.announce(content.len() as u64).await?;
    let mut cutter = Cutter::new(MAX_BLOCK, 0);
    let mut pieces = cutter.push(content.clone()).await;
    pieces.extend(cutter.finish());
    for piece in pieces {
        upload.piece(piece).await?;
    }
    answered(member.patience.commit(), upload.commit()).await.map(drop)
}

fn probe_key(content: &[u8]) -> Option<Key> {
    let mut hasher = Hasher::for_backend(b"SHA256")?;
    hasher.update(content);
    Key::parse(format!("SHA256-s{}--{}", content.len(), hasher.finish()).as_bytes()).ok()
}

fn expect(said: Result<bool, NodeError>, expected: &bool, otherwise: &str) -> Result<(), NodeError> {
    if said? == *expected { Ok(()) } else { Err(NodeError::Failed(otherwise.to_owned())) }
}

async fn fetch(member: &Member, key: &Key, offset: u64, expected: &Bytes) -> Result<(), NodeError> {
    let wrong = |text: &str| NodeError::Failed(text.to_owned());
    let found = member.node.get(key, offset).await?.ok_or_else(|| wrong("it does not have it"))?;
    let mut stream = found.stream;
    let mut bytes = Vec::new();
    while let Some(more) = answered(member.patience.commit(), async { Ok(stream.next().await) }).await? {
        bytes.extend_from_slice(&more.map_err(|error| wrong(&error.to_string()))?);
    }
    if bytes == *expected { Ok(()) } else { Err(wrong("it gave other bytes than it got")) }
}
