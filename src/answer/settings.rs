//! The settings of a pile: the builder fills them in, piles of any value type share the form.

use std::fmt;

use crate::answer::Origin;
use crate::observe::Watcher;
use crate::policy::Policy;
use crate::raw::Rate;
use crate::shim::{Arc, Tally};
use crate::time::Time;

/// The settings of one pile.
///
/// The order of the fields is that in memory: a pile puts its settings in front of its value, so the
/// last ones stand on the cache line that every hit reads. Of a builder, `H` says whether hits are to be
/// counted: what counts them cannot be in a `const`.
#[derive(Clone)]
#[repr(C)]
pub(crate) struct Settings<H = Tally> {
    pub(crate) cold: Cold,
    pub(crate) policy: Policy,
    pub(crate) time: Time<H>,
}

impl Settings<bool> {
    /// Those of a pile that is built by these. What has a destructor is taken out, since none runs at
    /// compile time.
    pub(crate) const fn build(&mut self) -> Settings {
        Settings {
            cold: std::mem::replace(&mut self.cold, Cold::new()),
            policy: self.policy,
            time: self.time.build(),
        }
    }
}

impl<H: fmt::Debug> Settings<H> {
    pub(crate) fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("policy", &self.policy)
            .field("clock", &self.time)
            .field("hits", self.time.hits())
            .field("observer", &self.cold.watcher)
            .finish()
    }
}

impl<H: fmt::Debug> fmt::Debug for Settings<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show("Settings", f)
    }
}

impl Settings {
    /// Counts an answer that was no plain hit, if it is a hit.
    #[inline]
    pub(crate) fn answered(&self, origin: Origin) {
        let hits = self.time.hits();
        if hits.is_on() && origin.is_of_held() {
            hits.add();
        }
    }
}

/// Settings that no hit looks at.
#[derive(Clone, Debug)]
pub(crate) struct Cold {
    pub(crate) watcher: Watcher,
    /// Of the piles of one map.
    pub(crate) rate: Option<Arc<Rate>>,
}

impl Cold {
    pub(crate) const fn new() -> Self {
        Self {
            watcher: Watcher::Nobody,
            rate: None,
        }
    }
}
