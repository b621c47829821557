//! A memory barrier in two halves: a light one for readers, who pass it all the time, and a heavy one
//! for writers, who pass it rarely.
//!
//! One thread stores A, passes the light half and loads B. Another stores B, passes the heavy half and
//! loads A. Then at least one of them sees what the other stored. A full fence in both would do the
//! same, but it costs a reader more than all the rest of a read. Where the kernel offers
//! membarrier(2), the heavy half makes every thread of the process pass a full barrier, wherever it
//! is, and the light half only keeps the compiler from moving accesses across it. (liburcu and folly
//! do the same. It is outside the memory model of the language, so the models, and systems without
//! that call, use fences.)
//!
//! # Plain and fenced values
//!
//! The barrier is cheap for readers and dear for writers: it interrupts every core that runs a thread
//! of the process. So a value says how it is read, by a mark on its address in the place where readers
//! find it. A *plain* one is read with the light half, and whoever replaces it passes the heavy half. A
//! *fenced* one is read with a fence instead of the light half, and whoever replaces it passes a fence.
//! A reader of a value has found its address, with the mark or without, in the last look behind what
//! it passed. So writer and readers of one value agree, with nothing but that address, and the next
//! value may be of the other kind.
//!
//! Values are fenced
//!
//! - where there is no membarrier(2), or the kernel has come to refuse it ([`are_fences`]);
//! - while values of that pile [follow each other often](super::hurry::Hurry): sixteen in a row within a
//!   millisecond each, until one lives for ten.
//!
//! The last value of such a row may live on for long. Its mark is taken off by a reader that [has read
//! it](super::own::has_read_long) many times. It is plain from then on, though there are readers that
//! passed a fence for it. That is why the heavy half has to be a fence of its own thread too, as the
//! system call is: whoever replaces a plain value reaches both kinds of readers. The other way round is
//! not possible: nothing makes a plain value fenced.
//!
//! # When the kernel comes to refuse
//!
//! A process can install a filter of system calls while it runs, and the kernel then refuses
//! membarrier(2). What is put in place from then on is fenced. For what was plain only a real barrier
//! is enough: one that the kernel allows later, or allows another thread. At most two values of each
//! pile are kept for that: the one that was current at the refusal, and the one that was replacing it.
//!
//! (Counting which threads have passed a fence since the refusal would free those values too, but not
//! for certain: a thread that has read for the last time never passes one, and its record does not
//! tell it from a thread that is stopped in the middle of a read.)
//!
//! The gate has no values, and goes by the form of the whole process ([`light_by_form`]).

pub(in crate::raw) use self::imp::{are_fences, fence, heavy, light, light_by_form, prepare};

#[cfg(all(target_os = "linux", not(any(dogpile_loom, dogpile_shuttle, miri))))]
mod imp {
    use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

    use crate::shim::atomic::{self, AtomicU8, Ordering, compiler_fence};

    /// How both halves are made. Decided once for the process, and changed once at most: from
    /// `MEMBARRIER` to `REFUSED`.
    static FORM: AtomicU8 = AtomicU8::new(UNDECIDED);
    const UNDECIDED: u8 = 0;
    /// Fences, since the first reader.
    const FENCES: u8 = 1;
    const MEMBARRIER: u8 = 2;
    /// Fences, since the kernel refused a barrier.
    const REFUSED: u8 = 3;

    /// Decides which form it is. Before a thread passes the light half for the first time, or it
    /// pays for a fence.
    pub(in crate::raw) fn prepare() {
        form();
    }

    fn form() -> u8 {
        // ORDERING: relaxed: a word on its own. A thread that does not see it decided passes a
        // fence, which is right in either form.
        match FORM.load(Ordering::Relaxed) {
            UNDECIDED => decide(),
            decided => decided,
        }
    }

