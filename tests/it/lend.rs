//! `lend`: an older value that the holder of the lease lends serves those who take a stale one, and is
//! no answer to anybody who asks for more.
//!
//! ```breakages
//! nobody-is-told-of-what-is-lent | src/raw/change.rs | who_waits_goes_on_with_it
//! @ pub(crate) fn lend
//! - let waiters = state.release_waiters();
//! + let waiters = None;
//!
//! what-is-lent-is-fresh | src/raw/change.rs |
//! @ pub(crate) fn lend
//! - node.expire(now);
//!
//! lent-over-what-is-held | src/raw/change.rs | only_into_a_pile_without_a_value
//! - Some(current) => current.value().is_none() || is_gone(&current),
//! - None => state.generation() == 0,
//! + Some(current) => current.value().is_none() || is_gone(&current) || true,
//! + None => true,
//!
//! lent-by-anybody | src/raw/change.rs | by_nobody_but_the_holder
//! - if !state.is_leased_to(fence) || state.supersedes(fence) || !is_empty {
//! + if !is_empty {
//!
//! its-own-caller-is-told-that-it-is-over | src/call/election/told.rs | who_waits_goes_on_with_it
//! - Ending::Lent(next) => own.and_then(|report| self.lent(call, next, report)),
//! + Ending::Lent(_) => own.and_then(|report| self.stopped(call, report.end())),
//!
//! its-own-caller-is-one-like-any-other | src/call/election/told.rs | its_own_caller_hears_of_the_end
//! - Ending::Lent(next) => own.and_then(|report| self.lent(call, next, report)),
//! + Ending::Lent(_) => None,
//!
//! its-own-caller-takes-no-loan | src/call/election/told.rs | who_waits_goes_on_with_it
//! @ fn lent
//! - if next.outcome().is_none() && self.enter(call).is_ok() {
//! + if false {
//!
//! a-loan-is-no-wait | src/call/election/told.rs | no_starvation
//! - _ => true,
//! - };
//! + Ending::Lent(_) => false,
//! + _ => true,
//! + };
//!
//! gone-a-moment-later | src/raw/change.rs | not_before_the_very_end_of_what_is_held
//! - now >= times.usable_until(times.ttl)
//! + now > times.usable_until(times.ttl)
//! ```

#[cfg(feature = "async")]
use std::future::pending;
#[cfg(feature = "async")]
use std::pin::pin;
use std::sync::{Arc, Barrier};
#[cfg(feature = "async")]
use std::task::Poll;
use std::thread;

use dogpile::{Accept, Attempt, Created, Creating, Dogpile, Error, Guard, Origin};

use crate::forms::{Down, each_form};
use crate::support::{HOUR, MINUTE, NANO, manual, until, within};
#[cfg(feature = "async")]
use crate::tasks::poll;

fn lends(creating: &Creating<'_, u32>, value: u32) -> bool {
    creating.lend(Created::new(value).age(HOUR))
}

/// Who was told of it came before what supersedes the lease later, and is given what that brings.
#[cfg(feature = "async")]
#[test]
fn no_starvation() {
    let pile = Dogpile::new(MINUTE);
    let Attempt::Lease(lease) = pile.attempt() else {
        panic!("it is free");
    };
    let call = pile.call().accept(Accept::Fresh);
    let mut waiter = pin!(call.get_or_create_async(pending::<u32>));
    assert!(poll(waiter.as_mut()).is_pending());
    assert!(lends(&lease.creating(), 1));
    pile.invalidate();
    assert!(poll(waiter.as_mut()).is_pending());
    drop(lease.publish(2));
    let Poll::Ready(answer) = poll(waiter) else {
        panic!("it goes on waiting");
    };
    let answer = answer.unwrap();
    assert_eq!((*answer, Guard::origin(&answer)), (2, Origin::Superseded));
}

