//! How the store does, as far as this process has heard: [`Health`].

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use dogpile::Tick;

use crate::policy::{BREAKER, doubled};
use crate::store::{StoreError, StoreErrorKind};

/// How often in a row the store has failed, and until when it is left alone for that.
#[derive(Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    down_until: AtomicU64,
}

/// What had been heard of the store when a request was sent.
#[derive(Clone, Copy)]
pub(crate) struct Sent(u32);

impl Health {
    /// Somebody would ask. `None`: the store is left alone.
    ///
    /// When it was for long enough, one asks. What that one hears is for all: each who asked would else wait
    /// for a store that hangs.
    pub(crate) fn ask(&self, now: Tick) -> Option<Sent> {
        let failures = self.failures.load(Ordering::SeqCst);
        if failures == 0 {
            return Some(Sent(0));
        }
        let until = self.down_until.load(Ordering::SeqCst);
        if now.as_nanos() < until {
            return None;
        }
        // It may be dropped, or be slow: then the next one asks after one more pause.
        let next = now.saturating_add(doubled(BREAKER, failures - 1));
        let first = self.down_until.compare_exchange(
            until,
            next.as_nanos(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        first.is_ok().then_some(Sent(failures))
    }

    /// Something that is not left undone is about to be sent.
    pub(crate) fn sent(&self) -> Sent {
        Sent(self.failures.load(Ordering::SeqCst))
    }

    /// How a request ended.
    ///
    /// Requests that were under way together fail together. That is one failure: each of them would else
    /// double the time for which the store is left alone.
    pub(crate) fn note(&self, sent: Sent, error: Option<&StoreError>, now: Tick) {
        if error.is_none_or(|error| error.kind == StoreErrorKind::Refused) {
            // A store that will not has answered: it is no outage.
            self.failures.store(0, Ordering::SeqCst);
            return;
        }
        let heard = self.failures.compare_exchange(
            sent.0,
            sent.0.saturating_add(1),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if let Ok(before) = heard {
            let until = now.saturating_add(doubled(BREAKER, before));
            self.down_until.store(until.as_nanos(), Ordering::SeqCst);
        }
    }

    /// Whether the store is left alone now.
    pub(crate) fn is_down(&self, now: Tick) -> bool {
        self.failures.load(Ordering::SeqCst) > 0
            && now.as_nanos() < self.down_until.load(Ordering::SeqCst)
    }
}

#[cfg(all(test, not(dogpile_loom), not(dogpile_shuttle)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Tick {
        Tick::ZERO.saturating_add(Duration::from_millis(millis))
    }

    fn outage() -> StoreError {
        StoreError::unavailable("it does not answer")
    }

    /// When the store is asked again, if it has failed at `now`.
    fn asked_again(health: &Health, now: u64) -> u64 {
        let again = |later: &u64| !health.is_down(at(now + later));
        (0..10_000).find(again).expect("it is asked again")
    }

    #[test]
    fn each_failure_of_what_was_sent_after_the_last_one_doubles_the_pause() {
        let health = Health::default();
        let pauses = [100, 200, 400, 800, 1_600, 3_200, 6_000, 6_000];
        let mut now = 0;
        for pause in pauses {
            health.note(health.sent(), Some(&outage()), at(now));
            assert_eq!(asked_again(&health, now), pause);
            now += pause;
        }
        health.note(health.sent(), None, at(now));
        health.note(health.sent(), Some(&outage()), at(now));
        assert_eq!(asked_again(&health, now), 100);
    }

    #[test]
    fn what_was_under_way_together_fails_once() {
        let health = Health::default();
        let sent: Vec<_> = (0..8).map(|_| health.sent()).collect();
        for sent in &sent[..7] {
            health.note(*sent, Some(&outage()), at(0));
        }
        assert_eq!(asked_again(&health, 0), 100);
        // The last one had more patience: when it fails, the pause is over, and does not begin again.
        health.note(sent[7], Some(&outage()), at(150));
        assert!(!health.is_down(at(150)));
    }

    #[test]
    fn after_a_pause_one_asks_and_if_nothing_is_heard_another_one_after_the_next() {
        let health = Health::default();
        assert!(health.ask(at(0)).is_some() && health.ask(at(0)).is_some());
        health.note(health.sent(), Some(&outage()), at(0));
        assert!(health.ask(at(99)).is_none());
        assert!(health.ask(at(100)).is_some());
        assert!(health.ask(at(100)).is_none() && health.is_down(at(199)));
        let slow = health.ask(at(200)).expect("nothing was heard of the first");
        assert!(health.ask(at(200)).is_none());
        health.note(slow, Some(&outage()), at(210));
        assert!(health.ask(at(409)).is_none());
        let well = health.ask(at(410)).expect("the second pause is over");
        health.note(well, None, at(410));
        assert!(health.ask(at(410)).is_some() && health.ask(at(410)).is_some());
    }

    #[test]
    fn what_was_sent_before_an_answer_says_nothing_after_it() {
        let health = Health::default();
        health.note(health.sent(), Some(&outage()), at(0));
        let sent = health.sent();
        health.note(health.sent(), None, at(100));
        health.note(sent, Some(&outage()), at(110));
        assert!(!health.is_down(at(110)));
        // It will not, but it is there.
        let refused = StoreError::refused("the disk is full");
        health.note(health.sent(), Some(&outage()), at(120));
        health.note(health.sent(), Some(&refused), at(130));
        assert!(!health.is_down(at(130)));
    }
}
