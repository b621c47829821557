//! What several tests need: stores, subjects for the conformance cases, and how a thread waits for
//! a future.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, ManualClock, Tick};
use dogpile_fleet::conformance::{BlockOn, Driven, Subject};
use dogpile_fleet::{
    Abilities, Answer, Ask, Blocking, Depth, Described, FileStore, Found, Grant, Key, MemoryStore,
    Placed, Put, Store, StoreError, Version, Watch,
};
use herd::Scratch;

/// A clock that stands at some day of some year, so that there is a time before.
pub(crate) fn manual_clock() -> Arc<ManualClock> {
    let clock = ManualClock::new();
    clock.set(Tick::from_nanos(1_700_000_000_000_000_000));
    Arc::new(clock)
}

pub(crate) fn back(clock: &ManualClock, span: Duration) {
    let nanos = clock.now().as_nanos() - span.as_nanos() as u64;
    clock.set(Tick::from_nanos(nanos));
}

/// A store in memory, its clock moved by hand.
pub(crate) struct Memory {
    pub(crate) clock: Arc<ManualClock>,
    last: std::sync::Mutex<Option<Arc<MemoryStore>>>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            clock: manual_clock(),
            last: Default::default(),
        }
    }

    pub(crate) fn memory(&self) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::with_clock(self.clock.clone()).max_value(1 << 20));
        *self.last.lock().unwrap() = Some(Arc::clone(&store));
        store
    }
}

impl Subject for Memory {
    fn store(&self) -> Arc<dyn Store> {
        self.memory()
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn step_back(&self, span: Duration) -> bool {
        back(&self.clock, span);
        true
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        self.last.lock().unwrap().as_ref().unwrap().forget(key);
        true
    }
}

/// Waits with the thread itself.
pub(crate) struct Park;

impl BlockOn for Park {
    fn block_on<F: Future + Send>(&self, future: F) -> F::Output
    where
        F::Output: Send,
    {
        block_on(future)
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        let polled = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker));
        if let std::task::Poll::Ready(output) = polled {
            return output;
        }
        std::thread::park();
    }
}

/// The verbs run on threads of their own.
pub(crate) fn on_threads<S: Store>(store: Arc<S>) -> Blocking<S> {
    Blocking::new(store, |work| drop(std::thread::spawn(work)))
}

/// The same subject, its store asked through futures.
pub(crate) struct Async<U>(pub(crate) U);

impl<U: Subject> Subject for Async<U> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Driven::new(on_threads(Arc::new(self.0.store())), Park))
    }

    fn pass(&self, span: Duration) {
        self.0.pass(span);
    }

    fn step_back(&self, span: Duration) -> bool {
        self.0.step_back(span)
    }

    fn forget(&self, store: &dyn Store, key: &Key) -> bool {
        self.0.forget(store, key)
    }

    fn garble(&self, store: &dyn Store, key: &Key, number: usize) -> bool {
        self.0.garble(store, key, number)
    }
}

/// A store in a directory, its clock moved by hand.
pub(crate) struct Files {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) scratch: Scratch,
    last: std::sync::Mutex<Option<Arc<FileStore>>>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            clock: manual_clock(),
            scratch: Scratch::new("dogpile-fleet"),
            last: Default::default(),
        }
    }

    pub(crate) fn files(&self) -> Arc<FileStore> {
        let builder = FileStore::builder(self.scratch.path()).clock(self.clock.clone());
        let store = Arc::new(builder.max_value(1 << 20).open().unwrap());
        *self.last.lock().unwrap() = Some(Arc::clone(&store));
        store
    }

    fn value(&self, key: &Key) -> std::path::PathBuf {
        self.last.lock().unwrap().as_ref().unwrap().value_path(key)
    }
}

