//! When the next creation may begin: after failures, and at all.

use std::time::Duration;

use crate::error::Failure;
use crate::observe::Tally;
use crate::policy::{Draw, Policy};
use crate::time::Tick;

/// What a pile remembers of its creations, as far as its settings or its creators ask for it.
#[derive(Default)]
pub(crate) struct Pace {
    /// How many creations have failed in a row.
    failures: u32,
    pause: Option<Span>,
    /// When the last creation began that published, failed or panicked.
    began: Option<Tick>,
    /// When the last creation began that was given up since.
    given_up: Option<Tick>,
    last_failure: Option<(Failure, Tick)>,
    /// Of the lease that is held.
    lease: Granted,
    /// The fences of those who still create, though their lease was taken over.
    late: Vec<u64>,
    /// What is counted, if anything is.
    tally: Option<Box<Tally>>,
}

/// What is known of a lease.
#[derive(Clone, Copy, Default)]
struct Granted {
    at: Option<Tick>,
    retry_after: Option<Duration>,
    /// Its failure is an answer: nothing stands in for it.
    no_fallback: bool,
}

/// From the first instant until before the second. A clock that steps out of it, to either side,
/// ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    from: Tick,
    until: Tick,
}

impl Span {
    pub(crate) const NEVER: Self = Self {
        from: Tick::MAX,
        until: Tick::ZERO,
    };
    pub(crate) const ALWAYS: Self = Self {
        from: Tick::ZERO,
        until: Tick::MAX,
    };

    pub(crate) fn new(from: Tick, until: Tick) -> Self {
        Self { from, until }
    }

    pub(crate) fn after(from: Tick, length: Duration) -> Self {
        Self::new(from, from.saturating_add(length))
    }

    pub(crate) fn ends(self) -> (Tick, Tick) {
        (self.from, self.until)
    }

    fn left(self, now: Tick) -> Option<Duration> {
        let covers = self.from <= now && now < self.until;
        covers.then(|| self.until.saturating_since(now))
    }
}

/// How a lease ended, as far as the next creation is concerned.
pub(crate) enum End {
    Published,
    /// The creator failed or panicked.
    Failed(Failure),
    GivenUp,
    /// Nothing ever ran.
    Refused(Failure),
}

impl Pace {
    /// A lease was granted.
    pub(crate) fn granted(&mut self, now: Tick) {
        self.lease = Granted {
            at: Some(now),
            ..Granted::default()
        };
    }

    /// The creator that holds the lease says when to come back, should it fail.
    pub(crate) fn retry_after(&mut self, span: Duration) {
        self.lease.retry_after = Some(span);
    }

    /// The creator that holds the lease says that its failure is an answer.
    pub(crate) fn no_fallback(&mut self) {
        self.lease.no_fallback = true;
    }

    /// Whether the failure of the lease that is held is an answer.
    pub(crate) fn is_without_fallback(&self) -> bool {
        self.lease.no_fallback
    }

    /// The lease ended at `now`. The failure that is forgotten is to be dropped outside of locks.
    #[must_use = "the old failure must be dropped outside the lock"]
    pub(crate) fn ended(
        &mut self,
        policy: &Policy,
        end: End,
        superseded: bool,
        now: Tick,
        draw: Draw,
    ) -> Option<Failure> {
        let lease = std::mem::take(&mut self.lease);
        match end {
            End::GivenUp if policy.min_interval.is_some() => self.given_up = lease.at,
            End::GivenUp => {}
            End::Refused(_) => {}
            End::Published | End::Failed(_) => {
                if policy.min_interval.is_some() {
                    self.began = lease.at.or(self.began);
                }
                self.given_up = None;
            }
        }
        match end {
            End::Published if superseded => None,
            End::Published => {
                self.clear();
                None
            }
            End::GivenUp => None,
            End::Refused(failure) => {
                if let Some(backoff) = policy.backoff.filter(|_| !superseded) {
                    let base = Span::after(now, backoff.span(1, draw));
                    if self.pause.is_none_or(|pause| pause.until < base.until) {
                        self.pause = Some(base);
                    }
                }
                self.note(failure, now)
            }
            End::Failed(failure) => {
                if !superseded {
                    self.failures = self.failures.saturating_add(1);
                    let backoff = policy.backoff;
                    let backoff = backoff.map(|backoff| backoff.span(self.failures, draw));
                    let said = lease
                        .retry_after
                        .map(|span| span.min(policy.max_retry_after));
                    self.pause = said.or(backoff).map(|span| Span::after(now, span));
                }
                self.note(failure, now)
            }
        }
    }

