//! What a pile does while its source is slow, down, or driven by strangers.
//!
//! ```breakages
//! values-that-are-set-share-one-point | src/raw/mod.rs | ttl_jitter::moves_each_value_that_is_set_by_its_own
//! - self.cell.lock().last()
//! + 0
//!
//! short-calls-press-on-with-a-stale-value | src/raw/lease.rs | min_interval
//! - self.presses && !usable.is_usable()
//! + self.presses
//!
//! who-is-served-never-takes-over | src/raw/lease.rs | max_create_time::also_by_a_caller_that_is_served
//! - node.set_quiet(Self::quiet_while_held(state, look.policy));
//! + node.set_quiet(Span::ALWAYS);
//!
//! who-is-served-what-was-set-never-takes-over | src/raw/change.rs | max_create_time::also_by_a_caller_that_is_served
//! - true => node.set_quiet(Self::quiet_while_held(state, policy)),
//! + true => node.set_quiet(Span::ALWAYS),
//!
//! who-was-late-is-elected-again | src/call/election/mod.rs | max_create_time::a_lease_may_be_taken_over
//! - At::Late(failure.expect("a lease that was taken over has failed"))
//! + At::Start
//!
//! after-an-expire-nobody-asks | src/raw/change.rs | backoff::ends_with_an_expire_of_a_stale_value
//! @ pub(crate) fn expire
//! - Self::nobody_renews(&state, policy);
//! ```

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use dogpile::{
    Accept, Attempt, Backoff, Builder, Clock, Created, Dogpile, Error, Guard, Lookup, ManualClock,
    Origin, Previous, RefreshAhead, Tick,
};

use crate::forms::{Down, Form, each_form};
use crate::support::Shows as _;
use crate::support::{HOUR, MINUTE, NANO, Runs, SECOND, burst, bursts, manual, until, within};

/// A pile of each form, with the clock that it goes by.
fn each(with: impl Fn(Builder<u32>) -> Builder<u32>, body: impl Fn(&Form, &ManualClock)) {
    let clock = Arc::new(ManualClock::new());
    each_form(
        || {
            clock.set(Tick::ZERO);
            with(Dogpile::builder(MINUTE).clock(clock.clone()))
        },
        |form| body(form, &clock),
    );
}

fn fails(with: u32) -> impl FnOnce() -> Result<Created<u32>, Down> + Send + Clone + 'static {
    move || Err(Down(with))
}

fn makes(value: u32) -> impl FnOnce() -> Result<Created<u32>, Down> + Send + Clone + 'static {
    move || Ok(Created::new(value))
}

/// A creator that must not run.
fn never() -> Result<Created<u32>, Down> {
    panic!("a creator ran that was to be spared")
}

mod stale_if_error {
    use super::*;

    fn limits(builder: Builder<u32>) -> Builder<u32> {
        builder
            .stale_while_revalidate(SECOND)
            .stale_if_error(10 * SECOND)
    }

    /// Until the very end of its limit, and no longer.
    #[test]
    fn the_value_held_stands_in_for_a_failure() {
        within(|| {
            each(limits, |form, clock| {
                form.pile.set(7);
                clock.advance(MINUTE + 10 * SECOND);
                assert!(!form.pile.has_value());
                assert_eq!(form.get(fails(1)).unwrap(), (7, Origin::Fallback));
                clock.advance(NANO);
                let answer = form.get(fails(2)).unwrap_err();
                assert_eq!(answer.created(), Some(&Down(2)));
            });
        });
    }

    /// The elected caller falls back on it while others are served, too.
    #[test]
    fn also_while_it_is_stale() {
        within(|| {
            each(limits, |form, clock| {
                form.pile.set(7);
                clock.advance(MINUTE + SECOND);
                match form.is_in_background() && !form.acquires {
                    // It does not even wait for the failure.
                    true => assert_eq!(form.get(fails(1)).unwrap(), (7, Origin::Stale)),
                    false => assert_eq!(form.get(fails(1)).unwrap(), (7, Origin::Stale)),
                }
            });
        });
    }

    #[test]
    fn without_it_the_failure_is_the_answer() {
        within(|| {
            each(
                |builder| builder.stale_while_revalidate(SECOND),
                |form, clock| {
                    form.pile.set(7);
                    clock.advance(MINUTE + SECOND + NANO);
                    assert!(form.get(fails(1)).is_err());
                },
            );
        });
    }

    /// Alone, it bounds what the elected caller falls back on, and nothing else.
    #[test]
    fn alone_it_bounds_the_elected_caller() {
        within(|| {
            each(
                |builder| builder.stale_if_error(SECOND),
                |form, clock| {
                    form.pile.set(7);
                    clock.advance(MINUTE + SECOND + NANO);
                    assert!(form.pile.has_value());
                    if !form.is_in_background() {
                        assert!(form.get(fails(1)).is_err());
                    }
                },
            );
        });
    }

    #[test]
    fn those_who_waited_for_the_failure_get_it_too() {
        within(|| {
            each(limits, |form, clock| {
                form.pile.set(7);
                clock.advance(MINUTE + 5 * SECOND);
                let (pile, waiting) = (form.pile.clone(), form.waiting_of(4));
                let runs = Arc::new(Runs::default());
                let create = {
                    let runs = Arc::clone(&runs);
                    move || {
                        runs.run(|| {
                            until(|| pile.waiters() == waiting);
                            Err(Down(1))
                        })
                    }
                };
                thread::scope(|threads| {
                    let ask = || form.get(create.clone());
                    let callers: Vec<_> = (0..4).map(|_| threads.spawn(ask)).collect();
                    for caller in callers {
                        let answer = caller.join().unwrap().unwrap();
                        assert_eq!(answer, (7, Origin::Fallback));
                    }
                });
                assert_eq!(runs.count(), 1);
            });
        });
    }

    /// The same for a panic, but for whoever ran the creator in its own call.
    #[test]
    fn and_for_a_panic() {
        within(|| {
            each(limits, |form, clock| {
                form.pile.set(7);
                clock.advance(MINUTE + 5 * SECOND);
                let (pile, waiting) = (form.pile.clone(), form.waiting_of(2));
                let create = move || {
                    until(|| pile.waiters() == waiting);
                    burst()
                };
                let answers = thread::scope(|threads| {
                    let ask = || {
                        let mut answer = None;
                        let burst = bursts(|| answer = Some(form.get(create.clone())));
                        assert_eq!(burst, answer.is_none());
                        answer
                    };
                    let callers: Vec<_> = (0..2).map(|_| threads.spawn(ask)).collect();
                    let answers = callers.into_iter().map(|caller| caller.join().unwrap());
                    answers.flatten().collect::<Vec<_>>()
                });
                assert_eq!(answers.len(), form.waiting_of(2));
                for answer in answers {
                    assert_eq!(answer.unwrap(), (7, Origin::Fallback));
                }
            });
        });
    }

