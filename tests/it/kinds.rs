//! The kinds of piles that the crate has.

use std::sync::Arc;

use dogpile::observe::Stats;
use dogpile::{Builder, Dogpile, KeyedCall, KeyedDogpile, SyncReaderDogpile};
#[cfg(feature = "async")]
use dogpile::{KeyedBackground, executor::Executor};

use super::forms::{AnyPile, Kind, any_pile};

/// Each, to be made of settings.
pub(crate) const KINDS: [Kind; 3] = [
    |builder| Arc::new(Arc::new(builder.build())),
    |builder| Arc::new(Arc::new(builder.build_sync_reader())),
    |builder| Arc::new(Arc::new(OneOfMany::new(builder))),
];

any_pile!(Dogpile<u32>, "plain", false, ask);
any_pile!(SyncReaderDogpile<u32>, "reader", true, ask);
any_pile!(OneOfMany, "keyed", false, ask_kept);

/// A key of a map as a pile, between others.
struct OneOfMany(KeyedDogpile<String, u32>);

impl OneOfMany {
    const KEY: &'static str = "this one";

    fn new(builder: Builder<u32>) -> Self {
        let map = builder.build_keyed();
        for other in 0..10 {
            map.set(other.to_string(), 1000 + other);
        }
        Self(map)
    }

    fn call(&self) -> KeyedCall<'_, 'static, String, u32, std::hash::RandomState, str> {
        self.0.call(Self::KEY)
    }

    #[cfg(feature = "async")]
    fn background<'e>(
        &self,
        executor: &'e dyn Executor,
    ) -> KeyedBackground<'_, 'static, 'e, String, u32, std::hash::RandomState, str> {
        self.0.background(Self::KEY, executor)
    }

    fn waiters(&self) -> usize {
        self.0.waiters(Self::KEY)
    }

    fn set(&self, value: u32) {
        self.0.set(Self::KEY.to_owned(), value);
    }

    fn invalidate(&self) {
        self.0.invalidate(Self::KEY);
    }

    fn expire(&self) {
        self.0.expire(Self::KEY);
    }

    fn is_creating(&self) -> bool {
        self.0.is_creating(Self::KEY)
    }

    /// Of a value that is not kept, a map knows nothing.
    fn has_value(&self) -> bool {
        self.0.has_value(Self::KEY)
    }

    /// What is counted of a key that is in the map no more, the map tells.
    fn stats(&self) -> Stats {
        let mut stats = self.0.stats_of(Self::KEY);
        stats.counters = self.0.stats().counters;
        stats
    }

    fn peek(&self) -> Option<dogpile::KeyedGuard<'_, String, u32>> {
        self.0.peek(Self::KEY)
    }
}