    fn note(&mut self, failure: Failure, now: Tick) -> Option<Failure> {
        let before = self.last_failure.replace((failure, now));
        before.map(|(failure, _)| failure)
    }

    /// No creation is to begin for so long, though nothing failed.
    pub(crate) fn hold(&mut self, now: Tick, span: Duration) {
        self.pause = Some(Span::after(now, span));
    }

    /// Ends the back-off.
    pub(crate) fn clear(&mut self) {
        self.failures = 0;
        self.pause = None;
    }

    /// Forgets back-off and interval. Not for a lease that is held, nor with a creator that is late.
    pub(crate) fn forget(&mut self) {
        self.clear();
        self.began = None;
        self.given_up = None;
    }

    /// How long no creation may begin yet. The caller may have a usable value.
    pub(crate) fn retry_in(
        &self,
        policy: &Policy,
        now: Tick,
        has_usable: bool,
    ) -> Option<Duration> {
        let spans = [self.pause, self.interval(policy, has_usable)];
        spans
            .into_iter()
            .flatten()
            .filter_map(|span| span.left(now))
            .max()
    }

    /// A span in which a caller with a usable value need not ask: none may create.
    pub(crate) fn quiet(&self, policy: &Policy) -> Span {
        match (self.pause, self.interval(policy, true)) {
            (None, None) => Span::NEVER,
            (Some(span), None) | (None, Some(span)) => span,
            // Past both beginnings, whichever ends last.
            (Some(one), Some(other)) => {
                Span::new(one.from.max(other.from), one.until.max(other.until))
            }
        }
    }

    /// The span that the last creation keeps others away for. One that was given up counts only
    /// while there is something to go on with: else a caller that leaves would lock out everybody.
    fn interval(&self, policy: &Policy, has_usable: bool) -> Option<Span> {
        let interval = policy.min_interval?;
        let given_up = self.given_up.filter(|_| has_usable);
        let began = given_up.max(self.began)?;
        Some(Span::after(began, interval))
    }

    /// From when on the lease that is held may be taken over.
    pub(crate) fn overdue_from(&self, policy: &Policy) -> Option<Tick> {
        let began = self.lease.at?;
        Some(began.saturating_add(policy.max_create_time?))
    }

    /// The lease is taken from its holder, who still creates. Says whether another may create
    /// meanwhile: one late creator is enough.
    pub(crate) fn is_late(&mut self, fence: u64) -> bool {
        self.late.push(fence);
        self.late.len() == 1
    }

    /// Nobody creates for as long as a creation may take, unless a back-off says otherwise.
    pub(crate) fn rest(&mut self, policy: &Policy, now: Tick) {
        if let (None, Some(span)) = (self.pause, policy.max_create_time) {
            self.pause = Some(Span::after(now, span));
        }
    }

    /// Whether a back-off or an interval is remembered, over or not, or a late creator.
    pub(crate) fn is_pacing(&self) -> bool {
        self.pause.is_some()
            || self.began.is_some()
            || self.given_up.is_some()
            || !self.late.is_empty()
    }

    /// Whether a creator is late.
    pub(crate) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// Whether the creator with this fence is late.
    pub(crate) fn knows_as_late(&self, fence: u64) -> bool {
        self.late.contains(&fence)
    }

    /// The creator with this fence has ended, if it was late. Says whether it was.
    pub(crate) fn late_ends(&mut self, fence: u64) -> bool {
        let before = self.late.len();
        self.late.retain(|&late| late != fence);
        self.late.len() != before
    }

    /// The last failure, and when it came.
    pub(crate) fn last_failure(&self) -> Option<&(Failure, Tick)> {
        self.last_failure.as_ref()
    }

    /// What is counted, from here on if not before.
    pub(crate) fn counting(&mut self) -> &mut Tally {
        self.tally.get_or_insert_default()
    }

