//! Everything that can be done to a pile, at once, on values that are plain memory: for a sanitizer
//! to look at (`.ci/sanitizers`): `mixed [SECONDS]`, by default 5.
//!
//! Creators that fail, panic and are superseded; waiters who give up; leases and guards that end on
//! other threads; tasks that are dropped half way; creations in the background; `set`, `expire` and
//! `invalidate` meanwhile. Every pile lives for some thousand calls and is dropped while handles of
//! its values are out. Readers let others run while they hold a guard. Then the same for keys of a map
//! that has no room for all of them. Then readers and writers of memory that nothing but a write lock
//! protects.
//!
//! ThreadSanitizer knows nothing of what the standard library's compiled part does, so this uses
//! locks of parking_lot, joins every thread, and returns nothing from it.
//!
//! Ends with 1 if it finds anything wrong by itself, such as a value that was not dropped.
//!
//! What `.ci/sanitizers` makes to see that the sanitizers report it, with what they must say:
//!
//! ```breakages
//! race-on-an-outcome | src/raw/wait/event.rs | ThreadSanitizer: data race
//! - self.word.fetch_or(SET, Ordering::Release)
//! + self.word.fetch_or(SET, Ordering::Relaxed)
//!
//! race-on-a-value | src/raw/value/cell.rs | ThreadSanitizer: data race
//! - current.swap(new, Ordering::Release)
//! + current.swap(new, Ordering::Relaxed)
//!
//! race-on-a-slot | src/raw/value/slot.rs | ThreadSanitizer: data race
//! - store(ptr::null_mut(), Ordering::Release)
//! + store(ptr::null_mut(), Ordering::Relaxed)
//!
//! race-on-a-gate | src/raw/gate.rs | ThreadSanitizer: data race
//! - closed.store(false, Ordering::Release)
//! + closed.store(false, Ordering::Relaxed)
//!
//! race-on-a-count | src/raw/gate.rs | ThreadSanitizer: data race
//! - counted.fetch_sub(1, Ordering::Release)
//! + counted.fetch_sub(1, Ordering::Relaxed)
//!
//! dropped-while-it-is-read | src/raw/value/cell.rs | AddressSanitizer: heap-use-after-free
//! - search.finds(node.address())
//! + search.finds(node.address()) && false
//!
//! shared-without-being-counted | src/raw/value/node.rs | AddressSanitizer: heap-use-after-free
//! - Self(Counted::clone(&self.0))
//! + Self(unsafe { std::ptr::read(&self.0) })
//!
//! an-entry-dropped-while-it-is-read | src/raw/index/cold.rs | AddressSanitizer: heap-use-after-free
//! - if is_shown(&shown, address) {
//! + if is_shown(&shown, address) && false {
//!
//! never-dropped | src/raw/value/cell.rs | LeakSanitizer: detected memory leaks
//! @ fn left
//! - drop(unread);
//! + std::mem::forget(unread);
//! ```

use std::cell::{RefCell, UnsafeCell};
use std::env;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::executor::{Executor, Job};
use dogpile::{Attempt, Dogpile, Guard, Lease, Owned, Refused, SyncReaderDogpile};
use parking_lot::Mutex;
use stress::pause;

/// How many values and errors are alive.
static LIVE: AtomicI64 = AtomicI64::new(0);

/// A value, or an error, in plain memory of its own: all words are the same.
#[derive(Debug)]
struct Payload(Box<[u64; 8]>);

impl Payload {
    fn new(number: u64) -> Self {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Payload(Box::new([number; 8]))
    }

