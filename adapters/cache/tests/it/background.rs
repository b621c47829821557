//! Creations on an executor: nobody waits for the renewal of a stale value.
//!
//! ```breakages
//! adapters-wait-for-the-renewal | adapters/cache/src/background.rs | of_threads::stale_never_blocks
//! - let flight = if lookup.goes_on() {
//! + let flight = if lookup.goes_on() && false {
//!
//! adapters-tasks-wait-for-the-renewal | adapters/cache/src/background.rs | of_tasks::stale_never_blocks
//! - true => started(call),
//! + true => Some(call.await),
//! ```

use std::sync::{Arc, Mutex};
use std::thread;

use dogpile::executor::{Blocking, Executor, Job, Thread};
use dogpile::{Dogpile, Error, Origin, Refused};
use dogpile_cache::{Cache, CacheDogpile, CacheGuard};

use crate::pile::block_on;
use crate::support::{MINUTE, burst, until, within};
use crate::table::{Slow, Table};

type Answer = Result<(u32, Origin), Error<&'static str>>;
type Create = Box<dyn FnOnce() -> Result<u32, &'static str> + Send>;

fn shown(answer: Result<CacheGuard<u32>, Error<&'static str>>) -> Answer {
    answer.map(|guard| (*guard, CacheGuard::origin(&guard)))
}

/// A guard over a [`Table`], and a call of key 1 in the background.
trait Pile: Send + Sync + 'static {
    fn new(table: &Table) -> Arc<Self>;
    fn get(self: &Arc<Self>, executor: &dyn Executor, create: Create) -> Answer;
    fn set(&self, value: u32);
    fn expire(&self);
    fn invalidate(&self);
    fn peek(&self) -> Option<(u32, Origin)>;
    fn is_creating(&self) -> bool;
    fn waiters(&self) -> usize;
}

impl Pile for CacheDogpile<u32, u32, Table> {
    fn new(table: &Table) -> Arc<Self> {
        Arc::new(CacheDogpile::new(
            table.clone(),
            Dogpile::builder(MINUTE).keyed(),
        ))
    }

    fn get(self: &Arc<Self>, executor: &dyn Executor, create: Create) -> Answer {
        shown(self.background(executor).get_or_try_create(&1, create))
    }

    fn set(&self, value: u32) {
        self.set(1, value);
    }

    fn expire(&self) {
        self.expire(&1);
    }

    fn invalidate(&self) {
        self.invalidate(&1);
    }

    fn peek(&self) -> Option<(u32, Origin)> {
        let guard = self.peek(&1)?;
        Some((*guard, CacheGuard::origin(&guard)))
    }

    fn is_creating(&self) -> bool {
        self.is_creating(&1)
    }

    fn waiters(&self) -> usize {
        self.waiters(&1)
    }
}

impl Pile for CacheDogpile<u32, u32, Slow> {
    fn new(table: &Table) -> Arc<Self> {
        let cache = Slow(table.clone());
        Arc::new(CacheDogpile::new(cache, Dogpile::builder(MINUTE).keyed()))
    }

    fn get(self: &Arc<Self>, executor: &dyn Executor, create: Create) -> Answer {
        let call = self.background(executor);
        shown(block_on(
            call.get_or_try_create_async(&1, || async { create() }),
        ))
    }

    fn set(&self, value: u32) {
        block_on(self.set_async(1, value));
    }

    fn expire(&self) {
        block_on(self.expire_async(&1));
    }

    fn invalidate(&self) {
        block_on(self.invalidate_async(&1));
    }

    fn peek(&self) -> Option<(u32, Origin)> {
        let guard = block_on(self.peek_async(&1))?;
        Some((*guard, CacheGuard::origin(&guard)))
    }

    fn is_creating(&self) -> bool {
        self.is_creating(&1)
    }

    fn waiters(&self) -> usize {
        self.waiters(&1)
    }
}

/// Jobs for the test to run. Nobody may block for one.
#[derive(Default)]
struct Shelf(Mutex<Vec<Job>>);

