//! What the compiler promises: which types may go where, how large they are, what can be a static.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::hash::RandomState;
use std::mem::size_of;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use dogpile::{
    Accept, Acquired, Attempt, Builder, Busy, Call, Clock, Created, Creating, Dogpile, Error,
    Failure, Gated, Guard, KeyLease, KeySeat, KeyedAttempt, KeyedBuilder, KeyedBusy, KeyedCall,
    KeyedDogpile, KeyedGuard, KeyedOwned, Lease, Leases, Lookup, ManualClock, Origin, Outcome,
    Owned, ReadAcquired, ReadAttempt, ReadGuard, Superseded, SyncReaderDogpile, SystemClock, Tick,
    WriteGuard, WriteLockError,
};

use crate::support::Keeps as _;
use crate::support::{HOUR, MINUTE};

macro_rules! assert_impl {
    ($($type:ty: $($bound:path),+;)+) => {
        $(const _: fn() = || {
            fn is<T: ?Sized $(+ $bound)+>() {}
            is::<$type>();
        };)+
    };
}

// Two impls of one trait fit a type that has the bound, so the call is ambiguous; for a type
// without it there is but one.
macro_rules! assert_not_impl {
    ($($type:ty: $bound:path;)+) => {
        $(const _: fn() = || {
            trait Either<Which> {
                fn fits() {}
            }
            impl<T: ?Sized> Either<()> for T {}
            struct Bound;
            impl<T: ?Sized + $bound> Either<Bound> for T {}
            let _ = <$type as Either<_>>::fits;
        };)+
    };
}

type SyncNotSend = MutexGuard<'static, u8>;
type SendNotSync = Cell<u8>;

assert_impl! {
    Dogpile<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Guard<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Owned<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Call<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Accept: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Builder<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Error<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Failure: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Origin: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Tick: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    ManualClock: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    SystemClock: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Acquired<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Lookup<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Attempt<'static, String>: Send, Sync, Unpin;
    Attempt<'static, String, Lease<'static, String>>: Send, Sync, Unpin;
    Lease<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Lease<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Busy<'static, String>: Send, Sync, Unpin;
    Outcome<Guard<'static, String>>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Superseded<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Creating<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    Created<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    SyncReaderDogpile<String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    ReadGuard<'static, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    ReadAcquired<'static, String>: Send, Sync, Unpin;
    Call<'static, String, Gated<'static>>: Send, Sync, Unpin;
    ReadAttempt<'static, String>: Send, Sync, Unpin;
    ReadAttempt<'static, String, Lease<'static, String>>: Send, Sync, Unpin;
    Lease<'static, String>: Send, Sync, Unpin;
    WriteGuard<'static, String>: Send, Sync, Unpin;
    WriteLockError: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    KeyedDogpile<String, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    KeyedGuard<'static, String, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    KeyedOwned<String, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    KeyedCall<'static, 'static, String, String, RandomState, str>: Send, Sync, Unpin;
    KeyedAttempt<'static, String, String>: Send, Sync, Unpin;
    KeyedBusy<'static, String, String>: Send, Sync, Unpin;
    KeyedBuilder<String, String>: Send, Sync, Unpin;
    Leases<String, String>: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe;
    KeySeat<'static, String, String>: Send, Sync, Unpin;
    KeyLease<'static, String>: Send, Sync, Unpin;
    // A pile of values that are not the program's own.
    Builder<Rc<u8>>: Send, Sync;
}