    /// Reads it twice, others running in between.
    fn look(&self) {
        for _ in 0..2 {
            let first = self.0[0];
            assert!(self.0.iter().all(|&word| word == first), "it is torn");
            thread::yield_now();
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // Written, so that who reads it meanwhile races.
        self.0.fill(0);
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What creators panic with; the panic hook does not see it.
struct Panicked;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }
}

fn main() -> ExitCode {
    let seconds = env::args().nth(1).map_or(Ok(5.0), |text| text.parse());
    let time = match seconds.map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if env::args().len() <= 2 => time,
        _ => {
            eprintln!("usage: mixed [SECONDS]");
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    let mut rounds = 0;
    let calls = AtomicU64::new(0);
    let mut left = 0;
    while begin.elapsed() < time && left == 0 {
        rounds += 1;
        let handles = everything(rounds, &calls);
        handles.iter().for_each(|handle| handle.look());
        drop(handles);
        many_keys(rounds);
        left = LIVE.load(Ordering::Relaxed);
        readers_and_writers(rounds);
    }
    let calls = calls.into_inner();
    println!("{rounds} piles, {calls} calls in {:.1?}", begin.elapsed());
    println!("  values and errors that are left: {left}");
    if left == 0 && calls > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What the threads of a pile hand each other.
#[derive(Default)]
struct Parcels<'a> {
    guards: Mutex<Vec<Guard<'a, Payload>>>,
    leases: Mutex<Vec<Lease<'static, Payload>>>,
    handles: Mutex<Vec<Owned<Payload>>>,
}

/// Puts background creations on a list.
#[derive(Default)]
struct Jobs(Mutex<Vec<Job>>);

impl Executor for Jobs {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        let mut jobs = self.0.lock();
        if jobs.len() < 8 {
            jobs.push(job);
            Ok(())
        } else {
            Err(Refused::new("too many"))
        }
    }
}

/// A pile for a while; handles of its values, which outlive it.
fn everything(round: u64, calls: &AtomicU64) -> Vec<Owned<Payload>> {
    let ttl = [Duration::MAX, Duration::from_micros(50), Duration::ZERO][round as usize % 3];
    let mut builder = Dogpile::builder(ttl);
    if round.is_multiple_of(2) {
        builder = builder.stale_while_revalidate(Duration::from_micros(50));
    }
    let pile = Arc::new(builder.build());
    let jobs = Jobs::default();
    let parcels = Parcels::default();
    let done = AtomicBool::new(false);
    let seed = |number| Random(round * 10 + number + 1);
    thread::scope(|threads| {
        let receiver = threads.spawn(|| receive(&parcels, &jobs, &done));
        let workers = [
            threads.spawn(|| Caller::new(&pile, &parcels, &jobs, seed(0)).run(calls)),
            threads.spawn(|| Caller::new(&pile, &parcels, &jobs, seed(1)).run(calls)),
            threads.spawn(|| tasks(&pile, seed(2))),
            threads.spawn(|| change(&pile, seed(3))),
            threads.spawn(|| short_threads(threads, &pile)),
            threads.spawn(|| short_threads(threads, &pile)),
        ];
        workers.into_iter().for_each(join);
        done.store(true, Ordering::Release);
        join(receiver);
    });
    parcels.handles.into_inner()
}

fn join(thread: thread::ScopedJoinHandle<'_, ()>) {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic));
}

struct Caller<'a, 'p> {
    pile: &'a Arc<Dogpile<Payload>>,
    parcels: &'p Parcels<'a>,
    jobs: &'a Jobs,
    random: Random,
    /// More than a thread has slots for.
    held: Vec<Guard<'a, Payload>>,
}

const CALLS: u64 = 400;
const SHORT: Duration = Duration::from_micros(30);

impl<'a, 'p> Caller<'a, 'p> {
    fn new(
        pile: &'a Arc<Dogpile<Payload>>,
        parcels: &'p Parcels<'a>,
        jobs: &'a Jobs,
        random: Random,
    ) -> Self {
        let held = Vec::new();
        Self {
            pile,
            parcels,
            jobs,
            random,
            held,
        }
    }

    fn run(mut self, calls: &AtomicU64) {
        for number in 0..CALLS {
            if let Some(guard) = self.call(number) {
                guard.look();
                self.keep(guard);
            }
        }
        calls.fetch_add(CALLS, Ordering::Relaxed);
    }