impl Shelf {
    fn take(&self) -> Job {
        let mut jobs = self.0.lock().unwrap();
        assert_eq!(jobs.len(), 1);
        jobs.remove(0)
    }
}

impl Executor for Shelf {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }

    fn blocking_here(&self) -> Blocking {
        Blocking::Refuse(Refused::new("it needs this thread"))
    }
}

/// Takes nothing.
struct Full;

impl Executor for Full {
    fn spawn(&self, _: Job) -> Result<(), Refused> {
        Err(Refused::new("full"))
    }
}

/// Runs a job at once, where it is started.
struct Inline;

impl Executor for Inline {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        job.run();
        Ok(())
    }
}

fn makes(value: u32) -> Create {
    Box::new(move || Ok(value))
}

fn never() -> Create {
    Box::new(|| panic!("a second creator"))
}

fn stale<P: Pile>() -> (Table, Arc<P>) {
    let table = Table::default();
    let pile = P::new(&table);
    pile.set(1);
    pile.expire();
    (table, pile)
}

const STALE: (u32, Origin) = (1, Origin::Stale);

/// The elected caller has the stale value at once, also where it may not block; so have all others, and no
/// second job is started.
fn stale_never_blocks<P: Pile>() {
    let (_, pile) = stale::<P>();
    let shelf = Shelf::default();
    assert_eq!(pile.get(&shelf, makes(2)).unwrap(), STALE);
    assert!(pile.is_creating());
    for _ in 0..3 {
        assert_eq!(pile.get(&shelf, never()).unwrap(), STALE);
    }
    shelf.take().run();
    assert_eq!(pile.peek(), Some((2, Origin::Fresh)));
    assert_eq!(pile.get(&shelf, never()).unwrap(), (2, Origin::Fresh));
    assert!(!pile.is_creating());
}

/// Where there is nothing, all wait for one job.
fn first_call_waits<P: Pile>() {
    let pile = P::new(&Table::default());
    let create = {
        let pile = Arc::clone(&pile);
        // The elected caller waits for its job, too.
        move || -> Create {
            Box::new(move || {
                until(|| pile.waiters() == 5);
                Ok(7)
            })
        }
    };
    thread::scope(|threads| {
        for _ in 0..5 {
            let (pile, create) = (&pile, create.clone());
            threads.spawn(move || assert_eq!(pile.get(&Thread, create()).unwrap().0, 7));
        }
    });
    assert_eq!(pile.peek(), Some((7, Origin::Fresh)));
}

/// An executor that takes no job is an error only to a caller with nothing to go on with.
fn refusal_serves_stale<P: Pile>() {
    let (table, pile) = stale::<P>();
    assert_eq!(pile.get(&Full, never()).unwrap(), STALE);
    assert!(!pile.is_creating());
    table.evict();
    assert!(pile.get(&Full, never()).unwrap_err().is_refused());
    assert!(!pile.is_creating());
    assert_eq!(pile.get(&Thread, makes(2)).unwrap().0, 2);
}

/// A panic is the executor's. Who has nothing to go on with is told.
fn panic_hands_over<P: Pile>() {
    let (table, pile) = stale::<P>();
    assert_eq!(pile.get(&Thread, Box::new(|| burst())).unwrap(), STALE);
    until(|| !pile.is_creating());
    assert_eq!(pile.peek(), Some(STALE));
    table.evict();
    let told = pile.get(&Thread, Box::new(|| burst()));
    assert!(matches!(told, Err(Error::Panicked(panic)) if panic.text() == "burst"));
    assert_eq!(pile.get(&Thread, makes(2)).unwrap().0, 2);
}

/// A failure of the renewal condemns nothing, also where the job has run before its call goes on.
fn failure_of_a_renewal<P: Pile>() {
    let (table, pile) = stale::<P>();
    assert_eq!(pile.get(&Inline, Box::new(|| Err("down"))).unwrap(), STALE);
    assert_eq!(pile.peek(), Some(STALE));
    table.evict();
    let told = pile.get(&Inline, Box::new(|| Err("down")));
    assert_eq!(told.unwrap_err().created(), Some(&"down"));
}

