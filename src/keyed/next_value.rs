//! How a call for a key waits without being elected.

use std::borrow::Borrow;
use std::convert::Infallible;
#[cfg(feature = "async")]
use std::future::Future;
use std::hash::{BuildHasher, Hash};

#[cfg(feature = "async")]
use crate::call::Here;
use crate::error::Error;
use crate::keyed::call::KeyedCall;
use crate::keyed::cycles::Watched;
use crate::keyed::guard::KeyedGuard;
use crate::policy::Seen;

/// # Waiting without creating
impl<'a, K, T, S, Q> KeyedCall<'a, '_, K, T, S, Q>
where
    K: Eq + Hash + Borrow<Q>,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// The value, or else the next one that another caller makes: as
    /// [`KeyedDogpile::wait_for_value`](crate::KeyedDogpile::wait_for_value), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if no value came within the wait limit. [`Error::Reentrant`] if it would wait
    /// inside the creator of the same key. [`Error::Cycle`] if it would wait for a creation that waits
    /// for one it is inside itself.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::KeyedDogpile;
    ///
    /// let rates = KeyedDogpile::<String, f64>::new(Duration::from_secs(60));
    /// let call = rates.call("EUR").wait(Duration::ZERO);
    /// assert!(call.wait_for_value().unwrap_err().is_timed_out());
    /// rates.set("EUR".to_owned(), 1.0842);
    /// assert_eq!(*call.wait_for_value().unwrap(), 1.0842);
    /// ```
    pub fn wait_for_value(self) -> Result<KeyedGuard<'a, K, T>, Error<Infallible>> {
        let hash = self.map.hash(self.key);
        match self.hit_at(hash) {
            Some(guard) => Ok(guard),
            None => self.wait_for_next(hash, None),
        }
    }

    /// The value if it is newer than the one seen, or else the next one that another caller makes: as
    /// [`KeyedDogpile::wait_for_newer`](crate::KeyedDogpile::wait_for_newer), with the options of this
    /// call.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value`](KeyedCall::wait_for_value).
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another map.
    pub fn wait_for_newer(
        self,
        seen: impl Into<Option<Seen>>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<Infallible>> {
        self.wait_for_next(self.map.hash(self.key), seen.into())
    }

    fn wait_for_next(
        self,
        hash: u64,
        seen: Option<Seen>,
    ) -> Result<KeyedGuard<'a, K, T>, Error<Infallible>> {
        let visit = self.enter(hash);
        let call = (self.asked.of(visit.site())).by(Watched(&*self.map.shared));
        let guard = call.wait_for_next(seen)?;
        Ok(KeyedGuard::new(guard, visit.entry()))
    }
}

/// # Waiting without creating, for tasks
#[cfg(feature = "async")]
impl<'a, 'q, 't, K, T, S, Q> KeyedCall<'a, 'q, K, T, S, Q, Here<'t>>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    /// As [`wait_for_value`](KeyedCall::wait_for_value), for tasks.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value`](KeyedCall::wait_for_value), and [`Error::NoTimer`] if the call has a wait
    /// limit that nothing keeps.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices.
    pub fn wait_for_value_async(
        self,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<Infallible>>> {
        self.wait_for_next_async(None)
    }

    /// As [`wait_for_newer`](KeyedCall::wait_for_newer), for tasks.
    ///
    /// # Errors
    ///
    /// As [`wait_for_value_async`](KeyedCall::wait_for_value_async).
    ///
    /// # Panics
    ///
    /// As [`wait_for_newer`](KeyedCall::wait_for_newer).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. Nobody notices, and no value is lost: the next call with
    /// the same `seen` gets it.
    pub fn wait_for_newer_async(
        self,
        seen: impl Into<Option<Seen>>,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<Infallible>>> {
        self.wait_for_next_async(seen.into())
    }

    // An `async fn` holds its arguments twice, as such and as locals; a block does not.
    #[allow(clippy::manual_async_fn)]
    fn wait_for_next_async(
        self,
        seen: Option<Seen>,
    ) -> impl Future<Output = Result<KeyedGuard<'a, K, T>, Error<Infallible>>> {
        async move {
            let hash = self.map.hash(self.key);
            self.require_timer()?;
            if seen.is_none() {
                if let Some(guard) = self.hit_at(hash) {
                    return Ok(guard);
                }
            }
            let visit = self.enter(hash);
            let call = self.for_tasks(self.asked.of(visit.site()));
            let guard = call.wait_for_next_async(seen).await?;
            Ok(KeyedGuard::new(guard, visit.entry()))
        }
    }
}