    #[cold]
    fn decide() -> u8 {
        let offered = membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED);
        let form = if offered && register() && everywhere() {
            MEMBARRIER
        } else {
            FENCES
        };
        // ORDERING: relaxed: as in `form`. The first to decide decides for all.
        match FORM.compare_exchange(UNDECIDED, form, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => form,
            Err(decided) => decided,
        }
    }

    fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    /// A full barrier in every thread of the process.
    fn everywhere() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }

    /// The light half, for what is plain.
    #[inline]
    pub(in crate::raw) fn light() {
        // ORDERING: pairs with the system call in `heavy`.
        compiler_fence(Ordering::SeqCst);
    }

    /// In place of the light half, for what is fenced.
    #[inline]
    pub(in crate::raw) fn fence() {
        // ORDERING: pairs with the fence, or the system call, in `heavy`.
        atomic::fence(Ordering::SeqCst);
    }

    /// The light half, for what does not say whether it is plain or fenced.
    #[inline]
    pub(in crate::raw) fn light_by_form() {
        // ORDERING: relaxed: as in `form`.
        if FORM.load(Ordering::Relaxed) == MEMBARRIER {
            light();
        } else {
            fence();
        }
    }

    /// Passes the heavy half. Says whether that holds for all readers, or, if `fenced`, for all readers
    /// of what is fenced. For the latter it holds in any case.
    #[must_use]
    pub(in crate::raw) fn heavy(fenced: bool) -> bool {
        if !fenced && form() == MEMBARRIER {
            // Asked once more with a new registration, for systems where a fork loses it.
            if everywhere() || (register() && everywhere()) {
                return true;
            }
            // ORDERING: relaxed: as in `are_fences`.
            FORM.store(REFUSED, Ordering::Relaxed);
        }
        // ORDERING: pairs with the fence of readers.
        atomic::fence(Ordering::SeqCst);
        // It may be refused to one thread and allowed to another.
        fenced || form() == FENCES || everywhere()
    }

    /// Whether there is no barrier to rely on.
    pub(in crate::raw) fn are_fences() -> bool {
        // Seen too late it makes a plain value more, which is kept until there is a barrier.
        form() != MEMBARRIER
    }

    #[cfg(all(test, feature = "async"))]
    mod tests {
        use std::env;
        use std::process::Command;

        use rustix::thread::sched_yield;

        use super::*;
        use crate::shim::atomic::AtomicU32;
        use crate::shim::{Arc, Mutex, spawn_thread};

        /// On a line of its own.
        #[derive(Default)]
        #[repr(align(128))]
        struct Word(AtomicU32);

        impl Word {
            fn tell(&self, round: u32) {
                // ORDERING: relaxed: whatever keeps the order is under test.
                self.0.store(round, Ordering::Relaxed);
            }

            fn told(&self) -> u32 {
                // ORDERING: relaxed: as above.
                self.0.load(Ordering::Relaxed)
            }
        }

        /// A word of each of two threads.
        type Pair = [Word; 2];

        /// One of the threads: says where it missed what the other had stored.
        fn run(own: usize, rounds: u32, pairs: &[Pair], half: impl Fn()) -> Vec<bool> {
            let other = 1 - own;
            let (start, pairs) = pairs.split_first().unwrap();
            let mut missed = Vec::new();
            for round in 1..=rounds {
                // Both at once, or nearly so, and from there on side by side.
                start[own].tell(round);
                for look in 1.. {
                    if start[other].told() >= round {
                        break;
                    }
                    // It may have no core of its own.
                    if look % 200 == 0 {
                        sched_yield();
                    }
                }
                for pair in pairs {
                    pair[own].tell(round);
                    half();
                    missed.push(pair[other].told() < round);
                }
            }
            missed
        }

        /// One thread stores a word, passes its half and loads another word; another thread does so the
        /// other way round. Never do both miss what the other has stored.
        #[track_caller]
        fn assert_ordered(rounds: u32, one: impl Fn(), other: impl Fn() + Send + 'static) {
            let pairs: Arc<[Pair]> = (0..100).map(|_| Pair::default()).collect();
            let missed = Arc::new(Mutex::new(None));
            let (theirs, told) = (Arc::clone(&pairs), Arc::clone(&missed));
            let body = move || *told.lock() = Some(run(1, rounds, &theirs, other));
            spawn_thread(body).unwrap();
            let ours = run(0, rounds, &pairs, one);
            let theirs = loop {
                if let Some(theirs) = missed.lock().take() {
                    break theirs;
                }
                sched_yield();
            };
            let both = ours.iter().zip(&theirs);
            let both = both.filter(|(one, other)| **one && **other).count();
            assert_eq!(both, 0);
        }

        #[test]
        fn for_what_is_plain() {
            // Nothing is, where there is no membarrier(2).
            if !are_fences() {
                assert_ordered(2_000, light, || assert!(heavy(false)));
            }
        }

        #[test]
        fn for_what_is_fenced() {
            assert_ordered(20_000, fence, || assert!(heavy(true)));
        }

        /// Where there is no barrier, a fence is passed for what does not say whether it is plain or fenced. In a
        /// process of its own, since the form is that of all that run there.
        #[test]
        fn for_what_goes_by_the_form() {
            const ALONE: &str = "DOGPILE_TEST_ALONE";
            if env::var_os(ALONE).is_some() {
                // ORDERING: relaxed: as in `form`.
                FORM.store(FENCES, Ordering::Relaxed);
                return assert_ordered(20_000, light_by_form, || assert!(heavy(false)));
            }
            let name = concat!(module_path!(), "::for_what_goes_by_the_form");
            let (_, name) = name.split_once("::").unwrap();
            let mut child = Command::new(env::current_exe().unwrap());
            let output = child.args(["--exact", name]).env(ALONE, "1").output();
            let said = String::from_utf8(output.unwrap().stdout).unwrap();
            assert!(said.contains("1 passed"), "{said}");
        }
    }
}

