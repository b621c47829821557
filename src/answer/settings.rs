//! The settings of a pile: the builder fills them in, piles of any value type share the form.

use crate::answer::Origin;
use crate::policy::Policy;
use crate::time::Time;

/// The settings of one pile.
///
/// The order of the fields is that in memory: a pile puts its settings in front of its value, so the
/// last ones stand on the cache line that every hit reads.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Settings {
    pub(crate) cold: Cold,
    pub(crate) policy: Policy,
    pub(crate) time: Time,
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
    /// Whether `acquire` takes what it finds for just created, on a pile that never created.
    pub(crate) init: bool,
    /// Whether the pile keeps the values that `acquire` creates.
    pub(crate) keep: bool,
}
