//! Who is woken at each change of a pile, and sleeps in between without a share in the pile.

use crate::raw::wait::Event;
use crate::raw::{Locked, Pile};
use crate::shim::Arc;

/// What those who watch a pile sleep on. It is dropped, and so set, at the next change of the pile, or
/// with the pile: so nobody watches one that is gone.
pub(in crate::raw) struct Watch(Arc<Event>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.set();
    }
}

impl<T> Pile<T> {
    /// The event of the next change: a value, the end of a lease, an `expire`, an `invalidate`; or of the
    /// end of the pile. With it comes the number of the last `set`, `expire` or `invalidate`.
    ///
    /// Who looks at the pile after this misses no change.
    #[cfg(feature = "async")]
    pub(crate) fn watch(&self) -> (Arc<Event>, u64) {
        let mut state = self.cell.lock();
        let busy = state.make_extra();
        let watch = (busy.watch).get_or_insert_with(|| Watch(Arc::new(Event::new())));
        let asked = busy.generation.max(busy.expiry_mark);
        (Arc::clone(&watch.0), asked)
    }

    /// Wakes those who watch the pile, as a change does.
    #[cfg(feature = "async")]
    pub(crate) fn wake_watchers(&self) {
        let watch = Self::changed(&mut self.cell.lock());
        drop(watch);
    }

    /// Notes that the pile has changed. Those who watch are woken when the result is dropped.
    #[must_use = "those who watch must be woken outside the lock"]
    pub(in crate::raw) fn changed(state: &mut Locked<'_, T>) -> Option<Watch> {
        state.extra_mut()?.watch.take()
    }
}
