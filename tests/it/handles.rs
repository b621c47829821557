//! What a caller holds afterwards: handles, errors, and the news that a renewal was started.
//!
//! ```breakages
//! the-creators-own-stays-in | src/error.rs | errors::a_creators_own_can_be_taken_out
//! @ fn into_created
//! - Error::Create(error) => Ok(error),
//! ```

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashSet};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::thread;

use dogpile::{Accept, Attempt, Created, Dogpile, Error, Failure, Guard, Origin, Owned};
use dogpile::{SyncReaderDogpile, WriteLockError};

use crate::forms::Down;
use crate::support::{Keeps as _, Shows as _};
use crate::support::{MINUTE, NANO, manual, until, within};

fn owned<T>(value: T) -> Owned<T> {
    Dogpile::with_value(MINUTE, value)
        .peek()
        .unwrap()
        .to_owned()
}

/// A handle compares, orders and hashes as its value does, and only `ptr_eq` tells them apart.
#[test]
#[allow(clippy::mutable_key_type)] // What changes in a handle is no part of its hash.
fn a_handle_compares_as_its_value() {
    let (one, same, two) = (owned("1"), owned("1"), owned("2"));
    assert!(one == same && one != two);
    assert!(one < two && one <= same);
    assert_eq!(one.cmp(&two), "1".cmp("2"));
    assert_eq!(one.partial_cmp(&same), Some(std::cmp::Ordering::Equal));
    let not_a_number = owned(f64::NAN);
    assert!(not_a_number != not_a_number.clone());
    assert_eq!(not_a_number.partial_cmp(&owned(1.0)), None);
    assert!(Owned::ptr_eq(&one, &one.clone()));
    assert!(!Owned::ptr_eq(&one, &same));
    let set = HashSet::from([one.clone(), same, two.clone()]);
    assert_eq!(set.len(), 2);
    // It is found by its value, which asks for the same hash and the same order.
    assert!(set.contains(&"2") && !set.contains(&"3"));
    assert!(BTreeSet::from([two, one.clone()]).contains(&"1"));
    let borrowed: &&str = one.borrow();
    assert_eq!((*borrowed, *one.as_ref()), ("1", "1"));
}

/// A reader that renews its guard lets a writer in: the old guard is gone before the next call.
#[test]
fn renewing_drops_first() {
    within(|| {
        let pile = &SyncReaderDogpile::with_value(MINUTE, 1);
        let can_write = || {
            let writer = || pile.try_acquire_write_lock().map(drop);
            thread::scope(|threads| threads.spawn(writer).join().unwrap())
        };
        let read = pile.get_or_create(|| 2);
        assert!(matches!(
            can_write(),
            Err(WriteLockError::TimedOut { limit }) if limit.is_zero()
        ));
        let read = Guard::renew(read, || {
            assert_eq!(can_write(), Ok(()));
            pile.set(3);
            pile.get_or_create(|| 2)
        });
        assert_eq!((*read, read.origin()), (3, Origin::Fresh));
        assert!(can_write().is_err());
        // Whatever the next call brings.
        assert_eq!(Guard::renew(read, || Err::<u8, _>("gone")), Err("gone"));
        assert_eq!(can_write(), Ok(()));
    });
}

/// A hit is a look that takes nothing over: no lease, no wait.
#[test]
fn a_hit_or_nothing() {
    within(|| {
        let (clock, builder) = manual(MINUTE);
        let pile = builder.build();
        assert!(pile.call().hit().is_none());
        pile.set(1);
        let origin = |accept| pile.call().accept(accept).hit().map(|held| held.origin());
        assert_eq!(origin(Accept::Stale), Some(Origin::Fresh));
        assert_eq!(origin(Accept::Fresh), Some(Origin::Fresh));
        assert_eq!(origin(Accept::New), None);
        assert!(pile.call().max_age(MINUTE).hit().is_some());
        clock.advance(MINUTE + NANO);
        // Stale, and nobody renews it: that is this caller's.
        assert_eq!(origin(Accept::Stale), None);
        assert!(!pile.is_creating());
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!("it is stale")
        };
        assert_eq!(origin(Accept::Stale), Some(Origin::Stale));
        assert_eq!(origin(Accept::Fresh), None);
        drop(lease);
        assert_eq!(origin(Accept::Stale), None);
        let reader = SyncReaderDogpile::with_value(MINUTE, 1);
        assert_eq!(reader.call().hit().map(|held| *held), Some(1));
        let write = reader.acquire_write_lock().unwrap();
        assert!(reader.call().hit().is_none());
        drop(write);
        assert!(reader.call().hit().is_some());
    });
}

