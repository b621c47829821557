//! The kinds of hits, and a pile for each.

use std::future::{pending, ready};
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dogpile::executor::Thread;
use dogpile::observe::{Event, Observer};
use dogpile::{
    Accept, Attempt, Backoff, Created, Dogpile, Guard, KeyedAttempt, KeyedDogpile, Lease, Lookup,
    RefreshAhead, SyncReaderDogpile,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A way to be given a value that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    GetOrCreate,
    GetOrTryCreate,
    Peek,
    /// The value is stale, and somebody is creating another.
    Stale,
    /// The same while nobody is, since the pile backs off, with all that a policy can be.
    BackOff,
    /// Stale, without a call for it to be made.
    StalePeek,
    /// As `GetOrTryCreate`, of a pile that counts and is observed.
    Observed,
    /// As `Stale`, of such a pile.
    ObservedStale,
    /// With options.
    Fresh,
    /// Where the age counts.
    MaxAge,
    /// The value is kept elsewhere.
    Acquire,
    /// Eight guards at once, one inside the other.
    Nested,
    /// By a thread that holds a hundred guards, as one does that runs many tasks.
    AmongMany,
    /// By a thread that holds more guards than it has slots for: no hit as the others are, since it
    /// counts.
    Counted,
    /// Of a pile that counts its hits.
    Tallied,
    /// By a task.
    Task,
    TaskTry,
    TaskCall,
    TaskAcquire,
    /// A creation would be in the background, and given what its creator needs.
    Background,
    BackgroundTask,
    /// By a reader.
    Read,
    ReadTry,
    ReadPeek,
    ReadAcquire,
    /// By a thread that holds a hundred read guards.
    ReadAmongMany,
    /// By a task that is a reader.
    ReadTask,
    ReadTaskTry,
    /// Of a map, by a key whose hash costs nothing.
    Map,
    MapTry,
    MapPeek,
    /// Stale, while somebody is creating another.
    MapStale,
    MapTask,
    MapTaskTry,
}

impl Kind {
    /// All that are counted nowhere.
    pub(crate) const ALL: [Kind; 33] = [
        Kind::GetOrCreate,
        Kind::Tallied,
        Kind::GetOrTryCreate,
        Kind::Peek,
        Kind::Stale,
        Kind::BackOff,
        Kind::StalePeek,
        Kind::Observed,
        Kind::ObservedStale,
        Kind::Fresh,
        Kind::MaxAge,
        Kind::Acquire,
        Kind::Nested,
        Kind::AmongMany,
        Kind::Task,
        Kind::TaskTry,
        Kind::TaskCall,
        Kind::TaskAcquire,
        Kind::Background,
        Kind::BackgroundTask,
        Kind::Read,
        Kind::ReadTry,
        Kind::ReadPeek,
        Kind::ReadAcquire,
        Kind::ReadAmongMany,
        Kind::ReadTask,
        Kind::ReadTaskTry,
        Kind::Map,
        Kind::MapTry,
        Kind::MapPeek,
        Kind::MapStale,
        Kind::MapTask,
        Kind::MapTaskTry,
    ];

    /// Whether it is one of a plain pile.
    pub(crate) fn is_plain(self) -> bool {
        !self.is_of_a_map() && !self.is_of_a_reader() && !self.is_in_background()
    }

    fn is_in_background(self) -> bool {
        matches!(self, Kind::Background | Kind::BackgroundTask)
    }

    fn is_of_a_reader(self) -> bool {
        matches!(
            self,
            Kind::Read
                | Kind::ReadTry
                | Kind::ReadPeek
                | Kind::ReadAcquire
                | Kind::ReadAmongMany
                | Kind::ReadTask
                | Kind::ReadTaskTry
        )
    }

    fn is_of_a_map(self) -> bool {
        matches!(
            self,
            Kind::Map
                | Kind::MapTry
                | Kind::MapPeek
                | Kind::MapStale
                | Kind::MapTask
                | Kind::MapTaskTry
        )
    }

    fn is_observed(self) -> bool {
        matches!(self, Kind::Observed | Kind::ObservedStale)
    }

    /// How many guards the thread holds meanwhile.
    fn held(self) -> usize {
        match self {
            Kind::AmongMany | Kind::ReadAmongMany => 100,
            Kind::Counted => 1000,
            _ => 0,
        }
    }

    /// That many of them, after one to warm up. What is done with it is up to `around`.
    pub(crate) fn run(self, hits: u32, around: impl FnOnce(&dyn Fn())) {
        if self.is_of_a_map() {
            let settings = Dogpile::builder(Duration::MAX).keyed();
            let map = settings.hasher(BuildHasherDefault::default()).build();
            map.set(KEY, 7_u32);
            if self == Kind::MapStale {
                map.expire(&KEY);
            }
            let lease = (self == Kind::MapStale).then(|| map.attempt(&KEY));
            assert!(matches!(lease, None | Some(KeyedAttempt::Lease(_))));
            // Once to be put where it is found without a lock, and once to be found there.
            self.finds(&map, 2);
            return around(&|| self.finds(&map, hits));
        }
        if self.is_of_a_reader() {
            let pile = SyncReaderDogpile::with_value(Duration::MAX, 7_u32);
            let _held: Vec<_> = (0..self.held()).map(|_| pile.peek()).collect();
            self.reads(&pile, 1);
            return around(&|| self.reads(&pile, hits));
        }
        if self.is_in_background() {
            let pile = Arc::new(Dogpile::with_value(Duration::MAX, 7_u32));
            let given = Arc::new(());
            self.hits_in_background(&pile, &given, 1);
            return around(&|| self.hits_in_background(&pile, &given, hits));
        }
        self.run_on(&self.pile(7_u32), hits, around);
    }