    /// A 404 after a 200.
    #[test]
    fn a_failure_that_is_an_answer_goes_to_all_and_takes_the_value_away() {
        within(|| {
            each(limits, |form, clock| {
                form.pile.set(7);
                clock.advance(MINUTE + 5 * SECOND);
                let (pile, waiting) = (form.pile.clone(), form.waiting_of(3));
                thread::scope(|threads| {
                    let ask = || {
                        let pile = pile.clone();
                        form.get_telling(move |creating| {
                            creating.no_fallback();
                            until(|| pile.waiters() == waiting);
                            Err(Down(404))
                        })
                    };
                    let callers: Vec<_> = (0..3).map(|_| threads.spawn(ask)).collect();
                    for caller in callers {
                        let error = caller.join().unwrap().unwrap_err();
                        assert_eq!(error.created(), Some(&Down(404)));
                    }
                });
                assert!(
                    form.get(fails(500)).is_err(),
                    "served what was found to be gone"
                );
            });
        });
    }

    /// What a call asked for more than has been ruled out.
    #[test]
    fn not_to_a_call_that_asks_for_more() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = limits(builder).build();
        pile.set(7);
        let seen = Guard::seen(&pile.peek().unwrap());
        clock.advance(MINUTE + SECOND);
        for accept in [Accept::Fresh, Accept::NewerThan(seen), Accept::New] {
            let answer = pile
                .call()
                .accept(accept)
                .get_or_try_create(|| Err(Down(1)));
            assert!(answer.is_err(), "{accept:?}");
        }
        let call = pile.call().min_fresh(SECOND);
        assert!(call.get_or_try_create(|| Err(Down(1))).is_err());
        assert!(pile.get_or_try_create(|| Err(Down(1))).is_ok());
    }

    /// Both limits count from the smaller of the two times to live.
    #[test]
    fn max_age_moves_its_limits() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = limits(builder).build();
        pile.set(7);
        let call = || {
            pile.call()
                .max_age(2 * SECOND)
                .get_or_try_create(|| Err(Down(1)))
        };
        clock.advance(12 * SECOND);
        assert_eq!(Guard::origin(&call().unwrap()), Origin::Fallback);
        clock.advance(NANO);
        assert!(call().is_err());
    }

    #[test]
    fn a_wait_that_is_over_is_answered_with_it() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = limits(builder).build();
        pile.set(7);
        clock.advance(MINUTE + 5 * SECOND);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let held = pile
            .call()
            .wait(Duration::ZERO)
            .get_or_create(|| 8)
            .unwrap();
        assert_eq!((*held, Guard::origin(&held)), (7, Origin::Fallback));
        let failure = Guard::failure(&held).unwrap();
        assert!(failure.as_refusal().unwrap().is_timed_out());
        drop(lease);
    }

    /// What the look-up brought comes before what the pile kept.
    #[test]
    fn what_acquire_looked_up_stands_in() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = limits(builder).build();
        pile.set(7);
        clock.advance(MINUTE + 5 * SECOND);
        let look = || Ok(Lookup::Here(6));
        let held = pile.acquire(|| Err(Down(1)), look).unwrap();
        assert_eq!(
            (*held, dogpile::Acquired::origin(&held)),
            (6, Origin::Fallback)
        );
        assert!(dogpile::Acquired::failure(&held).is_some());
        // As old as that its limit is over.
        let look = || Ok(Lookup::Aged(6, 2 * HOUR));
        let held = pile.acquire(|| Err(Down(1)), look).unwrap();
        assert_eq!(*held, 7);
    }

    #[test]
    fn a_hit_has_no_failure_beside_it() {
        let pile = Dogpile::with_value(MINUTE, 7);
        assert!(Guard::failure(&pile.get_or_create(|| 8)).is_none());
        pile.invalidate();
        assert!(Guard::failure(&pile.get_or_create(|| 8)).is_none());
    }
}

mod backoff {
    use super::*;

    fn a_second(builder: Builder<u32>) -> Builder<u32> {
        builder.backoff(Backoff::constant(SECOND))
    }

    fn retry_in<E: std::fmt::Debug>(answer: Result<(u32, Origin), Error<E>>) -> Duration {
        match answer {
            Err(Error::BackingOff { retry_in, .. }) => retry_in,
            answer => panic!("{answer:?}"),
        }
    }

    #[test]
    fn no_creator_runs_before_it_is_over() {
        within(|| {
            each(a_second, |form, clock| {
                assert!(form.get(fails(1)).unwrap_err().is_failed());
                assert_eq!(retry_in(form.get(never)), SECOND);
                clock.advance(SECOND - NANO);
                assert_eq!(retry_in(form.get(never)), NANO);
                clock.advance(NANO);
                assert_eq!(form.get(makes(7)).unwrap().0, 7);
            });
        });
    }

    /// An `expire` ends it for those, too, who are served a stale value meanwhile.
    #[test]
    fn ends_with_an_expire_of_a_stale_value() {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.backoff(Backoff::constant(HOUR)).build();
        pile.set(1);
        clock.advance(MINUTE + NANO);
        assert!(pile.get_or_try_create(|| Err(Down(1))).is_err());
        assert_eq!(*pile.get_or_create(|| panic!("it backs off")), 1);
        pile.expire();
        assert_eq!(*pile.get_or_create(|| 2), 2);
    }

