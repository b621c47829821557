//! The bare lease: a lock among processes, over a record that never has a value.

use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dogpile::{Clock, SystemClock, Tick};

use crate::async_store::AsyncStore;
use crate::creation::Vigil;
use crate::heart::{Beating, beat};
use crate::policy::poll;
use crate::regeneration::Lease;
use crate::store::{
    Answer, Ask, Described, Found, Grant, Key, Owner, Store, StoreError, Version, draw,
};
use crate::unanswered::Unanswered;

/// A lock among processes that is a lease: it ends by itself if its holder dies or hangs.
///
/// - Only its holder releases it.
/// - Nobody passes because a lease ended. Each who waits asks again, and one is let in.
/// - A holder whose lease is over can [know it](LockGuard::is_lost).
/// - Waiting has a limit of its own, which is not the length of the lease.
///
/// # When not to use it
///
/// Exclusion is only as good as the check of [`fence`](LockGuard::fence) by whatever the lock protects.
/// A process that is stopped for longer than its lease goes on as if it held the lock, and no lock in
/// the world keeps it from writing: only the resource can refuse a lower fence. If what you protect is
/// the value itself, use [`FleetDogpile`](crate::FleetDogpile) or its
/// [`compare_and_set`](crate::FleetDogpile::compare_and_set), where the store does the check. If one
/// process is enough, use a mutex; if a file is what you protect, a file lock.
///
/// It is neither reentrant nor fair, and there is no form for readers.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile_fleet::{LeaseLock, MemoryStore};
///
/// let lock = LeaseLock::new(Arc::new(MemoryStore::new()), "nightly-report");
/// let held = lock.lock_for(Duration::from_secs(5))?;
/// assert!(lock.try_lock()?.is_none());
/// drop(held);
/// assert!(lock.try_lock()?.is_some());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct LeaseLock<S> {
    store: Arc<S>,
    key: Key,
    lease: Duration,
    max_hold: Duration,
    clock: Arc<dyn Clock>,
    unanswered: Unanswered,
}

/// Why a [`LeaseLock`] was not acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another one held it for longer than the limit.
    #[error("the lock was held by another for longer than the limit")]
    TimedOut,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Described> LeaseLock<S> {
    /// The lock of this name in the store.
    pub fn new(store: Arc<S>, name: impl AsRef<[u8]>) -> Self {
        Self {
            store,
            key: Key::new("dogpile-lock", name, 0),
            lease: Duration::from_secs(10),
            max_hold: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
            unanswered: Unanswered::default(),
        }
    }

    /// How long the lease lasts unless it is renewed. Default: 10 s. A store that sees deaths is not
    /// asked for renewals.
    pub fn lease(mut self, span: Duration) -> Self {
        self.lease = span;
        self
    }

    /// Up to when it is renewed: a holder that hangs does not keep it for ever. Default: 60 s.
    pub fn max_hold(mut self, span: Duration) -> Self {
        self.max_hold = span;
        self
    }

    /// The clock of this process. Default: that of the system.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The name of the record in the store.
    pub fn key(&self) -> &Key {
        &self.key
    }
}

impl<S> fmt::Debug for LeaseLock<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseLock")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// One who asks for a lock, without any I/O.
struct Asking {
    owner: Owner,
    unanswered: Unanswered,
    span: Duration,
    deadline: Option<Tick>,
    asked: Tick,
    naps: u32,
}

/// What to do next.
enum Next {
    Locked(Lease),
    Nap {
        fence: Version,
        poll: Duration,
        until: Duration,
    },
}

impl Asking {
    fn new<S: Described>(lock: &LeaseLock<S>, limit: Option<Duration>) -> Self {
        Self {
            owner: Owner::draw(),
            unanswered: lock.unanswered.clone(),
            span: match lock.store.abilities().sees_death {
                true => lock.max_hold,
                false => lock.lease,
            },
            deadline: limit.map(|limit| lock.clock.now().saturating_add(limit)),
            asked: Tick::ZERO,
            naps: 0,
        }
    }

    fn ask(&mut self, now: Tick) -> Ask {
        self.asked = now;
        if let Some(owner) = self.unanswered.take() {
            self.owner = owner;
        }
        Ask::lead(self.owner, self.span)
    }

