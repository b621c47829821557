//! One call of a pile: its options, its forms, and how it gets from a look at the value to an answer.

// In this order rustdoc shows the methods of `Call`. (The blank lines keep it.)
mod options;

mod forms;

pub(crate) mod hit;

mod acquire;

mod attempt;

mod next_value;

#[cfg(feature = "async")]
mod background;

#[cfg(feature = "async")]
mod with;

#[cfg(feature = "async")]
mod keep_fresh;

#[cfg(feature = "async")]
mod forms_async;

pub(crate) mod election;
#[cfg(feature = "async")]
pub(crate) mod task;
pub(crate) mod thread;

use std::fmt;
#[cfg(not(feature = "async"))]
use std::marker::PhantomData;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

#[cfg(feature = "async")]
pub use self::attempt::Wait;
pub use self::attempt::{Attempt, Busy, NotYet, Outcome, ReadAttempt};
#[cfg(feature = "async")]
pub use self::background::{Background, OnExecutor};
#[cfg(feature = "async")]
pub(crate) use self::background::{KeptPile, Reporter, job_id};
#[cfg(feature = "async")]
pub use self::keep_fresh::{KeepFresh, Refresher};
#[cfg(feature = "async")]
pub use self::with::With;
use crate::answer::{Open, Site};
#[cfg(feature = "async")]
use crate::executor::Timer;
use crate::policy::{Accept, Asks};

/// A call of a pile with options of its own; see [`Dogpile::call`](crate::Dogpile::call).
///
/// `D` is the door that the call passes: [`Open`] of a [`Dogpile`](crate::Dogpile),
/// [`Gated`](crate::Gated) of a [`SyncReaderDogpile`](crate::SyncReaderDogpile). `W` is where the
/// creator runs: [`Here`], or on an executor.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{Accept, Dogpile};
///
/// let pile = Dogpile::new(Duration::from_secs(3600));
/// let rate = pile
///     .call()
///     .wait(Duration::from_millis(50))
///     .max_age(Duration::from_secs(60))
///     .accept(Accept::Fresh)
///     .get_or_try_create(|| "1.0842".parse::<f64>())?;
/// assert_eq!(*rate, 1.0842);
/// # Ok::<_, dogpile::Error<std::num::ParseFloatError>>(())
/// ```
#[must_use = "a call does nothing until it is made"]
pub struct Call<'a, T, D = Open, W = Here<'a>> {
    pub(crate) mode: W,
    pub(crate) site: Site<'a, T>,
    pub(crate) door: D,
    pub(crate) wait: Option<Duration>,
    pub(crate) asks: Asks,
    pub(crate) accept: Accept,
    /// Where the call was made, once it is known to be no hit.
    pub(crate) location: Option<&'static Location<'static>>,
}

/// The creator runs where the call is made: on its thread, or in its task.
#[derive(Clone, Copy)]
pub struct Here<'t> {
    /// What keeps the wait limit of a task.
    #[cfg(feature = "async")]
    pub(crate) timer: Option<&'t dyn Timer>,
    #[cfg(not(feature = "async"))]
    timer: PhantomData<&'t ()>,
}

impl Here<'_> {
    pub(crate) const UNTIMED: Self = Self {
        #[cfg(feature = "async")]
        timer: None,
        #[cfg(not(feature = "async"))]
        timer: PhantomData,
    };
}

impl fmt::Debug for Here<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Here")
    }
}

impl<'a, T, D> Call<'a, T, D> {
    #[inline]
    pub(crate) fn new(site: Site<'a, T>, door: D) -> Self {
        Self {
            mode: Here::UNTIMED,
            site,
            door,
            wait: None,
            asks: Asks::NOTHING,
            accept: Accept::Stale,
            location: None,
        }
    }
}

impl<'a, T, D, W> Call<'a, T, D, W> {
    /// The same call in another mode.
    pub(crate) fn by<V>(self, mode: V) -> Call<'a, T, D, V> {
        Call {
            mode,
            site: self.site,
            door: self.door,
            wait: self.wait,
            asks: self.asks,
            accept: self.accept,
            location: self.location,
        }
    }
}

impl<T, D: Copy, W: Copy> Clone for Call<'_, T, D, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, D: Copy, W: Copy> Copy for Call<'_, T, D, W> {}

// As for the pile: a timer is asked and not relied upon.
impl<T: RefUnwindSafe, D, W> UnwindSafe for Call<'_, T, D, W> {}
impl<T: RefUnwindSafe, D, W> RefUnwindSafe for Call<'_, T, D, W> {}

impl<T, D, W> fmt::Debug for Call<'_, T, D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("wait", &self.wait)
            .field("max_age", &self.asks.max_age())
            .field("min_fresh", &self.asks.min_fresh())
            .field("accept", &self.accept)
            .finish_non_exhaustive()
    }
}
