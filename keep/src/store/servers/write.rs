//! Making the copies of a block that are wanted.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use annex_protocol::keep::Locator;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Body, Method};

use super::Inner;
use super::read::{Question, refusal};
use super::retry::{self, Failures, Verdict};
use super::services::{Service, ServiceKind, in_order};
use crate::base::http_client;
use crate::store::{Block, StoreError};

/// A line that is slower is given up, in bytes a second, as by Arvados's clients.
const SLOWEST: u64 = 32 << 10;
/// How long an answer may be.
const ANSWER: usize = 4 << 10;

/// What services did so far.
#[derive(Default)]
struct Stored {
    copies: u32,
    /// By storage class; `None` once a service did not tell: it knows none.
    classes: Option<HashMap<String, u32>>,
}

struct Answer {
    locator: Locator,
    copies: u32,
    classes: Option<HashMap<String, u32>>,
}

impl Inner {
    /// Stores a block on as many services as it takes; returns when all wanted copies are there.
    pub(super) async fn put(&self, block: Block, parts: Vec<Bytes>) -> Result<(), StoreError> {
        if block.size == 0 {
            return Ok(());
        }
        let wanted = self.replicas().await?;
        let mut stored = Stored { copies: 0, classes: Some(HashMap::new()) };
        let mut failures = Failures::default();
        let (mut refreshed, mut number) = (false, 0);
        let mut done: Vec<String> = Vec::new();
        loop {
            let token = self.http.current();
            let services = in_order(block.hash, std::iter::empty(), &self.services().await?);
            let mut left: VecDeque<Service> = services
                .into_iter()
                .filter(|service| !service.read_only && !done.contains(&service.base))
                .filter(|service| failures.may_pass(&service.base))
                .collect();
            // A keepstore makes one copy; of others it is not known, so they are asked for all of them, one by one.
            let disks = left.iter().all(|service| service.kind == ServiceKind::Disk);
            let mut asked = FuturesUnordered::new();
            loop {
                let together = if disks { wanted.saturating_sub(stored.copies).max(1) as usize } else { 1 };
                while asked.len() < together
                    && let Some(service) = left.pop_front()
                {
                    let copies = if disks { 1 } else { wanted };
                    asked.push(self.put_one(service, block, parts.clone(), copies));
                }
                match asked.next().await {
                    Some((service, Ok(answer))) => {
                        self.signed.put(&answer.locator);
                        stored.add(answer);
                        done.push(service.base);
                    }
                    Some((service, Err((verdict, reason)))) => failures.note(&service.base, verdict, &reason),
                    None => break,
                }
                if stored.is_enough(wanted, &self.options.classes) {
                    self.signed.stored(block.hash);
                    return Ok(());
                }
            }
            if failures.any_refused() && !refreshed {
                refreshed = true;
                if self.http.refresh(token.as_deref()).await {
                    failures = Failures::default();
                    continue;
                }
            }
            if number >= self.options.retries || !failures.any_may_pass() {
                return Err(self.too_few(block, &stored, wanted, &failures));
            }
            tokio::time::sleep(retry::pause(self.options.pause, number)).await;
            number += 1;
        }
    }

    async fn put_one(
        &self,
        service: Service,
        block: Block,
        parts: Vec<Bytes>,
        copies: u32,
    ) -> (Service, Result<Answer, (Verdict, String)>) {
        let answer = match self.put_to(&service, block, parts, copies).await {
            Ok(answer) => self.prove_readable(&service, &answer.locator, block).await.map(|()| answer),
            refused => refused,
        };
        (service, answer)
    }