    fn call(&mut self, number: u64) -> Option<Guard<'a, Payload>> {
        let pile = self.pile;
        let make = move || {
            thread::yield_now();
            Payload::new(number)
        };
        let answer = match self.random.below(16) {
            0..=2 => return Some(pile.get_or_create(make)),
            3..=4 => pile.get_or_try_create(|| Err(make())),
            5 => {
                let panics = || pile.get_or_create(|| resume_unwind(Box::new(Panicked)));
                return match catch_unwind(AssertUnwindSafe(panics)) {
                    Err(panic) if !panic.is::<Panicked>() => resume_unwind(panic),
                    answer => answer.ok(),
                };
            }
            6 => return pile.call().wait(SHORT).get_or_create(make).ok(),
            7 => pile.call().wait(SHORT).get_or_try_create(|| Err(make())),
            8 => return pile.peek(),
            9..=10 => return self.attempt(make),
            11 => {
                if let Attempt::Lease(lease) = pile.attempt_owned() {
                    self.parcels.leases.lock().push(lease);
                }
                return None;
            }
            12 => {
                let answer = pile.background(self.jobs).wait(SHORT).get_or_create(make);
                return answer.ok();
            }
            13 => pile.refresh(|| Ok(make())),
            14 => {
                let seen = pile.peek()?;
                if number.is_multiple_of(2) {
                    pile.expire_if(Guard::seen(&seen));
                } else {
                    pile.invalidate_if(Guard::seen(&seen));
                }
                return Some(seen);
            }
            _ => pile.get_or_try_create(|| {
                // In its own creator it is given the stale value, or an error.
                match pile.get_or_try_create(|| Ok::<_, Payload>(make())) {
                    Ok(stale) => stale.look(),
                    Err(dogpile::Error::Reentrant) => {}
                    Err(other) => panic!("{other:?}"),
                }
                Ok(make())
            }),
        };
        match answer {
            Ok(guard) => Some(guard),
            Err(error) => {
                if let Some(payload) = error.created() {
                    payload.look();
                }
                None
            }
        }
    }

    fn attempt(&mut self, make: impl FnOnce() -> Payload) -> Option<Guard<'a, Payload>> {
        match self.pile.attempt() {
            Attempt::Hit(guard) => return Some(guard),
            Attempt::Lease(lease) => match self.random.below(3) {
                0 => match lease.publish(make()) {
                    Ok(owned) => owned.look(),
                    Err(late) => drop(late.into_inner()),
                },
                1 => drop(lease.fail(make())),
                _ => drop(lease),
            },
            Attempt::Busy(busy) => match busy.into_stale() {
                Ok(guard) => return Some(guard),
                Err(busy) => match busy.wait_for(SHORT) {
                    dogpile::Outcome::Value(guard) => return Some(guard),
                    dogpile::Outcome::Failed(failure) => {
                        failure.downcast_ref().into_iter().for_each(Payload::look);
                    }
                    _ => {}
                },
            },
            _ => {}
        }
        None
    }

    fn keep(&mut self, guard: Guard<'a, Payload>) {
        match self.random.below(8) {
            0..=1 => self.parcels.guards.lock().push(guard),
            2 => {
                let mut handles = self.parcels.handles.lock();
                let at = self.random.below(32) as usize;
                let handle = Guard::to_owned(&guard);
                let old = match handles.get_mut(at) {
                    Some(old) => Some(std::mem::replace(old, handle)),
                    None => {
                        handles.push(handle);
                        None
                    }
                };
                drop(handles);
                drop(old);
            }
            3..=5 => {
                self.held.push(guard);
                if self.held.len() > 12 {
                    let at = self.random.below(12) as usize;
                    self.held.drain(..at).for_each(|guard| guard.look());
                }
            }
            _ => drop(guard),
        }
    }
}