    #[test]
    fn it_tells_what_failed() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let _ = pile.get_or_try_create(|| Err(Down(3)));
        let Err(Error::BackingOff { failure, .. }) = pile.get_or_try_create(|| Err(Down(4))) else {
            panic!()
        };
        assert_eq!(failure.unwrap().downcast_ref(), Some(&Down(3)));
        let (failure, age) = pile.last_failure().unwrap();
        assert_eq!(
            (failure.downcast_ref(), age),
            (Some(&Down(3)), Duration::ZERO)
        );
    }

    #[test]
    fn who_has_a_stale_value_is_served_at_once() {
        within(|| {
            each(a_second, |form, clock| {
                if form.acquires {
                    return;
                }
                form.pile.set(7);
                clock.advance(MINUTE + NANO);
                let answer = form.get(fails(1));
                if !form.is_in_background() {
                    assert!(answer.is_err());
                }
                until(|| !form.pile.is_creating());
                assert_eq!(form.get(never).unwrap(), (7, Origin::Stale));
                clock.advance(SECOND);
                assert!(matches!(form.get(makes(8)).unwrap().0, 7 | 8));
                until(|| form.pile.peek() == Some(8));
            });
        });
    }

    #[test]
    fn a_fallback_is_given_out_at_once() {
        within(|| {
            let with = |builder| {
                a_second(builder)
                    .stale_while_revalidate(SECOND)
                    .stale_if_error(HOUR)
            };
            each(with, |form, clock| {
                form.pile.set(7);
                clock.advance(2 * MINUTE);
                assert_eq!(form.get(fails(1)).unwrap(), (7, Origin::Fallback));
                assert_eq!(form.get(never).unwrap(), (7, Origin::Fallback));
            });
        });
    }

    #[test]
    fn a_panic_arms_it_too() {
        within(|| {
            each(a_second, |form, _| {
                bursts(|| {
                    let _ = form.get(|| burst());
                });
                assert!(form.get(never).unwrap_err().is_backing_off());
            });
        });
    }

    /// It doubles from failure to failure, up to its end, and begins anew after a success.
    #[test]
    fn it_doubles() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let backoff = Backoff::exponential(SECOND, 5 * SECOND).jitter(0);
        let pile = builder.backoff(backoff).build();
        let fail = || {
            let error = pile.refresh(|| Err(Down(1))).unwrap_err();
            assert!(error.is_failed());
            pile.retry_in().unwrap()
        };
        for seconds in [1, 2, 4, 5, 5] {
            assert_eq!(fail(), seconds * SECOND);
            clock.advance(seconds * SECOND);
        }
        assert!(pile.refresh(|| Ok::<_, Down>(7)).is_ok());
        assert_eq!(pile.retry_in(), None);
        assert_eq!(fail(), SECOND);
    }

    /// A year of failures.
    #[test]
    fn nothing_overflows() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = builder
            .backoff(Backoff::exponential(SECOND, HOUR).jitter(0))
            .build();
        for _ in 0..365 * 24 {
            assert!(
                pile.get_or_try_create(|| Err(Down(1)))
                    .unwrap_err()
                    .is_failed()
            );
            assert!(pile.retry_in().unwrap() <= HOUR);
            clock.advance(HOUR);
        }
        let pile = Dogpile::<u32>::builder(MINUTE)
            .backoff(Backoff::constant(Duration::MAX))
            .build();
        assert!(
            pile.get_or_try_create(|| Err(Down(1)))
                .unwrap_err()
                .is_failed()
        );
        assert!(
            pile.get_or_try_create(|| Err(Down(1)))
                .unwrap_err()
                .is_backing_off()
        );
    }

    #[test]
    fn set_invalidate_and_expire_end_it_and_strangers_cannot() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let backs_off = || {
            pile.set(7);
            assert!(pile.refresh(|| Err(Down(1))).unwrap_err().is_failed());
            assert!(pile.refresh(|| Err(Down(1))).unwrap_err().is_backing_off());
        };
        let creates = || assert!(pile.refresh(|| Ok::<_, Down>(8)).is_ok());
        backs_off();
        pile.set(9);
        creates();
        backs_off();
        pile.invalidate();
        creates();
        backs_off();
        pile.expire();
        creates();
        backs_off();
        let seen = || Guard::seen(&pile.peek().unwrap());
        assert!(pile.expire_if(seen()));
        assert!(pile.refresh(|| Err(Down(1))).unwrap_err().is_backing_off());
        assert!(pile.invalidate_if(seen()));
        assert!(pile.refresh(|| Err(Down(1))).unwrap_err().is_backing_off());
    }

    #[test]
    fn a_clock_that_jumps_before_its_start_ends_it() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = builder.backoff(Backoff::constant(HOUR)).build();
        clock.advance(HOUR);
        pile.set(7);
        clock.advance(MINUTE + NANO);
        assert!(
            pile.get_or_try_create(|| Err(Down(1)))
                .unwrap_err()
                .is_failed()
        );
        assert_eq!(*pile.get_or_try_create(|| Err(Down(2))).unwrap(), 7);
        clock.set(Tick::ZERO);
        // Fresh again, by such a clock.
        pile.invalidate_if(Guard::seen(&pile.peek().unwrap()));
        assert_eq!(*pile.get_or_try_create(|| Ok::<_, Down>(8)).unwrap(), 8);
    }

    /// With or without a back-off of the pile, and not for ever.
    #[test]
    fn a_creator_says_when_to_come_back() {
        within(|| {
            each(
                |builder| builder,
                |form, clock| {
                    let answer = form.get_telling(|creating| {
                        creating.retry_after(Duration::from_secs(30));
                        Err(Down(429))
                    });
                    assert!(answer.unwrap_err().is_failed());
                    assert_eq!(retry_in(form.get(never)), 30 * SECOND);
                    clock.advance(30 * SECOND);
                    assert!(form.get(makes(7)).is_ok());
                },
            );
        });
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let _ = pile.get_or_try_create_with(|creating| {
            creating.retry_after(Duration::MAX);
            Err(Down(1))
        });
        assert_eq!(pile.retry_in(), Some(HOUR));
    }

    /// What a creator was handed has no effect once its creation ended.
    #[test]
    fn nothing_is_said_too_late() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let creating = lease.creating();
        drop(lease);
        creating.retry_after(HOUR);
        let Attempt::Lease(next) = pile.attempt() else {
            panic!()
        };
        creating.retry_after(HOUR);
        creating.no_fallback();
        let _ = next.fail(Down(1));
        assert_eq!(pile.retry_in(), Some(SECOND));
    }

    #[test]
    fn what_was_given_up_neither_begins_nor_ends_it() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        drop(lease);
        assert_eq!(pile.retry_in(), None);
        let _ = pile.get_or_try_create(|| Err(Down(1)));
        clock.advance(SECOND);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        drop(lease);
        // The next failure is the second one in a row.
        assert_eq!(pile.retry_in(), None);
    }

    #[test]
    fn a_superseded_failure_leaves_it_alone() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let answer = pile.get_or_try_create(|| {
            pile.invalidate();
            Err(Down(1))
        });
        assert!(answer.is_err());
        assert_eq!(pile.retry_in(), None);
        assert!(pile.last_failure().is_some());
    }

    /// The short form has no error to give, and its creator cannot fail.
    #[test]
    fn the_short_form_creates_all_the_same() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        let _ = pile.get_or_try_create(|| Err(Down(1)));
        let answer = pile.call().get_or_create(|| 7);
        assert!(answer.unwrap_err().is_backing_off());
        assert_eq!(*pile.get_or_create(|| 7), 7);
    }

    #[test]
    fn an_attempt_is_told() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = a_second(builder).build();
        pile.set(7);
        clock.advance(MINUTE + NANO);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let _ = lease.fail(Down(1));
        let Attempt::NotYet(not_yet) = pile.attempt() else {
            panic!()
        };
        assert_eq!(*not_yet.value.unwrap(), 7);
        assert_eq!(not_yet.retry_in, SECOND);
        assert_eq!(not_yet.failure.unwrap().downcast_ref(), Some(&Down(1)));
        pile.invalidate_if(Guard::seen(&pile.peek().unwrap()));
        let Attempt::NotYet(not_yet) = pile.attempt() else {
            panic!()
        };
        assert!(not_yet.value.is_none());
    }

    /// Drawn between nothing and all of the span, and each pile draws its own.
    #[test]
    fn its_jitter_is_spread() {
        let draws: Vec<_> = (0..1_000)
            .map(|seed| {
                let (_clock, builder) = manual::<u32>(MINUTE);
                let pile = builder
                    .backoff(Backoff::exponential(HOUR, HOUR))
                    .seed(seed)
                    .build();
                let _ = pile.get_or_try_create(|| Err(Down(1)));
                pile.retry_in().unwrap_or_default()
            })
            .collect();
        let early = draws.iter().filter(|&&span| span < HOUR / 2).count();
        assert!((400..600).contains(&early), "{early}");
        assert!(draws.iter().all(|&span| span <= HOUR));
    }

    /// Ten thousand piles with the same settings do not come back together.
    #[test]
    fn piles_draw_apart_without_a_seed() {
        let piles: Vec<_> = (0..100)
            .map(|_| {
                let (_clock, builder) = manual::<u32>(MINUTE);
                builder.backoff(Backoff::exponential(HOUR, HOUR)).build()
            })
            .collect();
        let mut spans: Vec<_> = piles
            .iter()
            .map(|pile| {
                let _ = pile.get_or_try_create(|| Err(Down(1)));
                pile.retry_in()
            })
            .collect();
        spans.sort_unstable();
        spans.dedup();
        assert!(spans.len() > 90, "{}", spans.len());
    }

    /// An executor that has no room arms the first span, and never a longer one.
    #[cfg(feature = "async")]
    #[test]
    fn a_refusal_arms_its_first_span() {
        struct Full;
        impl dogpile::executor::Executor for Full {
            fn spawn(&self, job: dogpile::executor::Job) -> Result<(), dogpile::Refused> {
                drop(job);
                Err(dogpile::Refused::new("no room"))
            }
        }
        let (clock, builder) = manual::<u32>(MINUTE);
        let backoff = Backoff::exponential(SECOND, HOUR).jitter(0);
        let pile = Arc::new(builder.backoff(backoff).build());
        for _ in 0..5 {
            let answer = pile.background(&Full).get_or_try_create(|| Err(Down(1)));
            assert!(answer.unwrap_err().is_refused());
            assert_eq!(pile.retry_in(), Some(SECOND));
            clock.advance(SECOND);
        }
    }
}

