//! What a pile promises. This is a page of documentation: it holds no code.
//!
//! Each promise has a name. Its tests (`tests/it`) carry the same name. The concurrent promises also
//! have models (`loom-tests`) under that name, which run under loom and shuttle.
//!
//! The words are those of the [front page](crate#the-words). *After* means *happens after*, by the
//! same thread, a join, a channel or a lock. It does not mean "later by the wall clock".
//!
//! To *elect anew* is to look again: one of the callers gets the lease, and the others wait for it. A
//! call that asked for something newer elects anew too if the creation began too early for it.
//!
//! # Election
//!
//! | promise | |
//! |---|---|
//! | `one_creator` | One pile never has two creators at the same time. This holds after an `invalidate`, a `set`, a failure, a panic, a cancellation and a time-out too. The one exception is a creation that is taken over after `max_create_time`. |
//! | `stale_never_blocks` | While one caller creates, or none may create yet, every other caller with a usable value returns at once, without taking the lock of the pile. |
//! | `first_call_waits` | Without a value, all callers wait, one creates, and all get that value. They get it even if it is stale, expired or invalidated by then. |
//! | `no_double_regeneration` | A caller that saw a stale value, but got the lease only after another caller renewed it, does not create again. |
//! | `broadcast` | Waiters leave together. None of them takes a lock for it, and none of them runs a creator. |
//! | `no_starvation` | A waiter outlasts at most two creations that were not given up, however often the pile is invalidated. |
//!
//! # Failure
//!
//! | promise | |
//! |---|---|
//! | `error_reaches_everyone_once` | An error goes to its caller and to the fallible calls that waited for that creation. The creator is not run again for them. Callers with another error type get [`Error::Failed`]. |
//! | `stale_if_error` | Where it is configured, and within its limit, a call that would get a failure gets the value that is held instead, if it takes stale values. A creator can say that its failure is an answer. |
//! | `backoff` | Where it is configured, no creator runs after a failure before the back-off is over. A creator can say how long it lasts. The short forms that have no error to give, such as `get_or_create`, create all the same where nothing is usable. |
//! | `max_create_time` | Where it is configured, a lease that is held for longer is taken over. At most one such creator is late at a time. |
//! | `min_interval` | Where it is configured, creations begin at least so far apart, whatever asks for them. The short forms that have no error to give, such as `get_or_create`, create all the same where nothing is usable. |
//! | `panic_hands_over` | A panic unwinds in the call that ran the creator. The fallible calls that waited get [`Error::Panicked`]. The next caller creates. |
//! | `given_up_is_free` | After a lease is given up, the next caller takes it. It is never reserved for a sleeping waiter. |
//! | `refusal_serves_stale` | If an executor refuses or drops a job, only callers without a usable value get an error. |
//! | `never_waits_for_itself` | A blocking call never waits for ever, on a thread that an executor needs, for a job of that executor. It runs the job, or gets [`Error::Refused`]. Where an adapter cannot know this, its page says so. |
//! | `wait_timeout` | A waiter with a limit leaves in time, whatever the creator does. Nobody else notices. The limit does not count the caller's own creator, unless that runs in the background. |
//! | `reentrancy_is_an_error` | A creator that asks its own pile gets a usable value if there is one, else [`Error::Reentrant`]. It does not hang. |
//! | `cancel_is_safe` | The future of a call may be dropped at any await point. No wake-up is lost, nothing leaks, and no lease and no gate stays taken. |
//!
//! # Truth
//!
//! | promise | |
//! |---|---|
//! | `invalidate_wins` | A call that starts after `invalidate` never gets a value whose creation began before it. |
//! | `set_wins` | A creation that began before a `set` never overwrites the value that was set. Waiters get that value at once. |
//! | `expire_keeps_serving` | After `expire`, one caller renews the value, and the others get the old one meanwhile. `expire` never makes a value end sooner. |
//! | `what_i_saw` | `expire_if`, `invalidate_if` and `set_if` act only if the value that was seen is still the current one. |
//! | `no_resurrection` | `expire` after `invalidate` does not bring the invalidated value back. |
//! | `ttl_from_completion` | The age of a value counts from the end of its creation. A creator that is slower than the time to live still makes a value that lives for that time. |
//! | `per_value_limits` | A creator may give its value a time to live, an age and limits of its own. |
//! | `refresh_ahead` | From the refresh point of a value on, one caller renews it, and all others are served. |
//! | `keep_fresh` | A value that is kept fresh is renewed at its refresh point without any caller, and at once after an `expire`, an `invalidate`, or where there is none. The rules of the pile hold. It ends with its handle, and with the pile, which it does not keep alive. |
//! | `ttl_jitter` | It moves only the start of stale, and only to earlier. |
//! | `monotonic` | A step of the wall clock changes nothing. The clock can be injected, in a `static` too; one that counts what the machine sleeps is [`BootClock`]. |
//!
//! # Guards
//!
//! | promise | |
//! |---|---|
//! | `guard_keeps_value` | The value that a guard shows stays alive and unchanged until the guard is dropped. |
//! | `publish_never_waits_for_readers` | A guard that is held for an hour delays no creation, and does not slow the readers of newer values. |
//! | `dropped_once_and_soon` | A value is dropped once, as soon as its last guard or handle is gone. [`Guard`] lists the exceptions. |
//! | `user_code_outside_locks` | Your code never runs under a lock of a pile: creators, `get`, `Drop`, wakers. |
//!
//! # Readers and writer
//!
//! Of a [`SyncReaderDogpile`]. All other promises hold for it too, once no writer waits.
//!
//! | promise | |
//! |---|---|
//! | `write_lock_excludes_readers` | While a [`WriteGuard`] is held, there is no [`ReadGuard`] of that pile, on any value. |
//! | `pending_writer_goes_first` | New readers wait behind a waiting writer. |
//! | `nested_reader_goes_in` | A thread that holds a read guard, which it took itself, gets another one even while a writer waits. |
//! | `write_lock_in_creator` | A creator may take the write lock, and may keep readers out until its value is published. However the creation ends, readers get in again. |
//! | `reader_never_waits_for_creation` | A thread that holds a read guard never waits for a creation. If it needs one, it gets [`Error::HoldsReadGuard`]. |
//! | `write_lock_self_deadlock_is_an_error` | A thread that asks for the write lock, but holds a read guard or the write lock itself, gets a [`WriteLockError`]. |
//!
//! # A value kept elsewhere
//!
//! Of [`Dogpile::acquire`] and its forms.
//!
//! | promise | |
//! |---|---|
//! | `get_once` | `get` runs at most once in each call, and never after a creation. |
//! | `kept_for_the_late` | A caller whose `get` missed while another caller created takes that caller's value. |
//! | `age_from_store` | If `get` returns an age, that age decides. |
//! | `init` | A pile can be told to start as if its value had been created at the first call. |
//! | `store_down` | If `get` cannot reach the store, the call goes by the value of the last creation. |
//! | `declines` | The holder of a lease can decline to create. Waiters elect anew, and nobody gets an error. |
//!
//! # Many keys
//!
//! Of a [`KeyedDogpile`]. All other promises hold for each of its keys too, but for those of `acquire`,
//! which it does not have.
//!
//! | promise | |
//! |---|---|
//! | `keys_do_not_wait` | A creation, a slow creator, a failure of one key delays no other key. None of your code runs under a lock that keys share, not even `Hash` and `Eq`. |
//! | `no_trace` | A key without a value, and without anybody who creates it or waits for it, takes no memory. |
//! | `eviction_loses_nobody` | Evicting a key ends no creation, wakes no waiter empty-handed, and lets no second creator in. |
//! | `bounded` | With a bound, entries and weight stay within it, but for the keys that calls are at. What weighs more than all room goes to its callers and is not kept. |
//! | `creation_limit` | So many creations of the map run at once. A call waits for its turn before it is elected. A creation nested in a creator of the same map needs no turn, and a call for several keys needs one. |
//! | `creation_rate` | Where configured, so many creations of the map begin in a span. A call that would be one too many gets the stale value or the fallback, else [`Error::BackingOff`], at once. Of several keys each counts. |
//! | `multi_never_deadlocks` | Calls for several keys may overlap in any order. Nobody waits while holding a lease. Each key has one creator, an error concerns its keys alone, and a key that the creator left out is [`Error::Missing`] to all who waited for it. |
//! | `cycles_are_an_error` | Of two creators, on threads, that would wait for each other's key, one gets [`Error::Cycle`]. |
//!
//! # Seen from outside
//!
//! | promise | |
//! |---|---|
//! | `observed_once` | Each end of a lease is one event for an [`Observer`](observe::Observer), told after those who wait were woken, with its fence, its length and how many waited. From the first election with a stale value at hand to the next value is one spell of stale answers. Waits that are too long are counted. [`Dogpile::stats`] and `Debug` tell who creates, since when, and when the next creation may begin. A panic in an observer is contained. Nothing of it is on the way of a hit. |
//! | `next_value` | [`Dogpile::wait_for_value`] and [`Dogpile::wait_for_newer`] wait without ever being elected, whether or not anybody creates. A value that is set or published wakes them. A failure, a lease given up and an `invalidate` let them wait on. |
//!
//! # What a caller gets
//!
//! Each row names what a call finds, and what it gets then. A test reads these rows, and holds the crate
//! against them.
//!
//! <div class="wide">
//!
//! ```text
#![doc = include_str!("../policy/decisions.txt")]
//! ```
//!
//! </div>
//!
//! An answer's [`Origin`] and [`Guard::failure`] tell how it came about. [`Dogpile::peek`],
//! [`Dogpile::has_value`], [`Dogpile::is_fresh`] and [`Dogpile::age`] never show a value that only stands
//! in for a failure. [`Call::max_age`] says for one call that a value is stale sooner, and moves its
//! limits with that.
//!
#![doc = include_str!("tables.html")]

// For the links above.
#[allow(unused_imports)]
use crate::*;
