//! A hit writes to no memory but its own thread's: not to the pile, not to the value, not to what is
//! global.
//!
//! ```breakages
//! writes-to-the-value-at-a-hit | src/raw/value/node.rs
//!   pub(crate) fn due_from(&self) -> Tick {
//! + self.installed_as(self.installed_at());
//!
//! counts-hits | src/raw/value/own.rs
//!   pub(in crate::raw) fn free_slot() -> Option<&'static Slot> {
//! + static HITS: crate::shim::atomic::AtomicUsize = crate::shim::atomic::AtomicUsize::new(0);
//! + use crate::shim::atomic::Ordering::Relaxed;
//! + HITS.store(HITS.load(Relaxed) + 1, Relaxed);
//!
//! counts-all-that-ask-for-a-key | src/raw/asked.rs | none_by_a_hit_of_a_map
//! - if times < Self::MOST as u64 {
//! + if times < u64::MAX {
//! ```

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dogpile::{Guard, KeyedAttempt, KeyedDogpile, KeyedGuard};

use crate::allocation::{PAGE, last_pages};
use crate::hits::{Kind, Number};

const HITS: u32 = 1000;

/// On pages of its own, so that these can be made read-only.
#[repr(align(4096))] // PAGE
#[derive(Clone, PartialEq, Eq, Hash)]
struct Paged<T>(T);

impl From<u32> for Paged<u32> {
    fn from(number: u32) -> Self {
        Paged(number)
    }
}

impl Number for Paged<u32> {
    fn number(&self) -> u32 {
        self.0
    }
}

/// Where something lies.
type Place = Range<usize>;

/// Where the variables lie that are neither a thread's nor allocated: those of this program.
fn globals() -> Vec<Place> {
    let program = fs::read_link("/proc/self/exe").unwrap();
    let program = program.to_str().unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut found: Vec<Place> = Vec::new();
    for line in maps.lines() {
        // 55d0c0a5e000-55d0c0a60000 rw-p 00000000 00:00 0    /path/of/the/program
        let (place, rest) = line.split_once(' ').unwrap();
        let (begin, end) = place.split_once('-').unwrap();
        let place = [begin, end].map(|at| usize::from_str_radix(at, 16).unwrap());
        // What begins as zero follows the rest, without a name.
        let goes_on = found.last().is_some_and(|last| last.end == place[0]);
        let is_named = line.ends_with(program);
        if rest.starts_with("rw") && (is_named || (goes_on && line.ends_with(" 0 "))) {
            found.push(place[0]..place[1]);
        }
    }
    found
}

/// Runs `body` in a child process in which it may not write to these places. Says whether it got to
/// the end. Whatever `body` needs must be warmed up.
fn ends_without_writing_to(places: &[Place], body: impl FnOnce()) -> bool {
    // SAFETY: the child runs `body` and ends. It does not even allocate.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork");
    if child == 0 {
        for place in places {
            let begin = place.start as *mut libc::c_void;
            // SAFETY: whole pages; who writes there ends, and that is what is asked.
            let protected = unsafe { libc::mprotect(begin, place.len(), libc::PROT_READ) };
            if protected != 0 {
                // SAFETY: the end of the child.
                unsafe { libc::_exit(2) };
            }
        }
        body();
        // SAFETY: the end of the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFSIGNALED(status) || status == 0, "no protection");
    status == 0
}

#[test]
fn none_by_a_hit() {
    assert_eq!(align_of::<Paged<u32>>(), PAGE);
    static GLOBAL: AtomicU32 = AtomicU32::new(0);
    let globals = globals();
    let global = std::ptr::from_ref(&GLOBAL) as usize;
    assert!(globals.iter().any(|place| place.contains(&global)));
    // Who writes there does end.
    assert!(ends_without_writing_to(&globals, || ()));
    assert!(!ends_without_writing_to(&globals, || GLOBAL.store(1, Ordering::Relaxed)));

    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_plain()) {
        let pile = kind.pile(Paged(7));
        let value = last_pages();
        let pile = Box::new(Paged(pile));
        let mut places = vec![last_pages(), value];
        let [of_pile, of_value] = [&places[0], &places[1]];
        assert!(of_pile.contains(&(std::ptr::from_ref(&*pile) as usize)));
        assert!(of_value.contains(&(std::ptr::from_ref(&*pile.0.peek().unwrap()) as usize)));
        // What is counted is noticed there.
        assert!(!ends_without_writing_to(&places[1..], || drop(
            Guard::to_owned(&pile.0.peek().unwrap())
        )));
        kind.run_on(&pile.0, HITS, |hits| {
            assert!(ends_without_writing_to(&places, hits), "{kind:?}");
            places.extend_from_slice(&globals);
            assert!(
                ends_without_writing_to(&places, hits),
                "{kind:?}: what is global"
            );
        });
        assert!(!ends_without_writing_to(&places, || pile.0.set(Paged(8))));
    }
}

/// Once a value was asked for a few times, a hit of a map writes neither to the entry nor to the value.
#[test]
fn none_by_a_hit_of_a_map() {
    let map = KeyedDogpile::<Paged<u64>, Paged<u32>>::new(Duration::MAX);
    let key = Paged(7);
    let KeyedAttempt::Lease(lease) = map.attempt(&key) else {
        unreachable!("nobody creates");
    };
    let entry = last_pages();
    drop(lease.publish(Paged(7)));
    let value = last_pages();
    assert_ne!(entry, value);
    // The first ones are counted, there.
    let ask = || drop(map.peek(&key).unwrap());
    ask();
    assert!(!ends_without_writing_to(std::slice::from_ref(&entry), ask));
    (0..3).for_each(|_| ask());
    let mut places = vec![entry, value];
    places.extend(globals());
    assert!(ends_without_writing_to(&places, || {
        for _ in 0..HITS {
            ask();
            drop(map.get_or_create(&key, || unreachable!("it is there")));
        }
    }));
    assert!(!ends_without_writing_to(&places[1..2], || drop(
        KeyedGuard::to_owned(&map.peek(&key).unwrap())
    )));
    assert!(!ends_without_writing_to(&places[..1], || map.set(key.clone(), Paged(8))));
}
