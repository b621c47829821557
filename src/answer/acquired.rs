//! The value kept elsewhere: what a look-up brings, and what a call is answered with.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::answer::{Guard, Origin, Owned, Pass};
use crate::error::Failure;
use crate::policy::Seen;
use crate::raw::NodeRef;
use crate::time::{Tick, Times};

/// What a look-up brought, where the value is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup<T> {
    /// The value. The pile knows from its own last creation how old it is.
    Here(T),
    /// The value and its age, which then counts: for a store that keeps the time beside the value.
    Aged(T, Duration),
    /// The value is not there, or not usable: a miss, even before the time to live is over.
    NeedRegeneration,
    /// The store cannot be reached. The call goes by the value of the pile's last creation, and
    /// creates only if that value is stale or was not kept.
    Unreachable,
}

impl<T> From<Option<T>> for Lookup<T> {
    fn from(found: Option<T>) -> Self {
        found.map_or(Lookup::NeedRegeneration, Lookup::Here)
    }
}

/// A value that was looked up, or created.
///
/// Its methods are associated functions, since it derefs to your value: write
/// `Acquired::origin(&acquired)`.
#[must_use = "the value was looked up or created to be used"]
pub struct Acquired<'a, T, P = ()> {
    // In this order: a writer gets in after the value was released.
    value: Value<'a, T>,
    origin: Origin,
    #[expect(dead_code, reason = "it is held until the drop")]
    pass: P,
}

/// What was looked up or created in a [`SyncReaderDogpile`](crate::SyncReaderDogpile): it keeps
/// writers out.
pub type ReadAcquired<'a, T> = Acquired<'a, T, Pass<'a>>;

enum Value<'a, T> {
    LookedUp(T, Seen),
    /// The same, given out beside a failure.
    Beside(Box<(T, Seen, Failure)>),
    Created(Guard<'a, T>),
}

impl<'a, T> Acquired<'a, T> {
    /// A value that was looked up while the pile held the value `seen`.
    pub(crate) fn looked_up(value: T, seen: Seen, origin: Origin) -> Self {
        Self {
            value: Value::LookedUp(value, seen),
            origin,
            pass: (),
        }
    }

    /// The same, given out beside a failure.
    pub(crate) fn beside(self, failure: Failure) -> Self {
        let value = match self.value {
            Value::LookedUp(value, seen) => Value::Beside(Box::new((value, seen, failure))),
            Value::Beside(mut beside) => {
                beside.2 = failure;
                Value::Beside(beside)
            }
            Value::Created(guard) => Value::Created(guard.beside(failure)),
        };
        Self { value, ..self }
    }

    #[inline]
    pub(crate) fn with<P>(self, pass: P) -> Acquired<'a, T, P> {
        Acquired {
            value: self.value,
            origin: self.origin,
            pass,
        }
    }

    /// The value in a handle. A value that was looked up is moved there.
    pub fn into_owned(this: Self) -> Owned<T> {
        match this.value {
            Value::LookedUp(value, seen) => owned(value, seen),
            Value::Beside(beside) => owned(beside.0, beside.1),
            Value::Created(guard) => guard.into(),
        }
    }

    /// The value itself: moved if it was looked up, cloned if it was created and may be shared.
    pub fn into_value(this: Self) -> T
    where
        T: Clone,
    {
        match this.value {
            Value::LookedUp(value, _) => value,
            Value::Beside(beside) => beside.0,
            Value::Created(guard) => T::clone(&guard),
        }
    }
}

fn owned<T>(value: T, seen: Seen) -> Owned<T> {
    let unknown = Times::new(Tick::ZERO, Duration::ZERO, Duration::ZERO);
    Owned::new(NodeRef::new(value, unknown, seen.number))
}

impl<T, P> Acquired<'_, T, P> {
    /// How this answer came about. `Fresh` and `Stale` say that the value was looked up, or is the
    /// one that the pile kept of its last creation.
    pub fn origin(this: &Self) -> Origin {
        this.origin
    }

    /// The number of the value. Of one that was looked up, it is that of the pile's value at the
    /// time.
    pub fn seen(this: &Self) -> Seen {
        match &this.value {
            Value::LookedUp(_, seen) => *seen,
            Value::Beside(beside) => beside.1,
            Value::Created(guard) => Guard::seen(guard),
        }
    }

    /// The failure that the value stands in for, if it does; see [`Guard::failure`].
    pub fn failure(this: &Self) -> Option<&Failure> {
        match &this.value {
            Value::LookedUp(..) => None,
            Value::Beside(beside) => Some(&beside.2),
            Value::Created(guard) => Guard::failure(guard),
        }
    }
}

impl<'a, T, P> From<Guard<'a, T, P>> for Acquired<'a, T, P> {
    fn from(guard: Guard<'a, T, P>) -> Self {
        let (guard, pass) = guard.split();
        Self {
            origin: Guard::origin(&guard),
            value: Value::Created(guard),
            pass,
        }
    }
}

impl<T, P> Deref for Acquired<'_, T, P> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.value {
            Value::LookedUp(value, _) => value,
            Value::Beside(beside) => &beside.0,
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
