//! `write_lock_in_creator`: the creator takes the write lock while others read the old value; it may
//! keep readers out until the new value is published, so that none sees the old value with the new
//! file.
//!
//! ```breakages
//! left-to-nobody | src/raw/gate.rs
//! - if (state.left_to).is_some_and(|creation| creation.fence <= state.ended) {
//! + if (state.left_to).is_some_and(|creation| creation.fence > state.ended) {
//!
//! opened-before-it-is-published | src/answer/lease.rs
//! @ fn publish_ready
//! - self.ended = true;
//! + self.ended = true;
//! + if let Some(gate) = self.anchor.site().gate { gate.end_of(self.fence); }
//!
//! opened-when-it-is-left-to-the-lease | src/pile/write_lock.rs
//! - std::mem::forget(self);
//!
//! opened-after-a-success-only | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - if let Some(gate) = site.gate {
//! + if let Some(gate) = site.gate.filter(|_| site.pile.is_current(self.fence)) {
//!
//! what-was-found-before-a-writer-is-kept | src/call/election/told.rs
//! - call.site.pile.is_current(guard.node().number())
//! + true
//!
//! what-was-found-before-a-writer-is-kept-if-looked-up | src/call/election/told.rs
//! - let newest = call.peek_inside().unwrap_or_else(|| guard.superseded());
//! + let newest = guard;
//!
//! the-newest-by-the-demand-of-the-call | src/call/election/told.rs
//! - call.peek_inside().unwrap_or_else(
//! + call.hit_exact().unwrap_or_else(
//!
//! what-was-removed-goes-with-what-is-there | src/call/election/told.rs
//! - call.peek_inside().unwrap_or_else(|| guard.superseded())
//! + call.peek_inside().unwrap_or(guard)
//!
//! creates-as-a-reader | src/call/election/mod.rs
//! - Role::Creates | Role::Attempts | Role::Waits => self.pass = None,
//! + Role::Creates | Role::Attempts | Role::Waits => {}
//!
//! a-writer-since-then-is-not-looked-for | src/call/election/told.rs
//! - then.is_some_and(|then| then == call.door.writers())
//! + then.is_some()
//!
//! what-is-superseded-goes-to-no-reader | src/call/election/told.rs
//! - then == call.door.writers()
//! + false
//!
//! a-writer-as-it-ended-is-not-looked-for | src/raw/gate.rs
//! - (left || !state.writer_inside).then_some(
//! + (left || true).then_some(
//!
//! its-own-creator-counts-as-another-writer | src/raw/gate.rs
//! - (left || !state.writer_inside).then_some(
//! + (!left && !state.writer_inside).then_some(
//!
//! opened-unless-it-is-given-up | src/answer/lease.rs
//! @ impl<T> Drop for Lease
//! - if let Some(gate) = site.gate {
//! + if let Some(gate) = site.gate.filter(|_| self.ended) {
//! ```

use dogpile::{Accept, Attempt, Created, Creating, Origin, SyncReaderDogpile};
use loom_tests::Shows as _;
use loom_tests::sync::Arc;
use loom_tests::thread::{self, JoinHandle};
use loom_tests::{File, HOUR, model};

/// A pile whose value is the version of the file that it goes with.
struct Shared {
    pile: SyncReaderDogpile<usize>,
    file: File,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            pile: SyncReaderDogpile::with_value(HOUR, 1),
            file: File::new(1),
        })
    }

    fn glimpse(&self) {
        if let Some(guard) = self.pile.peek() {
            assert_eq!(*guard, self.file.read(), "a value with another's file");
        }
    }

    fn read(&self) {
        let guard = self.pile.get_or_create(|| unreachable!("there is a value"));
        assert_eq!(*guard, self.file.read(), "a value with another's file");
    }

    /// A creator who puts the file of this version in the place of the old one.
    fn swap(&self, creating: &Creating<'_, usize>, version: usize) {
        let write = self.pile.acquire_write_lock().unwrap();
        self.file.write(version);
        write.until_published(creating);
    }

    fn create(&self, version: usize) {
        let call = self.pile.call().accept(Accept::New);
        let guard = call
            .get_or_try_create_with(|creating| {
                self.swap(&creating, version);
                Ok::<_, u8>(Created::new(version))
            })
            .unwrap();
        match guard.origin() {
            Origin::Superseded => assert!(self.pile.peek().is_none(), "it was not removed"),
            _ => assert_eq!(*guard, self.file.read(), "a value with another's file"),
        }
    }
}

fn spawn(shared: &Arc<Shared>, body: fn(&Shared)) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || body(&shared))
}

#[test]
fn no_reader_sees_the_old_value_with_the_new_file() {
    model(|| {
        let shared = Shared::new();
        let reader = spawn(&shared, |shared| {
            shared.glimpse();
            shared.read();
        });
        shared.create(2);
        reader.join().unwrap();
        shared.read();
    });
}

#[test]
fn neither_does_the_creator_of_the_old_one() {
    model(|| {
        let shared = Shared::new();
        let other = spawn(&shared, |shared| shared.create(2));
        shared.create(3);
        other.join().unwrap();
    });
}

