//! What piles of any value type share.

use crate::policy::Policy;
use crate::time::Time;

/// What piles of any value type share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    pub(crate) time: Time,
    /// Whether `acquire` takes what it finds for just created, on a pile that never created.
    pub(crate) init: bool,
    /// Whether the pile keeps the values that `acquire` creates.
    pub(crate) keep: bool,
}
