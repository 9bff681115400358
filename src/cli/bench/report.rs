//! What came of a load, for people and programs.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use super::Operation;

/// All that was measured, as JSON has it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) target: String,
    pub(super) size: u64,
    pub(super) connections: u32,
    pub(super) results: &'a [Outcome],
}

/// What came of one operation.
#[derive(Serialize)]
pub(super) struct Outcome {
    #[serde(serialize_with = "name")]
    operation: Operation,
    keys: usize,
    failed: usize,
    seconds: f64,
    per_second: f64,
    megabytes_per_second: f64,
    latency_ms: Latency,
    #[serde(skip)]
    bytes: u64,
    #[serde(skip)]
    took: Vec<Duration>,
    #[serde(skip)]
    failures: Vec<String>,
}

/// Latencies in milliseconds: the least, those that so many percent of all do not exceed, and the greatest.
#[derive(Default, Serialize)]
struct Latency {
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// Failures whose text is kept.
const A_FEW: usize = 5;

impl Outcome {
    pub(super) fn new(operation: Operation) -> Self {
        let (took, failures) = (Vec::new(), Vec::new());
        let (seconds, per_second, megabytes_per_second, latency_ms) = (0.0, 0.0, 0.0, Latency::default());
        Self {
            operation,
            keys: 0,
            failed: 0,
            seconds,
            per_second,
            megabytes_per_second,
            latency_ms,
            bytes: 0,
            took,
            failures,
        }
    }

    pub(super) fn done(&mut self, took: Duration, bytes: u64) {
        self.keys += 1;
        self.bytes += bytes;
        self.took.push(took);
    }

    pub(super) fn failed(&mut self, text: String) {
        self.failed += 1;
        if self.failures.len() < A_FEW {
            self.failures.push(text);
        }
    }

    /// Returns why operations failed, those of the first few.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    pub(super) fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.took.extend(other.took);
        let room = A_FEW.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }

    /// Makes rates and latencies of what was counted, after all of it took `elapsed`.
    pub(super) fn end(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        let seconds = self.seconds.max(f64::EPSILON);
        self.per_second = self.keys as f64 / seconds;
        self.megabytes_per_second = self.bytes as f64 / 1e6 / seconds;
        self.took.sort_unstable();
        let percent = |percent: usize| {
            let position = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
            self.took.get(position).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        self.latency_ms =
            Latency { min: percent(0), p50: percent(50), p90: percent(90), p99: percent(99), max: percent(100) };
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Latency { p50, p99, .. } = self.latency_ms;
        let name = self.operation.to_possible_value();
        let name = name.as_ref().map_or("", |value| value.get_name());
        write!(f, "{name:<12} {:>6} keys {:>9.1}/s", self.keys, self.per_second)?;
        if self.bytes > 0 {
            write!(f, " {:>8.1} MB/s", self.megabytes_per_second)?;
        }
        write!(f, "  median {p50:.2} ms, 99% {p99:.2} ms")?;
        if self.failed > 0 {
            write!(f, "  {} failed", self.failed)?;
        }
        Ok(())
    }
}

fn name<S: Serializer>(operation: &Operation, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(operation.to_possible_value().as_ref().map_or("", |value| value.get_name()))
}