// (shuttle's fences do nothing: its threads see every store at once.)
#[cfg(all(
    any(not(target_os = "linux"), dogpile_shuttle, miri),
    not(dogpile_loom)
))]
mod imp {
    use crate::shim::atomic::{self, Ordering};

    pub(in crate::raw) fn prepare() {}

    /// Nothing is plain here.
    #[inline]
    pub(in crate::raw) fn light() {}

    #[inline]
    pub(in crate::raw) fn fence() {
        // ORDERING: pairs with the fence in `heavy`.
        atomic::fence(Ordering::SeqCst);
    }

    #[inline]
    pub(in crate::raw) fn light_by_form() {
        fence();
    }

    #[must_use]
    pub(in crate::raw) fn heavy(_fenced: bool) -> bool {
        // ORDERING: pairs with the fence of readers.
        atomic::fence(Ordering::SeqCst);
        true
    }

    pub(in crate::raw) fn are_fences() -> bool {
        true
    }
}

// LOOM: knows nothing of membarrier(2). Either there is none, so that all is fenced; or a word for each
// thread stands for it, which the thread changes in the light half, and the writer all of them in the
// heavy one. That orders the two threads at this point and nothing else, but for the fence that the
// heavy half is too. It can be refused from some moment on.
#[cfg(dogpile_loom)]
mod imp {
    use crate::shim::atomic::{self, AtomicUsize, Ordering};
    use crate::shim::model::{self, Barrier};

    #[cfg(test)]
    crate::shim::statics! {
        static WORDS: [AtomicUsize; loom::MAX_THREADS] =
            std::array::from_fn(|_| AtomicUsize::new(0));
    }

    crate::shim::statics! {
        /// Whether a barrier was refused.
        static FORM: AtomicUsize = AtomicUsize::new(0);
    }

    pub(in crate::raw) fn prepare() {}

    pub(in crate::raw) fn light() {
        match model::setting().barrier {
            #[cfg(test)]
            Barrier::Words => {
                // ORDERING: pairs with the read-modify-writes in `heavy`.
                WORDS[model::thread()].fetch_add(1, Ordering::AcqRel);
            }
            // Nothing is plain.
            Barrier::Fences => {}
        }
    }

    #[inline]
    pub(in crate::raw) fn fence() {
        // ORDERING: pairs with the fence in `heavy`.
        atomic::fence(Ordering::SeqCst);
    }

    pub(in crate::raw) fn light_by_form() {
        if are_fences() { fence() } else { light() }
    }

    #[must_use]
    pub(in crate::raw) fn heavy(fenced: bool) -> bool {
        // ORDERING: pairs with the fence of readers.
        atomic::fence(Ordering::SeqCst);
        if fenced || model::setting().barrier == Barrier::Fences {
            return true;
        }
        if model::is_barrier_refused() {
            // ORDERING: relaxed: as in `are_fences`.
            FORM.store(1, Ordering::Relaxed);
            return false;
        }
        #[cfg(test)]
        for word in WORDS.iter() {
            // ORDERING: pairs with the read-modify-write in `light`.
            word.fetch_add(1, Ordering::AcqRel);
        }
        true
    }

    pub(in crate::raw) fn are_fences() -> bool {
        model::setting().barrier == Barrier::Fences
            // ORDERING: relaxed: seen too late it makes a plain value more.
            || (model::may_be_refused() && FORM.load(Ordering::Relaxed) == 1)
    }
}
