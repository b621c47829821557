//! How a model is gone through: [`explore`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shim::model::Setting;
use crate::time::{Clock, SystemClock};

/// Goes through all interleavings of `body` in this setting with so many preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says, and prints how many there were.
pub(crate) fn explore(
    setting: Setting,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    setting.apply();
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    let preemptions = *builder.preemption_bound.get_or_insert(preemptions);
    let explored = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&explored);
    let begun = SystemClock.now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!(
        "{}, {:?}, {} slots: {} interleavings, {preemptions} preemptions, {:.1?}",
        std::thread::current().name().unwrap_or("?"),
        setting.barrier,
        setting.slots,
        explored.load(Ordering::Relaxed),
        SystemClock.now().saturating_since(begun),
    );
}