// A pile hands its values to all threads at once and drops them on any.
assert_not_impl! {
    Dogpile<Rc<u8>>: Send;
    Dogpile<Rc<u8>>: Sync;
    Dogpile<SendNotSync>: Send;
    Dogpile<SendNotSync>: Sync;
    Dogpile<SyncNotSend>: Send;
    Dogpile<SyncNotSend>: Sync;
    Guard<'static, Rc<u8>>: Send;
    Guard<'static, SendNotSync>: Send;
    Guard<'static, SendNotSync>: Sync;
    Guard<'static, SyncNotSend>: Send;
    Guard<'static, SyncNotSend>: Sync;
    Owned<SendNotSync>: Send;
    Owned<SyncNotSend>: Send;
    Call<'static, SendNotSync>: Send;
    Error<Rc<u8>>: Send;
    Acquired<'static, SendNotSync>: Send;
    Acquired<'static, SyncNotSend>: Send;
    Lookup<Rc<u8>>: Send;
    Attempt<'static, SendNotSync>: Send;
    Lease<'static, SendNotSync>: Send;
    Lease<'static, SyncNotSend>: Send;
    Lease<'static, SendNotSync>: Send;
    Lease<'static, SyncNotSend>: Send;
    Busy<'static, SendNotSync>: Send;
    Outcome<Guard<'static, SendNotSync>>: Send;
    Superseded<SendNotSync>: Send;
    Superseded<SyncNotSend>: Send;
    Creating<'static, SendNotSync>: Send;
    Created<Rc<u8>>: Send;
    // A map hands its keys to all threads, too: with its guards.
    KeyedDogpile<Rc<u8>, u8>: Send;
    KeyedDogpile<u8, Rc<u8>>: Send;
    KeyedDogpile<SyncNotSend, u8>: Send;
    KeyedDogpile<SendNotSync, u8>: Send;
    KeyedDogpile<u8, SendNotSync>: Send;
    KeyedDogpile<u8, SendNotSync>: Sync;
    KeyedDogpile<u8, SyncNotSend>: Sync;
    KeyedGuard<'static, SendNotSync, u8>: Send;
    KeyedGuard<'static, u8, SendNotSync>: Send;
    KeyedGuard<'static, SyncNotSend, u8>: Send;
    KeyedOwned<SendNotSync, u8>: Send;
    KeyedOwned<u8, SyncNotSend>: Send;
    KeyedAttempt<'static, u8, SendNotSync>: Send;
    KeyedBusy<'static, u8, SendNotSync>: Send;
    KeyLease<'static, SendNotSync>: Send;
    SyncReaderDogpile<Rc<u8>>: Send;
    SyncReaderDogpile<SendNotSync>: Sync;
    SyncReaderDogpile<SyncNotSend>: Sync;
    ReadGuard<'static, SendNotSync>: Send;
    ReadGuard<'static, SendNotSync>: Sync;
    ReadGuard<'static, SyncNotSend>: Send;
    ReadAcquired<'static, SendNotSync>: Send;
    ReadAcquired<'static, SyncNotSend>: Send;
    Call<'static, SendNotSync, Gated<'static>>: Send;
    ReadAttempt<'static, SendNotSync>: Send;
    WriteGuard<'static, SendNotSync>: Send;
    WriteGuard<'static, SyncNotSend>: Send;
}

assert_impl! {
    Guard<'static, String>: Debug, Display, AsRef<String>;
    Owned<String>: Clone, Debug, Display, AsRef<String>, From<Guard<'static, String>>;
    Dogpile<String>: Debug;
    Builder<Rc<u8>>: Clone, Debug;
    Call<'static, Rc<u8>>: Copy, Debug;
    Accept: Copy, Debug, Default;
    Origin: Copy, Eq, std::hash::Hash, Debug;
    Tick: Copy, Ord, std::hash::Hash, Debug, Default;
    Failure: Clone, StdError;
    Error<std::fmt::Error>: StdError;
    ManualClock: Default, Debug, Clock;
    SystemClock: Copy, Default, Debug, Clock;
    dyn Clock: Clock;
    Acquired<'static, String>: Debug, Display, AsRef<String>, From<Guard<'static, String>>;
    Lookup<u8>: Copy, Eq, Debug, From<Option<u8>>;
    Attempt<'static, String>: Debug;
    Lease<'static, Rc<u8>>: Debug;
    Busy<'static, Rc<u8>>: Debug;
    Outcome<Guard<'static, String>>: Debug;
    Superseded<Rc<u8>>: StdError;
    Creating<'static, Rc<u8>>: Debug;
    Created<Rc<u8>>: Debug, From<Rc<u8>>;
    SyncReaderDogpile<String>: Debug;
    ReadGuard<'static, String>: Debug, Display, AsRef<String>;
    ReadAcquired<'static, String>: Debug, Display, AsRef<String>;
    Call<'static, Rc<u8>, Gated<'static>>: Copy, Debug;
    ReadAttempt<'static, String>: Debug;
    WriteGuard<'static, Rc<u8>>: Debug;
    WriteLockError: Copy, Eq, StdError;
}