#[test]
fn nor_when_the_new_one_was_removed() {
    model(|| {
        let shared = Shared::new();
        let other = spawn(&shared, |shared| {
            shared.create(3);
            shared.pile.invalidate();
        });
        shared.create(2);
        other.join().unwrap();
    });
}

/// Nor who looked up in vain, and waited for the old one or made it.
#[test]
fn neither_does_who_waited_for_the_old_one() {
    model(|| {
        let shared = Arc::new(Shared {
            pile: SyncReaderDogpile::new(HOUR),
            file: File::new(1),
        });
        let other = spawn(&shared, |shared| {
            // Creators change the file, one at a time.
            let create = || Ok::<_, u8>(shared.file.read());
            let guard = shared.pile.acquire(create, || Ok(None.into())).unwrap();
            assert_eq!(*guard, shared.file.read(), "a value with another's file");
        });
        drop(shared.pile.get_or_create(|| shared.file.read()));
        shared.create(2);
        other.join().unwrap();
    });
}

// LOOM: does not bear that a lock is passed while a panic unwinds, as another thread of its may hold
// one: so panics, of creators and of writers, are left to `tests/it`.

/// The readers get in all the same, and so does the next writer.
fn ends_otherwise(end: fn(&Shared, &Creating<'_, usize>) -> Result<Created<usize>, u8>) {
    model(move || {
        let shared = Shared::new();
        let reader = spawn(&shared, |shared| {
            drop(
                shared
                    .pile
                    .get_or_create(|| unreachable!("there is a value")),
            );
        });
        let call = shared.pile.call().accept(Accept::New);
        let answer = call.get_or_try_create_with(|creating| {
            shared.swap(&creating, 2);
            end(&shared, &creating)
        });
        drop(answer);
        reader.join().unwrap();
        drop(shared.pile.acquire_write_lock().unwrap());
    });
}

#[test]
fn with_a_failure() {
    ends_otherwise(|_, _| Err(7));
}

#[test]
fn superseded() {
    ends_otherwise(|shared, creating| {
        shared.pile.set(3);
        assert!(creating.is_superseded());
        Ok(Created::new(2))
    });
}

#[test]
fn given_up() {
    model(|| {
        let shared = Shared::new();
        shared.pile.expire();
        let Attempt::Lease(lease) = shared.pile.attempt() else {
            panic!("a stale value, and nobody creates")
        };
        let reader = spawn(&shared, |shared| drop(shared.pile.get_or_create(|| 3)));
        lease.run(|creating| shared.swap(&creating, 2));
        drop(lease);
        reader.join().unwrap();
        drop(shared.pile.acquire_write_lock().unwrap());
    });
}

/// What a superseded creation comes to goes to who waited already, if the file is still the one that
/// it goes with.
#[test]
fn who_waited_for_a_superseded_one_is_given_it() {
    model(|| {
        let shared = Shared::new();
        shared.pile.invalidate();
        let waiter = {
            let shared = Arc::clone(&shared);
            move || {
                let guard = shared.pile.get_or_create(|| 0);
                if *guard == 2 {
                    assert_eq!(guard.origin(), Origin::Superseded);
                    assert_eq!(shared.file.read(), 2, "a value with another's file");
                }
                *guard
            }
        };
        let mut waiting = None;
        let mut waits = false;
        let created = shared.pile.get_or_try_create_with(|creating| {
            waiting = Some(thread::spawn(waiter));
            shared.swap(&creating, 2);
            waits = shared.pile.waiters() == 1;
            shared.pile.invalidate();
            Ok::<_, u8>(Created::new(2))
        });
        drop(created);
        let answer = waiting.unwrap().join().unwrap();
        assert!(!waits || answer == 2, "it had waited already");
    });
}

/// A holder of the lease whose value is superseded, and a writer who comes later, or is there already
/// and goes on.
fn a_writer_after_a_superseded_one(is_there_already: bool) {
    model(move || {
        let shared = Arc::new(Shared {
            pile: SyncReaderDogpile::new(HOUR),
            file: File::new(1),
        });
        let Attempt::Lease(lease) = shared.pile.attempt() else {
            panic!("an empty pile grants its lease")
        };
        let waiter = spawn(&shared, |shared| {
            let guard = shared.pile.get_or_create(|| 0);
            if *guard == 1 {
                assert_eq!(shared.file.read(), 1, "a value with another's file");
            }
        });
        shared.pile.invalidate();
        let before = is_there_already.then(|| shared.pile.acquire_write_lock().unwrap());
        assert!(lease.publish(1).is_err(), "it was superseded");
        let write = before.unwrap_or_else(|| shared.pile.acquire_write_lock().unwrap());
        shared.file.write(2);
        drop(write);
        waiter.join().unwrap();
    });
}

#[test]
fn but_not_after_another_writer() {
    a_writer_after_a_superseded_one(false);
}

#[test]
fn nor_after_one_who_was_inside_as_it_ended() {
    a_writer_after_a_superseded_one(true);
}
