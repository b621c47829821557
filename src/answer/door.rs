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

    /// Whether the caller holds a pass already, for which a creator may wait.
    #[doc(hidden)]
    fn holds_pass(self, caller: Caller) -> bool;

    /// How many have been inside while nobody else was.
    #[doc(hidden)]
    fn writers(self) -> u64;
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
    fn holds_pass(self, _caller: Caller) -> bool {
        false
    }

    #[inline(always)]
    fn writers(self) -> u64 {
        0
    }
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
            let by_caller = match caller {
                Caller::Thread => self.0.is_closed_by_me(),
                Caller::Task => self.0.is_left_to_me(),
            };
            if by_caller {
                return Entry::ClosedByCaller;
            }
            if let Some(opening) = self.0.opening() {
                return Entry::Closed(Opening(opening));
            }
        }
    }

    fn holds_pass(self, caller: Caller) -> bool {
        caller == Caller::Thread && self.0.is_entered()
    }

    fn writers(self) -> u64 {
        self.0.writers()
    }
}
