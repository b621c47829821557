//! One creator among all processes, on a store that is there already.
//!
//! A [`Dogpile`](dogpile::Dogpile) elects one creator among the threads and tasks of one process. A
//! [`FleetDogpile`] elects one among all processes that share a *store*: a directory, a memory, or
//! whatever implements [`Store`]. In each process it is a pile: a hit asks nothing. When the copy of a
//! process has reached its local ttl, one caller of that process asks the store, which answers in one
//! step: with the value, with the lease to create it, or that somebody is at it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use dogpile_fleet::{FileStore, FleetDogpile};
//!
//! # let dir = std::env::temp_dir().join(format!("dogpile-lib-{}", std::process::id()));
//! // All processes of this host that open this directory are one fleet.
//! let store = Arc::new(FileStore::open(&dir)?);
//! let styles = FleetDogpile::builder(store, "styles", Duration::from_secs(300)).build();
//! let css = styles.get_or_try_create(|creation| {
//!     // At most one process is here. Whoever comes meanwhile has the old value, or waits.
//!     println!("lease {:?}", creation.fence());
//!     Ok::<_, std::io::Error>("a { }".to_owned())
//! })?;
//! assert_eq!(*css, "a { }");
//! # drop(css);
//! # std::fs::remove_dir_all(dir)?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which store, which type
//!
//! | I want to | I use |
//! |---|---|
//! | share a value among the processes of a host | [`FileStore`], a directory, as above; the recipe [`shared_token`](docs::shared_token) |
//! | have many keys, with bounds | [`FleetKeyed`], over any of the stores |
//! | share a value in a server or a database | the crates [dogpile-redis], [dogpile-memcached], [dogpile-postgres], [dogpile-sqlite] |
//! | have one process compute a file that is too large for memory, and all read it | [`Files`] |
//! | have one process at a time do something that is no value | [`LeaseLock`] |
//! | invalidate many keys at once | one namespace for them, and [`FleetDogpile::invalidate_all`] |
//! | test | [`MemoryStore`], one for all piles of the test |
//! | use another store | [`Store`] or [`AsyncStore`]: see [below](#a-store-of-your-own) |
//!
//! Which call to use, what back-off and stale limits do, and what goes wrong: that is as with a
//! [`Dogpile`](dogpile::Dogpile), and the [handbook](dogpile::docs) of `dogpile` says it.
//!
//! # The words
//!
//! Those of [`dogpile`], and these:
//!
//! - The *store* keeps a *record* for each key: a value with its times, and a *lease*: an owner, a
//!   number (its *fence*), and an end.
//! - A *version* numbers a value: it is the fence of the lease under which it was stored, or the number
//!   of the write.
//! - The *ttl* is that of the fleet. The *local ttl* is how long a process goes on with its copy without
//!   asking. Whether a value is stale is judged by the ttl.
//!
//! # What is promised
//!
//! | promise | |
//! |---|---|
//! | `fleet_one_creator` | Of all processes one creates, the others go on with the old value or wait. A creator that dies is replaced once: when the store sees its death, or when its lease ends |
//! | `fleet_backoff` | After a failure nobody in the fleet creates for a while; the interval holds for all likewise. Writes and invalidations clear it |
//! | `fenced` | A late, stopped, resumed or twice elected creator overwrites nothing that came after its lease. It is told, and its value goes to its own caller alone |
//! | `store_first` | A write or an invalidation is at the store before the copy of this process changes |
//! | `fleet_invalidate_wins` | After `invalidate` returned, no call of this process, and no call elsewhere that asks the store, yields what began before. The same holds of `invalidate_all` for all keys of a namespace |
//! | `compare_and_set` | "Absent" and a version are both strict. A conflict names what is there |
//! | `waiters_ask_again` | Whoever has waited asks anew, and never passes |
//! | `store_errors_serve` | A store that is slow, down, emptied, full or lying costs a caller with a usable value nothing, and the elected one a bounded time |
//! | `bytes_are_checked` | Torn, foreign, newer or garbled bytes are a miss, counted, and never an error, a panic or a value |
//! | `file_readers_take_no_lock` | Reading a [`FileStore`] waits for nobody. What the killed leave is removed |
//! | `no_trace` | A key of a [`FleetKeyed`] without a copy, a call and a guard in a process takes no memory there |
//! | `eviction_loses_nobody` | What is evicted in a process is in the store still. It ends no creation, and wakes nobody empty-handed |
//! | `multi_never_deadlocks` | Calls for several keys may overlap in any order, here and elsewhere: who holds a lease of the store waits for nobody. An error is that of its key alone |
//! | `lock_is_owned` | Only its holder releases a [`LeaseLock`], and one whose lease is over can know it |
//!
//! "One creator" is a promise of efficiency: it holds while store and lease hold. "Nothing older over
//! something newer" is one of correctness: it holds for as long as the store remembers.
//!
//! | what happens | creators at once | something older over something newer |
//! |---|---|---|
//! | nothing | 1 | never |
//! | the creator dies | 1: at once if the store sees deaths, else when the lease ends | never |
//! | the creator is stopped for longer than its lease | 2, the old one and the new | never: the old one is refused |
//! | the store is emptied | up to 2 | never |
//! | the store is put back to an *older* state | up to 2 | possible: the store has forgotten the newer one |
//! | the store is down | 1 in each process | does not arise: nothing is stored |
//! | a clock is put back or forward | perhaps 1 more | never: numbers are compared, and not times |
//!
//! # A store of your own
//!
//! Implement [`Store`], six verbs of one atomic step each, or [`AsyncStore`]. Both provide a form of the
//! first verb for many records, which a store may replace by one of a single round trip. The public
//! module [`conformance`] has a case for each rule. Most of them are those of [`record`], which a store
//! can use.
//!
#![doc = include_str!("docs/tables.html")]
//!
//! [dogpile-memcached]: https://docs.rs/dogpile-memcached
//! [dogpile-postgres]: https://docs.rs/dogpile-postgres
//! [dogpile-redis]: https://docs.rs/dogpile-redis
//! [dogpile-sqlite]: https://docs.rs/dogpile-sqlite
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod asks;
mod async_store;
mod attempt;
mod cached;
mod call;
mod codec;
pub mod conformance;
mod creation;
#[cfg(feature = "file")]
pub mod docs;
mod door;
mod entry;
mod error;
mod family;
#[cfg(feature = "file")]
mod file;
mod fleet;
mod health;
mod heart;
mod keyed;
mod known;
mod lock;
mod memory;
mod multi;
mod observe;
mod policy;
pub mod record;
mod regeneration;
#[cfg(test)]
mod schedules;
mod shared;
mod site;
mod store;
mod sum;
mod sync;
mod task;
mod thread;
mod unanswered;
mod write;
mod writes;

