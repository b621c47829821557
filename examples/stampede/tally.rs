//! What is counted while tokens are checked.

use std::any::Any;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::tokens::Kind;

/// Counts of one thread, or of all.
pub(crate) struct Tally {
    /// In microseconds.
    latencies: Histogram<u64>,
    pub(crate) checked: u64,
    pub(crate) genuine_refused: u64,
    pub(crate) forged_accepted: u64,
    /// Tokens of the new key that were accepted.
    pub(crate) new_key_accepted: u64,
    /// Tokens of unknown keys that were refused.
    pub(crate) unknown_refused: u64,
    pub(crate) panics: u64,
    /// What the first panic said.
    pub(crate) last_words: Option<String>,
}

/// The answer to a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Accepted,
    Refused,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            latencies: Histogram::new_with_bounds(1, 120_000_000, 3)
                .expect("the bounds of the histogram are sound"),
            checked: 0,
            genuine_refused: 0,
            forged_accepted: 0,
            new_key_accepted: 0,
            unknown_refused: 0,
            panics: 0,
            last_words: None,
        }
    }

    pub(crate) fn answered(&mut self, kind: Kind, answer: Answer) {
        match (kind.is_genuine(), answer) {
            (true, Answer::Refused) => self.genuine_refused += 1,
            (false, Answer::Accepted) => self.forged_accepted += 1,
            (true, Answer::Accepted) => self.new_key_accepted += u64::from(kind == Kind::NewKey),
            (false, Answer::Refused) => self.unknown_refused += u64::from(kind == Kind::UnknownKey),
        }
    }

    pub(crate) fn panicked(&mut self, payload: &(dyn Any + Send)) {
        self.panics += 1;
        let words = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied());
        self.last_words
            .get_or_insert_with(|| words.unwrap_or("(no words)").into());
    }

    /// A token was checked, this long after its arrival.
    pub(crate) fn checked(&mut self, latency: Duration) {
        self.checked += 1;
        self.left(latency);
    }

    /// A token was still waiting at the end of the run, for so long.
    pub(crate) fn left(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(micros);
    }

    pub(crate) fn add(&mut self, other: Tally) {
        self.latencies += other.latencies;
        self.checked += other.checked;
        self.genuine_refused += other.genuine_refused;
        self.forged_accepted += other.forged_accepted;
        self.new_key_accepted += other.new_key_accepted;
        self.unknown_refused += other.unknown_refused;
        self.panics += other.panics;
        if self.last_words.is_none() {
            self.last_words = other.last_words;
        }
    }

    /// The wrong answers.
    pub(crate) fn wrong(&self) -> u64 {
        self.genuine_refused + self.forged_accepted
    }

    /// The latency that this share of the tokens, in per cent, did not exceed.
    pub(crate) fn latency(&self, per_cent: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_percentile(per_cent))
    }
}
