//! Ends the program when somebody hangs, and says who, doing what, with which seed.

use std::process;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::ledger::seed;

/// Far longer than anything takes, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(12);

/// What one thread is at.
pub(crate) struct Doing(Mutex<Option<(&'static str, Instant)>>);

impl Doing {
    pub(crate) fn now(&self, what: &'static str) {
        *lock(&self.0) = Some((what, Instant::now()));
    }
}

/// Whoever is looked after, and who can tell the state of the round.
struct Watched {
    all: Vec<Weak<Doing>>,
    state: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

static WATCHED: Mutex<Watched> = Mutex::new(Watched {
    all: Vec::new(),
    state: None,
});

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the calling thread looked after, until the answer is dropped.
pub(crate) fn look_after(what: &'static str) -> Arc<Doing> {
    let doing = Arc::new(Doing(Mutex::new(None)));
    doing.now(what);
    let mut watched = lock(&WATCHED);
    watched.all.retain(|one| one.strong_count() > 0);
    watched.all.push(Arc::downgrade(&doing));
    doing
}

/// A new round.
pub(crate) fn tell_state(state: impl Fn() -> String + Send + Sync + 'static) {
    lock(&WATCHED).state = Some(Arc::new(state));
}

pub(crate) fn start() {
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_millis(500));
            let all: Vec<_> = lock(&WATCHED)
                .all
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            let hangs = |doing: &Arc<Doing>| {
                let now = *lock(&doing.0);
                now.filter(|(_, since)| since.elapsed() > PATIENCE)
            };
            let hanging: Vec<_> = all.iter().filter_map(hangs).collect();
            if !hanging.is_empty() {
                report(&hanging);
            }
        }
    });
}

fn report(hanging: &[(&'static str, Instant)]) -> ! {
    for (what, since) in hanging {
        println!("seed {}: hangs for {:.1?}: {what}", seed(), since.elapsed());
    }
    let state = lock(&WATCHED).state.clone();
    // By a thread of its own, since it may hang on the same lock.
    thread::spawn(move || println!("{}", state.map_or_else(String::new, |state| state())));
    thread::sleep(Duration::from_secs(2));
    process::exit(1);
}
