use std::sync::{Arc, Mutex};

use dogpile::ManualClock;
use dogpile_fleet::{FleetBuilder, FleetDogpile, FleetGuard, Store, Version};

use crate::{MINUTE, Number, TTL};

/// A process of a fleet: a pile of its own over a store. Its copies are fresh for the ttl, and usable for an hour.
#[derive(Debug)]
pub struct Process<S> {
    /// Its pile.
    pub pile: FleetDogpile<u64, S, Number>,
    seen: Mutex<(Version, u64)>,
}

impl<S: Store> Process<S> {
    /// A process with this clock.
    pub fn new(clock: &Arc<ManualClock>, store: Arc<S>) -> Self {
        Self::with(clock, store, |builder| builder)
    }

    /// A process with more settings.
    pub fn with(
        clock: &Arc<ManualClock>,
        store: Arc<S>,
        more: impl FnOnce(FleetBuilder<u64, S, Number>) -> FleetBuilder<u64, S, Number>,
    ) -> Self {
        let builder = FleetDogpile::builder(store, "number", TTL)
            .namespace("faults")
            .codec(Number)
            .local_ttl(TTL)
            .stale_while_revalidate(MINUTE * 60)
            .clock(clock.clone());
        Self {
            pile: more(builder).build(),
            seen: Mutex::default(),
        }
    }

    /// Calls, with a creator that makes this.
    ///
    /// # Panics
    ///
    /// If the call has an error, or something older than before.
    #[track_caller]
    pub fn call(&self, made: u64) -> u64 {
        let guard = self.pile.get_or_try_create(|_| Ok::<_, String>(made));
        self.note(&guard.expect("a value"))
    }

    /// Calls for a value that is there.
    ///
    /// # Panics
    ///
    /// If the call creates, has an error, or something older than before.
    #[track_caller]
    pub fn has(&self) -> u64 {
        let guard = self
            .pile
            .get_or_try_create(|_| -> Result<u64, String> { panic!("it is there") });
        self.note(&guard.expect("a value"))
    }

    #[track_caller]
    fn note(&self, guard: &FleetGuard<'_, u64>) -> u64 {
        let (version, value) = (FleetGuard::version(guard), **guard);
        let mut seen = self.seen.lock().unwrap();
        // What was made without the store has no version.
        if !version.is_none() {
            assert!(version >= seen.0, "{version} after {}", seen.0);
            seen.0 = version;
        }
        assert!(value >= seen.1, "{value} after {}", seen.1);
        seen.1 = value;
        value
    }
}

#[cfg(test)]
mod tests {
    use dogpile_fleet::MemoryStore;

    use super::*;

    #[test]
    #[should_panic = "1 after 2"]
    fn something_older_is_a_failure() {
        let process = Process::new(&Arc::default(), Arc::new(MemoryStore::new()));
        assert_eq!(process.call(2), 2);
        process.pile.invalidate().expect("the store answers");
        process.call(1);
    }

    #[test]
    #[should_panic = "it is there"]
    fn a_creation_where_a_value_has_to_be_is_a_failure() {
        let process = Process::new(&Arc::default(), Arc::new(MemoryStore::new()));
        process.has();
    }
}