mod min_interval {
    use super::*;

    fn ten_seconds(builder: Builder<u32>) -> Builder<u32> {
        builder.min_interval(10 * SECOND)
    }

    /// A clock that steps back out of the back-off is in the interval yet.
    #[test]
    fn a_short_call_with_a_stale_value_spares_the_source() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder)
            .backoff(Backoff::constant(SECOND))
            .build();
        pile.set(7);
        clock.advance(MINUTE + SECOND);
        let begun = clock.now();
        let answer = pile.get_or_try_create(|| {
            clock.advance(2 * SECOND);
            Err(Down(1))
        });
        assert!(answer.is_err());
        clock.set(begun.saturating_add(SECOND));
        let held = pile.get_or_create(|| panic!("a creator ran that was to be spared"));
        assert_eq!((*held, Guard::origin(&held)), (7, Origin::Stale));
    }

    #[test]
    fn creations_begin_so_far_apart() {
        within(|| {
            each(ten_seconds, |form, clock| {
                assert!(form.get(makes(1)).is_ok());
                let again = Form {
                    accept: Accept::New,
                    ..form.clone()
                };
                assert!(again.get(never).unwrap_err().is_backing_off());
                form.pile.expire();
                if !form.acquires {
                    assert_eq!(form.get(never).unwrap(), (1, Origin::Stale));
                }
                form.pile.invalidate();
                assert!(form.get(never).unwrap_err().is_backing_off());
                clock.advance(10 * SECOND - NANO);
                assert!(form.get(never).unwrap_err().is_backing_off());
                clock.advance(NANO);
                assert_eq!(form.get(makes(2)).unwrap().0, 2);
            });
        });
    }

    /// It counts from the beginning, however long the creation took, and however it ended.
    #[test]
    fn it_counts_from_the_beginning() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build();
        let answer = pile.get_or_try_create(|| {
            clock.advance(8 * SECOND);
            Err(Down(1))
        });
        assert!(answer.unwrap_err().is_failed());
        assert_eq!(pile.retry_in(), Some(2 * SECOND));
        clock.advance(2 * SECOND);
        assert!(bursts(|| {
            let _ = pile.get_or_create(|| burst());
        }));
        assert_eq!(pile.retry_in(), Some(10 * SECOND));
    }

    /// A value that is renewed is served from the interval without the lock being asked for; a
    /// caller who leaves locks nobody out.
    #[test]
    fn what_was_given_up_counts_while_there_is_something_to_go_on_with() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build();
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        drop(lease);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let _ = lease.publish(7);
        clock.advance(MINUTE + NANO);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        drop(lease);
        let Attempt::NotYet(not_yet) = pile.attempt() else {
            panic!()
        };
        assert_eq!(
            (*not_yet.value.unwrap(), not_yet.retry_in),
            (7, 10 * SECOND)
        );
        pile.invalidate();
        assert!(matches!(pile.attempt(), Attempt::Lease(_)));
    }

    #[test]
    fn set_is_no_creation() {
        let (_clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build();
        pile.set(7);
        assert!(pile.refresh(|| Ok::<_, Down>(8)).is_ok());
    }

    #[test]
    fn a_clock_that_jumps_ends_it() {
        let (clock, builder) = manual::<u32>(MINUTE);
        clock.advance(HOUR);
        let pile = ten_seconds(builder).build();
        assert!(pile.refresh(|| Ok::<_, Down>(8)).is_ok());
        clock.set(Tick::ZERO);
        assert!(pile.refresh(|| Ok::<_, Down>(8)).is_ok());
        clock.set(Tick::from_nanos(u64::MAX - 1));
        assert!(pile.refresh(|| Ok::<_, Down>(8)).is_ok());
    }

    /// Ten forged tokens a second for a day, the source up or down.
    #[test]
    fn strangers_cause_so_many_creations_and_no_more() {
        for up in [true, false] {
            let clock = Arc::new(ManualClock::new());
            let keys = Dogpile::<Vec<u32>>::builder(24 * HOUR)
                .clock(clock.clone())
                .min_interval(10 * SECOND)
                .build();
            let mut fetches = 0;
            drop(keys.get_or_create(|| vec![1]));
            let mut rotated = false;
            for tick in 0..864_000_u32 {
                clock.advance(SECOND / 10);
                // The keys are rotated at noon, and the first good token with the new key comes.
                rotated |= tick == 432_000;
                let wanted = if tick % 50 == 0 && rotated {
                    2
                } else {
                    1_000 + tick
                };
                let mut fetch = || {
                    fetches += 1;
                    match (up, rotated) {
                        (true, false) => Ok(vec![1]),
                        (true, true) => Ok(vec![1, 2]),
                        (false, _) => Err(Down(503)),
                    }
                };
                // A stale one will do where the source is down: it has hours to live.
                let known = keys.peek().unwrap();
                assert!(known.contains(&1), "a good token is refused");
                if known.contains(&wanted) {
                    continue;
                }
                let seen = Guard::seen(&known);
                keys.expire_if(seen);
                let newer = keys
                    .call()
                    .accept(Accept::NewerThan(seen))
                    .get_or_try_create(&mut fetch);
                // Accepted within one interval.
                if up && wanted == 2 && tick > 432_000 + 100 {
                    assert!(newer.unwrap().contains(&2));
                }
            }
            assert!(fetches <= 86_400 / 10 + 1, "{fetches}");
            assert!(fetches >= 86_400 / 10 / 2, "{fetches}");
        }
    }

    fn longer_than_a_value_is_served() -> Builder<u32> {
        Dogpile::builder(SECOND)
            .stale_while_revalidate(SECOND)
            .min_interval(2 * SECOND + NANO)
    }

    #[test]
    #[should_panic(expected = "min_interval")]
    fn it_must_fit_into_the_life_of_a_value() {
        drop(longer_than_a_value_is_served().build());
    }

    #[test]
    #[should_panic(expected = "min_interval")]
    fn it_must_fit_into_the_life_of_a_value_of_a_key() {
        drop(longer_than_a_value_is_served().build_keyed::<u32>());
    }

    #[test]
    fn both_settings_are_named() {
        let builder = longer_than_a_value_is_served();
        let error = builder.clone().try_build().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("min_interval") && text.contains("stale_while_revalidate"));
        let sync_reader = builder.clone().try_build_sync_reader();
        assert_eq!(sync_reader.err(), Some(error));
        let keyed = builder.clone().keyed::<u32>().try_build();
        assert_eq!(keyed.err(), Some(error));
        let builder = builder.min_interval(2 * SECOND);
        assert!(builder.clone().try_build().is_ok());
        assert!(builder.keyed::<u32>().try_build().is_ok());
    }
}

