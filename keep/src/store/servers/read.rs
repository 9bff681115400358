//! Looking for a block on one service after the other.

use std::time::Duration;

use annex_protocol::keep::Locator;
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::{Method, Response, StatusCode};
use tokio::time::timeout;

use super::Inner;
use super::retry::{self, Failures, Verdict};
use super::services::{Service, in_order};
use crate::base::http_client;
use crate::base::stream::{BlockDigest, Cutter, MAX_BLOCK, Piece};
use crate::store::{Block, StoreError};

const SILENT: &str = "it does not answer";
/// How much of an error's text is read.
const REASON: usize = 4 << 10;

/// What is asked about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Its bytes.
    Bytes,
    /// Whether it is there, in its right size.
    Presence,
}

type Failed = (Verdict, String);

impl Inner {
    /// Returns a block's bytes, verified; `None` when all services say that they do not have it.
    pub(super) async fn fetch(&self, block: Block) -> Result<Option<Vec<Bytes>>, StoreError> {
        if block.size == 0 {
            return Ok(Some(Vec::new()));
        }
        let known = self.cache().get(block.hash);
        if let Some(parts) = known {
            let size = parts.iter().map(|part| part.len() as u64).sum();
            return if size == u64::from(block.size) { Ok(Some(parts)) } else { Err(StoreError::Size { block, size }) };
        }
        let parts = self.ask(Question::Bytes, block).await?;
        if let Some(parts) = &parts {
            self.cache().put(block.hash, parts);
        }
        Ok(parts)
    }

    /// Tells whether a service has a block. One that servers have just stored is not asked after.
    pub(super) async fn present(&self, block: Block) -> Result<bool, StoreError> {
        if block.size == 0 || self.signed.is_fresh(block.hash, self.options.trusted) {
            return Ok(true);
        }
        Ok(self.ask(Question::Presence, block).await?.is_some())
    }

    async fn ask(&self, question: Question, block: Block) -> Result<Option<Vec<Bytes>>, StoreError> {
        let mut failures = Failures::default();
        let (mut renewed, mut number) = (false, 0);
        if self.signed.is_expiring(block.hash) {
            renewed = self.renew(block).await?;
        }
        loop {
            let token = self.http.current();
            let locator = self.signed.get(block.hash).unwrap_or_else(|| block.locator());
            for service in in_order(block.hash, locator.hints(), &self.services().await?) {
                if !failures.may_pass(&service.base) {
                    continue;
                }
                match self.ask_one(question, &service, &locator, block).await {
                    Ok(parts) => return Ok(Some(parts)),
                    Err((verdict, reason)) => failures.note(&service.base, verdict, &reason),
                }
            }
            if failures.any_refused() && !renewed {
                renewed = true;
                if self.renew(block).await? || self.http.refresh(token.as_deref()).await {
                    failures = Failures::default();
                    continue;
                }
            }
            if failures.all_absent() && !failures.is_empty() {
                return Ok(None);
            }
            if number >= self.options.retries || !failures.any_may_pass() {
                return Err(self.unreadable(block, &failures));
            }
            tokio::time::sleep(retry::pause(self.options.pause, number)).await;
            number += 1;
        }
    }

