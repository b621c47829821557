//! What the threads of a history do.

use dogpile::{Dogpile, ManualClock, SyncReaderDogpile};
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

use crate::spec::{Settings, Spec, Time};

/// A few threads and the calls of each, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) settings: Settings,
    pub(crate) start: Start,
    pub(crate) threads: Vec<Vec<Op>>,
}

/// Of the pile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Plain,
    Reader,
}

/// A pile of either kind.
pub(crate) enum AnyPile {
    Plain(Arc<Dogpile<u64>>),
    Reader(Arc<SyncReaderDogpile<u64>>),
}

/// The same with the pile of either kind.
macro_rules! on_pile {
    ($any:expr, |$pile:ident| $body:expr) => {
        match $any {
            crate::program::AnyPile::Plain($pile) => $body,
            crate::program::AnyPile::Reader($pile) => $body,
        }
    };
}
pub(crate) use on_pile;

/// What the pile holds before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Nothing,
    Fresh,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get(Get),
    Peek,
    Set,
    Expire,
    Invalidate,
    /// Of the value that this thread was given last, if it has one.
    ExpireSeen,
    InvalidateSeen,
    /// The clock moves by [`WAIT`].
    Advance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Get {
    pub(crate) form: Form,
    pub(crate) looks: LooksUp,
    pub(crate) makes: Makes,
    pub(crate) wait: Wait,
    pub(crate) takes: Demand,
    /// How often the creator lets others run.
    pub(crate) pause: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Whose creator cannot fail.
    Plain,
    Fallible,
    /// As a task.
    Task,
    /// Whose creator runs on a thread of its own.
    Background,
}

/// Whether it looks for its value elsewhere: then it is an `acquire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LooksUp {
    No,
    InVain,
    Finds,
}

/// What its creator comes to, if it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Makes {
    Value,
    /// One that the pile does not keep.
    Unkept,
    Error,
    Panic,
}

/// Which values it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    Stale,
    Fresh,
    /// Than the one that this thread was given last, if it has one.
    NewerThanSeen,
    New,
}

/// How long it waits for somebody else's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    ForEver,
    NotAtAll,
    /// For [`WAIT`].
    Once,
}

pub(crate) const WAIT: Time = 1;

/// The value that the pile holds before, if it holds one.
pub(crate) const FIRST: u64 = 0;

pub(crate) const GET: Get = Get {
    form: Form::Fallible,
    looks: LooksUp::No,
    makes: Makes::Value,
    wait: Wait::ForEver,
    takes: Demand::Stale,
    pause: 1,
};

impl Program {
    pub(crate) fn pile(&self, clock: &Arc<ManualClock>) -> AnyPile {
        let mut builder = Dogpile::builder(duration(self.settings.ttl));
        if let Some(limit) = self.settings.stale_while_revalidate {
            builder = builder.stale_while_revalidate(duration(limit));
        }
        let builder = builder.clock(clock.clone());
        let pile = match self.kind {
            Kind::Plain => AnyPile::Plain(Arc::new(builder.build())),
            Kind::Reader => AnyPile::Reader(Arc::new(builder.build_sync_reader())),
        };
        on_pile!(&pile, |pile| match self.start {
            Start::Nothing => {}
            Start::Fresh => pile.set(FIRST),
            Start::Expired => {
                pile.set(FIRST);
                pile.expire();
            }
        });
        pile
    }

    pub(crate) fn spec(&self) -> Spec {
        let mut spec = Spec::new(self.settings);
        match self.start {
            Start::Nothing => {}
            Start::Fresh => spec.set(FIRST.into()),
            Start::Expired => {
                spec.set(FIRST.into());
                spec.expire();
            }
        }
        spec
    }

    pub(crate) fn random(rng: &mut Rng, threads: usize, calls: usize) -> Self {
        let swr = [None, None, None, Some(Time::MAX), Some(0)];
        Self {
            kind: *pick(rng, &[Kind::Plain, Kind::Reader]),
            settings: Settings {
                ttl: *pick(rng, &[Time::MAX, Time::MAX, 0]),
                stale_while_revalidate: *pick(rng, &swr),
            },
            start: *pick(
                rng,
                &[Start::Nothing, Start::Nothing, Start::Fresh, Start::Expired],
            ),
            threads: (0..threads)
                .map(|_| (0..rng.usize(1..=calls)).map(|_| Op::random(rng)).collect())
                .collect(),
        }
    }
}

impl Op {
    fn random(rng: &mut Rng) -> Self {
        match rng.u8(..20) {
            0..=9 => Op::Get(Get::random(rng)),
            10..=11 => Op::Peek,
            12..=13 => Op::Set,
            14..=15 => Op::Expire,
            16..=17 => Op::Invalidate,
            18 => *pick(rng, &[Op::ExpireSeen, Op::InvalidateSeen]),
            _ => Op::Advance,
        }
    }
}

impl Get {
    fn random(rng: &mut Rng) -> Self {
        let form = *pick(
            rng,
            &[
                Form::Plain,
                Form::Fallible,
                Form::Fallible,
                Form::Task,
                Form::Background,
            ],
        );
        let makes = match rng.u8(..10) {
            0..=2 if form != Form::Plain => Makes::Error,
            3 => Makes::Panic,
            4 if form != Form::Plain => Makes::Unkept,
            _ => Makes::Value,
        };
        let looks = match rng.u8(..6) {
            0 if form != Form::Plain => LooksUp::InVain,
            1 if form != Form::Plain => LooksUp::Finds,
            _ => LooksUp::No,
        };
        Self {
            form,
            looks,
            makes,
            wait: match rng.u8(..10) {
                0 => Wait::NotAtAll,
                1 => Wait::Once,
                _ => Wait::ForEver,
            },
            takes: match rng.u8(..12) {
                0 => Demand::Fresh,
                1 => Demand::NewerThanSeen,
                2 => Demand::New,
                _ => Demand::Stale,
            },
            pause: rng.u8(..4),
        }
    }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// The last instant stands for "without end".
pub(crate) fn duration(time: Time) -> Duration {
    match time {
        Time::MAX => Duration::MAX,
        time => Duration::from_nanos(time),
    }
}