impl Subject for Files {
    fn store(&self) -> Arc<dyn Store> {
        self.files()
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn step_back(&self, span: Duration) -> bool {
        back(&self.clock, span);
        true
    }

    fn forget(&self, _store: &dyn Store, key: &Key) -> bool {
        let value = self.value(key);
        let _ = std::fs::remove_file(&value);
        let _ = std::fs::remove_file(value.with_extension("st"));
        true
    }

    fn garble(&self, store: &dyn Store, key: &Key, number: usize) -> bool {
        let path = self.value(key);
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        match number {
            // Torn, at each of several lengths.
            0 => bytes.clear(),
            1 => bytes.truncate(1),
            2 => bytes.truncate(79),
            3 => bytes.truncate(80),
            4 => bytes.truncate(120),
            5 => bytes.truncate(length - 1),
            // Too long.
            6 => bytes.push(0),
            // One bit in the magic number, the version, a time, the payload, the key.
            7 => bytes[0] ^= 1,
            8 => bytes[9] ^= 1,
            9 => bytes[33] ^= 1,
            10 => bytes[100] ^= 1,
            11 => bytes[length - 1] ^= 1,
            // A length that no machine has room for.
            12 => bytes[48..56].fill(0xff),
            13 => bytes.fill(0),
            14 => bytes.fill(0xff),
            // Another key's.
            15 => {
                let other = Key::new("conformance", b"another", 0);
                let put = dogpile_fleet::Put {
                    guard: dogpile_fleet::Guarded::Any,
                    bytes: b"foreign",
                    age: Duration::ZERO,
                    fresh_for: Duration::from_secs(60),
                    keep_for: Duration::from_secs(60),
                };
                store.put(&other, &put).unwrap();
                bytes = std::fs::read(self.value(&other)).unwrap();
            }
            // A later format's.
            16 => bytes[7] = b'2',
            _ => return false,
        }
        std::fs::write(&path, bytes).unwrap();
        true
    }
}

/// What a store does besides its duty.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It does not answer.
    Down,
    /// It takes no values.
    Full,
    /// It does what it is asked to, and then its answer is lost.
    AnswersLost,
    /// The bytes of values are others.
    Garbles,
    /// It finds values fresh that are not above the floor, and of no version.
    Lies,
}

type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// A store that can be made to fail.
pub(crate) struct Faulty<S> {
    pub(crate) store: S,
    fault: std::sync::Mutex<Fault>,
    /// Runs before each verb that changes something, with its name.
    before: std::sync::Mutex<Option<Hook>>,
}

impl<S: Store> Faulty<S> {
    pub(crate) fn new(store: S) -> Arc<Self> {
        Arc::new(Self {
            store,
            fault: std::sync::Mutex::new(Fault::None),
            before: Default::default(),
        })
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn before(&self, hook: impl Fn(&str) + Send + Sync + 'static) {
        *self.before.lock().unwrap() = Some(Arc::new(hook));
    }

    fn begin(&self, verb: &str) -> Result<Fault, StoreError> {
        // Not under the lock: a hook may wait for another verb.
        let hook = self.before.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(verb);
        }
        match *self.fault.lock().unwrap() {
            Fault::Down => Err(StoreError::unavailable("down")),
            Fault::Full if verb == "put" => Err(StoreError::refused("full")),
            fault => Ok(fault),
        }
    }

    fn end<T>(fault: Fault, answer: Answer<T>) -> Answer<T> {
        match fault {
            Fault::AnswersLost => Err(StoreError::unavailable("no answer")),
            _ => answer,
        }
    }
}

impl<S: Store> Described for Faulty<S> {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: std::sync::Weak<dyn Watch>) -> bool {
        self.store.watch(watch)
    }
}

impl<S: Store> Store for Faulty<S> {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let fault = self.begin("get_or_lease")?;
        let mut found = self.store.get_or_lease(key, ask)?;
        if let Found::Fresh(stored)
        | Found::Leased {
            stale: Some(stored),
            ..
        } = &mut found
        {
            match fault {
                Fault::Garbles => {
                    if let Some(byte) = stored.bytes.as_mut().and_then(|bytes| bytes.first_mut()) {
                        *byte ^= 1;
                    }
                }
                Fault::Lies => {
                    let mut stored = stored.clone();
                    stored.version = Version::NONE;
                    stored.bytes = None;
                    stored.fresh_for = Duration::from_secs(60);
                    return Ok(Found::Fresh(stored));
                }
                _ => {}
            }
        }
        Self::end(fault, Ok(found))
    }

    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let fault = self.begin("put")?;
        Self::end(fault, self.store.put(key, put))
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let fault = self.begin("renew")?;
        Self::end(fault, self.store.renew(key, grant, lease))
    }

    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        let fault = self.begin("release")?;
        Self::end(fault, self.store.release(key, grant, quiet))
    }

    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let fault = self.begin("invalidate")?;
        Self::end(fault, self.store.invalidate(key, depth, only))
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let fault = self.begin("invalidate_all")?;
        Self::end(fault, self.store.invalidate_all(namespace, depth))
    }

    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        self.store.nap(key, fence, poll, until);
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a creator says that is not to run.
pub(crate) fn never<T>(_: dogpile_fleet::Creation<'_, T>) -> Result<T, String> {
    panic!("this creator is not to run")
}

/// A creator that makes this.
pub(crate) fn make(
    value: &str,
) -> impl FnOnce(dogpile_fleet::Creation<'_, String>) -> Result<String, String> {
    let value = value.to_owned();
    move |_| Ok(value)
}

/// Waits for something that another thread does.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never comes");
        std::thread::yield_now();
    }
}
