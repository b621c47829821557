//! The forms of a call for threads.

use std::convert::Infallible;
use std::panic::Location;

use crate::answer::{Caller, Created, Creating, Door, Guard};
use crate::call::Call;
use crate::call::election::{Election, Failures, Kept, Role};
use crate::call::thread::{here, no_look_up};
use crate::error::Error;
use crate::policy::Accept;

impl<'a, T, D: Door> Call<'a, T, D> {
    /// The value, or else the one that `create` makes: as
    /// [`Dogpile::get_or_create`](crate::Dogpile::get_or_create), with the options of this call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit. [`Error::BackingOff`] if no
    /// creator may run yet and there is no value to give: unlike the short form, it respects a back-off and
    /// an interval. [`Error::Reentrant`] if called from inside the creator of the same pile while no value
    /// can be had.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    #[track_caller]
    pub fn get_or_create(
        self,
        create: impl FnOnce() -> T,
    ) -> Result<Guard<'a, T, D::Pass>, Error<Infallible>> {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(Failures::Ignored, |_| Ok(create().into())),
        }
    }

    /// The value, or else the one that `create` makes: as
    /// [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`Dogpile::get_or_try_create`](crate::Dogpile::get_or_try_create), and
    /// [`Error::TimedOut`] if another caller's creation outlasts the wait limit.
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(Failures::Taken, |_| create().map(Created::new)),
        }
    }

    /// The value, or else the one that `create` makes, which may say how long the value lives, how
    /// old it is, and more: as
    /// [`Dogpile::get_or_try_create_with`](crate::Dogpile::get_or_try_create_with), with the options
    /// of this call.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Call::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        match self.hit_by(Caller::Thread) {
            Some(guard) => Ok(guard),
            None => self.create_or_wait(Failures::Taken, create),
        }
    }

    /// Creates now, however fresh the value is, and returns the new value: as
    /// [`Dogpile::refresh`](crate::Dogpile::refresh), with the options of this call.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Call::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does.
    #[track_caller]
    pub fn refresh<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        self.accept(Accept::New).get_or_try_create(create)
    }

    /// The election of a call for a value that the pile keeps.
    // Not on the way of a hit: only from here on the call knows where it was made.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub(crate) fn create_or_wait<E: Send + Sync + 'static>(
        mut self,
        failures: Failures,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        self.location = Some(Location::caller());
        let election = Election::new(Caller::Thread, Role::Creates, failures, Kept);
        self.drive(election, here(create), no_look_up)
    }
}