/// What is kept elsewhere is no value seen here.
#[test]
fn none_seen_and_a_value_elsewhere() {
    let pile = Dogpile::<u32>::new(MINUTE);
    pile.set_with(Created::new(1).keep(false));
    assert!(pile.has_value() && pile.peek().is_none());
    assert_eq!(pile.set_if(None, 2), Ok(()));
    assert_eq!(*pile.peek().unwrap(), 2);
    let reader = SyncReaderDogpile::with_value(MINUTE, 1);
    let seen = reader.peek().unwrap().seen();
    assert_eq!(reader.set_if(seen, 2), Ok(()));
    assert_eq!(reader.set_if(seen, 3), Err(3));
    assert!(!reader.expire_if(seen) && !reader.invalidate_if(seen));
    assert!(reader.invalidate_if(reader.peek().unwrap().seen()));
    assert_eq!(reader.set_if(None, 4), Ok(()));
}

mod errors {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no keys")]
    struct NoKeys(#[source] Arc<io::Error>);

    fn denied() -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, "no entry")
    }

    fn created() -> Error<io::Error> {
        let pile = Dogpile::<u32>::new(MINUTE);
        pile.get_or_try_create(|| Err(denied()))
            .map(drop)
            .unwrap_err()
    }

    /// What a caller with another error type is told of this one.
    fn failure<E: Send + Sync + 'static>(error: E) -> Failure {
        #[derive(Debug)]
        struct Other;
        let pile = Dogpile::<u32>::new(MINUTE);
        let Attempt::Lease(lease) = pile.attempt() else {
            panic!("nobody else creates")
        };
        let told = thread::scope(|threads| {
            let waiter = threads.spawn(|| pile.get_or_try_create(|| Err(Other)).map(drop));
            until(|| pile.waiters() == 1);
            drop(lease.fail(error));
            waiter.join().unwrap().unwrap_err()
        });
        match told {
            Error::Failed(failure) => failure,
            other => panic!("it has another type: {other:?}"),
        }
    }

    #[test]
    fn mapped_they_keep_their_kind() {
        let error = created().map(NoKeys);
        assert_eq!(error.created().unwrap().to_string(), "no keys");
        let cause = error.created().unwrap().source().unwrap();
        let cause = cause
            .downcast_ref::<Arc<io::Error>>()
            .map(|cause| cause.kind());
        assert_eq!(cause, Some(io::ErrorKind::PermissionDenied));
        let get = Error::Get(denied()).map(|error| error.kind());
        assert!(matches!(get, Error::Get(io::ErrorKind::PermissionDenied)));
        let other = Error::<io::Error>::Reentrant.map(NoKeys);
        assert!(matches!(other, Error::Reentrant));
    }

    #[test]
    fn a_creators_own_can_be_taken_out() {
        let own = created().into_created().unwrap();
        assert_eq!(own.kind(), io::ErrorKind::PermissionDenied);
        assert!(
            Error::Get(denied())
                .into_created()
                .unwrap_err()
                .created()
                .is_none()
        );
        assert!(Error::<u8>::GivenUp.into_created().is_err());
    }

    /// Each is of one kind, and of no other.
    #[test]
    fn they_say_of_what_kind_they_are() {
        fn kinds<E>(error: &Error<E>) -> [bool; 5] {
            [
                error.is_failed(),
                error.is_panicked(),
                error.is_timed_out(),
                error.is_reentrant(),
                error.is_refused(),
            ]
        }
        let only = |kind| std::array::from_fn(|other| other == kind);
        assert_eq!(kinds(&created()), only(0));
        assert_eq!(kinds(&Error::<u8>::Failed(failure("x"))), only(0));
        let pile = Dogpile::<u32>::new(MINUTE);
        let timed_out = || {
            pile.call()
                .wait(std::time::Duration::ZERO)
                .get_or_create(|| 1)
        };
        let reentrant = || pile.get_or_try_create(|| Err::<u32, _>(()));
        let held = pile.get_or_create(|| {
            assert_eq!(kinds(&reentrant().unwrap_err()), only(3));
            let elsewhere = || kinds(&timed_out().unwrap_err());
            let told = thread::scope(|threads| threads.spawn(elsewhere).join().unwrap());
            assert_eq!(told, only(2));
            1
        });
        drop(held);
        for other in [Error::<u8>::GivenUp, Error::NoTimer, Error::Get(1)] {
            assert_eq!(kinds(&other), [false; 5]);
        }
        #[cfg(feature = "async")]
        assert_eq!(
            kinds(&Error::<u8>::Refused(dogpile::Refused::new("full"))),
            only(4)
        );
    }

    /// Also of an error of a look-up.
    #[test]
    fn a_failure_is_made_of_any_error() {
        let failure = Failure::from(Error::Get(Down(7)));
        assert_eq!(failure.downcast_ref(), Some(&Down(7)));
    }

    /// A failure has the text and the sources of the creator's error, where it is known to have some.
    #[test]
    fn a_failure_tells_the_text() {
        within(|| {
            type Boxed = Box<dyn std::error::Error + Send + Sync>;
            let texts = [
                failure("no route"),
                failure(String::from("no route")),
                failure(io::Error::other("no route")),
                failure(Boxed::from("no route")),
            ];
            for failure in texts {
                assert_eq!(failure.text().as_deref(), Some("no route"));
                assert_eq!(failure.to_string(), "creating the value failed: no route");
            }
            let none = failure(7_u8);
            assert_eq!((none.text(), none.type_name()), (None, "u8"));
            assert!(none.to_string().ends_with("with an error of type u8"));
            assert_eq!(none.downcast_ref::<u8>(), Some(&7));
            assert!(none.source().is_none());
            // Of a boxed one, the chain goes on behind it.
            let boxed = failure(Boxed::from(NoKeys(Arc::new(denied()))));
            assert_eq!(boxed.text().as_deref(), Some("no keys"));
            assert!(boxed.source().unwrap().to_string().contains("no entry"));
            assert!(Error::<u8>::Failed(boxed).to_string().contains("no keys"));
        });
    }
}

