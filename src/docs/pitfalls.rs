//! What goes wrong, and how to avoid it.
//!
//! | symptom | read |
//! |---|---|
//! | async callers hang, and nothing runs | [futurelock](#futurelock) |
//! | a task stutters when a value is replaced | [dropping large values](#dropping-large-values-in-async-code) |
//! | a writer waits for ever, or old values stay in memory | [guards over an await](#guards-over-an-await) |
//! | the first answer of the morning is from yesterday | [no stale limit](#the-default-without-a-stale-limit) |
//! | an error, though there is an old value | the elected caller gets the failure of its creator, unless [`stale_if_error`](crate::Builder::stale_if_error) is set |
//! | callers without a value wait and wait | [a creator without a time-out](#a-creator-without-a-time-out) |
//! | `Error::NoTimer` | [a wait limit without a timer](#a-wait-limit-without-a-timer) |
//! | a value that was wrong is still served, or a good one is gone | [expire or invalidate](#expire-or-invalidate) |
//! | the creator runs in each call | [a time to live of zero](#a-time-to-live-of-zero-and-errors) |
//! | hangs or `Error::Reentrant` on rayon | [rayon and work-stealing](#rayon-and-work-stealing) |
//! | the child process waits for ever | [fork](#fork) |
//! | old tokens after the machine slept | [suspend](#suspend) |
//! | errors because memcached is down | [a store that is down](#a-store-that-is-down) |
//! | two threads wait for each other's lock | [a foreign mutex in a creator](#a-foreign-mutex-in-a-creator) |
//! | memory grows with each key that a stranger sends | [a map without a bound](#a-map-without-a-bound) |
//!
//! To find out which of them you have, see [`hanging`](crate::docs::recipes::hanging).
//!
//! # Futurelock
//!
//! In the plain async form the elected task creates, and its future holds the lease. A future that is not dropped
//! and not polled keeps the lease, and all who wait for it wait on. Two common ways to get there:
//!
//! - `buffer_unordered`, `FuturesUnordered`: the futures in the buffer are polled only while the loop waits for the
//!   next item. If the body of the loop asks the same pile, and a future in the buffer holds the lease, the body
//!   waits for a future that nobody polls.
//! - `select!` over a reference to a future (`&mut call`): when the other branch wins, nobody polls `call` while that
//!   branch runs.
//!
//! The remedy is [`background`](Dogpile::background): an executor polls the creation, and it goes on whatever its caller
//! does. Or do not ask the pile in the body of the loop. A limit ([`Call::wait`]) turns the hang into an error.
//!
#![cfg_attr(feature = "async", doc = "```")]
#![cfg_attr(not(feature = "async"), doc = "```ignore")]
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile::{executor::Thread, Dogpile};
//! use futures::StreamExt;
//! # use futures::executor::block_on;
//!
//! let rates = Arc::new(Dogpile::new(Duration::from_secs(60)));
//! let calls = (0..8).map(|_| rates.background(&Thread).get_or_create_async(async || 7));
//! block_on(async {
//!     let mut answers = futures::stream::iter(calls).buffer_unordered(4);
//!     while let Some(answer) = answers.next().await {
//!         assert_eq!(*answer.unwrap(), 7);
//!         // Safe: no future in the buffer holds the lease.
//!         let again = rates.background(&Thread).get_or_create_async(async || 8);
//!         assert_eq!(*again.await.unwrap(), 7);
//!     }
//! });
//! ```
//!
//! # Dropping large values in async code
//!
//! A value is dropped by whoever drops its last guard, or by whoever replaces it if nobody has one. If that takes
//! long (a large tree, a connection that is closed), it blocks the thread of that task. Keep an `Arc` of
//! the value in the pile, and let the value's own `Drop` give what is slow to another thread. Or have values replaced on
//! threads that may block: [`executor::TokioBlocking`], [`executor::Thread`].
//!
//! # Guards over an `.await`
//!
//! A [`Guard`] may be held over an `.await`, and delays nobody. But an old value stays in memory for as long as a
//! guard shows it, and beyond 256 guards a thread pays for a count. So take out what you need, and drop the guard. To keep the value for
//! long, use [`Guard::to_owned`].
//!
//! A [`ReadGuard`] of a [`SyncReaderDogpile`] is a lock: the writer waits for it. A task that
//! holds one and waits for the writer waits for itself, and this is not detected. Do not hold a read guard over an
//! `.await`, or give the calls a limit.
//!
//! # The default without a stale limit
//!
//! Without [`stale_while_revalidate`](Builder::stale_while_revalidate) a stale value is served for any length of time
//! while one caller creates. In the foreground that is rarely seen: the caller who finds the value stale creates, and gets
//! the new one. In the background that caller too gets the old value at once. After a quiet night it is
//! yesterday's. So say how old a value may be:
//!
//! ```
//! # use std::time::Duration;
//! # use dogpile::Dogpile;
//! let rates = Dogpile::<f64>::builder(Duration::from_secs(60))
//!     .stale_while_revalidate(Duration::from_secs(600)) // after that, callers wait
//!     .build();
//! # let _ = rates;
//! ```
//!
//! # A creator without a time-out
//!
//! A creator that hangs keeps the lease, and no library can stop it. Callers with a usable value go on, and the others wait. Give
//! the creator a time-out of its own. For the creator that hangs all the same, there is
//! [`max_create_time`](Builder::max_create_time). For callers, there is [`Call::wait`].
//!
//! A limit that is shorter than a creation takes is no danger in the background: the creation goes on for the next
//! caller. In the plain async form, a time-out around the call drops the creation with it. If all callers have such a
//! time-out, the value is never made.
//!
//! # A wait limit without a timer
//!
//! An async call with [`wait`](Call::wait) needs something that wakes its task at the end: the crate has no timer. In the
//! background that is the executor's, if it has one (tokio and smol have). In the plain form name one with
//! [`Call::timer`], or put the time-out of your runtime around the call. Without one each such call gets
//! [`Error::NoTimer`], hit or not. A [`ManualClock`] wakes its sleepers itself, so a test may pass where the program fails.
//!
//! # Expire or invalidate
//!
//! | I call | the old value | the creation that runs |
//! |---|---|---|
//! | [`expire`](Dogpile::expire) | is served while one caller renews it | is published, stale: one more follows |
//! | [`invalidate`](Dogpile::invalidate) | is never served again | is superseded: only those who waited already get it |
//! | [`set`](Dogpile::set) | is replaced | is superseded |
//!
//! "Out of date" is `expire`, "wrong" is `invalidate`. A fault that strangers can provoke, such as an unknown key id, is
//! neither: see the recipe [`jwks`](crate::docs::recipes::jwks). A value that carries what its successor needs, such as a
//! refresh token, must not be invalidated: see [`oauth_token`](crate::docs::recipes::oauth_token).
//!
//! # A time to live of zero, and errors
//!
//! With a ttl of zero every call finds the value stale. Errors are not kept: without
//! [`backoff`](Builder::backoff) the next call tries again at once. And a ttl that a creator computes as "lifetime less a
//! margin" may come out as zero: give it a floor.
//!
//! # Rayon and work-stealing
//!
//! - A creator that runs a parallel loop waits for the pool. If all threads of the pool wait for that creator, nobody
//!   computes. Do not wait for a pile on a thread of the pool that its creator needs. With [`executor::Rayon`] a
//!   call that blocks on a thread of rayon runs the queued creation itself.
//! - While such a creator waits for its loop, its thread steals other work. If that work asks the same pile, it is inside the
//!   creator, as far as a thread can know. It gets the stale value if there is one, else [`Error::Reentrant`]. Compute
//!   in a pool of its own, or fill the pile before the loop begins.
//!
//! # Fork
//!
//! The child of a `fork` has one thread. What another thread of the parent held is held in the child for ever: a
//! lease, a read guard, the lock of a map's shard. So use no pile in the child that the parent used on other
//! threads: make new ones, or call `exec`. Programs that fork workers do so before the first call.
//!
//! # Suspend
//!
//! The default clock stands still while the machine is suspended, as the system's monotonic clock does. After eight hours of sleep a token of
//! one hour looks fresh. On laptops, phones and machines that are suspended, build the pile with
//! `clock_static(&BootClock)`: see [`BootClock`]. A step of the wall clock changes nothing in either.
//!
//! # A store that is down
//!
//! In [`acquire`](Dogpile::acquire), a `get` that returns an error ends this call with the error, even if the pile
//! holds the value of its last creation. A `get` that returns "not there" has the source asked at each call. Say
//! [`Lookup::Unreachable`] if the store cannot be reached: then the pile goes by the value of its last creation, and
//! creates only if that is stale. Give `get` a time-out that is short.
//!
//! ```
//! # use std::time::Duration;
//! use dogpile::{Dogpile, Lookup};
//!
//! # fn render() -> Result<String, std::io::Error> { Ok("<h1>".into()) }
//! # fn memcached_get() -> Result<Option<String>, std::io::Error> { Err(std::io::ErrorKind::TimedOut.into()) }
//! let page = Dogpile::new(Duration::from_secs(60));
//! let look_up = || Ok(memcached_get().map_or(Lookup::Unreachable, Lookup::from));
//! assert_eq!(*page.acquire(render, look_up)?, "<h1>");
//! assert_eq!(*page.acquire(|| unreachable!("the kept one is fresh"), look_up)?, "<h1>");
//! # Ok::<_, dogpile::Error<std::io::Error>>(())
//! ```
//!
//! # A foreign mutex in a creator
//!
//! One thread holds a mutex and asks the pile. The pile's creator, on another thread, needs the mutex. They wait for each
//! other, and neither the pile nor the mutex can know. Best is not to hold the mutex over the call. If that cannot be had, do
//! not wait for the mutex under the lease: try it. If it is busy, give the lease up, wait for the mutex without
//! the lease, and begin again.
//!
//! ```
//! use std::sync::Mutex;
//! use std::time::Duration;
//! use dogpile::{Attempt, Dogpile, Guard, Outcome, Owned};
//!
//! struct Database;
//! # impl Database { fn count(&self) -> u64 { 7 } }
//!
//! fn count(pile: &Dogpile<u64>, database: &Mutex<Database>) -> Owned<u64> {
//!     loop {
//!         match pile.attempt() {
//!             Attempt::Hit(value) => return Guard::to_owned(&value),
//!             Attempt::Lease(lease) => match database.try_lock() {
//!                 Ok(database) => {
//!                     let made = lease.run(|_creating| database.count());
//!                     return lease.publish(made).unwrap_or_else(|late| late.into_owned());
//!                 }
//!                 Err(_busy) => {
//!                     drop(lease); // Another caller may create.
//!                     drop(database.lock()); // Wait without the lease.
//!                 }
//!             },
//!             Attempt::Busy(busy) => match busy.into_stale() {
//!                 Ok(stale) => return Guard::to_owned(&stale),
//!                 Err(busy) => {
//!                     if let Outcome::Value(value) = busy.wait() {
//!                         return Guard::to_owned(&value);
//!                     }
//!                 }
//!             },
//!             Attempt::NotYet(_) => unreachable!("this pile has no back-off and no interval"),
//!         }
//!     }
//! }
//! # let pile = Dogpile::new(Duration::from_secs(60));
//! # assert_eq!(*count(&pile, &Mutex::new(Database)), 7);
//! ```
//!
//! The same holds for other things that a creator waits for: a semaphore, a connection of a pool that the callers have
//! used up, a thread of the executor that is waiting.
//!
//! # A map without a bound
//!
//! A [`KeyedDogpile`] holds each value until it is removed, or evicted by a bound. Set
//! [`max_entries`](KeyedBuilder::max_entries) or [`max_weight`](KeyedBuilder::max_weight). If strangers choose the keys, set
//! [`creation_rate`](KeyedBuilder::creation_rate) too: see the recipe [`tenants`](crate::docs::recipes::tenants).
//!
//! # Not offered
//!
//! - Time to idle: a hit writes nothing, so nobody knows when a value was used last. Bounds evict what is not asked
//!   for. moka has it, and `dogpile-moka` keeps it.
//! - Tags that remove many keys at once: use
//!   [`invalidate_where`](KeyedDogpile::invalidate_where), which looks at every entry.
//! - A distributed cache: the crate `dogpile-fleet` has one creator among processes, over a store.
//! - Stopping a creator: Rust cannot stop a thread.
//! - `wasm32-unknown-unknown` has no clock: give the pile [one of your own](Builder::clock).
//!
#![doc = include_str!("tables.html")]
#![doc(
    alias = "futurelock",
    alias = "deadlock",
    alias = "buffer_unordered",
    alias = "select",
    alias = "FuturesUnordered",
    alias = "fork",
    alias = "suspend",
    alias = "gotchas",
    alias = "time to idle",
    alias = "tags"
)]

#[allow(unused_imports)]
use crate::*;