mod refresh_ahead {
    use super::*;

    fn at_half(builder: Builder<u32>) -> Builder<u32> {
        builder.refresh_ahead(RefreshAhead::percent(50))
    }

    #[test]
    fn one_caller_renews_while_all_are_served() {
        within(|| {
            each(at_half, |form, clock| {
                if form.acquires {
                    return;
                }
                form.pile.set(7);
                clock.advance(MINUTE / 2);
                assert_eq!(form.get(never).unwrap(), (7, Origin::Fresh));
                clock.advance(NANO);
                let served = {
                    let form = form.clone();
                    move || {
                        assert_eq!(form.get(never).unwrap(), (7, Origin::Fresh));
                        Ok(Created::new(8))
                    }
                };
                // In the foreground that would ask from inside its own creator.
                let answer = match form.is_in_background() {
                    true => form.get(served),
                    false => form.get(makes(8)),
                };
                match form.is_in_background() {
                    true => assert_eq!(answer.unwrap(), (7, Origin::Fresh)),
                    false => assert_eq!(answer.unwrap(), (8, Origin::CreatedHere)),
                }
                until(|| form.pile.peek() == Some(8));
            });
        });
    }

    #[test]
    fn a_failure_is_swallowed_and_stands_beside() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = at_half(builder).backoff(Backoff::constant(SECOND)).build();
        pile.set(7);
        clock.advance(MINUTE / 2 + NANO);
        let held = pile.get_or_try_create(|| Err(Down(1))).unwrap();
        assert_eq!((*held, Guard::origin(&held)), (7, Origin::Fresh));
        assert_eq!(
            Guard::failure(&held).unwrap().downcast_ref(),
            Some(&Down(1))
        );
        // None may be granted yet.
        let held = pile
            .get_or_try_create(|| -> Result<u32, Down> { unreachable!() })
            .unwrap();
        assert_eq!(Guard::origin(&held), Origin::Fresh);
        clock.advance(SECOND);
        assert!(bursts(|| {
            let _ = pile.get_or_create(|| burst());
        }));
    }

    /// Only so much left, but never before half of it.
    #[test]
    fn so_much_is_left() {
        let due = |ahead, at: Duration| {
            let (clock, builder) = manual::<u32>(MINUTE);
            let pile = builder.refresh_ahead(ahead).build();
            pile.set(7);
            clock.advance(at);
            let early = *pile.get_or_create(|| 8);
            clock.advance(NANO);
            (early, *pile.get_or_create(|| 8))
        };
        assert_eq!(due(RefreshAhead::left(10 * SECOND), 50 * SECOND), (7, 8));
        assert_eq!(due(RefreshAhead::left(HOUR), 30 * SECOND), (7, 8));
        assert_eq!(
            due(RefreshAhead::percent(99), Duration::from_millis(59_400)),
            (7, 8)
        );
    }

    #[test]
    fn its_jitter_moves_the_point_of_each_value() {
        let mut points: Vec<Duration> = Vec::new();
        for seed in 0..100 {
            let (clock, builder) = manual::<u32>(100 * SECOND);
            let pile = builder
                .refresh_ahead(RefreshAhead::percent(80).jitter(20))
                .seed(seed)
                .build();
            pile.set(7);
            let mut waited = Duration::ZERO;
            while *pile.get_or_create(|| 8) == 7 {
                clock.advance(SECOND);
                waited += SECOND;
            }
            assert!((60 * SECOND..=81 * SECOND).contains(&waited), "{waited:?}");
            points.push(waited);
        }
        points.sort_unstable();
        points.dedup();
        assert!(points.len() > 10);
    }

    #[test]
    fn an_attempt_shows_the_fresh_value() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = at_half(builder).build();
        pile.set(7);
        clock.advance(MINUTE / 2 + NANO);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let previous = lease.previous().unwrap();
        assert_eq!(Previous::freshness(&previous), dogpile::Freshness::Due);
        assert!(matches!(pile.attempt(), Attempt::Hit(_)));
        assert!(pile.is_fresh());
    }

    #[test]
    fn what_never_ends_is_never_due() {
        let (clock, builder) = manual::<u32>(Duration::MAX);
        let pile = at_half(builder).ttl_jitter(99).build();
        pile.set(7);
        clock.set(Tick::from_nanos(u64::MAX - 1));
        assert_eq!(*pile.get_or_create(|| 8), 7);
    }
}