// A copy of a guard is asked for, not made in passing.
assert_not_impl! {
    Guard<'static, u8>: Clone;
}

// Nothing of a value that a writer waits for outlives the guard; and there is one writer.
assert_not_impl! {
    ReadGuard<'static, u8>: Clone;
    ReadGuard<'static, u8>: Into<Owned<u8>>;
    ReadAcquired<'static, u8>: Into<Owned<u8>>;
    WriteGuard<'static, u8>: Clone;
}

// There is one lease, and one answer to each call.
assert_not_impl! {
    Lease<'static, u8>: Clone;
    Lease<'static, u8>: Clone;
    Busy<'static, u8>: Clone;
    Creating<'static, u8>: Clone;
}

/// Configured by `const` functions, in a `static`.
static PLAIN: Dogpile<String> = Dogpile::new(Duration::from_secs(60));
static SET_UP: Dogpile<String> = Dogpile::builder(Duration::from_secs(300))
    .stale_while_revalidate(Duration::from_secs(3600))
    .build();

#[test]
fn a_static_pile() {
    fn name() -> Guard<'static, String> {
        PLAIN.get_or_create(|| String::from("x"))
    }
    assert_eq!(*name(), "x");
    SET_UP.set(String::from("y"));
    assert!(SET_UP.is_fresh());
    const NEVER: Builder<u8> = Dogpile::builder(Duration::MAX);
    assert!(NEVER.build().peek().is_none());
}

/// One builder for many piles, each with its own value.
#[test]
fn a_builder_used_twice() {
    let builder = Dogpile::builder(MINUTE).clock(Arc::new(SystemClock));
    let (one, two) = (builder.clone().build(), builder.build());
    one.set(1);
    two.set(2);
    assert_eq!((*one.peek().unwrap(), *two.peek().unwrap()), (1, 2));
}

/// A handle of something long-lived serves where one of something shorter is asked for, and a guard
/// of a long-lived pile where a shorter one will do.
#[test]
fn handles_are_covariant() {
    fn owned<'a>(owned: Owned<&'static str>, _: &'a str) -> Owned<&'a str> {
        owned
    }
    fn guard<'a>(guard: Guard<'static, &'static str>, _: &'a str) -> Guard<'a, &'static str> {
        guard
    }
    static PILE: Dogpile<&str> = Dogpile::new(Duration::MAX);
    PILE.set("long-lived");
    let local = String::from("short-lived");
    assert_eq!(*guard(PILE.peek().unwrap(), &local), "long-lived");
    assert_eq!(
        *owned(PILE.peek().unwrap().to_owned(), &local),
        "long-lived"
    );
}

/// The value may borrow from what outlives the pile.
#[test]
fn values_that_borrow() {
    let text = String::from("a b");
    let pile: Dogpile<Vec<&str>> = Dogpile::new(MINUTE);
    assert_eq!(pile.get_or_create(|| text.split(' ').collect()).len(), 2);
}

/// A call is made in one go, or kept and made again.
#[test]
fn calls_are_copied() {
    let pile = Dogpile::new(MINUTE);
    let call = pile
        .call()
        .wait(MINUTE)
        .max_age(MINUTE)
        .accept(Accept::Fresh);
    assert_eq!(*call.get_or_create(|| 1).unwrap(), 1);
    assert_eq!(*call.get_or_create(|| 2).unwrap(), 1);
}

