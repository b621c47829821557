//! How a model of a part is gone through: [`explore`].

use super::interleavings::{MANY, go_through, is_long};
use crate::shim::model::Setting;

/// Goes through the interleavings of `body` in this setting with so many preemptions, and prints how many
/// there were. If there are [many](MANY), it goes through the first ones, and then through all with one
/// preemption less; at length (`.ci/loom --long`) through all of them.
pub(crate) fn explore(
    setting: Setting,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    setting.apply();
    let most = (!is_long()).then_some(MANY);
    let name = format!(", {:?}, {} slots", setting.barrier, setting.slots);
    go_through(body, preemptions, most, &name);
}
