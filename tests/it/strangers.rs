//! `min_interval`: what strangers can cause by the pattern of the recipe `jwks`, and what they cannot. A key id
//! that is not known may be new, or made up.

use std::sync::Arc;
use std::time::Duration;

use dogpile::{Accept, Dogpile, Error, Guard, ManualClock};

use crate::support::{HOUR, SECOND};

const INTERVAL: Duration = Duration::from_secs(10);
const DAY: u64 = 86_400;

#[derive(Debug, PartialEq)]
struct Down;

/// The issuer of the keys, and a pile of them.
struct Keys {
    clock: Arc<ManualClock>,
    pile: Dogpile<Vec<u32>>,
    issued: Vec<u32>,
    is_up: bool,
    fetches: u64,
}

impl Keys {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let builder = Dogpile::builder(24 * HOUR).min_interval(INTERVAL);
        Self {
            pile: builder.clock(clock.clone()).build(),
            clock,
            issued: vec![1],
            is_up: true,
            fetches: 0,
        }
    }

    /// As the recipe has it.
    fn is_known(&mut self, id: u32) -> Result<bool, Error<Down>> {
        let mut fetch = || {
            self.fetches += 1;
            match self.is_up {
                true => Ok(self.issued.clone()),
                false => Err(Down),
            }
        };
        let keys = self.pile.get_or_try_create(&mut fetch)?;
        if keys.contains(&id) {
            return Ok(true);
        }
        let newer = self.pile.call();
        let newer = newer.accept(Accept::NewerThan(Guard::seen(&keys)));
        match newer.get_or_try_create(fetch) {
            Ok(newer) => Ok(newer.contains(&id)),
            Err(error) if error.is_backing_off() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A tenth of a second, with a made-up key id. The source is asked by nobody else.
    fn forged(&mut self) {
        self.clock.advance(SECOND / 10);
        let answer = self.is_known(1_000_000);
        assert!(!answer.unwrap_or_default(), "a forged key is known");
    }
}

/// Ten a second, for a day but for what a value lives less than that.
const TICKS: u64 = 10 * DAY - 1;

#[test]
fn they_cause_a_fetch_an_interval_and_no_more() {
    for is_up in [true, false] {
        let mut keys = Keys::new();
        assert!(keys.is_known(1).unwrap());
        keys.is_up = is_up;
        for tick in 0..TICKS {
            keys.forged();
            // Fresh, whatever became of the fetches.
            if tick % 100 == 0 {
                assert!(keys.is_known(1).unwrap(), "a good key is refused");
                assert!(keys.pile.is_fresh());
            }
        }
        let most = DAY / INTERVAL.as_secs() + 1;
        assert!(
            (most / 2..=most).contains(&keys.fetches),
            "{}",
            keys.fetches
        );
    }
}

#[test]
fn a_new_key_is_known_within_an_interval() {
    for phase in 0..150 {
        let mut keys = Keys::new();
        assert!(keys.is_known(1).unwrap());
        for _ in 0..phase {
            keys.forged();
        }
        keys.issued.push(2);
        let rotated = phase;
        let mut ticks = rotated;
        while !keys.is_known(2).unwrap() {
            keys.forged();
            ticks += 1;
            assert!(ticks - rotated <= 10 * INTERVAL.as_secs(), "not known yet");
        }
        assert!(keys.is_known(1).unwrap());
    }
}

/// Who marks the value instead has its good callers meet the failure of the source.
#[test]
fn a_source_that_is_down_is_met_by_them_alone() {
    let mut keys = Keys::new();
    assert!(keys.is_known(1).unwrap());
    keys.is_up = false;
    for _ in 0..1000 {
        keys.forged();
        keys.clock.advance(INTERVAL);
        assert!(keys.is_known(1).unwrap());
    }
    let seen = Guard::seen(&keys.pile.peek().unwrap());
    keys.pile.expire_if(seen);
    keys.clock.advance(INTERVAL);
    assert!(matches!(keys.is_known(1), Err(Error::Create(_))));
}