mod ttl_jitter {
    use super::*;

    /// What is drawn for a value follows from the number of its creation, whatever else happened, and for
    /// one that was set from what happened before.
    #[test]
    fn each_value_has_a_draw_of_its_own() {
        let left = |act: fn(&Dogpile<u32>)| {
            let (_, builder) = manual::<u32>(100 * SECOND);
            let pile = builder.ttl_jitter(50).seed(7).build();
            act(&pile);
            Guard::time_left(&pile.peek().unwrap())
        };
        let create = |pile: &Dogpile<u32>| drop(pile.refresh(|| Ok::<_, u8>(1)).unwrap());
        let superseded = {
            let (_, builder) = manual::<u32>(100 * SECOND);
            let pile = builder.ttl_jitter(50).seed(7).build();
            let create = || {
                pile.set(5);
                Ok::<_, u8>(1)
            };
            let made = pile.refresh(create).unwrap();
            assert_eq!(*made, 1);
            Guard::time_left(&made)
        };
        assert_eq!(superseded, left(create));
        let first = left(|pile| pile.set(1));
        let second = left(|pile| (0..2).for_each(|value| pile.set(value)));
        let third = left(|pile| (0..3).for_each(|value| pile.set(value)));
        assert!(first != second && second != third && first != third);
    }

    /// Only the start of stale moves, and only to earlier.
    #[test]
    fn limits_count_from_the_said_time_to_live() {
        let mut ends: Vec<Duration> = Vec::new();
        for seed in 0..100 {
            let (clock, builder) = manual::<u32>(100 * SECOND);
            let pile = builder
                .ttl_jitter(20)
                .stale_while_revalidate(10 * SECOND)
                .seed(seed)
                .build();
            pile.set(7);
            let guard = pile.peek().unwrap();
            assert_eq!(Guard::ttl(&guard), 100 * SECOND);
            let left = Guard::time_left(&guard);
            assert!((80 * SECOND..=100 * SECOND).contains(&left), "{left:?}");
            clock.advance(left);
            assert!(pile.is_fresh());
            clock.advance(NANO);
            assert!(!pile.is_fresh());
            clock.advance(110 * SECOND - left - NANO);
            assert!(pile.has_value());
            clock.advance(NANO);
            assert!(!pile.has_value());
            ends.push(left);
        }
        ends.sort_unstable();
        ends.dedup();
        assert!(ends.len() > 90);
    }

    #[test]
    fn moves_each_value_that_is_set_by_its_own() {
        let (_clock, builder) = manual::<u32>(100 * SECOND);
        let pile = builder.ttl_jitter(20).build();
        let set = |number| {
            pile.set(number);
            Guard::time_left(&pile.peek().unwrap())
        };
        let mut ends: Vec<Duration> = (0..100).map(set).collect();
        ends.sort_unstable();
        ends.dedup();
        assert!(ends.len() > 90);
    }
}

mod per_value_limits {
    use super::*;

    /// A token of a minute and one of an hour, each with a grace of its own.
    #[test]
    fn a_value_has_limits_of_its_own() {
        let (clock, builder) = manual::<u32>(HOUR);
        let pile = builder.stale_while_revalidate(300 * SECOND).build();
        pile.set_with(Created::new(7).ttl(MINUTE).stale_while_revalidate(SECOND));
        clock.advance(MINUTE + SECOND);
        assert!(pile.has_value());
        clock.advance(NANO);
        assert!(!pile.has_value());

        pile.set_with(Created::new(7).ttl(MINUTE).stale_if_error(2 * SECOND));
        clock.advance(MINUTE + 2 * SECOND);
        let held = pile.refresh(|| Err(Down(1)));
        assert!(held.is_err(), "a refresh takes no older value");
        assert!(pile.get_or_try_create(|| Err(Down(1))).is_ok());
        clock.advance(NANO);
        assert!(pile.get_or_try_create(|| Err(Down(1))).is_err());
    }

    #[test]
    fn unchanged_keeps_its_limits() {
        let (clock, builder) = manual::<u32>(HOUR);
        let pile = builder.build();
        pile.set_with(Created::new(7).ttl(MINUTE).stale_while_revalidate(SECOND));
        clock.advance(MINUTE + NANO);
        let unchanged = pile.get_or_try_create_with(|creating| {
            Ok::<_, Down>(Created::unchanged(creating.previous().unwrap()))
        });
        assert_eq!(*unchanged.unwrap(), 7);
        clock.advance(MINUTE + SECOND);
        assert!(pile.has_value());
        clock.advance(NANO);
        assert!(!pile.has_value());
    }

    /// To go on without validation prolongs nothing.
    #[test]
    fn hold_keeps_others_from_creating_and_prolongs_nothing() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = builder.stale_while_revalidate(3 * SECOND).build();
        pile.set(7);
        clock.advance(MINUTE + SECOND);
        let answer = pile.get_or_try_create_with(|creating| {
            let previous = creating.previous().unwrap();
            let age = Previous::age(&previous);
            Ok::<_, Down>(Created::unchanged(previous).age(age).hold(HOUR))
        });
        assert_eq!(*answer.unwrap(), 7);
        let held = pile.get_or_create(|| 8);
        assert_eq!((*held, Guard::origin(&held)), (7, Origin::Stale));
        clock.advance(2 * SECOND);
        assert!(pile.has_value());
        clock.advance(NANO);
        assert!(!pile.has_value());
        pile.expire();
        assert_eq!(*pile.get_or_create(|| 8), 8);
    }

    /// A call that needs a value with some time left.
    #[test]
    fn min_fresh() {
        within(|| {
            let (clock, builder) = manual::<u32>(MINUTE);
            let pile = builder.build();
            pile.set(7);
            let call = || pile.call().min_fresh(20 * SECOND);
            clock.advance(40 * SECOND);
            assert_eq!(*call().get_or_create(|| 8).unwrap(), 7);
            clock.advance(NANO);
            assert!(call().hit().is_none());
            // What was just created for it will do, whatever is left.
            let create = || Ok::<_, Down>(Created::new(8).ttl(SECOND));
            assert_eq!(*call().get_or_try_create_with(|_| create()).unwrap(), 8);
            // Not even while somebody creates.
            let Attempt::Lease(lease) = pile.call().accept(Accept::New).attempt() else {
                panic!()
            };
            let late = call().wait(Duration::ZERO).get_or_create(|| 9);
            assert!(late.unwrap_err().is_timed_out());
            thread::scope(|threads| {
                let waits = threads.spawn(|| *call().get_or_create(|| 9).unwrap());
                until(|| pile.waiters() == 1);
                let _ = lease.publish(Created::new(10).ttl(SECOND));
                assert_eq!(waits.join().unwrap(), 10);
            });
        });
    }
}

