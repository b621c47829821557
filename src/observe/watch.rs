//! Who observes a pile, and what is observed of one lease.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::observe::{Begun, Ended, Event, Observer, Scope};
use crate::shim::{Arc, Mutex, contain};

/// The observer of a pile, if it has one.
#[derive(Clone)]
pub(crate) enum Watcher {
    Nobody,
    Shared(Arc<dyn Observer>),
    /// For piles in a `static`, which cannot hold an `Arc`.
    Fixed(&'static dyn Observer),
}

impl Watcher {
    pub(crate) fn get(&self) -> Option<&dyn Observer> {
        match self {
            Watcher::Nobody => None,
            Watcher::Shared(observer) => Some(&**observer),
            Watcher::Fixed(observer) => Some(*observer),
        }
    }

    /// Tells how a lease ended, if there is anything to tell.
    pub(crate) fn tell(&self, ended: Option<Ended>) {
        if let (Some(observer), Some(ended)) = (self.get(), ended) {
            contain(|| observer.event(&Event::Ended(ended)));
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Watcher::Nobody => "Nobody",
            Watcher::Shared(_) | Watcher::Fixed(_) => "Somebody",
        })
    }
}

// Its panics are contained.
impl UnwindSafe for Watcher {}
impl RefUnwindSafe for Watcher {}

/// What is observed of one lease.
pub(crate) struct Watch {
    begun: Begun,
    scope: Option<Box<dyn Scope>>,
    /// How the lease ended, until it is told.
    ended: Mutex<Option<Ended>>,
}

impl Watch {
    pub(crate) fn new(begun: Begun) -> Self {
        Self {
            begun,
            scope: None,
            ended: Mutex::new(None),
        }
    }

    /// Tells that the lease was granted.
    pub(crate) fn begin(&mut self, observer: &dyn Observer) {
        contain(|| self.scope = observer.begin(&self.begun));
    }

    /// Notes how the lease ended. This may be under the lock of the pile.
    pub(crate) fn note(&self, ended: Ended) {
        *self.ended.lock() = Some(ended);
    }

    /// Tells how the lease ended.
    pub(crate) fn tell(&self, watcher: &Watcher) {
        let ended = self.ended.lock().take();
        if let (Some(scope), Some(ended)) = (&self.scope, &ended) {
            contain(|| scope.end(ended));
        }
        watcher.tell(ended);
    }

    /// The thread runs the creator from here on, ...
    pub(crate) fn enter(&self) {
        if let Some(scope) = &self.scope {
            contain(|| scope.enter());
        }
    }

    /// ... until here.
    pub(crate) fn leave(&self) {
        if let Some(scope) = &self.scope {
            contain(|| scope.leave());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let scope = self.scope.take();
        contain(|| drop(scope));
    }
}

// As for the observer.
impl UnwindSafe for Watch {}
impl RefUnwindSafe for Watch {}
