//! The kinds of hits, and a pile for each.

use std::hint::black_box;
use std::time::Duration;

use dogpile::{Accept, Attempt, Dogpile, Guard, Lease, Lookup};

/// A way to be given a value that is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    GetOrCreate,
    GetOrTryCreate,
    Peek,
    /// The value is stale, and somebody is creating another.
    Stale,
    /// The same, without a call for it to be made.
    StalePeek,
    /// With options.
    Fresh,
    /// Where the age counts.
    MaxAge,
    /// The value is kept elsewhere.
    Acquire,
    /// Eight guards at once, as many as are to be had for so little.
    Nested,
}

impl Kind {
    pub(crate) const ALL: [Kind; 9] = [
        Kind::GetOrCreate,
        Kind::GetOrTryCreate,
        Kind::Peek,
        Kind::Stale,
        Kind::StalePeek,
        Kind::Fresh,
        Kind::MaxAge,
        Kind::Acquire,
        Kind::Nested,
    ];

    /// That many of them, after one to warm up. What is done with it is up to `around`.
    pub(crate) fn run(self, hits: u32, around: impl FnOnce(&dyn Fn())) {
        self.run_on(&Dogpile::with_value(Duration::MAX, 7_u32), hits, around);
    }

    /// The same on a pile of which the value is seven.
    pub(crate) fn run_on<T: Number>(
        self,
        pile: &Dogpile<T>,
        hits: u32,
        around: impl FnOnce(&dyn Fn()),
    ) {
        let lease = matches!(self, Kind::Stale | Kind::StalePeek).then(|| renew(pile));
        self.hits(pile, 1);
        around(&|| self.hits(pile, hits));
        drop(lease);
    }

    #[inline(never)]
    fn hits<T: Number>(self, pile: &Dogpile<T>, hits: u32) {
        // One loop for each, so that they do not share a branch.
        match self {
            Kind::GetOrCreate => repeat(hits, || hit(pile)),
            Kind::GetOrTryCreate | Kind::Stale => repeat(hits, || {
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
        }
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
