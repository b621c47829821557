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
//! # When the kernel comes to refuse
//!
//! A process can install a filter of system calls while it runs, and the kernel then refuses
//! membarrier(2). From the first refusal on both halves are fences, for good. A reader that is in the
//! middle of a read at that moment may pass no fence, and no fence of a writer makes up for that. So
//! a fence of the writer is enough only for what such a reader cannot have read.
//!
//! Therefore a reader looks which form is in force *after* it has looked at what it reads (see
//! [`look_behind`]), and looks again behind a fence if the form is not membarrier(2). A node is marked
//! as *fenced* if the writer that installed it knew of the refusal ([`are_fences`]) before its
//! releasing store. A reader that finds a fenced node by its acquiring load knows of the refusal as
//! well, because its look at the form comes after the writer's: of two such looks the later one does
//! not see the older state. So that reader passes a fence, and looks again. For a fenced node the
//! fence of a writer is enough. All other nodes were current at the refusal or before, and for them
//! only a real barrier is enough: one that the kernel allows later, or allows another thread.
//!
//! (Counting which threads have passed a fence since the refusal would free those nodes too, but not
//! for certain: a thread that has read for the last time never passes one, and its record does not
//! tell it from a thread that is stopped in the middle of a read. At most two values of each pile
//! are kept: the one that was current at the refusal, and the one that was replacing it.)

pub(in crate::raw) use self::imp::{are_fences, heavy, light, look_behind, prepare};

#[cfg(all(target_os = "linux", not(any(dogpile_loom, dogpile_shuttle, miri))))]
mod imp {
    use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

    use crate::shim::atomic::{AtomicU8, Ordering, compiler_fence, fence};

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

    #[inline]
    pub(in crate::raw) fn light() {
        // ORDERING: relaxed: as in `form`.
        if FORM.load(Ordering::Relaxed) == MEMBARRIER {
            // ORDERING: pairs with the system call in `heavy`.
            compiler_fence(Ordering::SeqCst);
        } else {
            // ORDERING: pairs with the fence, or the system call, in `heavy`.
            fence(Ordering::SeqCst);
        }
    }

    /// Passes the light half and looks.
    #[inline]
    pub(in crate::raw) fn look_behind<R>(look: impl Fn() -> R) -> R {
        // ORDERING: pairs with the system call in `heavy`.
        compiler_fence(Ordering::SeqCst);
        let seen = look();
        // ORDERING: relaxed: as in `form`. After the look, which acquires: see the head of this file.
        if FORM.load(Ordering::Relaxed) == MEMBARRIER {
            return seen;
        }
        // ORDERING: pairs with the fence, or the system call, in `heavy`.
        fence(Ordering::SeqCst);
        look()
    }

    /// Passes the heavy half. Says whether that holds for all readers, or, if `fenced`, for all readers
    /// of what is marked as fenced. For the latter it holds in any case.
    #[must_use]
    pub(in crate::raw) fn heavy(fenced: bool) -> bool {
        let form = form();
        if form == MEMBARRIER {
            // Asked once more with a new registration, for systems where a fork loses it.
            if everywhere() || (register() && everywhere()) {
                return true;
            }
            // ORDERING: relaxed: as in `are_fences`.
            FORM.store(REFUSED, Ordering::Relaxed);
        }
        // ORDERING: pairs with the fence in `light`.
        fence(Ordering::SeqCst);
        // It may be refused to one thread and allowed to another.
        form == FENCES || fenced || everywhere()
    }

    /// Whether fences are in force because the kernel refused a barrier.
    pub(in crate::raw) fn are_fences() -> bool {
        // ORDERING: relaxed: who is to see the same happens after this look, and cannot see less.
        FORM.load(Ordering::Relaxed) == REFUSED
    }
}

// (shuttle's fences do nothing: its threads see every store at once.)
#[cfg(all(
    any(not(target_os = "linux"), dogpile_shuttle, miri),
    not(dogpile_loom)
))]
mod imp {
    use crate::shim::atomic::{Ordering, fence};

    pub(in crate::raw) fn prepare() {}

    #[inline]
    pub(in crate::raw) fn light() {
        // ORDERING: pairs with the fence in `heavy`.
        fence(Ordering::SeqCst);
    }

    #[inline]
    pub(in crate::raw) fn look_behind<R>(look: impl Fn() -> R) -> R {
        light();
        look()
    }

    #[must_use]
    pub(in crate::raw) fn heavy(_fenced: bool) -> bool {
        // ORDERING: pairs with the fence in `light`.
        fence(Ordering::SeqCst);
        true
    }

    pub(in crate::raw) fn are_fences() -> bool {
        false // All are, and always were.
    }
}

// LOOM: knows nothing of membarrier(2). The fences stand for the systems without it; they order more
// than the call does, as the light half is then a fence as well. So there is a second form: a word
// for each thread, which the thread changes in the light half, and the writer all of them in the
// heavy one. That orders the two threads at this point and nothing else. Either form can be refused
// from some moment on; then fences take its place, as with membarrier(2).
#[cfg(dogpile_loom)]
mod imp {
    use crate::shim::atomic::{AtomicUsize, Ordering, fence};
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
        // Where nothing is refused nobody looks, which would only multiply the interleavings.
        if are_fences() {
            // ORDERING: pairs with the fence in `heavy`, where a barrier was refused.
            fence(Ordering::SeqCst);
        } else {
            light_half();
        }
    }

    fn light_half() {
        match model::setting().barrier {
            #[cfg(test)]
            Barrier::Words => {
                // ORDERING: pairs with the read-modify-writes in `heavy`.
                WORDS[model::thread()].fetch_add(1, Ordering::AcqRel);
            }
            // ORDERING: pairs with the fence in `heavy`.
            Barrier::Fences => fence(Ordering::SeqCst),
        }
    }

    pub(in crate::raw) fn look_behind<R>(look: impl Fn() -> R) -> R {
        light_half();
        let seen = look();
        if !are_fences() {
            return seen;
        }
        // ORDERING: pairs with the fence in `heavy`, where a barrier was refused.
        fence(Ordering::SeqCst);
        look()
    }

    #[must_use]
    pub(in crate::raw) fn heavy(fenced: bool) -> bool {
        if model::is_barrier_refused() {
            // ORDERING: relaxed: as in `are_fences`.
            FORM.store(1, Ordering::Relaxed);
        }
        if are_fences() {
            // ORDERING: pairs with the fence in `light`, where a barrier was refused.
            fence(Ordering::SeqCst);
            if fenced {
                return true;
            }
        }
        if model::is_barrier_refused() {
            return false;
        }
        match model::setting().barrier {
            #[cfg(test)]
            Barrier::Words => {
                for word in WORDS.iter() {
                    // ORDERING: pairs with the read-modify-write in `light`.
                    word.fetch_add(1, Ordering::AcqRel);
                }
            }
            // ORDERING: pairs with the fence in `light`.
            Barrier::Fences => fence(Ordering::SeqCst),
        }
        true
    }

    pub(in crate::raw) fn are_fences() -> bool {
        // ORDERING: relaxed: who is to see the same happens after this look, and cannot see less.
        model::may_be_refused() && FORM.load(Ordering::Relaxed) == 1
    }
}
