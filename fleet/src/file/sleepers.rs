//! Sleeping until an owner lets go or dies.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// One thread for each owner that anybody in this process waits for sleeps in the kernel, for as long
/// as that owner's file is locked.
#[derive(Default)]
pub(super) struct Sleepers(Arc<Mutex<HashMap<PathBuf, Arc<Sleeper>>>>);

#[derive(Default)]
struct Sleeper {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Sleepers {
    /// Sleeps for `limit` at most.
    pub(super) fn sleep(&self, path: &Path, limit: Duration) {
        let Some(sleeper) = self.sleeper(path) else {
            return;
        };
        let over = sleeper.over.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = (sleeper.changed).wait_timeout_while(over, limit, |over| !*over);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }

    /// `None`: the owner is gone already.
    fn sleeper(&self, path: &Path) -> Option<Arc<Sleeper>> {
        let mut sleepers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sleeper) = sleepers.get(path) {
            return Some(Arc::clone(sleeper));
        }
        let file = File::open(path).ok()?;
        let sleeper = Arc::new(Sleeper::default());
        let (told, all, name) = (Arc::clone(&sleeper), Arc::clone(&self.0), path.to_owned());
        let spawned = thread::Builder::new()
            .name("dogpile-file".to_owned())
            .spawn(move || {
                // Shared: so that those who wait do not take each other for the owner. If it fails,
                // whoever sleeps asks again.
                let _ = file.lock_shared();
                drop(file);
                all.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&name);
                *told.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
                told.changed.notify_all();
            });
        // Without a thread, they sleep for as long as they would poll.
        if spawned.is_ok() {
            sleepers.insert(path.to_owned(), Arc::clone(&sleeper));
        }
        Some(sleeper)
    }
}
