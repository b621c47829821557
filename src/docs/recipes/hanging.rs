//! My callers hang: what to print.
//!
//! Callers wait if there is no value that they may use, and somebody else creates. So the first question is who
//! creates, and since when. Print the pile, or its [`stats`](Dogpile::stats): that takes no long lock, and
//! works while all others wait.
//!
//! ```
//! use std::sync::Arc;
//! use std::thread;
//! use std::time::Duration;
//! use dogpile::Dogpile;
//!
//! let rates = Arc::new(Dogpile::<u32>::builder(Duration::from_secs(60)).stats(true).build());
//! # let (go, gone) = std::sync::mpsc::channel();
//! # let fetch = move || gone.recv().unwrap();
//! # let (first, second) = (Arc::clone(&rates), Arc::clone(&rates));
//! # let first = thread::Builder::new().name("loader".into()).spawn(move || {
//! #     first.get_or_create(fetch);
//! # }).unwrap();
//! # while !rates.is_creating() { thread::yield_now() }
//! # let second = thread::spawn(move || { second.get_or_create(|| 8); });
//! # while rates.waiters() == 0 { thread::yield_now() }
//! // ... a thread named "loader" fetches, and another one waits for it
//! let stats = rates.stats();
//! if let Some(lease) = &stats.creating {
//!     eprintln!("{} callers wait for {:?},", stats.waiters, lease.holder);
//!     eprintln!("who has created for {:?}, called at {:?}", lease.held_for, lease.location);
//! }
//! # assert!(format!("{:?}", stats.creating).contains("loader"));
//! # assert_eq!(stats.waiters, 1);
//! # go.send(7).unwrap();
//! # first.join().unwrap();
//! # second.join().unwrap();
//! ```
//!
//! It prints the thread with its name, and the line of the call:
//!
//! ```text
//! 1 callers wait for Some(Thread(Thread { id: ThreadId(2), name: Some("loader"), .. })),
//! who has created for Some(41.2s), called at Some(Location { file: "src/rates.rs", line: 31, .. })
//! ```
//!
//! What you may find:
//!
//! | what it shows | what it means | what helps |
//! |---|---|---|
//! | `creating` with a long `held_for` | the creator hangs | a time-out in the creator; [`max_create_time`](Builder::max_create_time) for the creator that hangs all the same |
//! | the holder is a `Task` | the task was not dropped, and nobody polls it: a [futurelock](crate::docs::pitfalls#futurelock) | [`background`](Dogpile::background) |
//! | the holder is a `Job` | the executor does not run it: its threads are busy, or wait for it | an executor that has room |
//! | the holder's creator waits for a lock that a waiter holds | [a foreign mutex in a creator](crate::docs::pitfalls#a-foreign-mutex-in-a-creator) | do not hold the lock over the call |
//! | no `creating`, and callers wait | they wait for a value that somebody else makes ([`wait_for_value`](Dogpile::wait_for_value)), or, in a map, for their turn ([`creation_limit`](KeyedBuilder::creation_limit)) | a limit, or more turns |
//! | no `creating`, and `retry_in` is set | nobody hangs: callers get [`Error::BackingOff`] | see [`source_down`](super::source_down) |
//! | nobody waits at all | a creator runs again for each caller | is the ttl zero? does it fail each time? `counters` tells |
//!
//! - [`Builder::stats`] makes the pile remember who creates and since when. Without it only `is_creating` and
//!   `waiters` are known.
//! - `{:?}` of a [`Dogpile`] shows all of this, the value and the settings.
//! - For a map, [`KeyedDogpile::stats`] tells how many keys are being created, and
//!   [`KeyedDogpile::stats_of`] tells about one key.
//! - Set a limit: `call().wait(span)` turns a hang into [`Error::TimedOut`].
#![doc(
    alias = "hang",
    alias = "deadlock",
    alias = "stuck",
    alias = "debug",
    alias = "troubleshooting"
)]

#[allow(unused_imports)]
use crate::*;
