//! Who sleeps until somebody else's lease is over, and how a hint wakes them.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use dogpile_fleet::Key;

#[derive(Default)]
pub(crate) struct Sleepers(Mutex<HashMap<Key, Vec<Arc<Sleeper>>>>);

#[derive(Default)]
struct Sleeper {
    woken: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Sleeper {
    fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sleepers {
    /// From now on a hint about this record wakes the bed.
    pub(crate) fn bed(&self, key: &Key) -> Bed<'_> {
        let sleeper = Arc::new(Sleeper::default());
        let mut map = lock(&self.0);
        map.entry(key.clone())
            .or_default()
            .push(Arc::clone(&sleeper));
        drop(map);
        Bed {
            all: self,
            key: key.clone(),
            sleeper,
        }
    }

    /// Wakes all who sleep for such a record.
    pub(crate) fn wake(&self, meant: impl Fn(&Key) -> bool) {
        let map = lock(&self.0);
        let beds = map.iter().filter(|(key, _)| meant(key));
        let woken: Vec<_> = beds.flat_map(|(_, beds)| beds.iter().cloned()).collect();
        drop(map);
        for sleeper in woken {
            sleeper.wake();
        }
    }

    /// Wakes all who sleep for this record.
    pub(crate) fn wake_for(&self, key: &Key) {
        let woken = lock(&self.0).get(key).cloned();
        for sleeper in woken.into_iter().flatten() {
            sleeper.wake();
        }
    }
}

/// A place to sleep, until it is dropped.
pub(crate) struct Bed<'a> {
    all: &'a Sleepers,
    key: Key,
    sleeper: Arc<Sleeper>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Bed<'_> {
    /// Sleeps until a hint comes, or the limit.
    pub(crate) fn sleep(&self, limit: Duration) {
        let begun = Instant::now();
        *lock(&self.sleeper.waker) = Some(Waker::from(Arc::new(Unpark(thread::current()))));
        while !self.is_woken() {
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
    }

    /// Waits until a hint comes.
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "for tasks"))]
    pub(crate) async fn woken(&self) {
        poll_fn(|context| {
            *lock(&self.sleeper.waker) = Some(context.waker().clone());
            match self.is_woken() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// The waker has to be there before: else a hint may come in between.
    fn is_woken(&self) -> bool {
        self.sleeper.woken.load(Ordering::SeqCst)
    }
}

impl Drop for Bed<'_> {
    fn drop(&mut self) {
        let mut map = lock(&self.all.0);
        if let Some(beds) = map.get_mut(&self.key) {
            beds.retain(|bed| !Arc::ptr_eq(bed, &self.sleeper));
            if beds.is_empty() {
                map.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("n", name, 0)
    }

    #[test]
    fn a_hint_before_the_sleep_is_not_lost_and_one_about_another_record_wakes_nobody() {
        let sleepers = Sleepers::default();
        let (a, b) = (sleepers.bed(&key("a")), sleepers.bed(&key("b")));
        sleepers.wake_for(&key("a"));
        // It would take an hour, were it not woken.
        a.sleep(Duration::from_secs(3600));
        assert!(!b.is_woken());
        sleepers.wake(|key| key.namespace() == "n");
        b.sleep(Duration::from_secs(3600));
    }

    #[test]
    fn whoever_has_left_is_not_kept() {
        let sleepers = Sleepers::default();
        let beds: Vec<_> = (0..3).map(|_| sleepers.bed(&key("a"))).collect();
        assert_eq!(lock(&sleepers.0)[&key("a")].len(), 3);
        drop(beds);
        assert!(lock(&sleepers.0).is_empty());
    }
}
