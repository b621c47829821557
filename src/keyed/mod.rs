//! Many keys, each with a pile of its own: [`KeyedDogpile`].
//!
//! A map is shards of a lock around an index. An *entry* of an index is a key and the pile of that key. So
//! all that is promised of a pile is promised of a key, by the same code. The entry is there for as long
//! as the pile has a value, or somebody is at it: a caller, a lease, a waiter. Whoever may change the pile
//! makes a *visit*, which the shard counts. The last visitor to leave a pile without a value takes the
//! entry out. So nobody is ever at an entry that is not in the index, and there are never two piles of
//! one key.
//!
//! A hit makes no visit, and takes no lock. It finds the entry in the index, if that was found once before,
//! and shows in a slot that it reads it. Then it reads the pile as any hit does. Who takes an entry out
//! looks afterwards whether somebody reads it; then the value is taken out of its pile, and the entry is
//! there until the last reader lets go of it. To a call that comes too late the pile has no value, and the
//! call goes on as one that found nothing. What is not found without the lock is looked up under it.

mod attempt;
mod builder;
mod cached;
mod call;
#[cfg(feature = "async")]
mod call_async;
mod cycles;
mod dogpile;
#[cfg(feature = "async")]
mod dogpile_async;
mod entry;
mod guard;
mod leases;
#[cfg(all(test, dogpile_loom))]
mod models;
mod multi;
#[cfg(feature = "async")]
mod multi_async;
#[cfg(feature = "async")]
mod multi_background;
mod next_value;
mod queue;
mod room;
mod shard;
mod shared;
mod turns;

pub use self::attempt::{KeyedAttempt, KeyedBusy};
pub use self::builder::KeyedBuilder;
pub use self::cached::Cached;
pub use self::call::KeyedCall;
#[cfg(feature = "async")]
pub use self::call_async::{InBackground, KeyedBackground};
pub use self::dogpile::{Iter, KeyedDogpile};
pub use self::guard::{KeyedGuard, KeyedOwned};
pub use self::leases::{KeyLease, KeySeat, Leases};
#[cfg(feature = "async")]
pub use self::multi_background::KeyedMulti;
pub use self::room::Eviction;
