//! What all calls of a pile of the fleet share, whatever their record: the store, the settings, what is
//! counted and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dogpile::{Clock, SystemClock, Tick};

use crate::asks::Asks;
use crate::health::{Health, Sent};
use crate::observe::{self, FleetEvent, FleetObserver};
use crate::policy::Policy;
use crate::store::{Abilities, Answer, Found, Key, StoreError, StoreErrorKind};

/// What a pile of the fleet did, counted since it was built. A hit is not counted.
///
/// No errors is not health: look at [`stored`](FleetStats::stored) and [`stale`](FleetStats::stale)
/// too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FleetStats {
    /// Verbs that the store was asked to do, naps aside. One that asks for many records is one.
    pub verbs: u64,
    /// Verbs that failed. Of one that asks for many records, each record that failed.
    pub store_errors: u64,
    /// Records that the store was asked for.
    pub asks: u64,
    /// Leases that the store granted.
    pub leads: u64,
    /// How often the store said that somebody else creates, or that nobody may yet.
    pub busy: u64,
    /// Leases that the store did not renew.
    pub lost: u64,
    /// Naps while others created.
    pub naps: u64,
    /// Creators that ran here.
    pub creations: u64,
    /// Creators that failed or panicked.
    pub failures: u64,
    /// Values that the store took.
    pub stored: u64,
    /// Values that came too late.
    pub superseded: u64,
    /// Values that the store did not take, or that were made without it.
    pub unstored: u64,
    /// How often the store said that the copy here is still the value.
    pub unchanged: u64,
    /// How often this process went on with a stale value.
    pub stale: u64,
    /// Values whose bytes could not be read.
    pub unreadable: u64,
    /// Hints that this process acted upon, and those that told that hints were lost.
    pub hints: u64,
}

macro_rules! counts {
    ($($name:ident),*) => {
        #[derive(Default)]
        pub(crate) struct Counts {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counts {
            pub(crate) fn stats(&self) -> FleetStats {
                FleetStats {
                    $($name: self.$name.load(Ordering::SeqCst),)*
                }
            }
        }
    };
}
counts!(
    verbs,
    store_errors,
    asks,
    leads,
    busy,
    lost,
    naps,
    creations,
    failures,
    stored,
    superseded,
    unstored,
    unchanged,
    stale,
    unreadable,
    hints
);

/// What does not depend on the types of the store and the codec.
pub(crate) struct Common {
    clock: Option<Arc<dyn Clock>>,
    health: Health,
    pub(crate) counts: Counts,
    observer: Option<Arc<dyn FleetObserver>>,
}

impl Common {
    pub(crate) fn new(
        clock: Option<Arc<dyn Clock>>,
        observer: Option<Arc<dyn FleetObserver>>,
    ) -> Self {
        Self {
            clock,
            health: Health::default(),
            counts: Counts::default(),
            observer,
        }
    }

    pub(crate) fn now(&self) -> Tick {
        match &self.clock {
            Some(clock) => clock.now(),
            None => SystemClock.now(),
        }
    }

    pub(crate) fn count(&self, of: impl FnOnce(&Counts) -> &AtomicU64) {
        of(&self.counts).fetch_add(1, Ordering::SeqCst);
    }

    /// Counts what happened, and tells the observer: so the two agree.
    pub(crate) fn tell(&self, event: &FleetEvent<'_>) {
        self.count(|counts| match event {
            FleetEvent::Ask { .. } => &counts.asks,
            FleetEvent::Lead { .. } => &counts.leads,
            FleetEvent::Busy { .. } => &counts.busy,
            FleetEvent::Stored { .. } => &counts.stored,
            FleetEvent::Refused { .. } => &counts.superseded,
            FleetEvent::Lost { .. } => &counts.lost,
            FleetEvent::StoreError { .. } => &counts.store_errors,
            FleetEvent::Hint { .. } | FleetEvent::Missed => &counts.hints,
        });
        if let Some(observer) = &self.observer {
            observe::tell(&**observer, event);
        }
    }

    /// A verb is about to be sent that is not left undone.
    pub(crate) fn sent(&self) -> Sent {
        self.health.sent()
    }

    /// Takes note of how a verb went.
    pub(crate) fn note<T>(&self, sent: Sent, key: Option<&Key>, answer: Answer<T>) -> Answer<T> {
        self.count(|counts| &counts.verbs);
        self.health.note(sent, answer.as_ref().err(), self.now());
        self.tell_error(key, &answer);
        answer
    }

    /// The same of one that asked for several records.
    pub(crate) fn note_many(&self, sent: Sent, keys: &[&Key], answers: &[Answer<Found>]) {
        self.count(|counts| &counts.verbs);
        let errors = || answers.iter().filter_map(|answer| answer.as_ref().err());
        let outage = errors().find(|error| error.kind != StoreErrorKind::Refused);
        self.health.note(sent, outage, self.now());
        for (key, answer) in keys.iter().zip(answers) {
            self.tell_error(Some(key), answer);
        }
    }

    fn tell_error<T>(&self, key: Option<&Key>, answer: &Answer<T>) {
        if let Err(error) = answer {
            self.tell(&FleetEvent::StoreError { key, error });
        }
    }

    /// The store is about to be asked, unless it is left alone.
    pub(crate) fn ask(&self) -> Answer<Sent> {
        self.health.ask(self.now()).ok_or_else(Self::left_alone)
    }

    /// Why the store is not asked now, if it is not.
    pub(crate) fn down(&self, now: Tick) -> Option<StoreError> {
        self.health.is_down(now).then(Self::left_alone)
    }

    pub(crate) fn left_alone() -> StoreError {
        StoreError::unavailable("it failed just now, and is left alone for a moment")
    }
}

/// What is the same for all records of a pile, of one key or of many.
pub struct Shared<S, C> {
    pub(crate) store: Arc<S>,
    pub(crate) abilities: Abilities,
    pub(crate) namespace: Box<str>,
    pub(crate) codec: C,
    pub(crate) policy: Policy,
    pub(crate) common: Common,
    /// How many requests run at once, where that is limited.
    pub(crate) asks: Option<Asks>,
}
