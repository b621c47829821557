//! A memory barrier in two halves: a light one for those who read all the time, and a heavy one for
//! those who hardly ever write.
//!
//! Of two threads, one of which stores A, passes the light half and loads B, while the other stores
//! B, passes the heavy half and loads A, at least one sees what the other stored. A full fence in
//! both would do the same, but costs the reader more than all the rest of a read. Where the kernel
//! offers membarrier(2), the heavy half makes every thread of the process pass a full barrier,
//! wherever it is, and nothing is left of the light one but that the compiler must not move accesses
//! across it. (The same is done by liburcu and folly. It is outside the memory model of the
//! language, so the models, and systems without that call, use the fences.)

pub(in crate::raw) use self::imp::{heavy, light, prepare};

#[cfg(all(target_os = "linux", not(any(dogpile_loom, dogpile_shuttle, miri))))]
mod imp {
    use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};

    use crate::shim::atomic::{AtomicU8, Ordering, compiler_fence, fence};

    /// How both halves are made, decided once for the process.
    static FORM: AtomicU8 = AtomicU8::new(UNDECIDED);
    const UNDECIDED: u8 = 0;
    const FENCES: u8 = 1;
    const MEMBARRIER: u8 = 2;

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

    /// Says whether the barrier has been passed. The kernel may refuse it, if a filter of system
    /// calls was installed since it was first asked.
    #[must_use]
    pub(in crate::raw) fn heavy() -> bool {
        if form() == MEMBARRIER {
            // Asked once more with a new registration, for systems where a fork loses it.
            return everywhere() || (register() && everywhere());
        }
        // ORDERING: pairs with the fence in `light`.
        fence(Ordering::SeqCst);
        true
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

    #[must_use]
    pub(in crate::raw) fn heavy() -> bool {
        // ORDERING: pairs with the fence in `light`.
        fence(Ordering::SeqCst);
        true
    }
}

// LOOM: knows nothing of membarrier(2). The fences stand for the systems without it; they order more
// than the call does, as the light half is then a fence as well. So there is a second form: a word
// for each thread, which the thread changes in the light half, and the writer all of them in the
// heavy one. That orders the two threads at this point and nothing else.
#[cfg(dogpile_loom)]
mod imp {
    #[cfg(test)]
    use crate::shim::atomic::AtomicUsize;
    use crate::shim::atomic::{Ordering, fence};
    use crate::shim::model::{self, Barrier};

    #[cfg(test)]
    crate::shim::statics! {
        static WORDS: [AtomicUsize; loom::MAX_THREADS] =
            std::array::from_fn(|_| AtomicUsize::new(0));
    }

    pub(in crate::raw) fn prepare() {}

    pub(in crate::raw) fn light() {
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

    #[must_use]
    pub(in crate::raw) fn heavy() -> bool {
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
}