    /// Has the block signed anew; true if it was.
    async fn renew(&self, block: Block) -> Result<bool, StoreError> {
        let mut renewers = self.renewers();
        while let Some(renew) = renewers.pop() {
            if let Some(locator) = renew.renew(block).await.map_err(|error| self.not_asked(error))? {
                self.signed.forget(block.hash);
                self.signed.put(&locator);
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) async fn ask_one(
        &self,
        question: Question,
        service: &Service,
        locator: &Locator,
        block: Block,
    ) -> Result<Vec<Bytes>, Failed> {
        let url = format!("{}/{locator}", service.base);
        let method = if question == Question::Bytes { Method::GET } else { Method::HEAD };
        let request = self.http.request(method, &url).header("Accept", "application/octet-stream");
        let wait = self.options.waits.block;
        let response = match timeout(wait, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(retry::unanswered(error)),
            Err(_elapsed) => return Err((Verdict::Again, SILENT.into())),
        };
        if !response.status().is_success() {
            return Err(refusal(response, wait).await);
        }
        let size = response.headers().get("Content-Length").and_then(|size| size.to_str().ok()?.parse::<u64>().ok());
        if let Some(size) = size.filter(|size| *size != u64::from(block.size)) {
            return Err((Verdict::Bad, format!("its block has {size} bytes")));
        }
        match question {
            Question::Presence => Ok(Vec::new()),
            Question::Bytes => verified(response, block, wait).await,
        }
    }

    /// Asks one service after the other after a block that need not be there; any answer will do but that the token is
    /// unknown.
    pub(super) async fn reach(&self) -> Result<(), StoreError> {
        let mut failures = Failures::default();
        for service in self.services().await?.iter() {
            let request = self.http.request(Method::HEAD, &format!("{}/{}", service.base, Locator::EMPTY));
            let (verdict, reason) = match timeout(self.options.waits.block, request.send()).await {
                Ok(Ok(response)) if response.status() == StatusCode::UNAUTHORIZED => {
                    refusal(response, self.options.waits.block).await
                }
                Ok(Ok(response)) if !response.status().is_server_error() => return Ok(()),
                Ok(Ok(response)) => (Verdict::Again, response.status().to_string()),
                Ok(Err(error)) => retry::unanswered(error),
                Err(_elapsed) => (Verdict::Again, SILENT.into()),
            };
            failures.note(&service.base, verdict, &reason);
        }
        Err(self.unfinished(failures.to_string(), &failures))
    }

    fn unreadable(&self, block: Block, failures: &Failures) -> StoreError {
        if failures.all_absent_or_bad() {
            let store = self.services.name();
            return StoreError::Damaged { store, block, reason: failures.to_string() };
        }
        self.failures("cannot read", block, failures)
    }
}

/// Returns what an answer that is no success means; waits so long for its text.
pub(super) async fn refusal(response: Response, wait: Duration) -> Failed {
    let status = response.status();
    let said = timeout(wait, http_client::text(response, REASON)).await;
    let said = said.ok().and_then(Result::ok).map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    let reason = match said.filter(|said| !said.is_empty()) {
        Some(said) => format!("{status}: {said}"),
        None => status.to_string(),
    };
    match retry::says_damaged(&reason) {
        true => (Verdict::Bad, format!("the file that it has for the block is damaged, and has to go there: {reason}")),
        false => (retry::verdict(status), reason),
    }
}

fn cut(piece: Piece) -> Option<BlockDigest> {
    match piece {
        Piece::Cut(digest) => Some(digest),
        Piece::Data(_) => None,
    }
}

/// Reads a body that has to be this block.
async fn verified(response: Response, block: Block, wait: Duration) -> Result<Vec<Bytes>, Failed> {
    let mut body = response.bytes_stream();
    let mut cutter = Cutter::new(MAX_BLOCK, 0);
    let (mut parts, mut size, mut digest) = (Vec::new(), 0, None);
    loop {
        let bytes = match timeout(wait, body.next()).await {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(Some(Err(error))) => return Err((Verdict::Again, http_client::innermost(error))),
            Ok(None) => break,
            Err(_elapsed) => return Err((Verdict::Again, "it stopped in the middle of a block".into())),
        };
        size += bytes.len() as u64;
        if size > u64::from(block.size) {
            return Err((Verdict::Bad, "its block is larger".into()));
        }
        // The largest block is cut as soon as it is whole.
        digest = cutter.push(bytes.clone()).await.into_iter().find_map(cut).or(digest);
        parts.push(bytes);
    }
    let Some(digest) = digest.or_else(|| cutter.finish().and_then(cut)) else {
        return Err((Verdict::Again, "it sent nothing".into()));
    };
    match digest.wait().await {
        Ok(found) if found.len == block.size && block.hash == found.md5.into() => Ok(parts),
        Ok(found) if found.len != block.size => Err((Verdict::Again, "it sent less than the block".into())),
        Ok(_) => Err((Verdict::Bad, "its block has another hash".into())),
        Err(lost) => Err((Verdict::Again, lost.to_string())),
    }
}
