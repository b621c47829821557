/// Examples that must not compile, for what the types forbid, each with a twin that does.
///
/// A guard does not outlive its pile; an [`Owned`] does:
///
/// ```compile_fail,E0505
/// # use std::time::Duration;
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, String::from("x"));
/// let guard = pile.peek().unwrap();
/// drop(pile);
/// println!("{guard}");
/// ```
///
/// ```
/// # use std::time::Duration;
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, String::from("x"));
/// let owned = pile.peek().unwrap().to_owned();
/// drop(pile);
/// println!("{owned}");
/// ```
///
/// A value is shared by threads, so a pile of values that must not be is not shared either:
///
/// ```compile_fail,E0277
/// # use std::{cell::Cell, thread, time::Duration};
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, Cell::new(7));
/// thread::scope(|threads| drop(threads.spawn(|| pile.has_value())));
/// ```
///
/// ```
/// # use std::{sync::atomic::AtomicU8, thread, time::Duration};
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, AtomicU8::new(7));
/// thread::scope(|threads| drop(threads.spawn(|| pile.has_value())));
/// ```
///
/// A guard shows its value and does not lend it for change:
///
/// ```compile_fail,E0594
/// # use std::time::Duration;
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, 7);
/// let mut guard = pile.peek().unwrap();
/// *guard = 8;
/// ```
///
/// ```
/// # use std::time::Duration;
/// let mut pile = dogpile::Dogpile::with_value(Duration::MAX, 7);
/// *pile.get_mut().unwrap() = 8;
/// ```
///
/// A read guard keeps writers out for as long as its value can be used, so it has no owned form; the
/// guard of a plain pile has:
///
/// ```compile_fail,E0308
/// # use std::time::Duration;
/// # use dogpile::{Owned, SyncReaderDogpile};
/// let pile = SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let owned: Owned<i32> = pile.peek().unwrap().to_owned();
/// ```
///
/// ```compile_fail,E0277
/// # use std::time::Duration;
/// # use dogpile::{Owned, SyncReaderDogpile};
/// let pile = SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let owned: Owned<i32> = pile.peek().unwrap().into();
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use dogpile::{Dogpile, Owned};
/// let pile = Dogpile::with_value(Duration::MAX, 7);
/// let owned: Owned<i32> = pile.peek().unwrap().to_owned();
/// let owned: Owned<i32> = pile.peek().unwrap().into();
/// ```
///
/// Neither has what was looked up and keeps writers out:
///
/// ```compile_fail,E0599
/// # use std::time::Duration;
/// # use dogpile::{Lookup, SyncReaderDogpile};
/// let pile = SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let answer = pile.acquire(|| Ok::<_, ()>(8), || Ok(Lookup::Here(9))).unwrap();
/// let value = answer.into_value();
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use dogpile::{Dogpile, Lookup};
/// let pile = Dogpile::with_value(Duration::MAX, 7);
/// let answer = pile.acquire(|| Ok::<_, ()>(8), || Ok(Lookup::Here(9))).unwrap();
/// let value = answer.into_value();
/// ```
///
/// Nor does the write lock outlive its pile:
///
/// ```compile_fail,E0505
/// # use std::time::Duration;
/// let pile = dogpile::SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let write = pile.acquire_write_lock().unwrap();
/// drop(pile);
/// drop(write);
/// ```
///
/// ```
/// # use std::time::Duration;
/// let pile = dogpile::SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let write = pile.acquire_write_lock().unwrap();
/// drop(write);
/// drop(pile);
/// ```
///
/// A `static` pile is built at compile time:
///
/// ```
/// # use std::time::Duration;
/// static PILE: dogpile::Dogpile<u8> = dogpile::Dogpile::new(Duration::from_secs(1));
/// assert!(!PILE.has_value());
/// ```
#[cfg(doctest)]
struct MustNotCompile;
