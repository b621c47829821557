//! A gate: readers pass it without a write that other threads see, and a writer can close it and wait
//! until no reader is inside.
//!
//! A **reader** shows the number of the gate in a slot of its own thread. Then it passes the light
//! half of the [barrier](super::value::barrier) and looks whether the gate is closed. A **writer**
//! closes the gate, passes the heavy half, and looks at all slots. At least one of the two sees the
//! other: either the reader turns back and waits for the opening, or the writer waits for the reader.
//! A reader that leaves clears its slot, passes the light half and looks at the gate again, so that it
//! wakes a waiting writer. (Without membarrier(2) a pass costs two fences.)
//!
//! The slots also tell whether the calling thread is inside, however many guards it has. A reader whose
//! thread has no slots any more, past the destructors of its thread-locals, is counted at the gate
//! instead. The gate cannot tell whose such a reader is.
//!
//! # A gate that is left to a creation
//!
//! A creator that is the writer may leave the gate closed until its creation ends. From then on the
//! closed gate belongs to the creation, and no longer to the thread that closed it: that may be a
//! thread of a pool, whose next job has nothing to do with the creation. There are two exceptions,
//! for code that the creation waits for: a thread that runs the creator as a closure runs it to the
//! end of the creation, and so it stays the writer; and a thread that polls the creator's future
//! counts as the writer for as long as that poll lasts.
//!
//! A creation may be over when a writer leaves the gate to it: a caller was cancelled while its
//! creator worked on another thread. Its end has been told by then and is not told again. So the gate
//! remembers the highest fence of which it was told the end, and opens at once. The highest one is
//! enough. The leases of a pile follow each other, so all lower ones are over as well.

use crate::raw::value::{Slot, barrier, own, registry};
use crate::raw::wait::Event;
use crate::reentrancy::{Identity, is_inside, runs_closure_of};
use crate::shim::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::shim::{Arc, Mutex, MutexGuard, ThreadId, current_thread};
use crate::time::{Tick, Time};

/// Where readers go in and out, and a writer keeps them out.
pub(crate) struct Gate {
    /// What readers show; zero until the first. Not its address, which another gate may get when
    /// this one is gone and a forgotten guard still shows it.
    number: AtomicUsize,
    /// Whether a writer is inside, or waits until the readers have left.
    closed: AtomicBool,
    /// Readers inside who had no slot to spare.
    counted: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// Set when the gate opens. There is one while the gate is closed.
    opening: Option<Arc<Event>>,
    /// Set when a reader leaves. There is one while a writer waits for that.
    leaving: Option<Arc<Event>>,
    /// The thread that counts as the writer. None if a task is the writer, or a creation to which the
    /// gate was left.
    writer: Option<ThreadId>,
    /// Whether the writer is inside, so that no reader is.
    writer_inside: bool,
    /// Whether a reader went in again since the writer began to look at the slots.
    entered_again: bool,
    /// The creation whose end opens the gate. None if the writer opens it.
    left_to: Option<Creation>,
    /// The highest fence among the leases that have ended.
    ended: u64,
    /// How many writers have gone in.
    writers: u64,
}

/// A creation that may keep the gate closed.
#[derive(Clone, Copy)]
struct Creation {
    fence: u64,
    pile: Identity,
}

impl State {
    /// Whether the opening waits for `writer`, which is the calling thread or the task that it runs.
    fn is_closed_by(&self, writer: Option<ThreadId>) -> bool {
        (writer.is_some() && self.writer == writer)
            || self
                .left_to
                .is_some_and(|creation| is_inside(creation.pile))
    }
}

/// Why a writer does not get in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// It is inside already, as a reader.
    IsReader,
    /// It is inside already, as the writer.
    IsWriter,
    /// The deadline has passed.
    TimedOut,
    /// The kernel refuses the barrier.
    NoBarrier,
}

