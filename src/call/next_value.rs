//! The wait for a value that somebody else makes: a call that is never elected.

use std::convert::Infallible;
#[cfg(feature = "async")]
use std::future::{Future, Pending};

use crate::answer::{Caller, Door, Guard, Lookup, Origin, Settings};
use crate::call::Call;
#[cfg(feature = "async")]
use crate::call::Here;
use crate::call::election::{Asking, Election, Failures, Found, NewerThan, Role, Source};
use crate::call::hit::origin_of;
#[cfg(feature = "async")]
use crate::call::task::{self, Driving, drive};
#[cfg(feature = "async")]
use crate::call::thread::Led;
use crate::call::thread::{Sleeper, no_look_up};
use crate::error::{Error, Failure};
use crate::policy::{Accept, Seen, Use};
use crate::raw::Node;

/// # Waiting without creating
impl<'a, T, D: Door> Call<'a, T, D> {
    /// The value, or else the next one that another caller makes: as
    /// [`Dogpile::wait_for_value`](crate::Dogpile::wait_for_value), with the options of this call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if no value came within the wait limit. [`Error::Reentrant`] if it would
    /// wait inside the creator of the same pile. Of a
    /// [`SyncReaderDogpile`](crate::SyncReaderDogpile) also [`Error::HoldsReadGuard`] and
    /// [`Error::HoldsWriteLock`], if the thread would wait while it holds one.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let pile = Dogpile::<u32>::new(Duration::from_secs(60));
    /// let call = pile.call().wait(Duration::ZERO);
    /// assert!(call.wait_for_value().unwrap_err().is_timed_out());
    /// pile.set(7);
    /// assert_eq!(*call.wait_for_value().unwrap(), 7);
    /// ```
    #[inline]
    pub fn wait_for_value(self) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.wait_for_next(None),
        }
    }

    /// The value if it is newer than the one seen, or else the next one that another caller makes: as
    /// [`Dogpile::wait_for_newer`](crate::Dogpile::wait_for_newer), with the options of this call.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value`](Call::wait_for_value).
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    pub fn wait_for_newer(
        self,
        seen: impl Into<Option<Seen>>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        self.wait_for_next(seen.into())
    }
}

impl<'a, T, D: Door, W> Call<'a, T, D, W> {
    #[cold]
    #[inline(never)]
    pub(crate) fn wait_for_next(
        self,
        seen: Option<Seen>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>>
    where
        W: Sleeper,
    {
        let election = Next { seen }.election(Caller::Thread);
        self.drive(election, |_, _| never(), no_look_up)
    }
}

/// # Waiting without creating, for tasks
#[cfg(feature = "async")]
impl<'a, T, D: Door> Call<'a, T, D, Here<'_>> {
    /// As [`wait_for_value`](Call::wait_for_value), for tasks.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value`](Call::wait_for_value), and [`Error::NoTimer`] if the call has a wait limit
    /// that nothing keeps.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices.
    pub fn wait_for_value_async(
        self,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>> {
        self.wait_for_next_async(None)
    }

    /// As [`wait_for_newer`](Call::wait_for_newer), for tasks.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value_async`](Call::wait_for_value_async).
    ///
    /// # Panics
    ///
    /// As [`wait_for_newer`](Call::wait_for_newer).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices, and no value is lost: the next call with
    /// the same `seen` gets it.
    pub fn wait_for_newer_async(
        self,
        seen: impl Into<Option<Seen>>,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>> {
        self.wait_for_next_async(seen.into())
    }

    // An `async fn` holds its arguments twice, as such and as locals; a block does not.
    #[allow(clippy::manual_async_fn)]
    pub(crate) fn wait_for_next_async(
        self,
        seen: Option<Seen>,
    ) -> impl Future<Output = Result<Guard<'a, T, D::Pass>, Error<Infallible>>> {
        async move {
            self.require_timer()?;
            let hit = match seen {
                None => self.hit_by(Caller::Task),
                Some(_) => None,
            };
            if let Some(guard) = hit {
                return Ok(guard);
            }
            let election = Next { seen }.election(Caller::Task);
            let mut lead = Some(|_, _| -> Pending<Led<'a, T, Infallible>> { never() });
            let driving = Driving::new(&self, election, &mut lead);
            drive(driving, task::no_look_up).await
        }
    }
}

fn never<R>() -> R {
    unreachable!("nobody is elected to wait for another's value")
}

/// The pile itself as the source of values, for a call that takes what is there, or the next that
/// comes, and never the lease.
struct Next {
    /// Only what is newer will do.
    seen: Option<Seen>,
}

impl Next {
    fn election<'a, T: 'a, P>(self, caller: Caller) -> Election<'a, T, P, Self, Guard<'a, T>> {
        // There is no creation for which it could be elected, and another's failure leaves it waiting.
        Election::new(caller, Role::Creates, Failures::Ignored, self)
    }

    fn is_newer<T>(&self, node: &Node<T>) -> bool {
        self.seen.is_none_or(|seen| {
            seen.assert_of(node.pile());
            node.number() > seen.number
        })
    }
}

impl<'a, T: 'a, P> Source<'a, T, P> for Next {
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
        _takes_stale: bool,
    ) -> Option<Guard<'a, T>> {
        let held = match call.accept {
            // Whether or not anybody creates.
            Accept::Stale => call.peek_inside(),
            _ => call.hit_exact(),
        };
        held.filter(|guard| self.is_newer(guard.node()))
    }

    fn attempt<D: Door, W>(
        &mut self,
        call: &Call<'a, T, D, W>,
        newer_than: &mut NewerThan,
        _asking: Asking,
    ) -> Found<'a, T, Guard<'a, T>> {
        let Settings { policy, time, .. } = call.site.settings;
        let now = time.now();
        let found = call.site.pile.await_next(policy, |marks, node| {
            let seen = self.seen.map_or(0, |seen| seen.number);
            let newer_than = newer_than.fix(|| call.accept.newer_than(marks).max(seen));
            match node {
                Some(node) if node.value().is_some() && self.is_newer(node) => {
                    call.judge(node, newer_than, now)
                }
                _ => Use::No,
            }
        });
        call.found(found, None, |node, usable| {
            Guard::new(node, origin_of(usable), now)
        })
    }

    fn would_do<D: Door, W>(&self, _call: &Call<'a, T, D, W>, _newer_than: u64) -> bool {
        false
    }

    fn leaves(&mut self) {}

    /// It waits for a value, and not for the end of a creation.
    fn stand_in<D: Door, W>(&mut self, _call: &Call<'a, T, D, W>) -> Option<Guard<'a, T>> {
        None
    }

    fn has_stand_in<D: Door, W>(&self, _call: &Call<'a, T, D, W>) -> bool {
        false
    }

    fn beside(found: Guard<'a, T>, failure: Failure) -> Guard<'a, T> {
        found.beside(failure)
    }
}
