//! Writes and invalidations: the store first, then the copy of this process.

use std::sync::Arc;

use crate::async_store::AsyncStore;
use crate::codec::{Codec, seal};
use crate::entry::FleetGuard;
use crate::error::WriteError;
use crate::family::{AllChange, Family};
use crate::fleet::FleetDogpile;
use crate::health::Sent;
use crate::shared::Shared;
use crate::site::Site;
use crate::store::{Answer, Depth, Described, Guarded, Placed, Store, Version};

/// What a value is expected to be when it is replaced; see [`FleetDogpile::compare_and_set`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// There is none, not even a stale one. A creation that runs is none.
    Absent,
    /// It is of this version.
    Version(Version),
}

/// What became of a [`compare_and_set`](FleetDogpile::compare_and_set).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the value may not be stored"]
pub enum Swap {
    /// The value is stored, under this version.
    Stored(Version),
    /// It is not: this version is there. `None`: there is none.
    Conflict(Option<Version>),
}

impl From<Expected> for Guarded {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Absent => Guarded::Absent,
            Expected::Version(version) => Guarded::Version(version),
        }
    }
}

fn swap(placed: Placed) -> Swap {
    match placed {
        Placed::Stored(version) => Swap::Stored(version),
        Placed::Refused(version) => Swap::Conflict((!version.is_none()).then_some(version)),
        Placed::Gone => Swap::Conflict(None),
    }
}

/// A write or an invalidation under way in this process. Dropped without an end, it may be done at the
/// store or not.
struct Write<'a, T, S, C> {
    site: &'a Site<T, S, C>,
    number: u64,
    sent: Sent,
    end: End<T>,
}

/// What it is here.
enum End<T> {
    Written(Arc<T>, Version),
    /// Refused, or not known: what is here may go on as stale.
    Stale,
    Gone,
}

impl<T, S, C> Drop for Write<'_, T, S, C> {
    fn drop(&mut self) {
        let end = std::mem::replace(&mut self.end, End::Stale);
        let site = self.site;
        site.known.writes.ends(self.number, |alone| match end {
            End::Written(value, version) => site.written_here(value, version, alone),
            End::Stale => site.change(Depth::Soft),
            End::Gone => site.change(Depth::Hard),
        });
    }
}

impl<T, S, C> Site<T, S, C> {
    fn begin_write(&self, end: End<T>) -> Write<'_, T, S, C> {
        Write {
            site: self,
            number: self.known.writes.begins(),
            sent: self.sent(),
            end,
        }
    }

    fn begin_to_invalidate(&self, depth: Depth) -> Write<'_, T, S, C> {
        self.begin_write(match depth {
            Depth::Soft => End::Stale,
            Depth::Hard => End::Gone,
        })
    }

    fn invalidated(&self, mut write: Write<'_, T, S, C>, answer: Answer<bool>) -> Answer<bool> {
        let answer = self.note(write.sent, answer);
        if let Ok(false) = answer {
            // The store holds another value than was seen, and so may this process.
            write.end = End::Stale;
        }
        answer
    }
}

impl<T: Send + Sync + 'static, S: Described, C: Codec<T>> Site<T, S, C> {
    fn encode(&self, value: &T) -> Result<Vec<u8>, WriteError> {
        let bytes = self.shared.codec.encode(value);
        let bytes = bytes.map_err(|error| WriteError::Encode(error.into()))?;
        Ok(seal(self.key(), bytes, std::time::Duration::ZERO))
    }

    fn wrote(
        &self,
        mut write: Write<'_, T, S, C>,
        value: T,
        answer: Answer<Placed>,
    ) -> Result<Placed, WriteError> {
        let placed = self.note(write.sent, answer)?;
        if let Placed::Stored(version) = placed {
            write.end = End::Written(Arc::new(value), version);
        }
        Ok(placed)
    }
}

impl<S, C> Shared<S, C> {
    fn begin_to_invalidate_all(&self, depth: Depth) -> AllChange {
        Family::of(&self.store, &self.namespace).begin_to_invalidate(depth)
    }
}

impl<S: Store, C> Shared<S, C> {
    pub(crate) fn invalidate_all(&self, depth: Depth) -> Answer<()> {
        let _here = self.begin_to_invalidate_all(depth);
        let sent = self.common.sent();
        let answer = self.store.invalidate_all(&self.namespace, depth);
        self.common.note(sent, None, answer)
    }
}

