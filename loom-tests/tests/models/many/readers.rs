//! Three to eight threads that read a file together with the value that goes with it, change both,
//! and let creators change both. `write_lock_excludes_readers`, `nested_reader_goes_in`,
//! `write_lock_in_creator`, `reader_never_waits_for_creation`, whatever happens; and the promises of
//! `callers`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dogpile::{
    Accept, Clock, Created, Creating, Error, ManualClock, Origin, ReadGuard, SyncReaderDogpile,
    WriteGuard, WriteLockError,
};
use loom_tests::Shows as _;
use loom_tests::{Call, File, Value, Witness, draw, large_model, let_others_run, thread};

const LIMIT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(2);

/// A pile whose values have the number of the file that they go with.
struct World {
    pile: SyncReaderDogpile<Value>,
    file: File,
    /// How many hold a guard. Not shuttle's: they have it from the moment they count.
    inside: AtomicUsize,
    witness: Witness,
    clock: Arc<ManualClock>,
}

/// A reader, until this is dropped.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl World {
    fn new() -> Arc<Self> {
        let clock = Arc::new(ManualClock::new());
        let builder = SyncReaderDogpile::builder(TTL).clock(clock.clone());
        Arc::new(Self {
            pile: builder.build_sync_reader(),
            file: File::new(0),
            inside: AtomicUsize::new(0),
            witness: Witness::default(),
            clock,
        })
    }

    /// A reader with its guard, which may come in again meanwhile, or send it away.
    fn hold(&self, call: &Call<'_>, guard: ReadGuard<'_, Value>) {
        match guard.origin() {
            Origin::Fresh => call.saw_fresh(&guard),
            Origin::CreatedHere => call.saw_new(&guard),
            Origin::Superseded => call.saw_superseded(&guard),
            _ => call.saw(&guard),
        }
        // Its own creation's result goes to a caller whatever a writer did since.
        let is_old = guard.origin() == Origin::Superseded && guard.is_own();
        let inside = self.come_in(&guard, is_old);
        match draw(6) {
            0 => self.come_in_again(),
            1 => thread::scope(|threads| {
                threads.spawn(move || {
                    self.read(&guard, is_old);
                    drop((inside, guard));
                });
                if let Some(again) = self.pile.peek() {
                    drop(self.come_in(&again, false));
                }
            }),
            _ => {
                self.read(&guard, is_old);
                drop((inside, guard));
            }
        }
    }

    /// Counts a reader, and sees that what it reads goes with its value.
    fn come_in(&self, guard: &ReadGuard<'_, Value>, is_old: bool) -> Inside<'_> {
        self.inside.fetch_add(1, Relaxed);
        self.read(guard, is_old);
        Inside(&self.inside)
    }

    fn read(&self, guard: &ReadGuard<'_, Value>, is_old: bool) {
        let version = self.file.read();
        if !is_old {
            assert_eq!(guard.number(), version, "a value with another's file");
        }
    }

    /// Asks for another guard while it holds one.
    fn come_in_again(&self) {
        let call = self.witness.call();
        let answer = match draw(3) {
            0 => Ok(self.pile.peek()),
            1 => self.pile.get_or_try_create(|| self.fail()).map(Some),
            _ => {
                let newer = self.pile.call().accept(Accept::New);
                newer.get_or_try_create(|| self.fail()).map(Some)
            }
        };
        match answer {
            Ok(None) | Err(Error::HoldsReadGuard) => {}
            Ok(Some(again)) => {
                call.saw(&again);
                self.read(&again, false);
            }
            // It had a value to go on with, and was elected; or looked where another had failed.
            Err(Error::Create(error)) => call.failed(*error),
            Err(_) => unreachable!("nothing else can happen"),
        }
    }

    /// A creator who holds a read guard, and cannot have the lock.
    fn fail(&self) -> Result<Value, usize> {
        let creation = self.witness.begin();
        let refused = self.pile.acquire_write_lock();
        assert!(matches!(refused, Err(WriteLockError::HoldsReadGuard)));
        Err(creation.number())
    }

    /// A writer has the lock.
    fn alone(&self) {
        assert_eq!(self.inside.load(Relaxed), 0, "a reader is inside");
        let_others_run();
        assert_eq!(self.inside.load(Relaxed), 0, "a reader came in");
    }

    fn lock(&self) -> Option<WriteGuard<'_, Value>> {
        let over = self.clock.now().saturating_add(LIMIT);
        let write = match draw(3) {
            0 => self.pile.acquire_write_lock(),
            1 => self.pile.try_acquire_write_lock(),
            _ => {
                let write = self.pile.acquire_write_lock_for(LIMIT);
                assert!(write.is_ok() || self.clock.now() >= over, "too soon");
                write
            }
        };
        let write = write
            .map_err(|error| assert!(matches!(error, WriteLockError::TimedOut { .. })))
            .ok()?;
        self.alone();
        Some(write)
    }

    /// A writer on its own.
    fn write(&self) {
        let Some(write) = self.lock() else { return };
        if draw(2) == 0 {
            self.witness.set(|value| {
                self.file.write(value.number());
                write.set(value);
            });
        }
        self.alone();
    }

    /// A creator, who changes the file; or fails, or panics, and then leaves it as it was.
    fn create(&self, creating: &Creating<'_, Value>) -> Result<Created<Value>, usize> {
        let creation = self.witness.begin();
        let_others_run();
        let Some(write) = self.lock() else {
            return Err(creation.number());
        };
        let old = self.file.read();
        self.file.write(creation.number());
        let end = draw(6);
        // What was set meanwhile goes with the file as it was.
        if creating.is_superseded() || end < 2 {
            self.file.write(old);
            match end {
                0 => resume_unwind(Box::new("a creator's")),
                1 => write.until_published(creating),
                _ => drop(write),
            }
            return Err(creation.number());
        }
        write.until_published(creating);
        if draw(4) == 0 {
            self.expire();
        }
        Ok(Created::new(creation.value()))
    }

    fn expire(&self) {
        self.witness.expire(|| {
            self.pile.expire();
            true
        });
    }

    fn invalidate(&self) {
        self.witness.invalidate(|| {
            self.pile.invalidate();
            true
        });
    }

    fn check(&self, call: &Call<'_>, answer: Result<ReadGuard<'_, Value>, Error<usize>>) {
        match answer {
            Ok(guard) => self.hold(call, guard),
            Err(Error::Create(error)) => call.failed(*error),
            Err(error) => assert!(error.is_timed_out() || error.is_panicked()),
        }
    }

    /// A call of any kind.
    fn call(&self) {
        let Self { pile, witness, .. } = self;
        let call = witness.call();
        match draw(8) {
            0 => self.expire(),
            1 => self.invalidate(),
            2 => self.write(),
            3 => {
                if let Some(guard) = pile.peek() {
                    self.hold(&call, guard);
                }
            }
            4 => {
                // Of a thread that ends.
                let sent = Mutex::new(None);
                thread::scope(|threads| {
                    threads.spawn(|| *sent.lock().unwrap() = pile.peek());
                });
                if let Some(guard) = sent.into_inner().unwrap() {
                    call.saw(&guard);
                    drop((self.come_in(&guard, false), guard));
                }
            }
            5 => {
                let limited = pile.call().wait(LIMIT);
                self.check(&call, limited.get_or_try_create_with(|c| self.create(&c)));
            }
            6 => {
                let newer = pile.call().accept(Accept::New);
                self.check(&call, newer.get_or_try_create_with(|c| self.create(&c)));
            }
            _ => self.check(&call, pile.get_or_try_create_with(|c| self.create(&c))),
        }
    }

    fn call_and_bear_panics(&self) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.call())) {
            // Anything else is what the model found.
            if panic.downcast_ref() != Some(&"a creator's") {
                resume_unwind(panic);
            }
        }
    }
}

#[test]
fn whatever_they_do() {
    large_model(|| {
        let world = World::new();
        let threads: Vec<_> = (0..3 + draw(6))
            .map(|_| {
                let world = Arc::clone(&world);
                thread::spawn(move || (0..1 + draw(3)).for_each(|_| world.call_and_bear_panics()))
            })
            .collect();
        for _ in 0..draw(4) {
            world.clock.advance(LIMIT);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(!world.pile.is_creating());
        drop(world.pile.acquire_write_lock().unwrap());
        // Whatever it holds is renewed when it is due.
        world.clock.advance(TTL + LIMIT);
        let renewed = world.pile.get_or_create(|| world.witness.begin().value());
        assert_eq!(renewed.origin(), Origin::CreatedHere);
        drop(renewed);
        world.pile.invalidate();
        assert_eq!(world.witness.alive(), 0);
    });
}
