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
/// let owned = dogpile::Guard::to_owned(&pile.peek().unwrap());
/// drop(pile);
/// println!("{owned}");
/// ```
///
/// Threads share a pile only if they may share its value:
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
/// A guard shows its value. It does not let anybody change it:
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
/// A read guard keeps writers out for as long as its value can be used. So it has no owned form. The
/// guard of a plain pile has one:
///
/// ```compile_fail,E0308
/// # use std::time::Duration;
/// # use dogpile::{Guard, Owned, SyncReaderDogpile};
/// let pile = SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let owned: Owned<i32> = Guard::to_owned(&pile.peek().unwrap());
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
/// # use dogpile::{Dogpile, Guard, Owned};
/// let pile = Dogpile::with_value(Duration::MAX, 7);
/// let owned: Owned<i32> = Guard::to_owned(&pile.peek().unwrap());
/// let owned: Owned<i32> = pile.peek().unwrap().into();
/// ```
///
/// A value that was looked up in a pile with readers keeps writers out too. It cannot be taken out of
/// its answer:
///
/// ```compile_fail,E0308
/// # use std::time::Duration;
/// # use dogpile::{Acquired, Lookup, SyncReaderDogpile};
/// let pile = SyncReaderDogpile::with_value(Duration::MAX, 7);
/// let answer = pile.acquire(|| Ok::<_, ()>(8), || Ok(Lookup::Here(9))).unwrap();
/// let value = Acquired::into_value(answer);
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use dogpile::{Acquired, Dogpile, Lookup};
/// let pile = Dogpile::with_value(Duration::MAX, 7);
/// let answer = pile.acquire(|| Ok::<_, ()>(8), || Ok(Lookup::Here(9))).unwrap();
/// let value = Acquired::into_value(answer);
/// ```
///
/// The write lock does not outlive its pile:
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
/// A guard has no methods: what it derefs to may have methods of the same name, and those are meant:
///
/// ```compile_fail,E0599
/// # use std::time::Duration;
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, 7);
/// let age = pile.peek().unwrap().age();
/// ```
///
/// ```
/// # use std::time::Duration;
/// let pile = dogpile::Dogpile::with_value(Duration::MAX, 7);
/// let age = dogpile::Guard::age(&pile.peek().unwrap());
/// ```
///
/// A creation in the background outlives its caller, so its creator borrows nothing of the caller:
///
/// ```compile_fail,E0597
/// # #[cfg(not(feature = "async"))] compile_error!("there is none");
/// # use std::{sync::Arc, time::Duration};
/// # use dogpile::{Dogpile, executor::Thread};
/// let pile = Arc::new(Dogpile::new(Duration::MAX));
/// let number = String::from("7");
/// let value = pile.background(&Thread).get_or_try_create(|| number.parse::<u8>());
/// drop(value);
/// ```
///
/// ```
/// # #[cfg(feature = "async")] {
/// # use std::{sync::Arc, time::Duration};
/// # use dogpile::{Dogpile, executor::Thread};
/// let pile = Arc::new(Dogpile::new(Duration::MAX));
/// let number = String::from("7");
/// let value = pile.background(&Thread).get_or_try_create(move || number.parse::<u8>());
/// drop(value);
/// # }
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
