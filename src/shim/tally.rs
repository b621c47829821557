//! Counts that many threads add to, each in memory that no other thread writes.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A count, if it is kept. What the standard library has in all builds: no model of the crate depends
/// on it.
///
/// Each tally that was ever added to has a number, and each thread has an array of counts by number.
/// So to add is to increment a word in an array of one's own. Whoever wants the sum goes through the
/// arrays of all threads. An array outlives its thread, for the next one to go on with, and a number
/// its tally: what is in the arrays by then is subtracted from the sum of the next tally.
pub(crate) struct Tally(AtomicU32);

/// Nothing is counted.
const OFF: u32 = 0;
/// Nothing was counted yet.
const UNNUMBERED: u32 = 1;
/// The number zero.
const FIRST: u32 = 2;

impl Tally {
    pub(crate) const fn off() -> Self {
        Self(AtomicU32::new(OFF))
    }

    pub(crate) const fn on() -> Self {
        Self(AtomicU32::new(UNNUMBERED))
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        // ORDERING: relaxed: whether it is kept never changes.
        self.0.load(Ordering::Relaxed) != OFF
    }

    /// Adds one, if it is kept.
    pub(crate) fn add(&self) {
        self.change(|count| count.wrapping_add(1));
    }

    /// Takes back one that this thread has added.
    pub(crate) fn take_back(&self) {
        self.change(|count| count.wrapping_sub(1));
    }

    /// The sum, if it is kept. Exact as to what was added before, in the sense of happens-before.
    pub(crate) fn sum(&self) -> Option<u64> {
        // ORDERING: relaxed: who added before has numbered it before.
        match self.0.load(Ordering::Relaxed) {
            OFF => None,
            UNNUMBERED => Some(0),
            number => {
                let place = Place::of(number - FIRST);
                let all = All::lock();
                Some(all.sum(place).wrapping_sub(all.before(place)))
            }
        }
    }

    #[inline]
    fn change(&self, change: impl Fn(u64) -> u64) {
        // ORDERING: relaxed: a thread reads no more by the number than it wrote itself.
        let number = match self.0.load(Ordering::Relaxed) {
            OFF => return,
            UNNUMBERED => self.number(),
            number => number,
        };
        let place = Place::of(number - FIRST);
        // Past the destructors of its thread-locals, a thread shares what is there with its like.
        let mine = MINE.try_with(|mine| mine.array().change(place, &change));
        if mine.is_err() {
            OF_ENDING_THREADS.change_shared(place, change);
        }
    }

    #[cold]
    fn number(&self) -> u32 {
        let mut all = All::lock();
        // ORDERING: relaxed: stored under the lock only.
        let known = self.0.load(Ordering::Relaxed);
        if known != UNNUMBERED {
            return known;
        }
        let number = all.take_number() + FIRST;
        // ORDERING: relaxed: see `change`.
        self.0.store(number, Ordering::Relaxed);
        number
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(number) = self.0.get_mut().checked_sub(FIRST) {
            All::lock().free.push(number);
        }
    }
}

/// One that is kept as well, and has counted nothing.
impl Clone for Tally {
    fn clone(&self) -> Self {
        // ORDERING: relaxed: whether it is kept never changes.
        match self.0.load(Ordering::Relaxed) {
            OFF => Self::off(),
            _ => Self::on(),
        }
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sum() {
            Some(sum) => sum.fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// Where the count with a certain number is in each array.
#[derive(Clone, Copy)]
struct Place {
    number: u32,
    bucket: usize,
    index: usize,
}

/// The first bucket has so many counts, and each one twice as many as the one before.
const LEAST: usize = 64;
const BUCKETS: usize = 27;

impl Place {
    #[inline]
    fn of(number: u32) -> Self {
        let nth = number as usize + LEAST;
        let bucket = (nth / LEAST).ilog2() as usize;
        Self {
            number,
            bucket,
            index: nth - (LEAST << bucket),
        }
    }
}

/// The counts of one thread. What it has of them is never moved, since others read it.
struct Array([OnceLock<Box<[AtomicU64]>>; BUCKETS]);

impl Array {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; BUCKETS])
    }

    #[inline]
    fn count(&self, place: Place) -> Option<&AtomicU64> {
        let bucket = self.0[place.bucket].get_or_init(|| {
            let counts = LEAST << place.bucket;
            (0..counts).map(|_| AtomicU64::new(0)).collect()
        });
        bucket.get(place.index)
    }

