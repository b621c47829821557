//! Where values come from. The pile itself is [`Kept`]; a look-up elsewhere is in
//! [`acquire`](crate::call::acquire).

use crate::answer::{Door, Guard, Lease, Lookup, Origin};
use crate::call::{Call, NotYet};
use crate::error::Failure;
use crate::observe::Holder;
use crate::policy::Use;
use crate::raw::{Event, Waiters};
use crate::shim::Arc;

/// Where values come from: the pile itself, or where a look-up finds them.
pub(crate) trait Source<'a, T, P> {
    /// What is found.
    type Found;
    /// The same, held together with a pass `P`: what a call is answered with.
    type Answer;

    fn of_guard(guard: Guard<'a, T>) -> Self::Found;

    fn origin(found: &Self::Found) -> Origin;

    fn with(found: Self::Found, pass: P) -> Self::Answer;

    /// Whether there is something to be looked up before the lock is taken.
    fn is_to_look_up<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> bool;

    /// Notes what was looked up.
    fn looked_up<D: Door, W>(&mut self, call: &Call<'a, T, D, W>, lookup: Lookup<T>);

    /// A look without the lock, once the call is inside the door.
    fn hit<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        takes_stale: bool,
    ) -> Option<Self::Found>;

    /// A look under the lock.
    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        newer_than: &mut NewerThan,
        asking: Asking,
    ) -> Found<'a, T, Self::Found>;

    /// Whether the value at hand would do while another caller creates.
    fn would_do<D: Door, W>(&self, call: &Call<'a, T, D, W>, newer_than: u64) -> bool;

    /// What stands in for a failure, if anything does.
    fn stand_in<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<Self::Found>;

    /// Whether anything would, as far as can be told from outside the door.
    fn has_stand_in<D: Door, W>(&self, call: &Call<'a, T, D, W>) -> bool;

    /// The same, given out beside a failure.
    fn beside(found: Self::Found, failure: Failure) -> Self::Found;

    /// The call leaves the door: what was looked up inside counts no more.
    fn leaves(&mut self);

    /// Whether a value that another caller made, and a writer has replaced, starts the call anew.
    const LOOKS_AGAIN: bool;
}

/// What a look under the lock finds.
pub(crate) enum Found<'a, T, A> {
    Value(A),
    Lease(Lease<'a, T>),
    Busy(Arc<Waiters<T>>),
    NotYet(NotYet<A>),
    /// Nothing that would do, and no lease before this is set.
    Later(Arc<Event>),
}

/// What a look under the lock has to know of a call.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    /// It has waited for a lease until its end.
    pub(crate) has_waited: bool,
    /// Its creator runs though none may run yet.
    pub(crate) presses: bool,
    /// It was granted the lease with this fence, and has somebody else create.
    pub(crate) own: Option<u64>,
    /// By whom its creator will run.
    pub(crate) by: By,
}

/// By whom a creator runs.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Thread,
    Task,
    Job,
}

impl By {
    pub(crate) fn holder(self) -> Holder {
        match self {
            By::Thread => Holder::this_thread(),
            By::Task => Holder::Task,
            By::Job => Holder::Job,
        }
    }
}

impl Asking {
    /// Of a call that looks once, to start a job.
    pub(crate) const TO_START: Self = Self {
        has_waited: false,
        presses: false,
        own: None,
        by: By::Job,
    };
}

/// The number that a value must exceed to be an answer, once it is known. (In one word, since a task
/// that waits holds it.)
#[derive(Clone, Copy)]
pub(crate) struct NewerThan(u64);

impl NewerThan {
    pub(crate) const UNKNOWN: Self = Self(u64::MAX);

    pub(super) fn is_known(self) -> bool {
        self.0 != u64::MAX
    }

    pub(crate) fn fix(&mut self, number: impl FnOnce() -> u64) -> u64 {
        if !self.is_known() {
            self.0 = number();
        }
        self.0
    }

    pub(super) fn number(self) -> u64 {
        if self.is_known() { self.0 } else { 0 }
    }
}

/// The pile itself, as the source of values.
pub(crate) struct Kept;

impl<'a, T: 'a, P> Source<'a, T, P> for Kept {
    type Found = Guard<'a, T>;
    type Answer = Guard<'a, T, P>;
    const LOOKS_AGAIN: bool = true;

    fn of_guard(guard: Guard<'a, T>) -> Guard<'a, T> {
        guard
    }

    fn origin(found: &Guard<'a, T>) -> Origin {
        Guard::origin(found)
    }

    fn with(found: Guard<'a, T>, pass: P) -> Guard<'a, T, P> {
        found.with(pass)
    }

    fn is_to_look_up<D: Door, W>(&mut self, _call: &Call<'a, T, D, W>) -> bool {
        false
    }

    fn looked_up<D: Door, W>(&mut self, _call: &Call<'a, T, D, W>, _lookup: Lookup<T>) {
        unreachable!("nothing is looked up")
    }

    fn hit<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        takes_stale: bool,
    ) -> Option<Guard<'a, T>> {
        let held = call.hit_exact()?;
        (takes_stale || Guard::origin(&held) != Origin::Stale).then_some(held)
    }

    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        newer_than: &mut NewerThan,
        asking: Asking,
    ) -> Found<'a, T, Guard<'a, T>> {
        call.attempt_locked(newer_than, asking)
    }

    fn stand_in<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<Guard<'a, T>> {
        let now = call.site.settings.time.now();
        let node = call.site.pile.load()?;
        node.value()?;
        let origin = call.stands_in(&node.times(), node.number(), now)?;
        Some(Guard::new(node, origin, now))
    }

    fn has_stand_in<D: Door, W>(&self, call: &Call<'a, T, D, W>) -> bool {
        // Without a value the clock is not asked: a call whose time is over has asked for the last time.
        let Some(node) = call.site.pile.load().filter(|node| node.value().is_some()) else {
            return false;
        };
        let now = call.site.settings.time.now();
        call.stands_in(&node.times(), node.number(), now).is_some()
    }

    fn beside(found: Guard<'a, T>, failure: Failure) -> Guard<'a, T> {
        found.beside(failure)
    }

    fn would_do<D: Door, W>(&self, call: &Call<'a, T, D, W>, newer_than: u64) -> bool {
        let now = call.site.settings.time.now();
        let held = call.site.pile.load();
        held.is_some_and(|node| {
            node.value().is_some() && call.judge(&node, newer_than, now) != Use::No
        })
    }

    fn leaves(&mut self) {}
}