#[cfg(feature = "async")]
mod renewing_in_the_background {
    use std::sync::Mutex;

    use dogpile::Refused;
    use dogpile::executor::{Executor, Job};

    use super::*;

    #[derive(Default)]
    struct Shelf(Mutex<Vec<Job>>);

    impl Executor for Shelf {
        fn spawn(&self, job: Job) -> Result<(), Refused> {
            self.0.lock().unwrap().push(job);
            Ok(())
        }
    }

    impl Shelf {
        fn run(&self) {
            let job = self.0.lock().unwrap().pop();
            job.expect("a job was started").run();
        }
    }

    struct Full;

    impl Executor for Full {
        fn spawn(&self, _: Job) -> Result<(), Refused> {
            Err(Refused::new("full"))
        }
    }

    /// However fresh the value is, and whether there is one: it starts one creation and goes.
    #[test]
    fn it_starts_and_does_not_wait() {
        within(|| {
            let plain = Arc::new(Dogpile::<u32>::new(MINUTE));
            let reader = Arc::new(SyncReaderDogpile::<u32>::new(MINUTE));
            macro_rules! check {
                ($pile:expr) => {
                    let pile = $pile;
                    let shelf = Shelf::default();
                    for number in 0..3 {
                        let call = pile.background(&shelf);
                        let started = match number % 2 {
                            0 => call.renew(move || Ok::<_, ()>(number)),
                            _ => call.renew_async(move || async move { Ok::<_, ()>(number) }),
                        };
                        assert!(started.unwrap());
                        assert!(pile.is_creating());
                        // Another runs already.
                        assert!(!call.renew(|| Ok::<_, ()>(9)).unwrap());
                        assert!(!call.renew_async(|| async { Ok::<_, ()>(9) }).unwrap());
                        shelf.run();
                        assert_eq!(*pile.peek().unwrap(), number);
                        assert!(!pile.is_creating());
                    }
                    assert!(shelf.0.lock().unwrap().is_empty());
                    let refused = pile.background(&Full).renew(|| Ok::<_, ()>(9));
                    assert!(refused.unwrap_err().is_refused());
                    let refused = pile.background(&Full);
                    let refused = refused.renew_async(|| async { Ok::<_, ()>(9) });
                    assert!(refused.unwrap_err().is_refused());
                    assert_eq!((*pile.peek().unwrap(), pile.is_creating()), (2, false));
                };
            }
            check!(&plain);
            check!(&reader);
        });
    }

    /// Nobody is told of its failure, and the value held stays.
    #[test]
    fn its_failure_is_nobodys() {
        let pile = Arc::new(Dogpile::with_value(MINUTE, 1));
        let shelf = Shelf::default();
        assert!(pile.background(&shelf).renew(|| Err("down")).unwrap());
        shelf.run();
        assert_eq!(*pile.peek().unwrap(), 1);
        assert!(pile.is_fresh() && !pile.is_creating());
    }
}
