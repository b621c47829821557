//! `multi_never_deadlocks` of calls whose creations run on an executor: one job has the leases of several
//! keys.
//!
//! ```breakages
//! it-waits-before-it-starts-its-job | src/keyed/multi_background.rs | in_whatever_order
//! @ fn start<V, E, I, F>
//! - let round = Round::of(leases, &all);
//! + if let Some(awaited) = all.awaited() {
//! +     awaited.event.wait(time, None);
//! + }
//! + let round = Round::of(leases, &all);
//!
//! a-job-has-the-first-of-its-keys-alone | src/keyed/multi_background.rs | in_whatever_order
//! - let wanted: Vec<K> = wanted.collect();
//! + let wanted: Vec<K> = wanted.take(1).collect();
//!
//! a-job-does-not-say-that-it-began | src/keyed/multi_background.rs | and_whoever_wants
//! - reporter.begin();
//!
//! a-job-that-is-dropped-keeps-its-leases | src/keyed/multi_background.rs | a_job_is_dropped
//! - Job::new(id, batch.run(wanted, create, reporters))
//! + let batch = std::mem::ManuallyDrop::new(batch);
//! + Job::new(id, async move {
//! +     std::mem::ManuallyDrop::into_inner(batch).run(wanted, create, reporters).await;
//! + })
//!
//! a-job-that-is-cancelled-keeps-its-leases | src/keyed/multi_background.rs | a_job_is_dropped
//! - let held = Held::new(leases, &keys, &self.turn);
//! + let held = std::mem::ManuallyDrop::new(Held::new(leases, &keys, &self.turn));
//!   let created = match InsideAll::new(held.creations(), || create(wanted)) {
//!   Ok(creation) => creation.await,
//!   Err(panic) => Err(panic),
//!   };
//! - held.end(created, |_, _| ());
//! + std::mem::ManuallyDrop::into_inner(held).end(created, |_, _| ());
//! ```

use std::future::pending;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use dogpile::executor::{Executor, Job};
use dogpile::{Dogpile, Error, KeyedDogpile, Refused};
#[cfg(dogpile_shuttle)]
use loom_tests::Jobs;
use loom_tests::thread;
use loom_tests::{HOUR, Source, model, model_in_part, poll_once};

struct World {
    map: KeyedDogpile<u32, usize, BuildHasherDefault<DefaultHasher>>,
    sources: [Source; 2],
}

impl World {
    fn new() -> Arc<Self> {
        let map = Dogpile::builder(HOUR)
            .keyed()
            .hasher(BuildHasherDefault::default());
        Arc::new(Self {
            map: map.build(),
            sources: [Source::new(), Source::new()],
        })
    }

    /// A creator of both keys.
    fn creator(self: &Arc<Self>) -> impl FnOnce(Vec<u32>) -> Vec<(u32, usize)> + Clone + use<> {
        let world = Arc::clone(self);
        move |wanted| {
            let make = |key| (key, world.sources[key as usize].create());
            wanted.into_iter().map(make).collect()
        }
    }

    fn ask(self: &Arc<Self>, keys: [u32; 2], executor: &dyn Executor) -> Vec<usize> {
        let call = self.map.background_multi(&keys, executor);
        let answers = call.get_or_create(self.creator());
        answers.into_iter().map(|answer| *answer.unwrap()).collect()
    }

    fn runs(&self) -> [usize; 2] {
        [self.sources[0].runs(), self.sources[1].runs()]
    }
}

/// Runs a job before it says that it has taken it.
struct AtOnce;

impl Executor for AtOnce {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        job.run();
        Ok(())
    }
}

/// Two calls that overlap: each key has one creator, and nobody hangs.
fn overlap<E: Executor + 'static>(executor: fn() -> E, end: fn(E)) {
    let world = World::new();
    let other = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let executor = executor();
            assert_eq!(world.ask([1, 0], &executor), [1, 1]);
            end(executor);
        })
    };
    let executor = executor();
    assert_eq!(world.ask([0, 1], &executor), [1, 1]);
    end(executor);
    other.join().unwrap();
    assert_eq!(world.runs(), [1, 1]);
}

#[test]
fn in_whatever_order_keys_are_named() {
    model_in_part(|| overlap(|| AtOnce, drop));
}

/// With threads for the jobs, which is more than loom bears.
#[cfg(dogpile_shuttle)]
#[test]
fn and_whoever_runs_the_jobs() {
    model(|| overlap(Jobs::default, |jobs| jobs.join()));
}

/// A job may be over as soon as it was taken. A call of one key meets it.
#[test]
fn and_whoever_wants_one_of_them_gets_it() {
    model_in_part(|| {
        let world = World::new();
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || *world.map.get_or_create(&1, || world.sources[1].create()))
        };
        assert_eq!(world.ask([0, 1], &AtOnce), [1, 1]);
        assert_eq!(other.join().unwrap(), 1);
        assert_eq!(world.runs(), [1, 1]);
    });
}

/// Keeps the jobs that it is given.
#[derive(Default)]
struct Kept(Mutex<Vec<Job>>);

impl Executor for Kept {
    fn spawn(&self, job: Job) -> Result<(), Refused> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

/// A job that never comes to its end, and is dropped: before it was polled, or after that. Whoever waits
/// for one of its keys elects anew.
fn dropped(is_begun: bool) {
    model(move || {
        let (world, kept) = (World::new(), Kept::default());
        let call = world.map.background_multi(&[0, 1], &kept);
        let never = |_| async { pending::<Vec<(u32, usize)>>().await };
        let mut call = pin!(call.get_or_create_async(never));
        assert!(poll_once(call.as_mut()).is_pending());
        let mut job = kept.0.lock().unwrap().pop().expect("both are missing");
        if is_begun {
            assert!(poll_once(Pin::new(&mut job)).is_pending());
        }
        let other = {
            let world = Arc::clone(&world);
            thread::spawn(move || *world.map.get_or_create(&1, || world.sources[1].create()))
        };
        drop(job);
        assert_eq!(other.join().unwrap(), 1);
        let Poll::Ready(answers) = poll_once(call) else {
            panic!("its own caller is told")
        };
        match &answers[0] {
            Err(Error::GivenUp) => assert!(is_begun),
            Err(Error::Refused(_)) => assert!(!is_begun),
            answer => panic!("{answer:?}"),
        }
    });
}

#[test]
fn a_job_is_dropped_before_it_begins() {
    dropped(false);
}

#[test]
fn a_job_is_dropped_while_it_runs() {
    dropped(true);
}
