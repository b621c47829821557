//! What an observer of a fleet is told: [`FleetObserver`], [`FleetEvent`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::store::{Depth, Key, StoreError, Version};

/// Is told of what happens between this process and its store; see
/// [`FleetBuilder::observer`](crate::FleetBuilder::observer).
///
/// It is called by the thread on which the thing happens, never under a lock. An observer that blocks
/// keeps that one caller, and with a hint the thread of the store that gives it. A panic in it is
/// contained. A hit is not told.
///
/// Of one creation the events come in this order: [`Ask`](FleetEvent::Ask),
/// [`Lead`](FleetEvent::Lead), then one of [`Stored`](FleetEvent::Stored),
/// [`Refused`](FleetEvent::Refused) and [`StoreError`](FleetEvent::StoreError), and
/// [`Lost`](FleetEvent::Lost) before that if it came to it. Those of several callers come as they come:
/// the number of the lease or of the value is their order. How a creation went in this process, with its
/// errors and panics, is told to an [`Observer`](dogpile::observe::Observer) of the pile.
///
/// # Example
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use dogpile_fleet::{FleetDogpile, FleetEvent, FleetObserver, MemoryStore};
///
/// #[derive(Default)]
/// struct Log(Mutex<Vec<&'static str>>);
///
/// impl FleetObserver for Log {
///     fn event(&self, event: &FleetEvent<'_>) {
///         self.0.lock().unwrap().push(event.name());
///     }
/// }
///
/// let log = Arc::new(Log::default());
/// let store = Arc::new(MemoryStore::new());
/// let motto = FleetDogpile::builder(store, "motto", Duration::from_secs(60))
///     .observer(log.clone())
///     .build();
/// drop(motto.get_or_create(|_| "one for all".to_owned())?);
/// drop(motto.get_or_create(|_| "a hit".to_owned())?);
/// assert_eq!(*log.0.lock().unwrap(), ["ask", "lead", "stored"]);
/// # Ok::<_, dogpile_fleet::FleetError<std::convert::Infallible>>(())
/// ```
pub trait FleetObserver: Send + Sync {
    /// Something happened.
    fn event(&self, event: &FleetEvent<'_>) {
        let _ = event;
    }
}

/// What a [`FleetObserver`] is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FleetEvent<'a> {
    /// The store is about to be asked for the value, or else for the lease.
    #[non_exhaustive]
    Ask {
        /// Of which record.
        key: &'a Key,
    },
    /// The store granted the lease: this process is to create.
    #[non_exhaustive]
    Lead {
        /// Of which record.
        key: &'a Key,
        /// The number of the lease.
        fence: Version,
        /// How many creations in a row have failed before this one.
        failures: u32,
    },
    /// The store said that somebody else creates, or that nobody may yet.
    #[non_exhaustive]
    Busy {
        /// Of which record.
        key: &'a Key,
        /// The number of the other's lease. `None`: nobody may create yet.
        fence: Option<Version>,
        /// The version of the stale value, if there is one.
        stale: Option<Version>,
        /// When the lease, or the span of quiet, ends.
        retry_in: Duration,
    },
    /// The store took what this process created.
    #[non_exhaustive]
    Stored {
        /// Of which record.
        key: &'a Key,
        /// The version of the value: the number of the lease.
        version: Version,
        /// How long the creator took.
        took: Duration,
    },
    /// The store did not take what this process created: something came after the lease.
    #[non_exhaustive]
    Refused {
        /// Of which record.
        key: &'a Key,
        /// The number of the lease.
        fence: Version,
    },
    /// The store did not renew a lease whose creator runs: it is lost.
    #[non_exhaustive]
    Lost {
        /// Of which record.
        key: &'a Key,
        /// The number of the lease.
        fence: Version,
    },
    /// A verb of the store failed.
    #[non_exhaustive]
    StoreError {
        /// Of which record. `None`: of the whole namespace.
        key: Option<&'a Key>,
        /// How it failed.
        error: &'a StoreError,
    },
    /// The store told that somebody else changed something, and this process acted upon it.
    #[non_exhaustive]
    Hint {
        /// Of which record. `None`: of the whole namespace.
        key: Option<&'a Key>,
        /// Whether what was there is stale or gone.
        depth: Depth,
    },
    /// The store told that hints were lost: all copies of this process are stale.
    Missed,
}

impl FleetEvent<'_> {
    /// A short name, for labels: `ask`, `lead`, `busy`, `stored`, `refused`, `lost`, `store_error`,
    /// `hint`, `missed`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Lead { .. } => "lead",
            Self::Busy { .. } => "busy",
            Self::Stored { .. } => "stored",
            Self::Refused { .. } => "refused",
            Self::Lost { .. } => "lost",
            Self::StoreError { .. } => "store_error",
            Self::Hint { .. } => "hint",
            Self::Missed => "missed",
        }
    }

    /// The record that it is about, if it is about one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Ask { key }
            | Self::Lead { key, .. }
            | Self::Busy { key, .. }
            | Self::Stored { key, .. }
            | Self::Refused { key, .. }
            | Self::Lost { key, .. } => Some(key),
            Self::StoreError { key, .. } | Self::Hint { key, .. } => *key,
            Self::Missed => None,
        }
    }
}

/// Tells an observer, and keeps its panic from the caller.
pub(crate) fn tell(observer: &dyn FleetObserver, event: &FleetEvent<'_>) {
    let Err(payload) = catch_unwind(AssertUnwindSafe(|| observer.event(event))) else {
        return;
    };
    // What a panic carries can panic in its turn when it is dropped. What that one carries is leaked.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}