/// In each form: those who wait, the caller of a background creation among them, go on with it, and the
/// creation goes on.
#[test]
fn who_waits_goes_on_with_it() {
    within(|| {
        let clock = manual::<u32>(MINUTE).0;
        each_form(
            || Dogpile::builder(MINUTE).clock(clock.clone()),
            |form| {
                let waiting = form.waiting_of(4);
                let end = Arc::new(Barrier::new(2));
                let (pile, may_end) = (Arc::clone(&form.pile), Arc::clone(&end));
                let create = move |creating: &Creating<'_, u32>| {
                    until(|| pile.waiters() == waiting);
                    assert!(lends(creating, 6) && !lends(creating, 5));
                    may_end.wait();
                    Ok(Created::new(7))
                };
                thread::scope(|threads| {
                    let ask = || form.get_telling(create.clone()).unwrap();
                    let callers: Vec<_> = (0..4).map(|_| threads.spawn(ask)).collect();
                    until(|| form.pile.peek() == Some(6));
                    // All but the one that creates on its own thread.
                    until(|| {
                        callers.iter().filter(|caller| caller.is_finished()).count() == waiting
                    });
                    assert!(form.pile.is_creating());
                    end.wait();
                    let mut answers: Vec<_> = (callers.into_iter())
                        .map(|caller| caller.join().unwrap())
                        .collect();
                    answers.sort_unstable_by_key(|&(value, _)| value);
                    let lent = vec![(6, Origin::Stale); waiting];
                    assert_eq!(answers[..waiting], lent);
                    assert!(
                        answers[waiting..]
                            .iter()
                            .all(|&answer| answer == (7, Origin::CreatedHere))
                    );
                });
                until(|| form.pile.peek() == Some(7));
            },
        );
    });
}

/// Who asks for more than a stale value waits for the creation.
#[test]
fn it_is_no_answer_to_who_asks_for_more() {
    within(|| {
        let (clock, builder) = manual::<u32>(MINUTE);
        let pile = builder.stale_while_revalidate(2 * HOUR).build();
        pile.set(1);
        let seen = Guard::seen(&pile.peek().unwrap());
        // What is gone is as good as none.
        clock.advance(3 * HOUR);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        let asks = [Accept::Fresh, Accept::New, Accept::NewerThan(seen)];
        thread::scope(|threads| {
            let pile = &pile;
            let callers = asks.map(|accept| {
                threads.spawn(move || *pile.call().accept(accept).get_or_create(|| 8).unwrap())
            });
            until(|| pile.waiters() == 3);
            // Young as it is, it is stale.
            lease.run(|creating| assert!(creating.lend(Created::new(6))));
            // Woken, they look, and wait again.
            until(|| pile.waiters() == 3);
            let newer = pile.peek().map(|lent| Guard::seen(&lent)).unwrap();
            let of_lent = threads.spawn(move || {
                let call = pile.call().accept(Accept::NewerThan(newer));
                *call.get_or_create(|| 8).unwrap()
            });
            until(|| pile.waiters() == 4);
            assert_eq!(*pile.get_or_create(|| 8), 6);
            assert_eq!(*lease.publish(7).unwrap(), 7);
            for caller in callers {
                // A call for a new one began after this creation did.
                assert!([7, 8].contains(&caller.join().unwrap()));
            }
            assert_eq!(of_lent.join().unwrap(), 7);
        });
    });
}

/// A value that is held stays; what was invalidated does not come back.
#[test]
fn only_into_a_pile_without_a_value() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let pile = builder.build();
    pile.set(1);
    clock.advance(MINUTE + NANO);
    let Attempt::Lease(lease) = pile.attempt() else {
        panic!()
    };
    lease.run(|creating| assert!(!lends(&creating, 6)));
    assert_eq!(*pile.peek().unwrap(), 1);
    drop(lease);
    pile.invalidate();
    let Attempt::Lease(lease) = pile.attempt() else {
        panic!()
    };
    lease.run(|creating| assert!(!lends(&creating, 6)));
    assert!(pile.peek().is_none());
}

/// A value is held to the very end of what it may be served for, or may stand in for a failure.
#[test]
fn not_before_the_very_end_of_what_is_held() {
    for falls_back in [false, true] {
        let (clock, builder) = manual::<u32>(MINUTE);
        let builder = builder.stale_while_revalidate(MINUTE);
        let (builder, end) = match falls_back {
            true => (builder.stale_if_error(2 * MINUTE), 3 * MINUTE),
            false => (builder, 2 * MINUTE),
        };
        let pile = builder.build();
        pile.set(1);
        clock.advance(end);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!()
        };
        lease.run(|creating| {
            assert!(!lends(&creating, 6));
            clock.advance(NANO);
            assert!(lends(&creating, 6));
        });
    }
}