crate::shim::statics! {
    static LAST_NUMBER: AtomicUsize = AtomicUsize::new(0);
}

impl Gate {
    crate::shim::const_unless_loom! {
        pub(crate) const fn new() -> Self {
            Self {
                number: AtomicUsize::new(0),
                closed: AtomicBool::new(false),
                counted: AtomicUsize::new(0),
                state: Mutex::new(State {
                    opening: None,
                    leaving: None,
                    writer: None,
                    writer_inside: false,
                    entered_again: false,
                    left_to: None,
                    ended: 0,
                    writers: 0,
                }),
            }
        }
    }

    /// What readers of this gate show.
    #[inline]
    fn number(&self) -> usize {
        // ORDERING: relaxed: a word on its own, changed once.
        match self.number.load(Ordering::Relaxed) {
            0 => self.take_number(),
            number => number,
        }
    }

    #[cold]
    fn take_number(&self) -> usize {
        // ORDERING: relaxed: nothing but that no two gates get the same.
        let new = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        // ORDERING: relaxed: as in `number`.
        let taken = (self.number).compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
        taken.map_or_else(|number| number, |_| new)
    }

    /// Goes in, unless it is closed and the thread is not inside already.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Reading<'_>> {
        // ORDERING: relaxed: only so that readers who come again and again show nothing for a writer
        // to wait for; they look once more below.
        if self.closed.load(Ordering::Relaxed) && !self.is_entered() {
            return None;
        }
        let reading = self.show();
        let slot = reading.slot;
        // ORDERING: pairs with the release in `open`: what the writer did is over and seen.
        if self.closed.load(Ordering::Acquire) && !self.enters_again(slot) {
            return None; // And leaves, in case the writer took the slot seriously.
        }
        Some(reading)
    }

    /// As [`try_enter`](Gate::try_enter), for a task: what its thread is inside for may be another
    /// task, so that counts for nothing.
    #[inline]
    pub(crate) fn try_enter_anew(&self) -> Option<Reading<'_>> {
        // ORDERING: relaxed: as in `try_enter`.
        if self.closed.load(Ordering::Relaxed) {
            return None;
        }
        let reading = self.show();
        // ORDERING: as in `try_enter`.
        let closed = self.closed.load(Ordering::Acquire);
        (!closed).then_some(reading)
    }

    /// Shows that somebody is inside, before the last look whether it is closed.
    #[inline]
    fn show(&self) -> Reading<'_> {
        // ORDERING: relaxed: as in `number`.
        let slot = match (own::free_gate_slot(), self.number.load(Ordering::Relaxed)) {
            (Some(slot), number) if number != 0 => {
                slot.show(number as *const ());
                Some(slot)
            }
            (slot, _) => self.show_slowly(slot),
        };
        barrier::light_by_form();
        Reading { gate: self, slot }
    }

    /// As [`show`](Gate::show), where the thread has no slot, or the gate has no number yet.
    #[cold]
    #[inline(never)]
    fn show_slowly(&self, slot: Option<&'static Slot>) -> Option<&'static Slot> {
        match slot {
            Some(slot) => slot.show(self.number() as *const ()),
            // ORDERING: relaxed: that a writer does not miss it, the barrier sees to.
            None => _ = self.counted.fetch_add(1, Ordering::Relaxed),
        }
        slot
    }

    /// Whether the thread is inside apart from `slot`, so that the writer waits for it.
    #[cold]
    fn enters_again(&self, slot: Option<&'static Slot>) -> bool {
        if own::own_gate_slots(self.number() as *const ()) <= usize::from(slot.is_some()) {
            return false;
        }
        let mut state = self.state.lock();
        // The writer may have looked at this slot already, and at the other one when it is cleared.
        state.entered_again = true;
        // Inside if the other one was cleared just now, by who was sent that guard.
        !state.writer_inside
    }

    /// Whether the thread is inside as a reader.
    pub(crate) fn is_entered(&self) -> bool {
        own::own_gate_slots(self.number() as *const ()) > 0
    }

    /// Whether the calling thread is the writer, inside or on its way in. If so, waiting for the
    /// opening would be waiting for itself.
    pub(crate) fn is_closed_by_me(&self) -> bool {
        self.state.lock().is_closed_by(Some(current_thread()))
    }

    /// Whether the gate was left to a creation whose creator asks here. A task cannot be the writer
    /// otherwise, as nobody knows what it holds.
    pub(crate) fn is_left_to_me(&self) -> bool {
        self.state.lock().is_closed_by(None)
    }

    /// What is set when the gate opens. None if the gate is open.
    pub(crate) fn opening(&self) -> Option<Arc<Event>> {
        self.state.lock().opening.clone()
    }

    /// Closes the gate and waits until nobody is inside. To be ended by [`open`](Gate::open).
    pub(crate) fn close(&self, time: &Time, deadline: Option<Tick>) -> Result<(), Refusal> {
        if self.is_entered() {
            return Err(Refusal::IsReader);
        }
        let mut closing = Closing::new(self, Some(current_thread()));
        while let Some(awaited) = closing.look()? {
            if !awaited.wait(time, deadline) {
                return closing.look_last();
            }
        }
        Ok(())
    }

    fn begin_to_look(&self, leaving: &Arc<Event>) {
        let mut state = self.state.lock();
        state.leaving = Some(Arc::clone(leaving));
        state.entered_again = false;
    }

    /// The writer goes in, having seen nobody, unless somebody slipped from a slot that was still to
    /// be looked at into one that had been.
    fn go_in(&self) -> bool {
        let mut state = self.state.lock();
        if state.entered_again {
            return false;
        }
        state.leaving = None;
        state.writer_inside = true;
        state.writers += 1;
        true
    }

    /// Keeps new readers out, unless another writer does already, whose end is the answer.
    fn shut(&self, writer: Option<ThreadId>) -> Result<Option<Arc<Event>>, Refusal> {
        let mut state = self.state.lock();
        if let Some(opening) = &state.opening {
            return if state.is_closed_by(writer) {
                Err(Refusal::IsWriter)
            } else {
                Ok(Some(Arc::clone(opening)))
            };
        }
        state.opening = Some(Arc::new(Event::new()));
        state.writer = writer;
        // ORDERING: relaxed: that no reader misses it, the barrier sees to.
        self.closed.store(true, Ordering::Relaxed);
        Ok(None)
    }

    /// Lets everybody in again.
    pub(crate) fn open(&self) {
        self.open_locked(self.state.lock());
    }

    fn open_locked(&self, mut state: MutexGuard<'_, State>) {
        let opening = state.opening.take();
        state.leaving = None;
        state.writer = None;
        state.writer_inside = false;
        state.left_to = None;
        // ORDERING: pairs with the acquire in `try_enter`: a reader that sees the gate open sees what
        // the writer did.
        self.closed.store(false, Ordering::Release);
        drop(state);
        if let Some(opening) = opening {
            opening.set();
        }
    }

    /// Leaves the gate closed until the lease with this fence ends, or opens it if that lease has
    /// ended already. The caller is the writer, and is not to call [`open`](Gate::open) after this.
    pub(crate) fn leave_to(&self, fence: u64, pile: Identity) {
        let mut state = self.state.lock();
        if fence <= state.ended {
            return self.open_locked(state);
        }
        state.left_to = Some(Creation { fence, pile });
        if !runs_closure_of(pile) {
            state.writer = None;
        }
    }

    /// Notes that the lease with this fence has ended, and opens the gate if it was left to that
    /// lease. To be told of each lease whose creator can be the writer, however the lease ends. It is
    /// told of a lease that was taken over when that happens.
    pub(crate) fn end_of(&self, fence: u64) {
        let mut state = self.state.lock();
        state.ended = state.ended.max(fence);
        // A lower fence is over too.
        if (state.left_to).is_some_and(|creation| creation.fence <= state.ended) {
            self.open_locked(state);
        }
    }

    /// How many writers have gone in since the gate was made.
    pub(crate) fn writers(&self) -> u64 {
        self.state.lock().writers
    }

    /// The same, if none is inside who may go on: if it is the same later, to one who is inside then,
    /// nobody was the writer in between.
    pub(crate) fn writers_if_outside(&self) -> Option<u64> {
        let state = self.state.lock();
        (!state.writer_inside).then_some(state.writers)
    }

    /// The same, as the lease with this fence ends: if it is the same later, to one who is inside
    /// then, nobody was the writer in between. `None` if one is inside who may go on after the end:
    /// any but the creator who has left the gate to the lease.
    pub(crate) fn writers_at_end_of(&self, fence: u64) -> Option<u64> {
        let state = self.state.lock();
        let left = (state.left_to).is_some_and(|creation| creation.fence == fence);
        (left || !state.writer_inside).then_some(state.writers)
    }

    /// Whether anybody is inside as a reader. Behind the heavy half of the barrier.
    fn has_readers(&self) -> bool {
        // ORDERING: pairs with the release in `Reading`'s drop: all reading is over.
        self.counted.load(Ordering::Acquire) > 0
            || registry::is_gate_shown(self.number() as *const ())
    }

    #[cold]
    fn a_reader_left(&self) {
        let leaving = self.state.lock().leaving.take();
        if let Some(leaving) = leaving {
            leaving.set();
        }
    }
}

