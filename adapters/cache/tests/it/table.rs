//! A cache of which the tests say what happens in the middle of its calls.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use dogpile_cache::{AsyncCache, Cache, Entry};

/// A moment in a call of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    AfterGet,
    BeforePut,
    AfterPut,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    kept: Mutex<HashMap<u32, Entry<u32>>>,
    hooks: Mutex<Vec<(At, Hook)>>,
}

/// For threads.
#[derive(Clone, Default)]
pub(crate) struct Table(Arc<Inner>);

impl Table {
    /// Does something once, the next time that this comes. What comes next is listed first.
    pub(crate) fn on(&self, at: At, hook: impl FnOnce() + Send + 'static) {
        self.0.hooks.lock().unwrap().push((at, Box::new(hook)));
    }

    /// Whether all that was to be done was done.
    pub(crate) fn is_done(&self) -> bool {
        self.0.hooks.lock().unwrap().is_empty()
    }

    pub(crate) fn evict(&self) {
        self.0.kept.lock().unwrap().remove(&1);
    }

    fn at(&self, at: At) {
        let mut hooks = self.0.hooks.lock().unwrap();
        if hooks.first().is_some_and(|(next, _)| *next == at) {
            let (_, hook) = hooks.remove(0);
            drop(hooks);
            hook();
        }
    }
}

impl Cache for Table {
    type Key = u32;
    type Value = Entry<u32>;

    fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Entry<u32>>
    where
        u32: Borrow<Q>,
    {
        let entry = self.0.kept.lock().unwrap().get(key).cloned();
        self.at(At::AfterGet);
        entry
    }

    fn put(&self, key: u32, entry: Entry<u32>) {
        self.at(At::BeforePut);
        self.0.kept.lock().unwrap().insert(key, entry);
        self.at(At::AfterPut);
    }

    fn remove<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        u32: Borrow<Q>,
    {
        self.0.kept.lock().unwrap().remove(key);
    }
}

/// For tasks: the same, and each call is pending once before, and once after it did something.
#[derive(Clone, Default)]
pub(crate) struct Slow(pub(crate) Table);

async fn pause() {
    let mut was_polled = false;
    poll_fn(|cx| match std::mem::replace(&mut was_polled, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl AsyncCache for Slow {
    type Key = u32;
    type Value = Entry<u32>;

    async fn get<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q) -> Option<Entry<u32>>
    where
        u32: Borrow<Q>,
    {
        pause().await;
        let entry = Cache::get(&self.0, key);
        pause().await;
        entry
    }

    async fn put(&self, key: u32, entry: Entry<u32>) {
        pause().await;
        Cache::put(&self.0, key, entry);
        pause().await;
    }

    async fn remove<Q: Eq + Hash + Sync + ?Sized>(&self, key: &Q)
    where
        u32: Borrow<Q>,
    {
        pause().await;
        Cache::remove(&self.0, key);
        pause().await;
    }
}
