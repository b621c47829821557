//! A guard over any cache as the tests see it: the forms for threads and those for tasks look the same.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use dogpile::{Created, Error, Origin};
use dogpile_cache::{AsyncCache, Cache, CacheDogpile, CacheGuard, Entry};

pub(crate) type Made = Result<Created<u32>, &'static str>;
pub(crate) type Answer = Result<(u32, Origin), Error<&'static str>>;

/// A guard over a cache, and the key 1 of it.
pub(crate) trait Pile: Send + Sync + 'static {
    fn call_with(&self, create: impl FnOnce(Option<u32>) -> Made) -> Answer;
    fn refresh(&self, create: impl FnOnce() -> Result<u32, &'static str>) -> Answer;
    fn peek(&self) -> Option<(u32, Origin)>;
    fn set(&self, value: u32);
    fn expire(&self);
    fn invalidate(&self);
    fn remove(&self) -> Option<u32>;
    fn waiters(&self) -> usize;
    fn is_creating(&self) -> bool;

    fn call(&self, create: impl FnOnce() -> u32) -> Answer {
        self.call_with(|_| Ok(create().into()))
    }

    fn try_call(&self, create: impl FnOnce() -> Result<u32, &'static str>) -> Answer {
        self.call_with(|_| create().map(Created::new))
    }
}

fn shown(guard: &CacheGuard<u32>) -> (u32, Origin) {
    (**guard, CacheGuard::origin(guard))
}

/// By the forms for threads.
pub(crate) struct Threads<C>(pub(crate) CacheDogpile<u32, u32, C>);

impl<C> Pile for Threads<C>
where
    C: Cache<Key = u32, Value = Entry<u32>> + Send + Sync + 'static,
{
    fn call_with(&self, create: impl FnOnce(Option<u32>) -> Made) -> Answer {
        let create = |making: dogpile_cache::Making<'_, u32>| {
            create(making.previous().map(|previous| **previous))
        };
        let guard = self.0.get_or_try_create_with(&1, create)?;
        Ok(shown(&guard))
    }

    fn refresh(&self, create: impl FnOnce() -> Result<u32, &'static str>) -> Answer {
        Ok(shown(&self.0.refresh(&1, create)?))
    }

    fn peek(&self) -> Option<(u32, Origin)> {
        self.0.peek(&1).as_ref().map(shown)
    }

    fn set(&self, value: u32) {
        self.0.set(1, value);
    }

    fn expire(&self) {
        self.0.expire(&1);
    }

    fn invalidate(&self) {
        self.0.invalidate(&1);
    }

    fn remove(&self) -> Option<u32> {
        self.0.remove(&1).map(|value| *value)
    }

    fn waiters(&self) -> usize {
        self.0.waiters(&1)
    }

    fn is_creating(&self) -> bool {
        self.0.is_creating(&1)
    }
}

/// By the forms for tasks.
pub(crate) struct Tasks<C>(pub(crate) CacheDogpile<u32, u32, C>);

impl<C> Pile for Tasks<C>
where
    C: AsyncCache<Key = u32, Value = Entry<u32>> + Send + Sync + 'static,
{
    fn call_with(&self, create: impl FnOnce(Option<u32>) -> Made) -> Answer {
        let create = |making: dogpile_cache::Making<'_, u32>| {
            let made = create(making.previous().map(|previous| **previous));
            async { made }
        };
        let guard = block_on(self.0.get_or_try_create_with_async(&1, create))?;
        Ok(shown(&guard))
    }

    fn refresh(&self, create: impl FnOnce() -> Result<u32, &'static str>) -> Answer {
        let guard = block_on(self.0.refresh_async(&1, || async { create() }))?;
        Ok(shown(&guard))
    }

    fn peek(&self) -> Option<(u32, Origin)> {
        block_on(self.0.peek_async(&1)).as_ref().map(shown)
    }

    fn set(&self, value: u32) {
        block_on(self.0.set_async(1, value));
    }

    fn expire(&self) {
        block_on(self.0.expire_async(&1));
    }

    fn invalidate(&self) {
        block_on(self.0.invalidate_async(&1));
    }

    fn remove(&self) -> Option<u32> {
        block_on(self.0.remove_async(&1)).map(|value| *value)
    }

    fn waiters(&self) -> usize {
        self.0.waiters(&1)
    }

    fn is_creating(&self) -> bool {
        self.0.is_creating(&1)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end, also inside another that runs like this.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