impl<S: AsyncStore, C> Shared<S, C> {
    pub(crate) async fn invalidate_all_async(&self, depth: Depth) -> Answer<()> {
        let _here = self.begin_to_invalidate_all(depth);
        let sent = self.common.sent();
        let answer = self.store.invalidate_all(&self.namespace, depth).await;
        self.common.note(sent, None, answer)
    }
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> Site<T, S, C> {
    fn write(&self, guard: Guarded, value: T) -> Result<Placed, WriteError> {
        let bytes = self.encode(&value)?;
        let write = self.begin_write(End::Stale);
        let put = self.put(guard, &bytes);
        let answer = self.shared.store.put(self.key(), &put);
        self.wrote(write, value, answer)
    }

    pub(crate) fn set(&self, value: T) -> Result<Version, WriteError> {
        self.write(Guarded::Any, value).and_then(stored)
    }

    pub(crate) fn compare_and_set(&self, expected: Expected, value: T) -> Result<Swap, WriteError> {
        self.write(expected.into(), value).map(swap)
    }

    pub(crate) fn invalidate_to(&self, depth: Depth, only: Version) -> Answer<bool> {
        let write = self.begin_to_invalidate(depth);
        let answer = self.shared.store.invalidate(self.key(), depth, only);
        self.invalidated(write, answer)
    }
}

impl<T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> Site<T, S, C> {
    async fn write_async(&self, guard: Guarded, value: T) -> Result<Placed, WriteError> {
        let bytes = self.encode(&value)?;
        let write = self.begin_write(End::Stale);
        let put = self.put(guard, &bytes);
        let answer = self.shared.store.put(self.key(), &put).await;
        self.wrote(write, value, answer)
    }

    pub(crate) async fn set_async(&self, value: T) -> Result<Version, WriteError> {
        self.write_async(Guarded::Any, value).await.and_then(stored)
    }

    pub(crate) async fn compare_and_set_async(
        &self,
        expected: Expected,
        value: T,
    ) -> Result<Swap, WriteError> {
        self.write_async(expected.into(), value).await.map(swap)
    }

    pub(crate) async fn invalidate_to_async(&self, depth: Depth, only: Version) -> Answer<bool> {
        let write = self.begin_to_invalidate(depth);
        let answer = (self.shared.store.invalidate(self.key(), depth, only)).await;
        self.invalidated(write, answer)
    }
}

/// The version that was seen. One that no store knows is not there.
pub(crate) fn only<T>(seen: &FleetGuard<'_, T>) -> Version {
    match FleetGuard::version(seen) {
        Version::NONE => Version(u64::MAX),
        version => version,
    }
}

fn stored(placed: Placed) -> Result<Version, WriteError> {
    match placed {
        Placed::Stored(version) => Ok(version),
        Placed::Refused(_) | Placed::Gone => {
            Err(crate::StoreError::protocol("it refused a write without a condition").into())
        }
    }
}

impl<T: Send + Sync + 'static, S: Store, C: Codec<T>> FleetDogpile<T, S, C> {
    /// Stores a value for the whole fleet. Creations that run have come too late.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. The copy of this process is stale then.
    pub fn set(&self, value: T) -> Result<Version, WriteError> {
        self.site.set(value)
    }

    /// Stores a value only if there is what is expected, for the whole fleet.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. That something else is there is no error but a [`Swap::Conflict`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile_fleet::{Expected, FleetDogpile, MemoryStore, Swap};
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let motto = FleetDogpile::builder(store, "motto", Duration::from_secs(60)).build();
    /// let Swap::Stored(first) = motto.compare_and_set(Expected::Absent, "one".to_owned())? else {
    ///     panic!()
    /// };
    /// let again = motto.compare_and_set(Expected::Absent, "two".to_owned())?;
    /// assert_eq!(again, Swap::Conflict(Some(first)));
    /// # Ok::<_, dogpile_fleet::WriteError>(())
    /// ```
    pub fn compare_and_set(&self, expected: Expected, value: T) -> Result<Swap, WriteError> {
        self.site.compare_and_set(expected, value)
    }

    /// Makes the value stale, for the whole fleet: one caller creates the next, the others go on.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then it is stale in this process, and perhaps elsewhere.
    pub fn expire(&self) -> Answer<()> {
        self.site
            .invalidate_to(Depth::Soft, Version::NONE)
            .map(drop)
    }

