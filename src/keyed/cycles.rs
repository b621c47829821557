//! Creators on threads that would wait for each other's key: noticed before they do.
//!
//! A thread that waits for a creation while it is inside another one is rare, so it writes down what it
//! is inside and what it waits for, and follows what others wrote. If that leads back to what it is inside
//! itself, nobody of the circle would ever go on.

use crate::call::election::Stop;
use crate::call::thread::Sleeper;
use crate::error::Cycle;
use crate::keyed::shared::Shared;
use crate::raw::Event;
use crate::reentrancy::{Creation, Identity, all_inside};
use crate::shim::{Arc, Mutex};
use crate::time::{Tick, Time};

/// The threads that wait for one creation of a map inside another.
pub(super) struct Waits(Mutex<Vec<Nested>>);

struct Nested {
    inside: Vec<Creation>,
    waits_for: Creation,
    /// Tells this wait from others.
    event: Arc<Event>,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Notes that a thread waits, unless it would be for itself: then, the creation that it is inside and
    /// that would wait for it.
    fn enter(&self, nested: Nested) -> Result<Waiting<'_>, Creation> {
        let event = Arc::clone(&nested.event);
        let mut waits = self.0.lock();
        let mut awaited = vec![nested.waits_for];
        let mut followed = 0;
        while let Some(&creation) = awaited.get(followed) {
            followed += 1;
            if nested.inside.contains(&creation) {
                return Err(creation);
            }
            let inside = waits.iter().filter(|wait| wait.inside.contains(&creation));
            for wait in inside {
                if !awaited.contains(&wait.waits_for) {
                    awaited.push(wait.waits_for);
                }
            }
        }
        waits.push(nested);
        drop(waits);
        Ok(Waiting { waits: self, event })
    }
}

struct Waiting<'a> {
    waits: &'a Waits,
    event: Arc<Event>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waits = self.waits.0.lock();
        if let Some(at) = waits
            .iter()
            .position(|wait| Arc::ptr_eq(&wait.event, &self.event))
        {
            let nested = waits.swap_remove(at);
            drop(waits);
            drop(nested);
        }
    }
}

/// How a thread waits in a call of a map.
pub(super) struct Watched<'a, K, T>(pub(super) &'a Shared<K, T>);

impl<K, T> Sleeper for Watched<'_, K, T> {
    fn sleep(
        &self,
        event: &Arc<Event>,
        creation: Option<Creation>,
        time: &Time,
        deadline: Option<Tick>,
    ) -> Result<bool, Stop> {
        let Some(waits_for) = creation else {
            return Ok(event.wait(time, deadline));
        };
        let inside = all_inside();
        if inside.is_empty() {
            return Ok(event.wait(time, deadline));
        }
        let nested = Nested {
            inside,
            waits_for,
            event: Arc::clone(event),
        };
        match self.0.waits().enter(nested) {
            Ok(_waiting) => Ok(event.wait(time, deadline)),
            Err(own) => Err(Stop::Cycle(self.cycle(own.pile, waits_for.pile))),
        }
    }
}

impl<K, T> Watched<'_, K, T> {
    fn cycle(&self, own: Identity, other: Identity) -> Cycle {
        let names = || Some([self.0.name(own)?, self.0.name(other)?]);
        Cycle::new(names())
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// The creations of so many piles.
    fn creations<const N: usize>(piles: &[u8; N]) -> [Creation; N] {
        let of = |pile| Creation {
            pile: Identity::of(pile),
            fence: 1,
        };
        piles.each_ref().map(of)
    }

    fn wait(inside: &[Creation], waits_for: Creation) -> Nested {
        Nested {
            inside: inside.to_vec(),
            waits_for,
            event: Arc::new(Event::new()),
        }
    }

    #[test]
    fn who_would_wait_for_itself_is_told_by_which_creation() {
        let [a, b, c, d] = creations(&[0; 4]);
        let waits = Waits::new();
        let held = [
            waits.enter(wait(&[a], b)).ok().unwrap(),
            // Two ways lead to the same one.
            waits.enter(wait(&[b], c)).ok().unwrap(),
            waits.enter(wait(&[b], d)).ok().unwrap(),
            waits.enter(wait(&[d], c)).ok().unwrap(),
        ];
        let told = waits.enter(wait(&[d, c], a)).err().unwrap();
        assert!(told == c || told == d);
        assert!(waits.enter(wait(&[a], a)).err() == Some(a));
        assert_eq!(waits.0.lock().len(), held.len());
        drop(held);
        // Nobody waits any more, and nothing is kept of it.
        assert!(waits.0.lock().is_empty());
        drop(waits.enter(wait(&[c], a)).ok().unwrap());
    }
}
