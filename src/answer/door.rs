//! What a call has to pass before it is given a value: nothing, or the gate of readers.

use std::fmt;

use crate::answer::Pass;
use crate::raw::{Event, Gate};
use crate::shim::Arc;

/// How a call is let in, and what its answer holds besides the value: [`Open`] or [`Gated`]. There
/// are no others.
pub trait Door: Copy + sealed::Sealed {
    /// What an answer holds besides the value.
    type Pass;

    /// Whether there is anything to wait for.
    #[doc(hidden)]
    const GATED: bool;

    /// Goes in, if that can be without waiting.
    #[doc(hidden)]
    fn try_enter(self, caller: Caller) -> Option<Self::Pass>;

    /// Goes in, or says what to wait for.
    #[doc(hidden)]
    fn enter(self, caller: Caller) -> Entry<Self::Pass>;

    /// Whether the caller is inside already, for which a creator may wait.
    #[doc(hidden)]
    fn is_inside(self, caller: Caller) -> bool;

    /// Lets everybody in who was kept out until the end of the lease with this fence.
    #[doc(hidden)]
    fn end_of(self, fence: u64);
}

/// Who calls. What a thread holds counts for it; of a task nobody knows what it holds.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Thread,
    #[cfg_attr(not(feature = "async"), allow(dead_code))]
    Task,
}

/// What a call finds at the door.
#[doc(hidden)]
pub enum Entry<P> {
    In(P),
    /// Set when it opens.
    Closed(Opening),
    /// It is the caller who keeps it closed.
    ClosedByCaller,
}

/// What is set when a door opens.
#[doc(hidden)]
pub struct Opening(pub(crate) Arc<Event>);

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The door of a [`Dogpile`](crate::Dogpile): everybody comes in.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl sealed::Sealed for Open {}

impl Door for Open {
    type Pass = ();
    const GATED: bool = false;

    #[inline(always)]
    fn try_enter(self, _caller: Caller) -> Option<()> {
        Some(())
    }

    #[inline(always)]
    fn enter(self, _caller: Caller) -> Entry<()> {
        Entry::In(())
    }

    #[inline(always)]
    fn is_inside(self, _caller: Caller) -> bool {
        false
    }

    #[inline(always)]
    fn end_of(self, _fence: u64) {}
}

/// The door of a [`SyncReaderDogpile`](crate::SyncReaderDogpile): writers can keep readers out.
#[derive(Clone, Copy)]
pub struct Gated<'a>(pub(crate) &'a Gate);

impl fmt::Debug for Gated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gated")
    }
}

impl sealed::Sealed for Gated<'_> {}

impl<'a> Door for Gated<'a> {
    type Pass = Pass<'a>;
    const GATED: bool = true;

    #[inline(always)]
    fn try_enter(self, caller: Caller) -> Option<Pass<'a>> {
        let reading = match caller {
            Caller::Thread => self.0.try_enter(),
            Caller::Task => self.0.try_enter_anew(),
        };
        reading.map(Pass::new)
    }

    fn enter(self, caller: Caller) -> Entry<Pass<'a>> {
        loop {
            if let Some(pass) = self.try_enter(caller) {
                return Entry::In(pass);
            }
            if caller == Caller::Thread && self.0.is_closed_by_me() {
                return Entry::ClosedByCaller;
            }
            if let Some(opening) = self.0.opening() {
                return Entry::Closed(Opening(opening));
            }
        }
    }

    fn is_inside(self, caller: Caller) -> bool {
        caller == Caller::Thread && self.0.is_entered()
    }

    fn end_of(self, fence: u64) {
        self.0.end_of(fence);
    }
}

/// A creator at work, who may keep the door closed until its creation ends, however that ends.
pub(crate) struct GateHold<D: Door> {
    door: D,
    fence: u64,
}

impl<D: Door> GateHold<D> {
    pub(crate) fn new(door: D, fence: u64) -> Self {
        Self { door, fence }
    }
}

impl<D: Door> Drop for GateHold<D> {
    fn drop(&mut self) {
        self.door.end_of(self.fence);
    }
}

/// A door of another kind gets every form of a call: here one that lets a few in at a time.
#[cfg(all(test, feature = "async", not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use std::time::Duration;

    use super::{Caller, Door, Entry, Opening, sealed};
    use crate::call::Call;
    use crate::raw::Event;
    use crate::shim::{Arc, Mutex};
    use crate::{Dogpile, Error, Lookup, executor};

    /// How many may come in yet, and what is set when one has left.
    #[derive(Clone, Copy)]
    struct Few<'a>(&'a Mutex<(usize, Arc<Event>)>);

    struct Ticket<'a>(Few<'a>);

    impl sealed::Sealed for Few<'_> {}

    impl<'a> Door for Few<'a> {
        type Pass = Ticket<'a>;
        const GATED: bool = true;

        fn try_enter(self, caller: Caller) -> Option<Ticket<'a>> {
            match self.enter(caller) {
                Entry::In(ticket) => Some(ticket),
                _ => None,
            }
        }

        fn enter(self, _caller: Caller) -> Entry<Ticket<'a>> {
            let mut few = self.0.lock();
            if few.0 == 0 {
                return Entry::Closed(Opening(Arc::clone(&few.1)));
            }
            few.0 -= 1;
            Entry::In(Ticket(self))
        }

        fn is_inside(self, _caller: Caller) -> bool {
            false
        }

        fn end_of(self, _fence: u64) {}
    }

    impl Drop for Ticket<'_> {
        fn drop(&mut self) {
            let mut few = self.0.0.lock();
            few.0 += 1;
            let opening = std::mem::replace(&mut few.1, Arc::new(Event::new()));
            drop(few);
            opening.set();
        }
    }

    #[test]
    fn a_third_door_has_all_forms() {
        let few = Mutex::new((1, Arc::new(Event::new())));
        let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
        let call = || Call::new(pile.place(), Few(&few)).wait(Duration::ZERO);
        let guard = call().get_or_create(|| 7).unwrap();
        assert!(matches!(
            call().get_or_create(|| 8),
            Err(Error::TimedOut { .. })
        ));
        let hit = || Ok::<_, u8>(Lookup::Here(9));
        assert!(matches!(
            call().acquire(|| Ok(8), hit),
            Err(Error::TimedOut { .. })
        ));
        let tasks = call().timer(&Never);
        let waiting = tasks.get_or_create_async(|| async { 8 });
        assert!(matches!(
            futures::executor::block_on(waiting),
            Err(Error::TimedOut { .. })
        ));
        drop(guard);
        let looked_up = call().acquire(|| Ok(8), hit).unwrap();
        assert_eq!(*looked_up, 9);
        drop(looked_up);
        let background = call().accept(crate::Accept::New).wait(Duration::MAX);
        let background = background.by(pile.background(&executor::Thread).mode);
        assert_eq!(*background.get_or_create(|| 8).unwrap(), 8);
    }

    struct Never;

    impl executor::Timer for Never {
        fn sleep(&self, _: Duration) -> executor::Sleep {
            Box::pin(std::future::pending())
        }
    }
}