    /// As [`expire`](FleetDogpile::expire), if the value is still the one that was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn expire_if(&self, seen: &FleetGuard<'_, T>) -> Answer<bool> {
        self.site.invalidate_to(Depth::Soft, only(seen))
    }

    /// Removes the value, for the whole fleet. After it returned, no call of this process, and no call
    /// elsewhere that asks the store, yields what began before.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then it is gone in this process, and perhaps elsewhere.
    pub fn invalidate(&self) -> Answer<()> {
        self.site
            .invalidate_to(Depth::Hard, Version::NONE)
            .map(drop)
    }

    /// As [`invalidate`](FleetDogpile::invalidate), if the value is still the one that was seen.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    pub fn invalidate_if(&self, seen: &FleetGuard<'_, T>) -> Answer<bool> {
        self.site.invalidate_to(Depth::Hard, only(seen))
    }

    /// Makes all values of the [namespace](crate::FleetBuilder::namespace) stale, for the whole fleet and in one
    /// step of the store: of each key one caller creates the next, the others go on.
    ///
    /// When it has returned, it is so for all calls that ask the store, and for all piles of this process
    /// that share the namespace and this very store (the same [`Arc`]). Copies elsewhere are fresh for
    /// their local ttl at most, or until the hint.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then they are stale in this process, and perhaps elsewhere. A
    /// store that cannot do this [refuses](crate::Abilities::namespaces).
    ///
    /// # Cost
    ///
    /// One verb, however many keys there are, and a step for each pile of this process in the namespace.
    pub fn expire_all(&self) -> Answer<()> {
        self.site.shared.invalidate_all(Depth::Soft)
    }

    /// As [`expire_all`](FleetDogpile::expire_all), and the values are gone: after it returned, no call of
    /// this process, and no call elsewhere that asks the store, yields what began before. Copies elsewhere
    /// live for their local ttl at most, or until the hint.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError): then they are gone in this process, and perhaps elsewhere.
    ///
    /// # Example
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile_fleet::{FleetDogpile, MemoryStore};
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let page = |name| {
    ///     let builder = FleetDogpile::builder(Arc::clone(&store), name, Duration::from_secs(60));
    ///     builder.namespace("pages").build()
    /// };
    /// let (index, about) = (page("index"), page("about"));
    /// about.set("old".to_owned())?;
    /// // A new template: no page is what it was.
    /// index.invalidate_all()?;
    /// let text = about.get_or_try_create(|_| Ok::<_, Infallible>("new".to_owned()));
    /// assert_eq!(*text?, "new");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn invalidate_all(&self) -> Answer<()> {
        self.site.shared.invalidate_all(Depth::Hard)
    }
}

impl<T: Send + Sync + 'static, S: AsyncStore, C: Codec<T>> FleetDogpile<T, S, C> {
    /// As [`set`](FleetDogpile::set), for tasks.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value may be stored or not. The copy of this process is stale then.
    pub async fn set_async(&self, value: T) -> Result<Version, WriteError> {
        self.site.set_async(value).await
    }

    /// As [`compare_and_set`](FleetDogpile::compare_and_set), for tasks.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped, the value may be stored or not. The copy of this process is stale then.
    pub async fn compare_and_set_async(
        &self,
        expected: Expected,
        value: T,
    ) -> Result<Swap, WriteError> {
        self.site.compare_and_set_async(expected, value).await
    }

    /// As [`expire`](FleetDogpile::expire), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn expire_async(&self) -> Answer<()> {
        let done = self.site.invalidate_to_async(Depth::Soft, Version::NONE);
        done.await.map(drop)
    }

    /// As [`invalidate`](FleetDogpile::invalidate), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn invalidate_async(&self) -> Answer<()> {
        let done = self.site.invalidate_to_async(Depth::Hard, Version::NONE);
        done.await.map(drop)
    }

    /// As [`expire_all`](FleetDogpile::expire_all), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn expire_all_async(&self) -> Answer<()> {
        self.site.shared.invalidate_all_async(Depth::Soft).await
    }

    /// As [`invalidate_all`](FleetDogpile::invalidate_all), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`](crate::StoreError).
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may be done at the store or not. It is done here.
    pub async fn invalidate_all_async(&self) -> Answer<()> {
        self.site.shared.invalidate_all_async(Depth::Hard).await
    }
}