/// Whose lease was superseded, or is over, has nothing to lend for.
#[test]
fn by_nobody_but_the_holder() {
    within(|| {
        let (_, builder) = manual::<u32>(MINUTE);
        let pile = Arc::new(builder.build());
        let late = pile.get_or_try_create_with(|creating| {
            pile.set(1);
            pile.invalidate();
            assert!(!lends(&creating, 6));
            Err::<Created<u32>, _>(Down(1))
        });
        assert!(late.is_err() && pile.peek().is_none());
        let pile = Arc::new(Dogpile::new(MINUTE));
        let Attempt::Lease(lease) = Arc::clone(&pile).attempt_owned() else {
            panic!()
        };
        let over = lease.run(|creating| creating);
        drop(lease.fail(Down(1)));
        let Attempt::Lease(next) = pile.attempt() else {
            panic!()
        };
        assert!(!lends(&over, 6) && pile.peek().is_none());
        drop(next);
    });
}

/// If the creation fails, what was lent is a stale value like any other, with its own end.
#[test]
fn it_stays_after_a_failure() {
    let (clock, builder) = manual::<u32>(MINUTE);
    let pile = builder.stale_while_revalidate(2 * HOUR).build();
    let failed = pile.get_or_try_create_with(|creating| {
        assert!(lends(&creating, 6));
        Err::<Created<u32>, _>(Down(1))
    });
    assert!(failed.is_err());
    assert_eq!(Guard::origin(&pile.peek().unwrap()), Origin::Stale);
    assert_eq!(*pile.get_or_create(|| 7), 7);
    // An hour old as it was lent: its end is two hours after that of its time to live.
    let pile = Dogpile::builder(MINUTE)
        .stale_while_revalidate(2 * HOUR)
        .clock(clock.clone())
        .build();
    let Attempt::Lease(lease) = pile.attempt() else {
        panic!()
    };
    lease.run(|creating| assert!(lends(&creating, 6)));
    drop(lease);
    clock.advance(HOUR + MINUTE);
    assert!(pile.has_value());
    clock.advance(NANO);
    assert!(!pile.has_value());
}

/// The caller of a background creation, who asks for more than what was lent, hears of the end of the
/// creation, however late it looks. It creates nothing itself: its creator is with the job.
#[cfg(feature = "async")]
#[test]
fn its_own_caller_hears_of_the_end() {
    use crate::shelf::Shelf;
    use crate::support::{burst, bursts};
    use crate::tasks::poll;
    use std::task::Poll;

    #[derive(Clone, Copy, Debug)]
    enum End {
        Publishes,
        Fails,
        Panics,
        IsDropped,
    }

    within(|| {
        for end in [End::Publishes, End::Fails, End::Panics, End::IsDropped] {
            // Whether the caller looks between the loan and the end.
            for looks in [false, true] {
                let pile = Arc::new(Dogpile::new(MINUTE));
                let shelf = Shelf::default();
                let (go, may_go) = futures::channel::oneshot::channel::<()>();
                let create = async move |creating: Creating<'static, u32>| {
                    assert!(lends(&creating, 6));
                    may_go.await.unwrap();
                    match end {
                        End::Publishes => Ok(Created::new(7)),
                        End::Fails => Err(Down(1)),
                        End::Panics | End::IsDropped => burst(),
                    }
                };
                let call = pile.background(&shelf).accept(Accept::Fresh);
                let mut call = Box::pin(call.get_or_try_create_with_async(create));
                assert!(poll(call.as_mut()).is_pending());
                let mut job = Box::pin(shelf.take());
                assert!(poll(job.as_mut()).is_pending());
                assert_eq!(*pile.peek().unwrap(), 6);
                if looks {
                    assert!(poll(call.as_mut()).is_pending());
                }
                match end {
                    End::IsDropped => drop(job),
                    _ => {
                        go.send(()).unwrap();
                        let panicked = bursts(|| poll(job.as_mut()).is_ready());
                        assert_eq!(panicked, matches!(end, End::Panics));
                    }
                }
                let Poll::Ready(answer) = poll(call.as_mut()) else {
                    panic!("{end:?}: the creation is over, and its caller waits")
                };
                match (end, answer) {
                    (End::Publishes, Ok(guard)) => {
                        assert_eq!((*guard, Guard::origin(&guard)), (7, Origin::CreatedHere));
                    }
                    (End::Fails, Err(Error::Create(error))) => assert_eq!(*error, Down(1)),
                    (End::Panics, Err(Error::Panicked(_)))
                    | (End::IsDropped, Err(Error::GivenUp)) => {}
                    (_, answer) => panic!("{end:?}: {answer:?}"),
                }
                assert!(!pile.is_creating() && pile.waiters() == 0);
            }
        }
    });
}