    fn answered(&mut self, answer: Answer<Found>, now: Tick) -> Result<Next, LockError> {
        match answer.inspect_err(|error| self.unanswered.note(self.owner, error))? {
            Found::Leased { fence, .. } => Ok(Next::Locked(Lease {
                grant: Grant {
                    owner: self.owner,
                    fence,
                },
                until: self.asked.saturating_add(self.span),
                failures: 0,
            })),
            Found::Busy {
                fence, retry_in, ..
            } => {
                let left = match self.deadline {
                    Some(deadline) if deadline <= now => return Err(LockError::TimedOut),
                    Some(deadline) => deadline.saturating_since(now),
                    None => Duration::MAX,
                };
                let until = retry_in.saturating_add(Duration::from_millis(1)).min(left);
                let unit = (draw() >> 11) as f64 / (1u64 << 53) as f64;
                let poll = poll(self.naps, unit).min(until);
                self.naps += 1;
                Ok(Next::Nap { fence, poll, until })
            }
            Found::Fresh(_) | Found::Quiet { .. } | Found::Idle { .. } => {
                Err(StoreError::protocol("the record of a lock has a value").into())
            }
        }
    }
}

/// What a guard knows of its lease.
struct Held {
    lease: Lease,
    vigil: Arc<Vigil>,
    clock: Arc<dyn Clock>,
    ordered: bool,
}

impl Held {
    fn new<S: Described>(lock: &LeaseLock<S>, lease: Lease) -> Self {
        Self {
            lease,
            vigil: Vigil::of(Some(&lease)),
            clock: Arc::clone(&lock.clock),
            ordered: lock.store.abilities().monotonic,
        }
    }

    fn fence(&self) -> Option<Version> {
        self.ordered.then_some(self.lease.grant.fence)
    }
}

macro_rules! held {
    () => {
        /// A number that is higher than that of every holder before: to be sent along with each write
        /// to what the lock protects, which refuses lower ones.
        ///
        /// `None` where the numbers of the store tell leases apart without an order.
        pub fn fence(&self) -> Option<Version> {
            self.held.fence()
        }

        /// Whether the lease is known to be over: another one may hold the lock.
        pub fn is_lost(&self) -> bool {
            self.held.vigil.is_lost(self.held.clock.now())
        }

        /// How long until the lease ends, unless it is renewed.
        pub fn remaining(&self) -> Duration {
            self.held.vigil.remaining(self.held.clock.now())
        }
    };
}

/// The lock, held by a thread. Dropping it releases it.
#[must_use = "the lock is released when it is dropped"]
pub struct LockGuard<S: Store> {
    store: Arc<S>,
    key: Key,
    held: Held,
    beating: Option<Beating>,
    released: bool,
}

impl<S: Store> LeaseLock<S> {
    /// Waits for the lock, without a limit.
    ///
    /// # Errors
    ///
    /// [`LockError::Store`].
    pub fn lock(&self) -> Result<LockGuard<S>, LockError> {
        self.lock_until(None)
    }

    /// Waits for the lock for `limit` at most.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    pub fn lock_for(&self, limit: Duration) -> Result<LockGuard<S>, LockError> {
        self.lock_until(Some(limit))
    }

    /// The lock if it is free.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn try_lock(&self) -> Answer<Option<LockGuard<S>>> {
        match self.lock_until(Some(Duration::ZERO)) {
            Ok(guard) => Ok(Some(guard)),
            Err(LockError::TimedOut) => Ok(None),
            Err(LockError::Store(error)) => Err(error),
        }
    }

    fn lock_until(&self, limit: Option<Duration>) -> Result<LockGuard<S>, LockError> {
        let mut asking = Asking::new(self, limit);
        loop {
            let ask = asking.ask(self.clock.now());
            let answer = self.store.get_or_lease(&self.key, &ask);
            match asking.answered(answer, self.clock.now())? {
                Next::Locked(lease) => return Ok(self.locked(lease)),
                Next::Nap { fence, poll, until } => self.store.nap(&self.key, fence, poll, until),
            }
        }
    }

    fn locked(&self, lease: Lease) -> LockGuard<S> {
        let held = Held::new(self, lease);
        let beating = (!self.store.abilities().sees_death).then(|| {
            let (store, key, span) = (Arc::clone(&self.store), self.key.clone(), self.lease);
            let (vigil, clock) = (Arc::clone(&held.vigil), Arc::clone(&self.clock));
            beat(span / 3, self.max_hold.saturating_sub(span), move || {
                let asked = clock.now();
                match store.renew(&key, lease.grant, span) {
                    Ok(true) => vigil.renewed(asked.saturating_add(span)),
                    Ok(false) => {
                        vigil.lost();
                        return ControlFlow::Break(());
                    }
                    Err(_) => {}
                }
                ControlFlow::Continue(())
            })
        });
        LockGuard {
            store: Arc::clone(&self.store),
            key: self.key.clone(),
            held,
            beating,
            released: false,
        }
    }
}

impl<S: Store> LockGuard<S> {
    held!();

    /// Releases the lock. `false`: it was lost before.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: then the lease ends by itself.
    pub fn release(mut self) -> Answer<bool> {
        self.let_go()
    }

    fn let_go(&mut self) -> Answer<bool> {
        self.released = true;
        self.beating = None;
        self.store
            .release(&self.key, self.held.lease.grant, Duration::ZERO)
    }
}

