//! A node that fails as a test wants it to: each question and each part of an upload, once or from now on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use annex_protocol::key::Key;
use annex_protocol::p2p::AssociatedFile;
use annex_protocol::uuid::Uuid;
use async_trait::async_trait;
use keep_store::base::stream::Piece;

use super::error::NodeError;
use super::port::{ByteStream, Capacity, Content, FileUpload, Hold, Incoming, Node, Onward, Pieces, Upload};

mod read;
mod script;

use read::spoiled;
pub use script::{Fault, Operation, ReadFault};
use script::{Lines, Script};

/// A node that fails where its script says so, and otherwise does what the node behind it does. Cloning shares the script.
#[derive(Clone)]
pub struct Faulty {
    node: Arc<dyn Node>,
    script: Script,
}

impl Faulty {
    /// Makes a node that does no wrong yet.
    pub fn new(node: Arc<dyn Node>) -> Self {
        Self { node, script: Script::default() }
    }

    /// Makes this operation go wrong the next time it is asked; called again, the time after that as well.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.script.lines().faults.entry(operation).or_default().once.push_back(fault);
    }

    /// Makes this operation go wrong whenever it is asked.
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.script.lines().faults.entry(operation).or_default().always = Some(fault);
    }

    /// Makes every operation fail or hang, as a node that is away does.
    pub fn always_all(&self, fault: &Fault) {
        use Operation as O;
        let upload = [O::Put, O::Kept, O::Restart, O::Announce, O::Piece, O::Commit, O::Suspend, O::Abort];
        let others = [O::Present, O::Get, O::Remove, O::SetAside, O::Lock, O::Renew, O::Release, O::Capacity];
        for operation in upload.into_iter().chain(others) {
            self.always(operation, fault.clone());
        }
    }

    /// Makes it say of every key that it is there, or that it is not; `None` is the truth.
    pub fn lie(&self, present: Option<bool>) {
        self.script.lines().lie = present;
    }

    /// Spoils the bytes of the next download; called again, of the one after.
    pub fn spoil_read_once(&self, fault: ReadFault) {
        self.script.lines().reads.once.push_back(fault);
    }

    /// Spoils the bytes of every download from now on.
    pub fn spoil_reads(&self, fault: ReadFault) {
        self.script.lines().reads.always = Some(fault);
    }

    /// Makes the next upload go wrong at this byte of the content; the bytes before it are taken.
    pub fn spoil_upload_once(&self, at: u64, fault: Fault) {
        self.script.lines().uploads.once.push_back((at, fault));
    }

    /// Makes every upload that starts from now on go wrong at this byte of the content.
    pub fn spoil_uploads(&self, at: u64, fault: Fault) {
        self.script.lines().uploads.always = Some((at, fault));
    }

    /// Forgets everything that was to go wrong. What hangs goes on to hang.
    pub fn heal(&self) {
        let mut lines = self.script.lines();
        let asked = std::mem::take(&mut lines.asked);
        *lines = Lines { asked, ..Lines::default() };
    }

    /// Returns how often something was asked so far.
    pub fn asked(&self, operation: Operation) -> u64 {
        self.script.lines().asked.get(&operation).copied().unwrap_or_default()
    }
}

#[async_trait]
impl Node for Faulty {
    async fn present(&self, key: &Key) -> Result<bool, NodeError> {
        let lie = self.script.lines().lie;
        let asking = async {
            match lie {
                Some(present) => Ok(present),
                None => self.node.present(key).await,
            }
        };
        self.script.ask(Operation::Present, asking).await
    }

    async fn get(&self, key: &Key, offset: u64) -> Result<Option<Content>, NodeError> {
        let content = self.script.ask(Operation::Get, self.node.get(key, offset)).await?;
        let fault = if content.is_some() { self.script.lines().reads.next() } else { None };
        Ok(content.map(|Content { size, stream, verified }| {
            let stream = match fault {
                Some(fault) => spoiled(stream, offset.min(size), fault),
                None => stream,
            };
            Content { size, stream, verified }
        }))
    }

