//! The value kept elsewhere: what a look-up brings, and what a call is answered with.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::answer::{Guard, Origin, Owned, Pass};
use crate::raw::NodeRef;
use crate::time::{Tick, Times};

/// What a look-up brought, where the value is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup<T> {
    /// The value. How old it is, the pile knows from its own last creation.
    Here(T),
    /// The value and its age, which then counts: for a store that keeps the time beside the value.
    Aged(T, Duration),
    /// It is not there, or not usable: a miss, even before the time to live is over.
    NeedRegeneration,
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Lookup::NeedRegeneration, Lookup::Here)
    }
}

/// A value that was looked up, or created.
#[must_use = "the value was looked up or created to be used"]
pub struct Acquired<'a, T, P = ()> {
    // In this order: a writer gets in when the value is let go of.
    value: Value<'a, T>,
    origin: Origin,
    pass: P,
}

/// What was looked up, or created, in a [`SyncReaderDogpile`](crate::SyncReaderDogpile): it keeps
/// writers out.
pub type ReadAcquired<'a, T> = Acquired<'a, T, Pass<'a>>;

enum Value<'a, T> {
    LookedUp(T),
    Created(Guard<'a, T>),
}

impl<'a, T> Acquired<'a, T> {
    pub(crate) fn looked_up(value: T, origin: Origin) -> Self {
        Self {
            value: Value::LookedUp(value),
            origin,
            pass: (),
        }
    }

    #[inline]
    pub(crate) fn with<P>(self, pass: P) -> Acquired<'a, T, P> {
        Acquired {
            value: self.value,
            origin: self.origin,
            pass,
        }
    }

    /// The value in a handle. One that was looked up is moved there.
    pub fn into_owned(self) -> Owned<T> {
        match self.value {
            Value::LookedUp(value) => {
                let unknown = Times::new(Tick::ZERO, Duration::ZERO, Duration::ZERO);
                Owned::new(NodeRef::new(value, unknown, 0))
            }
            Value::Created(guard) => guard.into(),
        }
    }

    /// The value itself: moved if it was looked up, cloned if it was created and may be shared.
    pub fn into_value(self) -> T
    where
        T: Clone,
    {
        match self.value {
            Value::LookedUp(value) => value,
            Value::Created(guard) => T::clone(&guard),
        }
    }
}

impl<'a, T> From<Guard<'a, T>> for Acquired<'a, T> {
    fn from(guard: Guard<'a, T>) -> Self {
        Self {
            origin: guard.origin(),
            value: Value::Created(guard),
            pass: (),
        }
    }
}

impl<T, P> Acquired<'_, T, P> {
    /// How this answer came about. `Fresh` and `Stale` say that it was looked up, or is the one
    /// that the pile kept of its last creation.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl<T, P> Deref for Acquired<'_, T, P> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Value::LookedUp(value) => value,
            Value::Created(guard) => guard,
        }
    }
}

impl<T, P> AsRef<T> for Acquired<'_, T, P> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug, P> fmt::Debug for Acquired<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display, P> fmt::Display for Acquired<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
