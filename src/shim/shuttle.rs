//! shuttle's types, with the face of the real ones.
//!
//! shuttle picks a thread to run before each access to one of them, and one thread runs at a time:
//! so all orderings are as good as sequentially consistent, and fences do nothing. What orderings
//! have to do is for loom to see.

use std::any::Any;
use std::cell::Cell;
use std::time::Duration;

pub(crate) use shuttle::sync::{MutexGuard, atomic};
pub(crate) use shuttle::thread::ThreadId;
pub(crate) use shuttle::thread_local;
pub(crate) use std::sync::Arc as Counted;

pub(crate) fn current_thread() -> ThreadId {
    shuttle::thread::current().id()
}

pub(crate) fn cores() -> usize {
    1
}

// Its threads share one real thread, and so whether that is panicking: as under loom, the panic is
// held up until the lease has been given up.
pub(crate) fn run<R>(creator: impl FnOnce() -> R) -> super::Ran<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(creator))
}

#[cfg(feature = "async")]
pub(crate) use shuttle::future::block_on;

#[cfg(feature = "async")]
pub(crate) fn spawn_thread(body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    shuttle::thread::Builder::new().spawn(body).map(drop)
}

// What a model finds wrong is a panic, and must get through.
pub(crate) fn contain(wake: impl FnOnce()) {
    wake();
}

pub(crate) fn last_share<T>(counted: Counted<T>) -> Option<T> {
    Counted::into_inner(counted)
}

pub(crate) fn keep_memory<T>(counted: &Counted<T>) {
    std::mem::forget(Counted::downgrade(counted));
}

// More than one would only multiply the schedules, and hide what becomes of a thread that has none
// to spare.
pub(crate) type Slots<S, const N: usize> = [S; 1];

pub(crate) fn slots<S>(mut make: impl FnMut() -> S) -> [S; 1] {
    [make()]
}

statics! {
    /// What is leaked, for as long as the execution lasts.
    static LEAKED: std::sync::Mutex<Vec<Box<dyn Any + Send>>> = std::sync::Mutex::default();
}

pub(crate) fn leak<T: Send + 'static>(value: T) -> *mut T {
    let mut value = Box::new(value);
    let place: *mut T = &mut *value;
    let mut leaked = LEAKED.lock().unwrap_or_else(|poison| poison.into_inner());
    leaked.push(value);
    place
}

/// A cell that notices two who are at it at once, of whom one writes: in between, others may run.
pub(crate) struct UnsafeCell<T> {
    readers: Cell<usize>,
    written: Cell<bool>,
    value: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            readers: Cell::new(0),
            written: Cell::new(false),
            value: std::cell::UnsafeCell::new(value),
        }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        assert!(!self.written.get(), "read while it is written");
        self.readers.set(self.readers.get() + 1);
        let_others_run();
        let result = f(self.value.get());
        self.readers.set(self.readers.get() - 1);
        result
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        assert!(!self.written.get(), "written by two");
        assert_eq!(self.readers.get(), 0, "written while it is read");
        self.written.set(true);
        let_others_run();
        let result = f(self.value.get());
        self.written.set(false);
        result
    }
}

fn let_others_run() {
    shuttle::thread::sleep(Duration::ZERO);
}

/// shuttle's mutex with parking_lot's face: no poisoning.
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0
            .get_mut()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

pub(crate) struct Condvar(shuttle::sync::Condvar);

impl Condvar {
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    pub(crate) const fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    // It has no clock, so a wait with a limit is one without; models end it through an injected
    // clock.
    pub(crate) fn wait<'a>(
        &self,
        guard: MutexGuard<'a, ()>,
        _limit: Option<Duration>,
    ) -> MutexGuard<'a, ()> {
        self.0
            .wait(guard)
            .unwrap_or_else(|poison| poison.into_inner())
    }
}

/// Statics: new ones for each execution.
macro_rules! statics {
    ($($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        shuttle::lazy_static! { $($(#[$attr])* static ref $name: $type = $init;)* }
    };
}
pub(crate) use statics;

/// A static that threads may still use when they end, when the others may be gone.
macro_rules! lasting_static {
    ($(#[$attr:meta])* $vis:vis fn $name:ident() -> $type:ty { $init:expr }) => {
        $(#[$attr])*
        $vis fn $name() -> crate::shim::Lasting<$type> {
            crate::shim::statics! {
                static IT: crate::shim::Lasting<$type> = crate::shim::Arc::new($init);
            }
            crate::shim::Arc::clone(&IT)
        }
    };
}
pub(crate) use lasting_static;

pub(crate) type Lasting<T> = super::Arc<T>;

pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    Some(mutex.lock())
}

/// A thread-local that is there from the start, without a look whether it is.
macro_rules! thread_local_const {
    ($(#[$attr:meta])* static $name:ident: $type:ty = $init:expr;) => {
        shuttle::thread_local! { $(#[$attr])* static $name: $type = const { $init } }
    };
}
pub(crate) use thread_local_const;

/// Makes a function `const`, but not under loom, whose types have no const constructors.
macro_rules! const_unless_loom {
    ($($function:tt)*) => { $($function)* };
}
pub(crate) use const_unless_loom;