    async fn put(&self, key: &Key, file: &AssociatedFile) -> Result<Incoming, NodeError> {
        let incoming = self.script.ask(Operation::Put, self.node.put(key, file)).await?;
        let script = self.script.clone();
        Ok(match incoming {
            Incoming::Pieces(Pieces { upload, kept, takes_blocks }) => {
                let spoiled = script.lines().uploads.next();
                let upload = FaultyUpload { upload, script, position: kept, spoiled };
                Incoming::Pieces(Pieces { upload: Box::new(upload), kept, takes_blocks })
            }
            Incoming::WholeFile(upload) => Incoming::WholeFile(Box::new(FaultyFile { upload, script })),
        })
    }

    async fn remove(&self, key: &Key) -> Result<Vec<Uuid>, NodeError> {
        self.script.ask(Operation::Remove, self.node.remove(key)).await
    }

    async fn set_aside(&self, key: &Key) -> Result<(), NodeError> {
        self.script.ask(Operation::SetAside, self.node.set_aside(key)).await
    }

    async fn lock(&self, key: &Key) -> Result<Option<Box<dyn Hold>>, NodeError> {
        let hold = self.script.ask(Operation::Lock, self.node.lock(key)).await?;
        let script = self.script.clone();
        Ok(hold.map(|hold| Box::new(FaultyHold { hold, script }) as Box<dyn Hold>))
    }

    async fn capacity(&self) -> Result<Capacity, NodeError> {
        self.script.ask(Operation::Capacity, self.node.capacity()).await
    }

    fn onward(&self, gateways: &BTreeSet<Uuid>) -> Onward {
        match self.node.onward(gateways) {
            Onward::By(node) => Onward::By(Arc::new(Self { node, script: self.script.clone() })),
            onward @ (Onward::AsIs | Onward::LeadsBack) => onward,
        }
    }
}

struct FaultyUpload {
    upload: Box<dyn Upload>,
    script: Script,
    /// How much of the content was taken.
    position: u64,
    /// The byte at which it goes wrong, and how.
    spoiled: Option<(u64, Fault)>,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn kept(&self) -> Result<ByteStream, NodeError> {
        self.script.ask(Operation::Kept, self.upload.kept()).await
    }

    async fn restart(&mut self) -> Result<(), NodeError> {
        self.script.ask(Operation::Restart, self.upload.restart()).await?;
        self.position = 0;
        Ok(())
    }

    async fn announce(&mut self, size: u64) -> Result<(), NodeError> {
        self.script.ask(Operation::Announce, self.upload.announce(size)).await
    }

    async fn piece(&mut self, piece: Piece) -> Result<(), NodeError> {
        let Piece::Data(mut bytes) = piece else {
            return self.script.ask(Operation::Piece, self.upload.piece(piece)).await;
        };
        let end = self.position + bytes.len() as u64;
        let bad = self.spoiled.take_if(|(at, _)| (self.position..end).contains(at));
        if let Some((at, fault)) = bad {
            let good = bytes.split_to(usize::try_from(at - self.position).unwrap_or_default());
            self.upload.piece(Piece::Data(good)).await?;
            self.position = end;
            return fault.befall(self.upload.piece(Piece::Data(bytes))).await;
        }
        self.position = end;
        self.script.ask(Operation::Piece, self.upload.piece(Piece::Data(bytes))).await
    }

    async fn commit(self: Box<Self>) -> Result<Vec<Uuid>, NodeError> {
        self.script.ask(Operation::Commit, self.upload.commit()).await
    }

    async fn suspend(self: Box<Self>) -> Result<(), NodeError> {
        self.script.ask(Operation::Suspend, self.upload.suspend()).await
    }

    async fn abort(self: Box<Self>) -> Result<(), NodeError> {
        self.script.ask(Operation::Abort, self.upload.abort()).await
    }
}

struct FaultyFile {
    upload: Box<dyn FileUpload>,
    script: Script,
}

#[async_trait]
impl FileUpload for FaultyFile {
    async fn store(self: Box<Self>, file: &Path, size: u64) -> Result<(), NodeError> {
        self.script.ask(Operation::Commit, self.upload.store(file, size)).await
    }
}

struct FaultyHold {
    hold: Box<dyn Hold>,
    script: Script,
}

#[async_trait]
impl Hold for FaultyHold {
    async fn renew(&mut self) -> Result<(), NodeError> {
        self.script.ask(Operation::Renew, self.hold.renew()).await
    }

    async fn release(self: Box<Self>) -> Result<(), NodeError> {
        self.script.ask(Operation::Release, self.hold.release()).await
    }
}

#[cfg(test)]
mod tests;
