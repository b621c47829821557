//! How many creations of a map run at once.
//!
//! An elected call needs a *permit* before it is granted the lease. If there is none, it takes what it can
//! have without a lease, or waits for its turn. A permit that comes back is nobody's: the first to wait is
//! woken, and takes it if nobody was faster. If it does not come, because it was cancelled, it wakes the
//! next instead.

use std::collections::VecDeque;
#[cfg(feature = "async")]
use std::future::Future;
#[cfg(feature = "async")]
use std::panic::resume_unwind;

use crate::answer::{Door, Guard, Lookup, Origin};
use crate::call::Call;
use crate::call::election::{Asking, Found, Kept, NewerThan, Source};
use crate::error::Failure;
use crate::raw::Event;
#[cfg(feature = "async")]
use crate::reentrancy::inside;
use crate::reentrancy::{Creation, Identity, Inside, is_inside};
use crate::shim::{Arc, ArcWeak, Mutex};

/// The permits of a map.
pub(crate) struct Turns(Mutex<State>);

struct State {
    free: usize,
    /// Those who wait, the first first.
    queue: VecDeque<Arc<Event>>,
}

impl Turns {
    pub(super) fn new(permits: usize) -> Self {
        Self(Mutex::new(State {
            free: permits,
            queue: VecDeque::new(),
        }))
    }

    /// A permit, or a place among those who wait: the first one, if the caller was woken in vain.
    fn take(self: &Arc<Self>, was_woken: bool) -> Result<Permit, Arc<Event>> {
        let mut state = self.0.lock();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Permit(Arc::clone(self)));
        }
        let turn = Arc::new(Event::new());
        match was_woken {
            true => state.queue.push_front(Arc::clone(&turn)),
            false => state.queue.push_back(Arc::clone(&turn)),
        }
        Err(turn)
    }

    /// Wakes the first who waits, if there is a permit for it.
    fn wake(&self, mut state: impl FnMut(&mut State)) {
        let mut locked = self.0.lock();
        state(&mut locked);
        let first = match locked.free {
            0 => None,
            _ => locked.queue.pop_front(),
        };
        drop(locked);
        if let Some(turn) = first {
            turn.set();
        }
    }

    /// That of a creator of this map, whatever its key.
    fn creation(&self) -> Creation {
        Creation {
            pile: Identity::of(self),
            fence: 0,
        }
    }

    /// Whether the thread is inside a creator of this map already, whose permit is good for what it
    /// calls.
    fn are_ridden(&self) -> bool {
        is_inside(Identity::of(self))
    }
}

/// The right to run a creator.
struct Permit(Arc<Turns>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.wake(|state| state.free += 1);
    }
}

/// The turn of one call: where its permit is, from the election to the end of the creator.
pub(super) struct Turn(Option<Arc<Limited>>);

struct Limited {
    turns: Arc<Turns>,
    permit: Mutex<Option<Permit>>,
    /// The place of this call among those who wait.
    place: Mutex<ArcWeak<Place>>,
}

/// The place of a call among those who wait. All its elections that wait for their turn share it: a call
/// sleeps on one of them, and would not hear that another one is woken. It is left when none of them waits.
struct Place {
    turns: Arc<Turns>,
    turn: Arc<Event>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.turns.leave(&self.turn);
    }
}

impl Turn {
    /// That of a call of a map with these turns.
    pub(super) fn of(turns: Option<&Arc<Turns>>) -> Self {
        let turns = turns.filter(|turns| !turns.are_ridden());
        Self::with(turns, None)
    }

    fn with(turns: Option<&Arc<Turns>>, permit: Option<Permit>) -> Self {
        let limited = |turns: &Arc<Turns>| Limited {
            turns: Arc::clone(turns),
            permit: Mutex::new(permit),
            place: Mutex::new(ArcWeak::new()),
        };
        Self(turns.map(limited).map(Arc::new))
    }

    /// The source of values for the election of this call: the pile itself, in turn.
    pub(super) fn source(&self) -> InTurn {
        InTurn {
            turn: self.again(),
            waits: None,
        }
    }

    /// The same turn, for the creator.
    pub(super) fn again(&self) -> Self {
        Self(self.0.as_ref().map(Arc::clone))
    }

    /// Takes a permit without waiting. Whether it has one, or needs none.
    #[cfg(feature = "async")]
    pub(super) fn take(&self) -> bool {
        let Some(limited) = &self.0 else { return true };
        match limited.turns.take(false) {
            Ok(permit) => {
                *limited.permit.lock() = Some(permit);
                true
            }
            Err(turn) => {
                limited.turns.leave(&turn);
                false
            }
        }
    }

