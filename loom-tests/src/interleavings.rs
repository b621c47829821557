//! How a model is gone through under loom. The models of the crate's parts include this file.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::model::Builder;

/// How many interleavings are many, unless `LOOM_MAX_PERMUTATIONS` says it.
pub(crate) const MANY: usize = 20_000;

/// Whether the models are to be gone through at length: `.ci/loom --long`.
pub(crate) fn is_long() -> bool {
    env::var_os("DOGPILE_MODELS").is_some_and(|models| models == "long")
}

/// Goes through the interleavings of `body` with so many preemptions, or as many as `LOOM_MAX_PREEMPTIONS`
/// says, and prints how many there were. If there are more than `most`, it goes through the first ones, and
/// then through all with one preemption less.
pub(crate) fn go_through(
    body: impl Fn() + Send + Sync + 'static,
    preemptions: usize,
    most: Option<usize>,
    setting: &str,
) {
    let (body, given) = (Arc::new(body), Builder::new());
    let preemptions = given.preemption_bound.unwrap_or(preemptions);
    let is_cut = go(&body, preemptions, given.max_permutations.or(most), setting);
    if let Some(fewer) = preemptions.checked_sub(1).filter(|_| is_cut) {
        go(&body, fewer, given.max_permutations, setting);
    }
}

/// Says whether there are more than so many.
fn go(
    body: &Arc<impl Fn() + Send + Sync + 'static>,
    preemptions: usize,
    most: Option<usize>,
    setting: &str,
) -> bool {
    let mut builder = Builder::new();
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    builder.max_permutations = most;
    if let Some(most) = most {
        // loom looks at the number now and then only.
        builder.checkpoint_interval = most;
    }
    let explored = Arc::new(AtomicUsize::new(0));
    let (body, count) = (Arc::clone(body), Arc::clone(&explored));
    let begun = Instant::now();
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        body();
    });
    let explored = explored.load(Ordering::Relaxed);
    let is_cut = most.is_some_and(|most| explored + 1 >= most);
    println!(
        "{}{setting}: {}{explored} interleavings, {preemptions} preemptions, {:.1?}",
        std::thread::current().name().unwrap_or("?"),
        if is_cut { "the first " } else { "" },
        begun.elapsed(),
    );
    is_cut
}
