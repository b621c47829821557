//! What a creator of the fleet may know: [`Creation`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dogpile::{Creating, Previous, Tick};

use crate::entry::Entry;
use crate::regeneration::Lease;
use crate::shared::Common;
use crate::store::Version;

/// What a creator may know of the creation that it runs.
///
/// Losing the lease stops nobody: a creator that goes on gives its value to its own caller, and the
/// fleet goes on with what came meanwhile.
pub struct Creation<'a, T> {
    pub(crate) creating: Creating<'a, Entry<T>>,
    pub(crate) lease: Option<Lease>,
    pub(crate) vigil: Arc<Vigil>,
    pub(crate) common: &'a Common,
    /// Whether the lease of the pile is superseded by this very regeneration.
    pub(crate) lost_here: bool,
}

/// What is known of a lease while its creator runs.
#[derive(Default)]
pub(crate) struct Vigil {
    lost: AtomicBool,
    /// Whether its holder ends it. Then that it is not renewed any more is no news.
    ends: AtomicBool,
    /// When the lease ends, as of its last renewal.
    until: AtomicU64,
}

impl Vigil {
    pub(crate) fn of(lease: Option<&Lease>) -> Arc<Self> {
        let vigil = Self::default();
        vigil.renewed(lease.map_or(Tick::MAX, |lease| lease.until));
        Arc::new(vigil)
    }

    pub(crate) fn renewed(&self, until: Tick) {
        self.until.store(until.as_nanos(), Ordering::SeqCst);
    }

    /// The store does not renew it. Says whether that is news.
    pub(crate) fn lost(&self) -> bool {
        let ends = self.ends();
        self.lost.store(true, Ordering::SeqCst);
        !ends
    }

    /// Its holder is about to end it.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    pub(crate) fn ends(&self) -> bool {
        self.ends.load(Ordering::SeqCst)
    }

    fn until(&self) -> Tick {
        Tick::from_nanos(self.until.load(Ordering::SeqCst))
    }

    pub(crate) fn remaining(&self, now: Tick) -> Duration {
        self.until().saturating_since(now)
    }

    pub(crate) fn is_lost(&self, now: Tick) -> bool {
        self.lost.load(Ordering::SeqCst) || now >= self.until()
    }
}

impl<T> Creation<'_, T> {
    /// The number of the lease in the store, to be sent along with whatever the creator writes
    /// elsewhere. `None`: the creator runs without the store.
    pub fn fence(&self) -> Option<Version> {
        self.lease.map(|lease| lease.grant.fence)
    }

    /// The value that this process holds, however old it is.
    pub fn previous(&self) -> Option<impl Deref<Target = T> + use<'_, T>> {
        struct Value<T>(Previous<Entry<T>>);
        impl<T> Deref for Value<T> {
            type Target = T;

            fn deref(&self) -> &T {
                self.0.value()
            }
        }
        self.creating.previous().map(Value)
    }

    /// Whether the lease is known to be lost: then the value will not be stored.
    pub fn is_lost(&self) -> bool {
        let superseded = !self.lost_here && self.creating.is_superseded();
        superseded || self.vigil.is_lost(self.common.now())
    }

    /// How long until the lease ends, unless it is renewed. `None`: there is none.
    pub fn remaining(&self) -> Option<Duration> {
        self.lease.map(|_| self.vigil.remaining(self.common.now()))
    }
}

impl<T> fmt::Debug for Creation<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Creation")
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}