mod max_create_time {
    use super::*;

    fn ten_seconds(builder: Builder<u32>) -> Builder<u32> {
        builder.max_create_time(10 * SECOND)
    }

    /// By the next caller, at the very end of the time and no sooner.
    #[test]
    fn a_lease_held_for_longer_is_taken_over() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build();
        let Attempt::Lease(late) = pile.attempt() else {
            panic!()
        };
        clock.advance(10 * SECOND - NANO);
        assert!(matches!(pile.attempt(), Attempt::Busy(_)));
        clock.advance(NANO);
        assert!(!late.is_superseded());
        let Attempt::Lease(next) = pile.attempt() else {
            panic!()
        };
        assert!(late.is_superseded() && late.fence() < next.fence());
        // Its result is its own.
        assert_eq!(late.publish(1).unwrap_err().into_inner(), Some(1));
        assert!(pile.is_creating());
        assert_eq!(*next.publish(2).unwrap(), 2);
        assert_eq!(*pile.peek().unwrap(), 2);
    }

    /// Who has a stale value to go on with takes no lock meanwhile, but looks again when the time is
    /// over: else the value would be stale for ever.
    #[test]
    fn also_by_a_caller_that_is_served() {
        // Whether another sets a value meanwhile, which is stale too.
        for is_set in [false, true] {
            let (clock, builder) = manual::<u32>(MINUTE);
            let pile = ten_seconds(builder).build();
            pile.set(7);
            clock.advance(MINUTE + NANO);
            let Attempt::Lease(late) = pile.attempt() else {
                panic!()
            };
            if is_set {
                clock.advance(SECOND);
                pile.set_with(Created::new(7).ttl(Duration::ZERO));
                clock.advance(9 * SECOND - NANO);
            } else {
                clock.advance(10 * SECOND - NANO);
            }
            let held = pile.get_or_try_create_with(|_| never()).unwrap();
            assert_eq!((*held, held.origin()), (7, Origin::Stale));
            drop(held);
            clock.advance(NANO);
            let acquired = pile.acquire(|| Ok::<_, Down>(8), || Ok(Lookup::Here(6)));
            assert_eq!(*acquired.unwrap(), 8);
            drop(late);
            assert!(pile.is_fresh());
        }
    }

    /// In every form but that which looks in vain, and is not served.
    #[test]
    fn by_such_a_caller_of_each_form() {
        within(|| {
            each(ten_seconds, |form, clock| {
                if form.acquires {
                    return;
                }
                form.pile.set(7);
                clock.advance(MINUTE + NANO);
                let (runs, open) = (Arc::new(Runs::default()), Arc::new(Barrier::new(2)));
                let hangs = {
                    let (runs, open) = (Arc::clone(&runs), Arc::clone(&open));
                    move || {
                        runs.next();
                        open.wait();
                        Ok(Created::new(1))
                    }
                };
                thread::scope(|threads| {
                    let late = threads.spawn(|| form.get(hangs).unwrap());
                    until(|| runs.count() == 1);
                    clock.advance(10 * SECOND - NANO);
                    assert_eq!(form.get(never).unwrap(), (7, Origin::Stale));
                    clock.advance(NANO);
                    let answer = form.get(makes(2)).unwrap();
                    match form.is_in_background() {
                        true => assert_eq!(answer, (7, Origin::Stale)),
                        false => assert_eq!(answer, (2, Origin::CreatedHere)),
                    }
                    until(|| form.pile.peek() == Some(2));
                    open.wait();
                    let late = late.join().unwrap();
                    match form.is_in_background() {
                        true => assert_eq!(late, (7, Origin::Stale)),
                        false => assert_eq!(late, (1, Origin::Superseded)),
                    }
                });
                assert_eq!(form.pile.peek(), Some(2));
            });
        });
    }

    /// A waiting thread wakes up for it, and a waiting task; all others wait for the new creation.
    #[test]
    fn who_waits_takes_it_over_and_the_others_move() {
        within(|| {
            each(ten_seconds, |form, clock| {
                let runs = Arc::new(Runs::default());
                let open = Arc::new(Barrier::new(2));
                let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(4));
                let create = {
                    let (runs, open) = (Arc::clone(&runs), Arc::clone(&open));
                    // The first one hangs.
                    move || match runs.next() {
                        1 => {
                            open.wait();
                            Ok(Created::new(1))
                        }
                        number => {
                            until(|| pile.waiters() >= waiting - 1);
                            Ok(Created::new(number))
                        }
                    }
                };
                thread::scope(|threads| {
                    let ask = || form.get(create.clone()).unwrap();
                    let callers: Vec<_> = (0..4).map(|_| threads.spawn(ask)).collect();
                    // A job may begin later than those come who wait for it.
                    until(|| form.pile.waiters() == waiting && runs.count() == 1);
                    clock.advance(10 * SECOND);
                    until(|| form.pile.peek() == Some(2));
                    open.wait();
                    let answers: Vec<_> = callers
                        .into_iter()
                        .map(|caller| caller.join().unwrap())
                        .collect();
                    let superseded = |answer: &&(u32, Origin)| **answer == (1, Origin::Superseded);
                    let of_two = answers.iter().filter(|answer| answer.0 == 2).count();
                    // In the background even the caller of the late one is given the new value.
                    let late = usize::from(!form.is_in_background());
                    assert_eq!(
                        answers.iter().filter(superseded).count(),
                        late,
                        "{answers:?}"
                    );
                    assert_eq!(of_two, 4 - late, "{answers:?}");
                });
                assert_eq!(runs.count(), 2);
                assert_eq!(form.pile.peek(), Some(2));
            });
        });
    }

    /// Time may pass between the election of a call and its wait for the job: it does not take its own
    /// lease over.
    #[test]
    fn nobody_takes_over_from_itself() {
        /// It ticks whenever it is asked.
        #[derive(Debug, Default)]
        struct Ticking(std::sync::atomic::AtomicU64);

        impl dogpile::Clock for Ticking {
            fn now(&self) -> dogpile::Tick {
                let ticks = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                dogpile::Tick::from_nanos(ticks * 1_000_000_000)
            }
        }

        within(|| {
            for limit in [SECOND, 2 * SECOND, 3 * SECOND] {
                crate::forms::each_form(
                    || {
                        let clock = Arc::new(Ticking::default());
                        Dogpile::builder(HOUR).max_create_time(limit).clock(clock)
                    },
                    |form| {
                        let (value, _) = form.get(|| Ok(Created::new(7))).unwrap();
                        assert_eq!(value, 7, "{form:?}");
                    },
                );
            }
        });
    }

    /// Time may pass, and another may take the lease over, between the election of a call and its wait for
    /// the job that it starts: it waits for the other, or is told; it creates nothing itself.
    #[cfg(feature = "async")]
    #[test]
    fn a_lease_may_be_taken_over_before_its_job_begins() {
        use crate::shelf::Shelf;
        use crate::support::{HookedClock, READINGS, hooked};
        use crate::tasks::poll;
        use std::task::Poll;

        within(|| {
            let mut ends = [0; 3];
            // Whether one creator is late already, and how often the pile is asked meanwhile.
            for (is_one_late, asks) in [(false, 1), (true, 1), (true, 3)] {
                for at in 0..READINGS {
                    let clock = Arc::new(HookedClock::default());
                    clock.advance(HOUR);
                    let builder = Dogpile::builder(MINUTE).clock(clock.clone());
                    let pile = Arc::new(builder.max_create_time(10 * SECOND).build());
                    let take = || match pile.attempt_owned() {
                        Attempt::Lease(lease) => Some(lease),
                        _ => None,
                    };
                    let late = is_one_late.then(|| {
                        let late = take();
                        clock.advance(10 * SECOND);
                        late.unwrap()
                    });
                    let taken = Arc::new(std::sync::Mutex::new(Vec::new()));
                    let hook = {
                        let (pile, clock) = (Arc::clone(&pile), Arc::clone(&clock));
                        let taken = Arc::clone(&taken);
                        move |reading| {
                            if reading != at {
                                return;
                            }
                            for _ in 0..asks {
                                clock.advance(10 * SECOND);
                                if let Attempt::Lease(lease) = pile.attempt_owned() {
                                    taken.lock().unwrap().push(lease);
                                }
                            }
                        }
                    };
                    let shelf = Shelf::default();
                    let call = pile.background(&shelf);
                    let mut call =
                        Box::pin(call.get_or_try_create_async(async || Ok::<u32, u8>(1)));
                    let mut answer = hooked(hook, || poll(call.as_mut()));
                    for lease in taken.lock().unwrap().drain(..) {
                        drop(lease.publish(2));
                    }
                    if answer.is_pending() && !shelf.is_empty() {
                        let mut job = Box::pin(shelf.take());
                        assert!(poll(job.as_mut()).is_ready());
                    }
                    if answer.is_pending() {
                        answer = poll(call.as_mut());
                    }
                    let Poll::Ready(answer) = answer else {
                        panic!("nobody creates, and it waits: {is_one_late}, {asks}, {at}")
                    };
                    match answer {
                        Ok(guard) => ends[*guard as usize - 1] += 1,
                        Err(error) => {
                            assert!(error.to_string().contains("max_create_time"), "{error}");
                            ends[2] += 1;
                        }
                    }
                    drop(late);
                }
            }
            // Its own, the other's, none.
            assert!(ends.iter().all(|&times| times > 0), "{ends:?}");
        });
    }

    /// One late creator, and not a second one: that take-over is a failure.
    #[test]
    fn no_more_than_one_is_late() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build();
        let Attempt::Lease(first) = pile.attempt() else {
            panic!()
        };
        clock.advance(10 * SECOND);
        let Attempt::Lease(second) = pile.attempt() else {
            panic!()
        };
        let waits = || pile.attempt();
        let Attempt::Busy(busy) = waits() else {
            panic!()
        };
        clock.advance(10 * SECOND);
        let Attempt::NotYet(not_yet) = pile.attempt() else {
            panic!()
        };
        assert_eq!(not_yet.retry_in, 10 * SECOND);
        let dogpile::Outcome::Failed(failure) = busy.wait() else {
            panic!()
        };
        assert!(failure.text().unwrap().contains("max_create_time"));
        assert!(!pile.is_creating());
        assert!(second.publish(2).is_err());
        drop(first);
        clock.advance(10 * SECOND);
        let Attempt::Lease(third) = pile.attempt() else {
            panic!()
        };
        clock.advance(10 * SECOND);
        assert!(
            matches!(pile.attempt(), Attempt::Lease(_)),
            "both late ones have ended"
        );
        drop(third);
    }

    /// It counts as a failure, which the next success makes forgotten.
    #[test]
    fn it_arms_the_back_off() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let backoff = Backoff::exponential(SECOND, HOUR).jitter(0);
        let pile = ten_seconds(builder).backoff(backoff).build();
        let Attempt::Lease(_late) = pile.attempt() else {
            panic!()
        };
        clock.advance(10 * SECOND);
        let Attempt::Lease(next) = pile.attempt() else {
            panic!()
        };
        let _ = next.fail(Down(1));
        assert_eq!(pile.retry_in(), Some(2 * SECOND));
        clock.advance(2 * SECOND);
        assert!(pile.get_or_try_create(|| Ok::<_, Down>(7)).is_ok());
        assert_eq!(pile.retry_in(), None);
    }

    /// A creator that hangs with the write lock left to its creation keeps no reader out.
    #[test]
    fn a_gate_that_the_late_one_keeps_closed_opens() {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = ten_seconds(builder).build_sync_reader();
        let Attempt::Lease(late) = pile.attempt() else {
            panic!()
        };
        let lock = pile.acquire_write_lock().unwrap();
        lock.until_published(&late.creating());
        let ask = || pile.call().wait(Duration::ZERO).get_or_create(|| 7);
        assert!(ask().unwrap_err().is_timed_out());
        clock.advance(10 * SECOND);
        assert_eq!(*ask().unwrap(), 7);
        drop(late);
        assert_eq!(*ask().unwrap(), 7);
    }
}