pub use async_store::{AsyncStore, Blocking, Work};
pub use attempt::{FleetAttempt, FleetLease, PublishOutcome, Published};
pub use cached::FleetCached;
pub use call::{FleetAccept, FleetCall, FleetKeyCall};
#[cfg(feature = "serde-json")]
pub use codec::Json;
#[cfg(feature = "postcard")]
pub use codec::Postcard;
pub use codec::{Codec, Plain};
pub use creation::Creation;
pub use door::{Alone, AtKey};
pub use entry::FleetGuard;
pub use error::{FleetError, Foreign, WriteError};
#[cfg(feature = "file")]
pub use file::{Collected, FileStore, FileStoreBuilder, Files, NewFile, Step, StoredFile};
// The words by which a type is searched for stand here: rustdoc's search finds none that stand at a type in a
// private module.
#[doc(alias = "distributed", alias = "shared cache")]
pub use fleet::FleetDogpile;
pub use fleet::{FleetBuilder, OneKey};
pub use keyed::{FleetKeyed, KeyBytes, ManyKeys};
#[doc(
    alias = "distributed lock",
    alias = "leader election",
    alias = "file lock"
)]
pub use lock::LeaseLock;
pub use lock::{AsyncLockGuard, LockError, LockGuard};
pub use memory::MemoryStore;
pub use observe::{FleetEvent, FleetObserver};
pub use policy::OnStoreError;
pub use shared::FleetStats;
pub use store::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Hint, Key, Owner, Placed, Put,
    Store, StoreError, StoreErrorKind, Stored, Version, Watch,
};
pub use thread::FleetBackground;
pub use write::{Expected, Swap};

#[cfg(all(doctest, feature = "file"))]
#[doc = include_str!("../README.md")]
struct Readme;