    /// What is counted, if anything is.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// The failure that the pile backs off from.
    pub(crate) fn paused_by(&self, now: Tick) -> Option<Failure> {
        self.pause?.left(now)?;
        Some(self.last_failure.as_ref()?.0.clone())
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use crate::policy::{Backoff, Purpose};
    use crate::shim::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Tick {
        Tick::ZERO.saturating_add(SECOND * seconds)
    }

    fn failure() -> Failure {
        Failure::new(Arc::new("down"))
    }

    /// A creation that began at the tenth second and ended at the `end`th.
    fn ends(pace: &mut Pace, policy: &Policy, end: End, superseded: bool, now: u32) {
        pace.granted(at(10));
        let draw = Draw::new(1, 1, Purpose::Backoff);
        drop(pace.ended(policy, end, superseded, at(now), draw));
    }

    /// One that backs off for ten seconds.
    fn backing_off() -> Policy {
        Policy {
            backoff: Some(Backoff::constant(10 * SECOND)),
            ..Policy::new(SECOND)
        }
    }

    #[test]
    fn nothing_is_remembered_of_an_end_without_an_interval() {
        let policy = Policy::new(SECOND);
        for end in [End::GivenUp, End::Published, End::Failed(failure())] {
            let mut pace = Pace::default();
            ends(&mut pace, &policy, end, false, 11);
            assert!(!pace.is_pacing());
        }
    }

    #[test]
    fn a_superseded_publish_ends_no_back_off() {
        let mut pace = Pace::default();
        let policy = backing_off();
        ends(&mut pace, &policy, End::Failed(failure()), false, 10);
        ends(&mut pace, &policy, End::Published, true, 11);
        assert_eq!(pace.retry_in(&policy, at(12), true), Some(8 * SECOND));
        ends(&mut pace, &policy, End::Published, false, 12);
        assert_eq!(pace.retry_in(&policy, at(12), true), None);
    }

    #[test]
    fn a_refusal_shortens_no_back_off_and_moves_none() {
        let policy = backing_off();
        for (said, ends_at) in [(10, 20), (30, 40), (5, 24)] {
            let mut pace = Pace::default();
            pace.granted(at(10));
            pace.retry_after(SECOND * said);
            let draw = Draw::new(1, 1, Purpose::Backoff);
            drop(pace.ended(&policy, End::Failed(failure()), false, at(10), draw));
            let refused_at = if ends_at == 20 { 10 } else { 14 };
            ends(
                &mut pace,
                &policy,
                End::Refused(failure()),
                false,
                refused_at,
            );
            assert_eq!(pace.quiet(&policy).ends().1, at(ends_at));
        }
    }

    /// Of two back-offs that end together the one stays that began first: a clock that steps back to
    /// between their beginnings ends it not.
    #[test]
    fn a_refusal_that_ends_no_later_changes_nothing() {
        let policy = backing_off();
        let mut pace = Pace::default();
        pace.granted(at(10));
        pace.retry_after(15 * SECOND);
        let draw = Draw::new(1, 1, Purpose::Backoff);
        drop(pace.ended(&policy, End::Failed(failure()), false, at(10), draw));
        ends(&mut pace, &policy, End::Refused(failure()), false, 15);
        assert_eq!(pace.quiet(&policy).ends(), (at(10), at(25)));
    }

    #[test]
    fn what_a_back_off_is_from_is_told_until_it_ends() {
        let mut pace = Pace::default();
        let policy = backing_off();
        ends(&mut pace, &policy, End::Failed(failure()), false, 10);
        assert!(pace.paused_by(at(19)).is_some());
        assert!(pace.paused_by(at(20)).is_none());
        // The last failure is still known.
        assert!(pace.last_failure().is_some());
    }

    #[test]
    fn a_creator_is_late_until_it_ends() {
        let mut pace = Pace::default();
        assert!(!pace.has_late());
        assert!(pace.is_late(5));
        assert!(pace.has_late() && pace.knows_as_late(5));
        assert!(!pace.is_late(6));
        assert!(pace.late_ends(5) && pace.has_late());
        assert!(pace.late_ends(6) && !pace.has_late());
    }
}