/// A job that has run before its call goes on has an answer.
fn a_job_that_runs_at_once<P: Pile>() {
    let (_, pile) = stale::<P>();
    // A job that is pending once is not through yet.
    assert!([STALE, (2, Origin::CreatedHere)].contains(&pile.get(&Inline, makes(2)).unwrap()));
    assert_eq!(pile.peek(), Some((2, Origin::Fresh)));
}

/// A job that is dropped is given up, and the next caller is elected.
fn given_up_is_free<P: Pile>() {
    let (_, pile) = stale::<P>();
    let shelf = Shelf::default();
    assert_eq!(pile.get(&shelf, never()).unwrap(), STALE);
    drop(shelf.take());
    assert!(!pile.is_creating());
    assert_eq!(pile.get(&shelf, makes(2)).unwrap(), STALE);
    shelf.take().run();
    assert_eq!(pile.peek(), Some((2, Origin::Fresh)));
}

/// The guard goes, its job is out, and puts into the cache what it makes.
fn outlives_its_guard<P: Pile>() {
    let (table, pile) = stale::<P>();
    let shelf = Shelf::default();
    assert_eq!(pile.get(&shelf, makes(2)).unwrap(), STALE);
    let held = Arc::downgrade(&pile);
    drop(pile);
    assert!(held.upgrade().is_some());
    shelf.take().run();
    assert!(held.upgrade().is_none());
    assert_eq!(Cache::get(&table, &1).as_deref(), Some(&2));
}

/// A job that began before an `invalidate`, or a `set`, puts nothing over it.
fn invalidate_wins<P: Pile>() {
    for is_set in [false, true] {
        let (_, pile) = stale::<P>();
        let shelf = Shelf::default();
        let create = {
            let pile = Arc::clone(&pile);
            move || {
                match is_set {
                    true => pile.set(5),
                    false => pile.invalidate(),
                }
                Ok(2)
            }
        };
        assert_eq!(pile.get(&shelf, Box::new(create)).unwrap(), STALE);
        shelf.take().run();
        assert_eq!(pile.peek(), is_set.then_some((5, Origin::Fresh)));
        assert!(!pile.is_creating());
    }
}

macro_rules! tests {
    ($($name:ident)+) => {
        mod of_threads {
            $(
                #[test]
                fn $name() {
                    super::within(super::$name::<super::CacheDogpile<u32, u32, super::Table>>);
                }
            )+
        }

        mod of_tasks {
            $(
                #[test]
                fn $name() {
                    super::within(super::$name::<super::CacheDogpile<u32, u32, super::Slow>>);
                }
            )+
        }
    };
}

tests! {
    stale_never_blocks
    first_call_waits
    refusal_serves_stale
    panic_hands_over
    failure_of_a_renewal
    a_job_that_runs_at_once
    given_up_is_free
    outlives_its_guard
    invalidate_wins
}

/// A task is dropped, its job goes on.
#[test]
fn cancel_is_safe() {
    use std::pin::pin;
    use std::task::{Context, Waker};

    within(|| {
        let shelf = Shelf::default();
        let pile: Arc<CacheDogpile<u32, u32, Slow>> = Pile::new(&Table::default());
        {
            let call = pile.background(&shelf);
            let create = || async { Ok::<_, &str>(2) };
            let mut call = pin!(call.get_or_try_create_async(&1, create));
            let mut cx = Context::from_waker(Waker::noop());
            while !pile.is_creating(&1) {
                assert!(call.as_mut().poll(&mut cx).is_pending());
            }
        }
        shelf.take().run();
        assert_eq!(Pile::peek(&*pile), Some((2, Origin::Fresh)));
    });
}

/// Its futures can be sent.
#[test]
fn futures_are_send() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }

    let pile: Arc<CacheDogpile<u32, u32, Slow>> = Pile::new(&Table::default());
    let call = pile.background(&Thread);
    drop(is_send(
        call.get_or_try_create_async(&1, || async { Ok::<_, &str>(1) }),
    ));
}