/// The guard of an answer borrows from the pile, not from the call.
#[test]
fn a_guard_outlives_its_call() {
    fn answer(pile: &Dogpile<u32>) -> Guard<'_, u32> {
        let call = pile.call();
        call.get_or_create(|| 1).unwrap()
    }
    assert_eq!(*answer(&Dogpile::new(MINUTE)), 1);
}

#[test]
fn errors_say_what_went_wrong() {
    let pile = Dogpile::new(MINUTE);
    let _lease = pile.attempt();
    let call = pile.call().wait(Duration::ZERO);
    let timed_out = call
        .get_or_try_create(|| Err::<u8, _>(std::fmt::Error))
        .unwrap_err();
    assert!(timed_out.to_string().contains("limit of 0ns"));
    assert!(timed_out.source().is_none());
    let reentrant = Error::<std::fmt::Error>::Reentrant;
    assert!(reentrant.to_string().contains("inside the creator"));
    assert_eq!(format!("{reentrant:?}"), "Reentrant");
    let holds = Error::<std::fmt::Error>::HoldsReadGuard;
    assert!(holds.to_string().contains("drop the guard") && holds.source().is_none());
    let holds = Error::<std::fmt::Error>::HoldsWriteLock;
    assert!(holds.to_string().contains("drop the lock") && holds.source().is_none());
    assert!(
        Error::<Box<dyn StdError + Send + Sync>>::HoldsReadGuard
            .into_boxed()
            .to_string()
            .contains("read guard")
    );
    let timed_out = WriteLockError::TimedOut { limit: MINUTE };
    assert!(timed_out.to_string().contains("60s"));
    let created = Error::Create(Arc::new(std::fmt::Error));
    assert_eq!(
        created.source().unwrap().to_string(),
        std::fmt::Error.to_string()
    );
    assert_eq!(created.created(), Some(&std::fmt::Error));
    assert_eq!(
        Error::Create(Arc::new(Box::<dyn StdError + Send + Sync>::from("text")))
            .into_boxed()
            .to_string(),
        "text"
    );
}

#[test]
fn outcomes_say_what_they_are() {
    let pile = Dogpile::with_value(HOUR, 7);
    let shown = |outcome: Outcome<Guard<'_, u32>>| format!("{outcome:?}");
    assert_eq!(shown(Outcome::Value(pile.peek().unwrap())), "Value");
    assert_eq!(shown(Outcome::ElectAnew), "ElectAnew");
    assert_eq!(shown(Outcome::TimedOut), "TimedOut");
    assert_eq!(shown(Outcome::Reentrant), "Reentrant");
}