    /// By the thread that has it, and nobody else.
    #[inline]
    fn change(&self, place: Place, change: impl Fn(u64) -> u64) {
        if let Some(count) = self.count(place) {
            // ORDERING: relaxed: words on their own.
            count.store(change(count.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }

    #[cold]
    fn change_shared(&self, place: Place, change: impl Fn(u64) -> u64) {
        if let Some(count) = self.count(place) {
            // ORDERING: relaxed: words on their own.
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            let changed = count.fetch_update(set, fetch, |count| Some(change(count)));
            debug_assert!(changed.is_ok(), "it is changed whatever it was");
        }
    }

    fn read(&self, place: Place) -> u64 {
        let bucket = self.0[place.bucket].get();
        let count = bucket.and_then(|bucket| bucket.get(place.index));
        // ORDERING: relaxed: words on their own.
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

static OF_ENDING_THREADS: Array = Array::new();

thread_local! {
    static MINE: Mine = const { Mine(Cell::new(None)) };
}

/// The array of this thread, once it has one. Given back when the thread ends.
struct Mine(Cell<Option<&'static Array>>);

impl Mine {
    #[inline]
    fn array(&self) -> &'static Array {
        match self.0.get() {
            Some(array) => array,
            None => self.take(),
        }
    }

    #[cold]
    fn take(&self) -> &'static Array {
        let array = All::lock().take_array();
        self.0.set(Some(array));
        array
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(array) = self.0.take() {
            All::lock().spare.push(array);
        }
    }
}

/// All arrays and all numbers.
struct All {
    arrays: Vec<&'static Array>,
    /// Those that no thread has.
    spare: Vec<&'static Array>,
    /// By number: what other tallies with this number have counted before.
    before: Vec<u64>,
    /// The numbers that no tally has.
    free: Vec<u32>,
}

impl All {
    /// Held for a few instructions for each thread.
    fn lock() -> MutexGuard<'static, Self> {
        static ALL: Mutex<All> = Mutex::new(All {
            arrays: Vec::new(),
            spare: Vec::new(),
            before: Vec::new(),
            free: Vec::new(),
        });
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_array(&mut self) -> &'static Array {
        self.spare.pop().unwrap_or_else(|| {
            let array = Box::leak(Box::new(Array::new()));
            self.arrays.push(array);
            array
        })
    }

    fn take_number(&mut self) -> u32 {
        let Some(number) = self.free.pop() else {
            self.before.push(0);
            let number = u32::try_from(self.before.len() - 1);
            return number.expect("there are not so many piles at once");
        };
        // Nobody adds to it: the tally that had the number is gone.
        let before = self.sum(Place::of(number));
        self.before[number as usize] = before;
        number
    }

    fn before(&self, place: Place) -> u64 {
        self.before[place.number as usize]
    }

    fn sum(&self, place: Place) -> u64 {
        let arrays = self.arrays.iter().copied();
        let counts = arrays
            .chain([&OF_ENDING_THREADS])
            .map(|array| array.read(place));
        counts.fold(0, u64::wrapping_add)
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut last = Place::of(0);
        assert_eq!((last.bucket, last.index), (0, 0));
        for number in 1..10_000 {
            let place = Place::of(number);
            let follows = (place.bucket, place.index) == (last.bucket, last.index + 1);
            let begins = (place.bucket, place.index) == (last.bucket + 1, 0);
            assert!(follows != begins && place.index < LEAST << place.bucket);
            last = place;
        }
        let last = Place::of(u32::MAX - FIRST);
        assert!(last.bucket < BUCKETS && last.index < LEAST << last.bucket);
    }

    #[test]
    fn all_that_was_added_is_there() {
        let tally = Tally::on();
        assert_eq!(tally.sum(), Some(0));
        // More threads than one after the other need arrays.
        for round in 1..=3 {
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        for _ in 0..1000 {
                            tally.add();
                            tally.add();
                            tally.take_back();
                        }
                    });
                }
            });
            assert_eq!(tally.sum(), Some(round * 4000));
        }
    }

    /// Of two threads that are the first to add, both find none.
    #[test]
    fn it_has_one_number() {
        let tally = Tally::on();
        assert_eq!(tally.number(), tally.number());
    }

    #[test]
    fn one_that_is_off_counts_nothing() {
        let tally = Tally::off();
        tally.add();
        assert_eq!((tally.sum(), tally.clone().sum()), (None, None));
    }

    #[test]
    fn a_new_one_begins_at_zero_whatever_its_number_was_used_for() {
        for _ in 0..1000 {
            let tally = Tally::on();
            tally.add();
            let other = tally.clone();
            assert_eq!(other.sum(), Some(0));
            other.add();
            other.add();
            assert_eq!((tally.sum(), other.sum()), (Some(1), Some(2)));
        }
    }

    #[test]
    fn each_of_many_counts_for_itself() {
        let tallies: Vec<Tally> = (0..1000).map(|_| Tally::on()).collect();
        for (nth, tally) in tallies.iter().enumerate() {
            for _ in 0..nth % 5 {
                tally.add();
            }
        }
        for (nth, tally) in tallies.iter().enumerate() {
            assert_eq!(tally.sum(), Some(nth as u64 % 5));
        }
    }

    #[test]
    fn numbers_and_arrays_are_used_again() {
        let used = || {
            let all = All::lock();
            (all.arrays.len(), all.before.len())
        };
        let one = || {
            let tally = Tally::on();
            tally.add();
            thread::scope(|threads| {
                threads.spawn(|| tally.add());
            });
            assert_eq!(tally.sum(), Some(2));
        };
        one();
        let (arrays, numbers) = used();
        for _ in 0..1000 {
            one();
        }
        // The other tests have some meanwhile.
        let (arrays_now, numbers_now) = used();
        assert!(arrays_now < arrays + 50 && numbers_now < numbers + 50);
    }

    /// A thread-local that is dropped after the array was given back.
    #[test]
    fn what_an_ending_thread_adds_counts_too() {
        struct Last(Cell<Option<&'static Tally>>);
        impl Drop for Last {
            fn drop(&mut self) {
                if let Some(tally) = self.0.take() {
                    tally.add();
                }
            }
        }
        thread_local!(static LAST: Last = const { Last(Cell::new(None)) });
        let tally: &'static Tally = Box::leak(Box::new(Tally::on()));
        // In whichever order they are dropped.
        thread::spawn(|| {
            LAST.with(|last| last.0.set(Some(tally)));
            tally.add();
        })
        .join()
        .unwrap();
        thread::spawn(|| {
            tally.add();
            LAST.with(|last| last.0.set(Some(tally)));
        })
        .join()
        .unwrap();
        assert_eq!(tally.sum(), Some(4));
    }
}