    /// A plain pile that has this value.
    pub(crate) fn pile<T>(self, value: T) -> Dogpile<T> {
        match self {
            Kind::BackOff => {}
            Kind::Tallied => {
                let pile = Dogpile::builder(Duration::MAX).count_hits().build();
                pile.set(value);
                return pile;
            }
            _ if self.is_observed() => {
                let builder = Dogpile::builder(Duration::MAX);
                let pile = builder.stats(true).observer(Arc::new(Watching)).build();
                pile.set(value);
                return pile;
            }
            _ => return Dogpile::with_value(Duration::MAX, value),
        }
        let pile = Dogpile::builder(HOUR)
            .stale_while_revalidate(24 * HOUR)
            .stale_if_error(48 * HOUR)
            .refresh_ahead(RefreshAhead::percent(80).jitter(10))
            .ttl_jitter(10)
            .min_interval(HOUR)
            .backoff(Backoff::exponential(HOUR, 24 * HOUR).jitter(0))
            .stats(true)
            .observer(Arc::new(Watching))
            .build();
        pile.set_with(Created::new(value).age(2 * HOUR));
        pile
    }

    /// The same on a pile of which the value is seven.
    pub(crate) fn run_on<T: Number>(
        self,
        pile: &Dogpile<T>,
        hits: u32,
        around: impl FnOnce(&dyn Fn()),
    ) {
        let _held: Vec<_> = (0..self.held()).map(|_| pile.peek()).collect();
        let is_stale = matches!(self, Kind::Stale | Kind::StalePeek | Kind::ObservedStale);
        let lease = is_stale.then(|| renew(pile));
        if self == Kind::BackOff {
            let stale = pile.get_or_try_create(|| Err(NotToBeCreated)).unwrap();
            assert!(Guard::failure(&stale).is_some() && pile.retry_in().is_some());
        }
        self.hits(pile, 1);
        around(&|| self.hits(pile, hits));
        drop(lease);
    }

    #[inline(never)]
    fn hits<T: Number>(self, pile: &Dogpile<T>, hits: u32) {
        // One loop for each, so that they do not share a branch.
        match self {
            Kind::GetOrCreate | Kind::Tallied => repeat(hits, || hit(pile)),
            Kind::AmongMany | Kind::Counted => repeat(hits, || hit(pile)),
            Kind::GetOrTryCreate
            | Kind::Stale
            | Kind::BackOff
            | Kind::Observed
            | Kind::ObservedStale => repeat(hits, || {
                show(pile.get_or_try_create(|| Err(NotToBeCreated)).ok())
            }),
            Kind::Peek | Kind::StalePeek => repeat(hits, || show(pile.peek())),
            Kind::Fresh => repeat(hits, || {
                let call = pile.call().accept(Accept::Fresh).wait(Duration::ZERO);
                show(call.get_or_create(|| unreachable!()).ok());
            }),
            Kind::MaxAge => repeat(hits, || {
                let call = pile.call().max_age(Duration::from_secs(3600));
                show(call.get_or_create(|| unreachable!()).ok());
            }),
            Kind::Acquire => repeat(hits, || {
                let get = || Ok(Lookup::Here(T::from(black_box(7))));
                let got = pile.acquire(|| Err(NotToBeCreated), get);
                assert_eq!(got.ok().map(|got| got.number()), Some(7));
            }),
            Kind::Nested => repeat(hits, || nested(pile, 8)),
            Kind::Task => repeat(hits, || {
                let guard = at_once(black_box(pile).get_or_create_async(pending));
                black_box(guard.number());
            }),
            Kind::TaskTry => repeat(hits, || {
                let hit = pile.get_or_try_create_async(pending::<Result<T, NotToBeCreated>>);
                show(at_once(hit).ok());
            }),
            Kind::TaskCall => repeat(hits, || {
                let call = pile.call().max_age(Duration::from_secs(3600));
                let hit = call.get_or_try_create_async(pending::<Result<T, NotToBeCreated>>);
                show(at_once(hit).ok());
            }),
            Kind::TaskAcquire => repeat(hits, || {
                let get = || ready(Ok(Lookup::Here(T::from(black_box(7)))));
                let hit = pile.acquire_async(pending::<Result<T, NotToBeCreated>>, get);
                assert_eq!(at_once(hit).ok().map(|got| got.number()), Some(7));
            }),
            _ => unreachable!("it is not one of a plain pile"),
        }
    }

