//! Everything that can be done to one pile, by threads and by tasks.

use std::fmt::Debug;
use std::future::IntoFuture;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Accept, Acquired, Attempt, Error, Guard, Lease, Outcome, Owned};

use tokio::task::block_in_place;

use crate::ledger::{Failed, Inside, Newest, Panics, Reading, Value, demand, fault, stamp};
use crate::plan::Plan;
use crate::random::Random;
use crate::site::{AnyPile, Runs, Site, no_value, on_pile};
use crate::tasks::{Cut, block_on, cut_short, runtime};
use crate::watchdog::Doing;

const SHORT: Duration = Duration::from_micros(300);

/// A lease that its caller has sent away, and when it was granted.
type Sent = (Lease<'static, Value>, Inside, u64);

/// What callers hand each other.
#[derive(Default)]
pub(crate) struct Parcels {
    leases: Mutex<Vec<Sent>>,
    /// Outlive the pile.
    pub(crate) handles: Mutex<Vec<Owned<Value>>>,
}

/// A guard that is held for a while.
trait Held {
    fn look(&self);
}

struct Kept<'a, P> {
    // Dropped before the guard is.
    _reading: Option<Reading>,
    guard: Guard<'a, Value, P>,
}

impl<P> Held for Kept<'_, P> {
    fn look(&self) {
        self.guard.look(0);
    }
}