/// What the docs say of sizes: a change is made on purpose, or not at all.
#[test]
#[cfg(target_pointer_width = "64")]
fn sizes() {
    assert_eq!(size_of::<Guard<'_, [u64; 99]>>(), 40);
    assert_eq!(size_of::<Option<Guard<'_, u8>>>(), 40);
    assert_eq!(size_of::<Owned<[u64; 99]>>(), 8);
    assert_eq!(size_of::<Option<Owned<u8>>>(), 8);
    assert_eq!(size_of::<Tick>(), 8);
    assert_eq!(size_of::<Origin>(), 1);
    assert!(size_of::<Error<u8>>() <= 40);
    // What a lease is sent about with; and an answer, which may hold the value itself.
    assert_eq!(size_of::<Creating<'_, [u64; 99]>>(), 32);
    assert_eq!(size_of::<Lease<'_, [u64; 99]>>(), 48);
    assert_eq!(size_of::<Lease<'static, [u64; 99]>>(), 48);
    assert_eq!(size_of::<Superseded<[u64; 99]>>(), 8);
    assert!(size_of::<Busy<'_, [u64; 99]>>() <= 184);
    assert!(size_of::<Attempt<'_, [u64; 99]>>() <= 184);
    assert!(size_of::<Outcome<Guard<'_, [u64; 99]>>>() <= 48);
    assert!(size_of::<Acquired<'_, u64>>() <= 48);
    // A guard and where its thread shows that it is inside.
    assert_eq!(size_of::<ReadGuard<'_, [u64; 99]>>(), 56);
    assert_eq!(size_of::<Option<ReadGuard<'_, u8>>>(), 56);
    assert_eq!(size_of::<WriteGuard<'_, [u64; 99]>>(), 16);
    assert!(size_of::<ReadAttempt<'_, [u64; 99]>>() <= 224);
    assert!(size_of::<ReadAcquired<'_, u64>>() <= 64);
    assert!(size_of::<WriteLockError>() <= 16);
    // The value stands elsewhere: a pile is as large whatever it holds.
    assert_eq!(size_of::<Dogpile<u8>>(), size_of::<Dogpile<[u64; 99]>>());
}

/// The settings on the one side, the state on cache lines of its own on the other.
#[test]
#[cfg(target_arch = "x86_64")]
fn size_of_a_pile() {
    assert_eq!(std::mem::align_of::<Dogpile<u8>>(), 128);
    assert_eq!(size_of::<Dogpile<u8>>(), 384);
    assert_eq!(std::mem::align_of::<SyncReaderDogpile<u8>>(), 128);
    assert_eq!(size_of::<SyncReaderDogpile<u8>>(), 512);
}

/// What the async side promises the compiler.
#[cfg(feature = "async")]
mod asynchronous {
    use dogpile::executor::{Executor, Job, Thread, Timer};
    use dogpile::{Background, Refused, Wait};

    use super::*;

    assert_impl! {
        Background<'static, 'static, String>: Send, Sync, Unpin, Copy, Debug;
        Wait<'static, String>: Send, Sync, Unpin, Debug;
        Job: Send, Unpin, Debug, std::future::Future;
        Refused: Send, Sync, Unpin, UnwindSafe, RefUnwindSafe, StdError;
        Thread: Copy, Default, Debug, Executor;
        dyn Executor: Send, Sync;
        dyn Timer: Send, Sync;
        Busy<'static, String>: std::future::IntoFuture;
    }

    assert_not_impl! {
        Wait<'static, SendNotSync>: Send;
        Wait<'static, SyncNotSend>: Send;
    }

    /// A task holds its future: what it costs to wait, whatever the creation holds.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn sizes() {
        let pile = Dogpile::<[u64; 99]>::new(MINUTE);
        let call = pile.get_or_create_async(std::future::pending);
        assert!(std::mem::size_of_val(&call) <= 96);
        // The creator is held once.
        let held = [0_u64; 99];
        let holding = pile.get_or_create_async(move || async move { held });
        assert!(std::mem::size_of_val(&holding) <= 104 + std::mem::size_of_val(&held));
        let large = pile.get_or_create_async(|| async {
            let held = [0_u8; 4096];
            std::future::ready(()).await;
            [u64::from(held[99]); 99]
        });
        assert_eq!(std::mem::size_of_val(&large), std::mem::size_of_val(&call));
        let call = pile.call().get_or_create_async(std::future::pending);
        assert!(std::mem::size_of_val(&call) <= 192);
        let pile = SyncReaderDogpile::<[u64; 99]>::new(MINUTE);
        let call = pile.get_or_create_async(std::future::pending);
        assert!(std::mem::size_of_val(&call) <= 112);
        let call = pile.call().get_or_create_async(std::future::pending);
        assert!(std::mem::size_of_val(&call) <= 216);
    }

    #[test]
    fn errors_say_what_went_wrong() {
        let refused = Error::<std::fmt::Error>::Refused(Refused::new("full"));
        assert!(refused.to_string().contains("refused"));
        assert_eq!(refused.source().unwrap().to_string(), "full");
        let given_up = Error::<std::fmt::Error>::GivenUp;
        assert!(given_up.to_string().contains("given up"));
        let no_timer = Error::<Box<dyn StdError + Send + Sync>>::NoTimer.into_boxed();
        assert!(no_timer.to_string().contains("Call::timer"));
        assert_eq!(format!("{:?}", Error::<u8>::NoTimer), "NoTimer");
    }
}