    /// Has a service show that it gives back to us what it stored, if its answer has no signature.
    ///
    /// A keepstore whose cluster signs takes a block from anybody, but without a valid token it signs nothing, and then
    /// nobody can read the block. What one block shows is true of the next ones for a while.
    async fn prove_readable(
        &self,
        service: &Service,
        locator: &Locator,
        block: Block,
    ) -> Result<(), (Verdict, String)> {
        if locator.is_signed() || self.proven.holds(&service.base, self.options.trusted) {
            return Ok(());
        }
        match self.ask_one(Question::Presence, service, locator, block).await {
            Ok(_) => {
                self.proven.note(&service.base);
                Ok(())
            }
            Err((verdict, reason)) => {
                Err((verdict, format!("it took the block without signing it, and does not give it back: {reason}")))
            }
        }
    }

    async fn put_to(
        &self,
        service: &Service,
        block: Block,
        parts: Vec<Bytes>,
        copies: u32,
    ) -> Result<Answer, (Verdict, String)> {
        let passing = |error| (Verdict::Again, http_client::innermost(error));
        let body = Body::wrap_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>)));
        let patience = self.options.waits.store + Duration::from_secs(u64::from(block.size) / SLOWEST);
        let mut request = self
            .http
            .request(Method::PUT, &format!("{}/{}", service.base, block.hash))
            .header(CONTENT_LENGTH, block.size)
            .header("X-Keep-Desired-Replicas", copies)
            .timeout(patience)
            .body(body);
        if !self.options.classes.is_empty() {
            request = request.header("X-Keep-Storage-Classes", self.options.classes.join(", "));
        }
        let response = request.send().await.map_err(retry::unanswered)?;
        if !response.status().is_success() {
            return Err(match refusal(response, self.options.waits.block).await {
                (Verdict::Again, said) if retry::says_full(&said) => (Verdict::Full, said),
                other => other,
            });
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let copies = header("X-Keep-Replicas-Stored").map_or(Some(1), |copies| copies.trim().parse().ok());
        let copies = copies.ok_or_else(|| (Verdict::Never, "it does not say how many copies it made".to_owned()))?;
        let classes = header("X-Keep-Storage-Classes-Confirmed").map(confirmed);
        let text = http_client::text(response, ANSWER).await.map_err(passing)?;
        match Locator::parse(text.trim_ascii()) {
            Ok(locator) if locator.hash() == block.hash && locator.size() == u64::from(block.size) => {
                Ok(Answer { locator, copies, classes })
            }
            _ => Err((Verdict::Never, "its answer names another block".to_owned())),
        }
    }

    fn too_few(&self, block: Block, stored: &Stored, wanted: u32, failures: &Failures) -> StoreError {
        if failures.all_full() {
            return StoreError::Full { store: self.services.name() };
        }
        let Stored { copies, .. } = stored;
        let missing = match stored.classes.as_ref() {
            Some(confirmed) if *copies >= wanted => {
                let short =
                    self.options.classes.iter().filter(|class| confirmed.get(*class).is_none_or(|n| *n < wanted));
                format!(" in the storage classes {}", short.cloned().collect::<Vec<_>>().join(", "))
            }
            _ => String::new(),
        };
        let why = if failures.is_empty() { "no other service takes it".to_owned() } else { failures.to_string() };
        self.unfinished(format!("block {block} has {copies} of {wanted} wanted copies{missing}: {why}"), failures)
    }
}

impl Stored {
    fn add(&mut self, answer: Answer) {
        self.copies += answer.copies;
        match (&mut self.classes, answer.classes) {
            (Some(all), Some(classes)) => {
                classes.into_iter().for_each(|(class, n)| *all.entry(class).or_default() += n);
            }
            _ => self.classes = None,
        }
    }

    fn is_enough(&self, wanted: u32, classes: &[String]) -> bool {
        let in_class = |class| self.classes.as_ref().is_none_or(|all| all.get(class).is_some_and(|n| *n >= wanted));
        self.copies >= wanted && classes.iter().all(in_class)
    }
}

/// `a=1, b=2`
fn confirmed(header: &str) -> HashMap<String, u32> {
    let class = |part: &str| {
        let (name, copies) = part.trim().split_once('=')?;
        Some((name.to_owned(), copies.parse().ok()?))
    };
    header.split(',').filter_map(class).collect()
}
