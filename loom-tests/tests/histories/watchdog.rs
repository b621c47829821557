//! Ends a test that hangs, and says what it was doing.

use std::fmt::Debug;
use std::io::{Write, stderr};
use std::process::abort;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Far longer than anything that is watched takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Watched {
    doing: String,
    round: u64,
    over: bool,
}

pub(crate) struct Watchdog<'a> {
    watched: &'a Mutex<Watched>,
}

impl Watchdog<'_> {
    /// Runs `body`, which says from time to time what it is about to do.
    pub(crate) fn watch(body: impl FnOnce(&Watchdog<'_>)) {
        let watched = Mutex::new(Watched {
            doing: String::new(),
            round: 0,
            over: false,
        });
        let changed = Condvar::new();
        thread::scope(|threads| {
            threads.spawn(|| wait_for_the_end(&watched, &changed));
            let _over = Over(&watched, &changed);
            body(&Watchdog { watched: &watched });
        });
    }

    pub(crate) fn about_to(&self, what: &dyn Debug) {
        let mut watched = self.watched.lock().unwrap();
        watched.doing = format!("{what:?}");
        watched.round += 1;
    }
}

/// Also if it panics.
struct Over<'a>(&'a Mutex<Watched>, &'a Condvar);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let lock = self.0.lock();
        lock.unwrap_or_else(PoisonError::into_inner).over = true;
        self.1.notify_all();
    }
}

fn wait_for_the_end(watched: &Mutex<Watched>, changed: &Condvar) {
    let mut now = watched.lock().unwrap_or_else(PoisonError::into_inner);
    while !now.over {
        let round = now.round;
        let waited = changed.wait_timeout_while(now, PATIENCE, |now| !now.over);
        let timed_out;
        (now, timed_out) = match waited {
            Ok((now, result)) => (now, result.timed_out()),
            Err(poisoned) => (poisoned.into_inner().0, false),
        };
        if timed_out && now.round == round {
            // Not by `eprintln`, of which nobody sees anything who does not see the test fail.
            let told = writeln!(stderr(), "hangs, doing {}", now.doing);
            drop(told);
            abort();
        }
    }
}