    /// What a thread is inside that runs the creator, besides the creation of the key.
    pub(super) fn creation(&self) -> Option<Creation> {
        self.0.as_ref().map(|limited| limited.turns.creation())
    }

    /// The turn of what goes on elsewhere, with the permit. The call has none from here on, and may take
    /// another.
    #[cfg(feature = "async")]
    pub(super) fn hand_over(&self) -> Self {
        let permit = self
            .0
            .as_ref()
            .and_then(|limited| limited.permit.lock().take());
        Self::with(self.0.as_ref().map(|limited| &limited.turns), permit)
    }

    /// Gives the permit back, if it has one.
    pub(super) fn end(&self) {
        let permit = self
            .0
            .as_ref()
            .and_then(|limited| limited.permit.lock().take());
        drop(permit);
    }

    /// Runs the creator, and gives the permit back.
    pub(super) fn run<R>(self, creator: impl FnOnce() -> R) -> R {
        let Some(limited) = &self.0 else {
            return creator();
        };
        let _permit = limited.permit.lock().take();
        let _inside = Inside::enter(limited.turns.creation(), None);
        creator()
    }

    /// As [`run`](Turn::run), for a creator that is a future.
    #[cfg(feature = "async")]
    pub(super) async fn run_async<F: Future>(self, creator: impl FnOnce() -> F) -> F::Output {
        let Some(limited) = &self.0 else {
            return creator().await;
        };
        let _permit = limited.permit.lock().take();
        let ran = inside((limited.turns.creation(), None), creator).await;
        ran.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl Turns {
    /// Waits no longer.
    fn leave(&self, turn: &Arc<Event>) {
        self.wake(|state| state.queue.retain(|other| !Arc::ptr_eq(other, turn)));
    }
}

/// The pile itself, as the source of values for calls that are elected in turn.
pub(super) struct InTurn {
    turn: Turn,
    /// The place of the call among those who wait, if this election does.
    waits: Option<Arc<Place>>,
}

impl<'a, T: 'a, P> Source<'a, T, P> for InTurn {
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
        <Kept as Source<'a, T, P>>::hit(&mut Kept, call, takes_stale)
    }

    fn stand_in<D: Door, W>(&mut self, call: &Call<'a, T, D, W>) -> Option<Guard<'a, T>> {
        <Kept as Source<'a, T, P>>::stand_in(&mut Kept, call)
    }

    fn has_stand_in<D: Door, W>(&self, call: &Call<'a, T, D, W>) -> bool {
        <Kept as Source<'a, T, P>>::has_stand_in(&Kept, call)
    }

    fn beside(found: Guard<'a, T>, failure: Failure) -> Guard<'a, T> {
        <Kept as Source<'a, T, P>>::beside(found, failure)
    }

    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        newer_than: &mut NewerThan,
        asking: Asking,
    ) -> Found<'a, T, Guard<'a, T>> {
        let Some(limited) = &self.turn.0 else {
            return call.attempt_locked(newer_than, asking);
        };
        let waited = self.waits.take();
        if limited.permit.lock().is_some() {
            return call.attempt_locked(newer_than, asking);
        }
        let waits = limited.place.lock().upgrade();
        let place = match waits.filter(|place| !place.turn.is_set()) {
            Some(place) => place,
            None => match limited.turns.take(waited.is_some()) {
                Ok(permit) => {
                    let found = call.attempt_locked(newer_than, asking);
                    if let Found::Lease(_) = found {
                        *limited.permit.lock() = Some(permit);
                    }
                    return found;
                }
                Err(turn) => {
                    let turns = Arc::clone(&limited.turns);
                    let place = Arc::new(Place { turns, turn });
                    *limited.place.lock() = Arc::<Place>::downgrade(&place);
                    place
                }
            },
        };
        call.attempt_without_lease(newer_than, asking)
            .unwrap_or_else(|| {
                let turn = Arc::clone(&place.turn);
                self.waits = Some(place);
                Found::Later(turn)
            })
    }

    fn would_do<D: Door, W>(&self, call: &Call<'a, T, D, W>, newer_than: u64) -> bool {
        <Kept as Source<'a, T, P>>::would_do(&Kept, call, newer_than)
    }

    fn leaves(&mut self) {}
}