pub(crate) struct Caller<'a> {
    pub(crate) site: &'a Arc<Site>,
    pub(crate) parcels: &'a Parcels,
    pub(crate) doing: &'a Doing,
    random: Random,
    newest: Newest,
    held: Vec<Box<dyn Held + 'a>>,
    calls: u64,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(
        site: &'a Arc<Site>,
        parcels: &'a Parcels,
        doing: &'a Doing,
        random: Random,
    ) -> Self {
        Self {
            site,
            parcels,
            doing,
            random,
            newest: Newest::default(),
            held: Vec::new(),
            calls: 0,
        }
    }

    pub(crate) fn run(mut self, until: Instant) -> u64 {
        while Instant::now() < until {
            let done = catch_unwind(AssertUnwindSafe(|| self.act()));
            if let Err(panic) = done
                && !panic.is::<Panics>()
            {
                resume_unwind(panic);
            }
            self.calls += 1;
            if self.random.once_in(8) {
                self.let_go();
            }
        }
        self.calls
    }

    fn let_go(&mut self) {
        self.held.iter().for_each(|held| held.look());
        self.held.clear();
    }

    fn plan(&mut self) -> Plan {
        Plan::of_pile(self.site, &mut self.random)
    }

    fn act(&mut self) {
        match self.random.below(20) {
            0..=11 if self.site.elsewhere => self.look_up(),
            0..=5 => self.call(),
            6..=7 => self.attempt(),
            8..=9 => self.in_background(),
            10..=11 => self.as_task(),
            12 => self.tasks(),
            13..=14 => self.look(),
            15..=16 => self.write(),
            _ => self.change(),
        }
    }

    fn took<P: 'a>(&mut self, floor: u64, guard: Guard<'a, Value, P>) {
        let reading = self.site.reader().map(|_| self.site.ledger.read());
        guard.look(floor);
        self.newest
            .sees(&guard, Guard::seen(&guard), Guard::origin(&guard));
        let kept = Kept {
            _reading: reading,
            guard,
        };
        if self.random.once_in(4) && self.held.len() < 12 {
            self.held.push(Box::new(kept));
        }
    }

    fn answered<P: 'a, E: Debug>(
        &mut self,
        floor: u64,
        limited: bool,
        answer: Result<Guard<'a, Value, P>, Error<E>>,
    ) {
        match answer {
            Ok(guard) => self.took(floor, guard),
            Err(error) => no_value(&error, limited, !self.held.is_empty()),
        }
    }

    fn acquired<P, E: Debug>(
        &mut self,
        floor: u64,
        limited: bool,
        answer: Result<Acquired<'a, Value, P>, Error<E>>,
    ) {
        match answer {
            Ok(acquired) => {
                let _reading = self.site.reader().map(|_| self.site.ledger.read());
                acquired.look(floor);
            }
            Err(error) => no_value(&error, limited, !self.held.is_empty()),
        }
    }

    fn accept(&mut self) -> Accept {
        match (self.random.below(8), self.newest.get()) {
            (0, _) => Accept::Fresh,
            (1, _) => Accept::New,
            (2, Some(seen)) => Accept::NewerThan(seen),
            _ => Accept::Stale,
        }
    }

    fn call(&mut self) {
        let site = self.site;
        let plan = self.plan();
        let accept = self.accept();
        let floor = site.ledger.floor();
        let limited = self.random.once_in(4);
        on_pile!(&site.pile, |pile| {
            let mut call = pile.call().accept(accept);
            if limited {
                call = call.wait(SHORT);
            }
            match self.random.below(6) {
                0 => {
                    self.doing.now("get_or_create");
                    let answer = call.get_or_create(|| plan.run_infallibly());
                    self.answered(floor, limited, answer);
                }
                1 => {
                    self.doing.now("the short get_or_create");
                    // It has no error for one that holds a read guard.
                    self.let_go();
                    let guard = pile.get_or_create(|| plan.run_infallibly());
                    self.took(floor, guard);
                }
                2 => {
                    self.doing.now("refresh");
                    let answer = call.refresh(|| Ok::<_, Failed>(plan.run_infallibly()));
                    self.answered(floor, limited, answer);
                }
                _ => {
                    self.doing.now("get_or_try_create_with");
                    let answer = call.get_or_try_create_with(|creating| plan.run(&creating));
                    self.answered(floor, limited, answer);
                }
            }
        });
    }

    fn attempt(&mut self) {
        let site = self.site;
        let plan = self.plan();
        let floor = site.ledger.floor();
        self.doing.now("attempt");
        on_pile!(&site.pile, |pile| match pile.attempt_owned() {
            Attempt::Hit(guard) => self.took(floor, guard),
            Attempt::Lease(lease) => {
                let inside = site.ledger.enter();
                let began = stamp();
                if self.random.once_in(2) {
                    let mut leases = lock(&self.parcels.leases);
                    leases.push((lease, inside, began));
                } else {
                    drop(inside);
                    let created = lease.run(|creating| plan.run(&creating));
                    match created {
                        Ok(created) => drop(lease.publish(created)),
                        Err(failed) => drop(lease.fail(failed)),
                    }
                }
            }
            Attempt::Busy(busy) => match busy.into_stale() {
                Ok(guard) => self.took(floor, guard),
                Err(busy) => {
                    self.doing.now("the wait after an attempt");
                    let outcome = match self.random.below(3) {
                        0 => busy.wait_for(SHORT),
                        1 => busy.wait(),
                        // A task knows nothing of the guards that its thread holds.
                        _ => {
                            self.let_go();
                            block_on(busy.into_future())
                        }
                    };
                    if let Outcome::Value(guard) = outcome {
                        self.took(floor, guard);
                    }
                }
            },
            Attempt::NotYet(not_yet) => {
                if let Some(guard) = not_yet.value {
                    self.took(floor, guard);
                }
            }
        });
    }

    fn in_background(&mut self) {
        let site = self.site;
        let runs = Runs::draw(&mut self.random);
        let plan = self.plan();
        let accept = self.accept();
        let floor = site.ledger.floor();
        let limited = self.random.once_in(3);
        on_pile!(&site.pile, |pile| {
            let mut call = pile.background(&runs).accept(accept);
            if limited {
                call = call.wait(SHORT);
            }
            match self.random.below(6) {
                0 => {
                    self.doing.now("get_or_create in the background");
                    let answer = call.get_or_create(move || plan.run_infallibly());
                    self.answered(floor, limited, answer);
                }
                1 => {
                    self.doing
                        .now("a creator that is a task, in the background");
                    self.let_go();
                    let call =
                        call.get_or_try_create_with_async(move |creating| plan.run_async(creating));
                    let cut = Cut::draw(&mut self.random);
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.answered(floor, limited, answer);
                    }
                }
                2 => {
                    self.doing.now("renew");
                    let renew = call.renew(move || Ok::<_, Failed>(plan.run_infallibly()));
                    if let Err(error) = renew {
                        no_value(&error, limited, !self.held.is_empty());
                    }
                }
                _ => {
                    self.doing.now("get_or_try_create_with in the background");
                    let answer = call.get_or_try_create_with(move |creating| plan.run(&creating));
                    self.answered(floor, limited, answer);
                }
            }
        });
    }

    /// One, run by this thread.
    fn as_task(&mut self) {
        self.let_go();
        let site = self.site;
        let plan = self.plan();
        let accept = self.accept();
        let floor = site.ledger.floor();
        let cut = Cut::draw(&mut self.random);
        let limited = self.random.once_in(4);
        self.doing.now("a task on a thread of its own");
        on_pile!(&site.pile, |pile| {
            let mut call = pile.call().accept(accept).timer(runtime());
            if limited {
                call = call.wait(SHORT);
            }
            match self.random.below(4) {
                0 => {
                    let call = call.get_or_create_async(|| plan.run_infallibly_async());
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.answered(floor, limited, answer);
                    }
                }
                1 => {
                    let call = call.refresh_async(|| async {
                        Ok::<_, Failed>(plan.run_infallibly_async().await)
                    });
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.answered(floor, limited, answer);
                    }
                }
                2 => {
                    let next = pile.call().timer(runtime()).wait(2 * SHORT);
                    let next = next.wait_for_newer_async(self.newest.get());
                    if let Some(answer) = block_on(cut_short(next, cut)) {
                        self.answered(floor, true, answer);
                    }
                }
                _ => {
                    let call = call.get_or_try_create_with_async(|it| plan.run_async(it));
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.answered(floor, limited, answer);
                    }
                }
            }
        });
    }

    /// Several, run by the workers of tokio.
    fn tasks(&mut self) {
        self.let_go();
        self.doing.now("tasks of tokio");
        let tasks: Vec<_> = (0..self.random.below(4) + 1)
            .map(|_| {
                let (site, random) = (Arc::clone(self.site), self.random.split());
                runtime().spawn(task(site, random, self.newest))
            })
            .collect();
        for task in tasks {
            match block_on(task) {
                Err(error) if error.is_panic() => {
                    let panic = error.into_panic();
                    demand(panic.is::<Panics>(), || "a task panicked".to_owned());
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn look(&mut self) {
        let site = self.site;
        let floor = site.ledger.floor();
        let seen = self.newest.get();
        on_pile!(&site.pile, |pile| match self.random.below(4) {
            0..=1 => {
                self.doing.now("peek");
                if let Some(guard) = pile.peek() {
                    self.took(floor, guard);
                }
            }
            2 => {
                self.doing.now("wait_for_newer");
                let answer = pile.call().wait(SHORT).wait_for_newer(seen);
                self.answered(floor, true, answer);
            }
            _ => {
                self.doing.now("stats");
                site.audit();
            }
        });
    }

    fn write(&mut self) {
        let Some(pile) = self.site.reader() else {
            return;
        };
        if self.random.once_in(2) {
            self.let_go();
        }
        self.doing.now("the write lock");
        let write = match self.random.below(4) {
            0 => pile.try_acquire_write_lock().ok(),
            1 => pile.acquire_write_lock_for(SHORT).ok(),
            2 => {
                self.let_go();
                let write = pile.acquire_write_lock_async();
                let cut = Cut::draw(&mut self.random);
                block_on(cut_short(write, cut)).and_then(Result::ok)
            }
            _ => pile.acquire_write_lock().ok(),
        };
        if write.is_some() {
            self.site.ledger.write();
        }
    }

    fn change(&mut self) {
        let site = self.site;
        self.doing.now("a change");
        on_pile!(&site.pile, |pile| match self.random.below(8) {
            0..=1 => {
                let seen = self.random.once_in(3).then(|| self.newest.get());
                site.store.set(|value| match seen {
                    Some(seen) => drop(pile.set_if(seen, value)),
                    None => pile.set(value),
                });
            }
            2 => site.ledger.invalidate(|| {
                pile.invalidate();
                true
            }),
            3 => {
                if let Some(seen) = self.newest.get() {
                    site.ledger.invalidate(|| pile.invalidate_if(seen));
                }
            }
            4 => {
                if let Some(seen) = self.newest.get() {
                    pile.expire_if(seen);
                }
            }
            _ => pile.expire(),
        });
    }

    /// Values that are kept elsewhere as well.
    fn look_up(&mut self) {
        let site = self.site;
        let plan = self.plan();
        let accept = self.accept();
        let runs = Runs::draw(&mut self.random);
        let mut random = self.random.split();
        let floor = site.ledger.floor();
        let limited = self.random.once_in(4);
        on_pile!(&site.pile, |pile| {
            let mut call = pile.call().accept(accept).timer(runtime());
            let mut started = pile.background(&runs).accept(accept);
            if limited {
                call = call.wait(SHORT);
                started = started.wait(SHORT);
            }
            match self.random.below(5) {
                0 => {
                    self.doing.now("acquire in the background");
                    let answer = started.acquire_with(
                        move |creating| plan.run(&creating),
                        || site.store.get(&mut random),
                    );
                    self.acquired(floor, limited, answer);
                }
                1 => {
                    self.let_go();
                    self.doing.now("acquire as a task");
                    let call = call.acquire_with_async(
                        |creating| plan.run_async(creating),
                        || async { site.store.get(&mut random) },
                    );
                    let cut = Cut::draw(&mut self.random);
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.acquired(floor, limited, answer);
                    }
                }
                2 => {
                    self.let_go();
                    self.doing.now("acquire as a task, in the background");
                    let call = started.acquire_with_async(
                        move |creating| plan.run_async(creating),
                        || async { site.store.get(&mut random) },
                    );
                    let cut = Cut::draw(&mut self.random);
                    if let Some(answer) = block_on(cut_short(call, cut)) {
                        self.acquired(floor, limited, answer);
                    }
                }
                _ => {
                    self.doing.now("acquire");
                    let answer = call.acquire_with(
                        |creating| plan.run(&creating),
                        || site.store.get(&mut random),
                    );
                    self.acquired(floor, limited, answer);
                }
            }
        });
    }
}

/// A task that moves between workers, and may be dropped half way.
async fn task(site: Arc<Site>, mut random: Random, mut newest: Newest) {
    for _ in 0..random.below(4) + 1 {
        let plan = Plan::of_pile(&site, &mut random);
        let runs = Runs::draw(&mut random);
        let cut = Cut::draw(&mut random);
        let floor = site.ledger.floor();
        let form = random.below(6);
        on_pile!(&site.pile, |pile| {
            let answer = match form {
                0 => {
                    let started = pile.background(&runs);
                    let call = started.get_or_try_create_with_async(move |it| plan.run_async(it));
                    cut_short(call, cut).await
                }
                // It blocks a worker, which others need that hold the lease.
                1 => Some(block_in_place(|| {
                    pile.background(&runs)
                        .get_or_try_create_with(move |it| plan.run(&it))
                })),
                _ => {
                    let call = pile.call();
                    let call = call.get_or_try_create_with_async(|it| plan.run_async(it));
                    cut_short(call, cut).await
                }
            };
            match answer {
                Some(Ok(guard)) => {
                    let _reading = site.reader().map(|_| site.ledger.read());
                    guard.look(floor);
                    newest.sees(&guard, Guard::seen(&guard), Guard::origin(&guard));
                }
                Some(Err(error)) => no_value(&error, false, false),
                None => {}
            }
        });
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends what callers have sent away, until they are gone.
pub(crate) fn end_leases(site: &Site, parcels: &Parcels, random: &mut Random, gone: &AtomicBool) {
    loop {
        let last = gone.load(Ordering::SeqCst);
        let sent = lock(&parcels.leases).pop();
        match sent {
            Some(sent) => end_a_lease(site, parcels, sent, random),
            None if last => return,
            None => thread::sleep(Duration::from_micros(100)),
        }
    }
}

fn end_a_lease(site: &Site, parcels: &Parcels, sent: Sent, random: &mut Random) {
    let (lease, inside, began) = sent;
    thread::sleep(random.micros(200));
    let end = random.below(3);
    if end == 2 {
        site.store.keep(began, None);
    }
    drop(inside);
    match end {
        0 => drop(lease),
        1 => drop(lease.fail(Failed::new())),
        _ => match lease.publish(Value::created(began)) {
            Ok(owned) => {
                let handle = random.once_in(8).then_some(owned);
                lock(&parcels.handles).extend(handle);
            }
            Err(superseded) => drop(superseded.into_inner()),
        },
    }
}

/// What a round of one pile must have left.
pub(crate) fn settle(site: Arc<Site>, parcels: Parcels) {
    let stats = site.audit();
    demand(stats.creating.is_none() && stats.waiters == 0, || {
        format!("nobody is there, and yet: {stats:#?}")
    });
    if let Some(counters) = stats.counters {
        let ends: u64 = counters.ends().map(|(_, times)| times).sum();
        let told = site.ends.count();
        demand(told == 0 || told == ends, || {
            format!("observed_once: {ends} ends, {told} told: {counters:?}")
        });
    }
    let handles = parcels
        .handles
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let Ok(site) = Arc::try_unwrap(site) else {
        return fault("somebody still has the pile");
    };
    let (values, _) = crate::ledger::alive();
    let held = handles.len() as i64;
    demand(values <= held + 1, || {
        format!("dropped_once_and_soon: {values} values are alive, {held} are held")
    });
    match site.pile {
        AnyPile::Plain(pile) => drop(pile),
        AnyPile::Reader(pile) => drop(pile),
    }
    handles.iter().for_each(|handle| handle.look(0));
}
