//! How a model is gone through: [`explore`].

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;

use crate::shim::model::Setting;
use crate::time::{Clock, SystemClock};

/// How many interleavings are many.
const MANY: usize = 20_000;

/// Goes through the interleavings of `body` in this setting with so many preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says, and prints how many there were. If there are [many](MANY), it goes through
/// the first ones, and then through all with one preemption less; at length (`.ci/loom --long`) through all
/// of them.
pub(crate) fn explore(
    setting: Setting,
    preemptions: usize,
    body: impl Fn() + Send + Sync + 'static,
) {
    setting.apply();
    let body = Arc::new(body);
    let preemptions = (Builder::new().preemption_bound).unwrap_or(preemptions);
    let is_long = env::var_os("DOGPILE_MODELS").is_some_and(|models| models == "long");
    let is_cut = go_through(&setting, &body, preemptions, (!is_long).then_some(MANY));
    if let Some(fewer) = preemptions.checked_sub(1).filter(|_| is_cut) {
        go_through(&setting, &body, fewer, None);
    }
}

/// Says whether there are more than so many.
fn go_through(
    setting: &Setting,
    body: &Arc<impl Fn() + Send + Sync + 'static>,
    preemptions: usize,
    most: Option<usize>,
) -> bool {
    let mut builder = Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    let most = builder.max_permutations.or(most);
    builder.max_permutations = most;
    if let Some(most) = most {
        // loom looks at the number now and then only.
        builder.checkpoint_interval = most;
    }
    let explored = Arc::new(AtomicUsize::new(0));
    let (body, count) = (Arc::clone(body), Arc::clone(&explored));
    let begun = SystemClock.now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let explored = explored.load(Ordering::Relaxed);
    let is_cut = most.is_some_and(|most| explored + 1 >= most);
    println!(
        "{}, {:?}, {} slots: {}{explored} interleavings, {preemptions} preemptions, {:.1?}",
        std::thread::current().name().unwrap_or("?"),
        setting.barrier,
        setting.slots,
        if is_cut { "the first " } else { "" },
        SystemClock.now().saturating_since(begun),
    );
    is_cut
}