/// A writer on its way in. If it is dropped before it is inside, the gate opens again.
pub(crate) struct Closing<'a> {
    gate: &'a Gate,
    writer: Option<ThreadId>,
    has_shut: bool,
}

impl<'a> Closing<'a> {
    /// The writer is a thread, or a task, which may be anywhere.
    pub(crate) fn new(gate: &'a Gate, writer: Option<ThreadId>) -> Self {
        Self {
            gate,
            writer,
            has_shut: false,
        }
    }

    /// Goes in, if it can. If not, the answer is what to wait for before the next look.
    pub(crate) fn look(&mut self) -> Result<Option<Arc<Event>>, Refusal> {
        if !self.has_shut {
            if let Some(opening) = self.gate.shut(self.writer)? {
                return Ok(Some(opening));
            }
            self.has_shut = true;
            // The gate has no mark by which a reader is known to be fenced.
            if !barrier::heavy(false) {
                return Err(Refusal::NoBarrier);
            }
        }
        loop {
            let leaving = Arc::new(Event::new());
            self.gate.begin_to_look(&leaving);
            // Who leaves from here on sets it.
            if self.gate.has_readers() {
                return Ok(Some(leaving));
            }
            if self.gate.go_in() {
                self.has_shut = false; // From here on it is not this one's to open.
                return Ok(None);
            }
        }
    }

    /// Goes in at the very deadline, or gives up.
    pub(crate) fn look_last(mut self) -> Result<(), Refusal> {
        match self.look()? {
            None => Ok(()),
            Some(_) => Err(Refusal::TimedOut),
        }
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if self.has_shut {
            self.gate.open();
        }
    }
}

/// Keeps the writer out.
pub(crate) struct Reading<'a> {
    gate: &'a Gate,
    slot: Option<&'static Slot>,
}

impl Drop for Reading<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.slot {
            Some(slot) => slot.clear(),
            // ORDERING: pairs with the acquire in `has_readers`.
            None => drop(self.gate.counted.fetch_sub(1, Ordering::Release)),
        }
        barrier::light_by_form();
        // ORDERING: relaxed: what it must not miss, the barrier sees to.
        if self.gate.closed.load(Ordering::Relaxed) {
            self.gate.a_reader_left();
        }
    }
}