/// Ends what the callers have sent.
fn receive(parcels: &Parcels<'_>, jobs: &Jobs, done: &AtomicBool) {
    let mut random = Random(7);
    loop {
        let last = done.load(Ordering::Acquire);
        let lease = parcels.leases.lock().pop();
        if let Some(lease) = lease {
            thread::yield_now();
            match random.below(3) {
                0 => drop(lease.publish(Payload::new(1))),
                1 => drop(lease.fail(Payload::new(2))),
                _ => drop(lease),
            }
        }
        let job = jobs.0.lock().pop();
        if let Some(job) = job {
            match random.below(4) {
                0 => drop(job),
                _ => job.run(),
            }
        }
        let guards = std::mem::take(&mut *parcels.guards.lock());
        guards.iter().for_each(|guard| guard.look());
        drop(guards);
        if last {
            return;
        }
        thread::yield_now();
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Tasks that are polled a few times, woken or not, and then dropped.
fn tasks(pile: &Dogpile<Payload>, mut random: Random) {
    for number in 0..CALLS {
        let pauses = random.below(4);
        let fails = random.below(4) == 0;
        let ask = || async {
            let create = || async {
                pause(pauses).await;
                let payload = Payload::new(number);
                if fails { Err(payload) } else { Ok(payload) }
            };
            match pile.get_or_try_create_async(create).await {
                Ok(guard) => {
                    guard.look();
                    pause(1).await;
                    guard.look();
                }
                Err(error) => error.created().into_iter().for_each(Payload::look),
            }
        };
        let (one, other) = (pin!(ask()), pin!(ask()));
        let mut tasks: [std::pin::Pin<&mut dyn Future<Output = ()>>; 2] = [one, other];
        let mut over = [false; 2];
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        for _ in 0..random.below(12) {
            for (task, over) in tasks.iter_mut().zip(&mut over) {
                let mut cx = Context::from_waker(&waker);
                *over = *over || task.as_mut().poll(&mut cx).is_ready();
            }
            if !woken.0.swap(false, Ordering::AcqRel) {
                thread::yield_now();
            }
        }
    }
}

fn change(pile: &Dogpile<Payload>, mut random: Random) {
    for number in 0..CALLS {
        match random.below(6) {
            0 => pile.set(Payload::new(number)),
            1..=2 => pile.expire(),
            3 => pile.invalidate(),
            _ => {}
        }
        thread::yield_now();
    }
}

/// Threads that come and go: one takes over the place of another that it knows nothing of.
fn short_threads<'scope>(
    threads: &'scope thread::Scope<'scope, '_>,
    pile: &'scope Dogpile<Payload>,
) {
    for _ in 0..CALLS / 40 {
        join(threads.spawn(|| {
            for _ in 0..4 {
                if let Some(guard) = pile.peek() {
                    guard.look();
                }
            }
        }));
    }
}

/// A map for a while, with room for a few of its keys.
fn many_keys(round: u64) {
    const KEYS: u64 = 24;
    let ttl = [Duration::MAX, Duration::from_micros(50)][round as usize % 2];
    let map = Dogpile::builder(ttl).keyed().max_entries(8).build();
    let sent = Mutex::new(Vec::new());
    let make = |number| {
        thread::yield_now();
        Payload::new(number)
    };
    let read = |seed| {
        let mut random = Random(round * 10 + seed + 1);
        let mut held = Vec::new();
        for number in 0..CALLS {
            // Some keys are asked for more often than others.
            let key = random.below(KEYS).min(random.below(KEYS));
            let guard = match random.below(3) {
                0 => Some(map.get_or_create(&key, || make(number))),
                _ => map.peek(&key),
            };
            let Some(guard) = guard else { continue };
            guard.look();
            match random.below(8) {
                0 => sent.lock().push(guard),
                1..=5 => held.push(guard),
                _ => drop(guard),
            }
            if held.len() > 12 {
                held.drain(..6).for_each(|guard| guard.look());
            }
            let other = sent.lock().pop();
            drop(other);
        }
    };
    let change = |seed| {
        let mut random = Random(round * 10 + seed + 1);
        for number in 0..CALLS {
            let key = random.below(KEYS);
            match random.below(16) {
                0..=3 => map.set(key, make(number)),
                4 => map.invalidate(&key),
                5 => map.expire(&key),
                6 => map.purge(),
                7 if number.is_multiple_of(16) => map.invalidate_all(),
                _ => {}
            }
            thread::yield_now();
        }
    };
    thread::scope(|threads| {
        let workers = [
            threads.spawn(|| read(0)),
            threads.spawn(|| read(1)),
            threads.spawn(|| read(2)),
            threads.spawn(|| change(3)),
        ];
        workers.into_iter().for_each(join);
    });
}

/// Memory that a write lock protects, and nothing else.
struct Plain(UnsafeCell<[u64; 8]>);

// SAFETY: that nobody reads while the one writes is what is under test.
#[allow(unsafe_code)]
unsafe impl Sync for Plain {}

impl Plain {
    #[allow(unsafe_code)]
    fn read(&self) -> [u64; 8] {
        // SAFETY: called with a read guard.
        unsafe { *self.0.get() }
    }

    #[allow(unsafe_code)]
    fn write(&self, number: u64) {
        // SAFETY: called with the write lock.
        unsafe { *self.0.get() = [number; 8] }
    }
}

/// What is behind the lock: the one goes with the pile's value, the other is changed without it.
struct Behind {
    pile: SyncReaderDogpile<u64>,
    with_value: Plain,
    alone: Plain,
    checks: AtomicU64,
}

impl Behind {
    fn check(&self, value: u64) {
        let before = (self.with_value.read(), self.alone.read());
        thread::yield_now();
        let after = (self.with_value.read(), self.alone.read());
        assert_eq!(before, after, "somebody writes");
        assert_eq!(after.0, [value; 8], "it is not the value's");
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    /// As many guards at once; the first goes first.
    fn read(&self, times: u64) {
        let guards: Vec<_> = (0..times).filter_map(|_| self.pile.peek()).collect();
        guards.into_iter().for_each(|guard| self.check(*guard));
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

/// Reads when its thread ends and has no places any more, where it was put before the thread's first read:
/// then it is dropped after them.
struct Late(Arc<Behind>);

impl Drop for Late {
    fn drop(&mut self) {
        self.0.read(1);
    }
}

/// Threads that come and go, and read once more at their end.
fn late_readers(behind: &Arc<Behind>, done: &AtomicBool) {
    while !done.load(Ordering::Acquire) {
        let behind = Arc::clone(behind);
        let thread = thread::spawn(move || {
            LATE.with(|late| *late.borrow_mut() = Some(Late(Arc::clone(&behind))));
            behind.read(1);
        });
        thread.join().unwrap_or_else(|panic| resume_unwind(panic));
    }
}

fn readers_and_writers(round: u64) {
    let behind = Arc::new(Behind {
        pile: SyncReaderDogpile::with_value(Duration::MAX, 0),
        with_value: Plain(UnsafeCell::new([0; 8])),
        alone: Plain(UnsafeCell::new([0; 8])),
        checks: AtomicU64::new(0),
    });
    let sent = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let readers = [0, 1, 2].map(|number| {
            let (behind, sent, done) = (&behind, &sent, &done);
            threads.spawn(move || {
                let mut random = Random(round * 10 + number + 1);
                while !done.load(Ordering::Acquire) {
                    match random.below(4) {
                        0 => behind.read(8),
                        1 => {
                            if let Some(guard) = behind.pile.peek() {
                                behind.check(*guard);
                                sent.lock().push(guard);
                            }
                        }
                        _ => behind.read(1),
                    }
                    let other = sent.lock().pop();
                    drop(other);
                    thread::yield_now();
                }
            })
        });
        let late = threads.spawn(|| late_readers(&behind, &done));
        let Behind {
            pile,
            with_value,
            alone,
            checks,
        } = &*behind;
        let mut number = 0;
        while number < CALLS / 4 || checks.load(Ordering::Relaxed) < CALLS {
            number += 1;
            thread::yield_now();
            if number.is_multiple_of(3) {
                let answer = pile.call().accept(dogpile::Accept::New);
                let answer = answer.get_or_try_create_with(|creating| {
                    let write = pile.acquire_write_lock().expect("it holds no guard");
                    with_value.write(number);
                    write.until_published(&creating);
                    Ok::<_, std::convert::Infallible>(number.into())
                });
                drop(answer.expect("nobody else creates"));
                continue;
            }
            let write = pile.acquire_write_lock().expect("it holds no guard");
            alone.write(number);
            if number.is_multiple_of(2) {
                with_value.write(number);
                write.set(number);
            }
        }
        done.store(true, Ordering::Release);
        readers.into_iter().chain([late]).for_each(join);
    });
}