impl<S: Store> Drop for LockGuard<S> {
    fn drop(&mut self) {
        if !self.released {
            // If the store does not answer, the lease ends by itself.
            let _ = self.let_go();
        }
    }
}

impl<S: Store> fmt::Debug for LockGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}

/// The lock, held by a task. Dropping it begins to release it and does not wait.
///
/// It is not renewed by itself, as nothing runs beside a guard: run what it protects in
/// [`renewing`](AsyncLockGuard::renewing).
#[must_use = "the lock is released when it is dropped"]
pub struct AsyncLockGuard<S: AsyncStore> {
    store: Arc<S>,
    key: Key,
    held: Held,
    span: Duration,
    max_hold: Duration,
    released: bool,
}

impl<S: AsyncStore> LeaseLock<S> {
    /// As [`lock`](LeaseLock::lock), for tasks.
    ///
    /// # Errors
    ///
    /// [`LockError::Store`].
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point: a lease that it is granted then is released.
    pub async fn lock_async(&self) -> Result<AsyncLockGuard<S>, LockError> {
        self.lock_until_async(None).await
    }

    /// As [`lock_for`](LeaseLock::lock_for), for tasks.
    ///
    /// # Errors
    ///
    /// [`LockError`].
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point: a lease that it is granted then is released.
    pub async fn lock_for_async(&self, limit: Duration) -> Result<AsyncLockGuard<S>, LockError> {
        self.lock_until_async(Some(limit)).await
    }

    /// As [`try_lock`](LeaseLock::try_lock), for tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point: a lease that it is granted then is released.
    pub async fn try_lock_async(&self) -> Answer<Option<AsyncLockGuard<S>>> {
        match self.lock_until_async(Some(Duration::ZERO)).await {
            Ok(guard) => Ok(Some(guard)),
            Err(LockError::TimedOut) => Ok(None),
            Err(LockError::Store(error)) => Err(error),
        }
    }

    async fn lock_until_async(
        &self,
        limit: Option<Duration>,
    ) -> Result<AsyncLockGuard<S>, LockError> {
        let mut asking = Asking::new(self, limit);
        loop {
            let ask = asking.ask(self.clock.now());
            let answer = self.store.get_or_lease(&self.key, &ask).await;
            match asking.answered(answer, self.clock.now())? {
                Next::Locked(lease) => {
                    return Ok(AsyncLockGuard {
                        store: Arc::clone(&self.store),
                        key: self.key.clone(),
                        held: Held::new(self, lease),
                        span: self.lease,
                        max_hold: self.max_hold,
                        released: false,
                    });
                }
                Next::Nap { fence, poll, until } => {
                    self.store.nap(&self.key, fence, poll, until).await;
                }
            }
        }
    }
}

impl<S: AsyncStore> AsyncLockGuard<S> {
    held!();

    /// Runs a future, and renews the lease beside it, in the same task.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point, if `work` may.
    pub async fn renewing<F: Future>(&self, work: F) -> F::Output {
        let clock = &self.held.clock;
        let cap = self.max_hold.saturating_sub(self.span);
        let cap = clock.now().saturating_add(cap);
        if self.store.abilities().sees_death {
            return work.await;
        }
        let renewals = async {
            loop {
                self.store.pause(self.span / 3).await;
                let asked = clock.now();
                if asked >= cap {
                    break;
                }
                match self
                    .store
                    .renew(&self.key, self.held.lease.grant, self.span)
                    .await
                {
                    Ok(true) => self.held.vigil.renewed(asked.saturating_add(self.span)),
                    Ok(false) => {
                        self.held.vigil.lost();
                        break;
                    }
                    Err(_) => {}
                }
            }
        };
        let (mut work, mut renewals) = (pin!(work), pin!(renewals));
        let mut renews = true;
        poll_fn(move |cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            renews = renews && renewals.as_mut().poll(cx).is_pending();
            Poll::Pending
        })
        .await
    }

    /// Releases the lock. `false`: it was lost before.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: then the lease ends by itself.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it is released all the same.
    pub async fn release(mut self) -> Answer<bool> {
        let (store, key) = (Arc::clone(&self.store), self.key.clone());
        let answer = store
            .release(&key, self.held.lease.grant, Duration::ZERO)
            .await;
        self.released = true;
        answer
    }
}

impl<S: AsyncStore> Drop for AsyncLockGuard<S> {
    fn drop(&mut self) {
        if !self.released {
            let grant = self.held.lease.grant;
            self.store.release_soon(&self.key, grant, Duration::ZERO);
        }
    }
}

impl<S: AsyncStore> fmt::Debug for AsyncLockGuard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncLockGuard")
            .field("fence", &self.fence())
            .finish_non_exhaustive()
    }
}