    #[inline(never)]
    fn hits_in_background(self, pile: &Arc<Dogpile<u32>>, given: &Arc<()>, hits: u32) {
        let call = || black_box(pile).background(&Thread).with(given);
        match self {
            Kind::Background => repeat(hits, || {
                show(call().get_or_create(|_| unreachable!()).ok());
            }),
            Kind::BackgroundTask => repeat(hits, || {
                show(at_once(call().get_or_create_async(|_| pending())).ok());
            }),
            _ => unreachable!("it is not one in the background"),
        }
    }

    #[inline(never)]
    fn reads<T: Number>(self, pile: &SyncReaderDogpile<T>, hits: u32) {
        match self {
            Kind::Read | Kind::ReadAmongMany => repeat(hits, || {
                let guard = black_box(pile).get_or_create(|| unreachable!());
                black_box(guard.number());
            }),
            Kind::ReadTry => repeat(hits, || {
                let guard = pile.get_or_try_create(|| Err(NotToBeCreated)).ok();
                assert_eq!(guard.map(|guard| black_box(&*guard).number()), Some(7));
            }),
            Kind::ReadPeek => repeat(hits, || {
                assert_eq!(
                    pile.peek().map(|guard| black_box(&*guard).number()),
                    Some(7)
                );
            }),
            Kind::ReadAcquire => repeat(hits, || {
                let get = || Ok(Lookup::Here(T::from(black_box(7))));
                let got = pile.acquire(|| Err(NotToBeCreated), get);
                assert_eq!(got.ok().map(|got| got.number()), Some(7));
            }),
            Kind::ReadTask => repeat(hits, || {
                let guard = at_once(black_box(pile).get_or_create_async(pending));
                black_box(guard.number());
            }),
            Kind::ReadTaskTry => repeat(hits, || {
                let hit = pile.get_or_try_create_async(pending::<Result<T, NotToBeCreated>>);
                let guard = at_once(hit).ok();
                assert_eq!(guard.map(|guard| black_box(&*guard).number()), Some(7));
            }),
            _ => unreachable!("it is not one of a reader"),
        }
    }

    #[inline(never)]
    fn finds(self, map: &Map, hits: u32) {
        match self {
            Kind::Map => repeat(hits, || {
                let guard = black_box(map).get_or_create(&black_box(KEY), || unreachable!());
                black_box(*guard);
            }),
            Kind::MapTry | Kind::MapStale => repeat(hits, || {
                let found = map.get_or_try_create(&black_box(KEY), || Err(NotToBeCreated));
                assert_eq!(found.ok().map(|guard| *black_box(&*guard)), Some(7));
            }),
            Kind::MapPeek => repeat(hits, || {
                let found = map.peek(&black_box(KEY));
                assert_eq!(found.map(|guard| *black_box(&*guard)), Some(7));
            }),
            Kind::MapTask => repeat(hits, || {
                let guard = at_once(black_box(map).get_or_create_async(&black_box(KEY), pending));
                black_box(*guard);
            }),
            Kind::MapTaskTry => repeat(hits, || {
                let create = pending::<Result<u32, NotToBeCreated>>;
                let found = at_once(map.get_or_try_create_async(&black_box(KEY), create));
                assert_eq!(found.ok().map(|guard| *black_box(&*guard)), Some(7));
            }),
            _ => unreachable!("it is not one of a map"),
        }
    }
}

type Map = KeyedDogpile<u64, u32, BuildHasherDefault<Same>>;

const KEY: u64 = 0x0123_4567_89ab_cdef;

/// The hash of a number is that number: what hashing takes is not ours.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("keys are numbers")
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Sees the creations, and none of the hits.
struct Watching;

impl Observer for Watching {
    fn event(&self, _event: &Event) {}
}

/// What a future answers to its first poll.
#[inline(always)]
fn at_once<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it is there"),
    }
}

/// What a pile holds: here numbers.
pub(crate) trait Number: From<u32> {
    fn number(&self) -> u32;
}

impl Number for u32 {
    #[inline(always)]
    fn number(&self) -> u32 {
        *self
    }
}

#[derive(Debug)]
struct NotToBeCreated;

fn renew<T>(pile: &Dogpile<T>) -> Lease<'_, T> {
    pile.expire();
    match pile.attempt() {
        Attempt::Lease(lease) => lease,
        _ => unreachable!("a stale value that nobody renews"),
    }
}

#[inline(always)]
fn repeat(hits: u32, hit: impl Fn()) {
    for _ in 0..hits {
        hit();
    }
}

#[inline(always)]
fn hit<T: Number>(pile: &Dogpile<T>) {
    let guard = black_box(pile).get_or_create(|| unreachable!());
    black_box(guard.number());
}

#[inline(always)]
fn show<T: Number>(guard: Option<Guard<'_, T>>) {
    match guard {
        Some(guard) => assert_eq!(black_box(&*guard).number(), 7),
        None => unreachable!("it is there"),
    }
}

fn nested<T: Number>(pile: &Dogpile<T>, depth: u32) {
    let guard = pile.get_or_create(|| unreachable!());
    if depth > 1 {
        nested(pile, depth - 1);
    }
    black_box(guard.number());
}
