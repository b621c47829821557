//! A herd of threads, an hour of a clock that is moved by hand, and a source that fails or hangs all the
//! while: how often it is asked, and what the callers get.
//!
//! ```breakages
//! a-back-off-is-over-at-once | src/policy/pace.rs | backoff
//! - self.pause = said.or(backoff).map(|span| Span::after(now, span));
//! + self.pause = said.map(|span| Span::after(now, span));
//!
//! a-back-off-never-ends | src/policy/pace.rs | backoff
//! - let covers = self.from <= now && now < self.until;
//! + let covers = self.from <= now;
//!
//! the-elected-fail-beside-a-value-that-may-stand-in | src/call/election/mod.rs | backoff
//! @ fn failed
//! - match is_inside.then(|| self.source.stand_in(call)).flatten() {
//! + match is_inside.then(|| self.source.stand_in(call)).flatten().filter(|_| false) {
//!
//! any-number-may-be-late | src/policy/pace.rs | max_create_time
//! - self.late.len() == 1
//! + true
//!
//! nobody-takes-over | src/raw/lease.rs | max_create_time
//! - let fence = state.lease().filter(|_| now >= overdue)?;
//! + let fence = state.lease().filter(|_| now >= overdue && now == Tick::ZERO)?;
//! ```

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile::{Backoff, Builder, Created, Dogpile, ManualClock};

use crate::support::{HOUR, SECOND, manual, within};

const HERD: usize = 64;
const STEPS: u32 = 720;

/// A value that is stale from the start, and may stand in for a failure throughout the hour.
fn stale(
    with: impl Fn(Builder<u32>) -> Builder<u32>,
) -> (std::sync::Arc<ManualClock>, Dogpile<u32>) {
    let (clock, builder) = manual(Duration::ZERO);
    let pile = with(builder.stale_if_error(2 * HOUR)).build();
    pile.set_with(Created::new(7));
    (clock, pile)
}

/// Each of the herd calls once in each step, and all are at it together. Says how many calls were
/// served with the value.
fn an_hour(clock: &ManualClock, call: impl Fn() -> Option<u32> + Sync) -> usize {
    let (steps, served) = (Barrier::new(HERD), AtomicUsize::new(0));
    thread::scope(|threads| {
        for _ in 0..HERD {
            threads.spawn(|| {
                for _ in 0..STEPS {
                    if steps.wait().is_leader() {
                        clock.advance(HOUR / STEPS);
                    }
                    if call() == Some(7) {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    served.into_inner()
}

const ALL: usize = HERD * STEPS as usize;

/// How many attempts fit into the hour, if each is followed by the next of these spans.
fn allowed(spans: impl Iterator<Item = Duration>) -> usize {
    let begins = spans.scan(Duration::ZERO, |time, span| {
        *time += span;
        Some(*time)
    });
    1 + begins.take_while(|begin| *begin <= HOUR).count()
}

fn is_about(attempts: usize, most: usize) {
    assert!(
        (most / 2..=most).contains(&attempts),
        "{attempts} of {most}"
    );
}

mod backoff {
    use super::*;

    /// How often a source that fails is asked, and how many calls are served.
    fn while_it_fails(with: impl Fn(Builder<u32>) -> Builder<u32>) -> (usize, usize) {
        let (clock, pile) = stale(with);
        let attempts = AtomicUsize::new(0);
        let served = an_hour(&clock, || {
            let answer = pile.get_or_try_create(|| {
                attempts.fetch_add(1, Ordering::Relaxed);
                Err::<u32, _>("down")
            });
            answer.ok().map(|held| *held)
        });
        (attempts.into_inner(), served)
    }

    #[test]
    fn a_source_that_fails_is_asked_so_often() {
        within(|| {
            let ten = 10 * SECOND;
            let (attempts, served) = while_it_fails(|pile| pile.backoff(Backoff::constant(ten)));
            assert_eq!(served, ALL);
            is_about(attempts, allowed(std::iter::repeat(ten)));
        });
    }

    #[test]
    fn and_the_longer_it_fails_the_more_seldom() {
        within(|| {
            let (first, most) = (20 * SECOND, 600 * SECOND);
            let backoff = Backoff::exponential(first, most).jitter(0);
            let (attempts, served) = while_it_fails(|pile| pile.backoff(backoff));
            assert_eq!(served, ALL);
            let spans = std::iter::successors(Some(first), |span| Some(most.min(*span * 2)));
            is_about(attempts, allowed(spans));
        });
    }

    /// What it is there for.
    #[test]
    fn without_one_it_is_asked_at_every_turn() {
        within(|| {
            let (attempts, served) = while_it_fails(|pile| pile);
            assert_eq!(served, ALL);
            assert!(attempts >= STEPS as usize, "{attempts}");
        });
    }
}

#[cfg(feature = "async")]
mod max_create_time {
    use std::future::pending;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};

    use dogpile::Refused;
    use dogpile::executor::{Executor, Job};

    use super::*;
    use crate::tasks::poll;

    /// Begins jobs that hang, and keeps them.
    #[derive(Default)]
    struct Hung(Mutex<Vec<Job>>);

    impl Executor for Hung {
        fn spawn(&self, mut job: Job) -> Result<(), Refused> {
            assert!(poll(Pin::new(&mut job)).is_pending());
            self.0.lock().unwrap().push(job);
            Ok(())
        }
    }

    /// How often a source that hangs is asked, and how many calls are served.
    fn while_it_hangs(with: impl Fn(Builder<u32>) -> Builder<u32>) -> (usize, usize) {
        let (clock, pile) = stale(with);
        let (pile, hung) = (Arc::new(pile), Hung::default());
        let served = an_hour(&clock, || {
            let create = || pending::<Result<u32, &str>>();
            let answer = pile.background(&hung).get_or_try_create_async(create);
            // The elected leave with the stale value too.
            match poll(std::pin::pin!(answer)) {
                std::task::Poll::Ready(Ok(held)) => Some(*held),
                _ => None,
            }
        });
        let attempts = hung.0.lock().unwrap().len();
        (attempts, served)
    }

    const TEN: Duration = Duration::from_secs(10);

    /// Each has its time, and is followed by a back-off. At first one more begins, since one may be late.
    #[test]
    fn a_source_that_hangs_is_asked_so_often() {
        within(|| {
            let backoff = Backoff::constant(2 * TEN);
            let rules = |pile: Builder<u32>| pile.max_create_time(TEN).backoff(backoff);
            let (attempts, served) = while_it_hangs(rules);
            assert_eq!(served, ALL);
            is_about(attempts, 1 + allowed(std::iter::repeat(TEN + 2 * TEN)));
        });
    }

    /// Then it rests for as long as one may take.
    #[test]
    fn also_without_a_back_off() {
        within(|| {
            let (attempts, served) = while_it_hangs(|pile| pile.max_create_time(TEN));
            assert_eq!(served, ALL);
            is_about(attempts, 1 + allowed(std::iter::repeat(TEN + TEN)));
        });
    }

    /// What it is there for.
    #[test]
    fn without_one_it_is_never_asked_again() {
        within(|| {
            let (attempts, served) = while_it_hangs(|pile| pile);
            assert_eq!((attempts, served), (1, ALL));
        });
    }
}
