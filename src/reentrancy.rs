//! Which creators the current thread is inside of, so that one that asks its own pile is told
//! instead of hanging.

use std::cell::RefCell;
#[cfg(feature = "async")]
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use crate::shim::thread_local;
#[cfg(feature = "async")]
use crate::shim::{Ran, run};

thread_local! {
    // LOOM: its `thread_local!` knows no const initialisers.
    #[allow(clippy::missing_const_for_thread_local)]
    static INSIDE: RefCell<Vec<usize>> = RefCell::new(Vec::new());
}

/// A pile, for the time it stays where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(usize);

impl Identity {
    pub(crate) fn of<P>(pile: &P) -> Self {
        Self(std::ptr::from_ref(pile) as usize)
    }
}

/// The current thread runs the creator of a pile until this is dropped.
pub(crate) struct Inside(Identity);

impl Inside {
    pub(crate) fn enter(pile: Identity) -> Self {
        // Where the thread is past its thread-locals nothing is recorded, and a nested call waits
        // as any other.
        let _ = with(|inside| inside.push(pile.0));
        Inside(pile)
    }
}

/// Runs a creator's future: the thread is inside it for the length of each poll, whichever thread
/// that is, and while the future is dropped.
#[cfg(feature = "async")]
#[allow(clippy::manual_async_fn)] // Which would hold its arguments twice.
pub(crate) fn inside<F: Future>(
    pile: Identity,
    create: impl FnOnce() -> F,
) -> impl Future<Output = Ran<F::Output>> {
    async move {
        // The last is dropped first, also where the caller is cancelled: entered, the future
        // dropped, left.
        let _leave = Inside(pile);
        let mut future = pin!({
            let _inside = Inside::enter(pile);
            match run(create) {
                Ok(future) => future,
                Err(panic) => return Err(panic),
            }
        });
        let _enter = EnterOnDrop(pile);
        poll_fn(|cx| {
            let _inside = Inside::enter(pile);
            match run(|| future.as_mut().poll(cx)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        })
        .await
    }
}

#[cfg(feature = "async")]
struct EnterOnDrop(Identity);

#[cfg(feature = "async")]
impl Drop for EnterOnDrop {
    fn drop(&mut self) {
        std::mem::forget(Inside::enter(self.0));
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = with(|inside| {
            if let Some(at) = inside.iter().rposition(|&pile| pile == self.0.0) {
                inside.remove(at);
            }
        });
    }
}

/// Whether the current thread is inside the creator of this pile.
pub(crate) fn is_inside(pile: Identity) -> bool {
    with(|inside| inside.contains(&pile.0)).unwrap_or(false)
}

fn with<R>(f: impl FnOnce(&mut Vec<usize>) -> R) -> Option<R> {
    INSIDE.try_with(|inside| f(&mut inside.borrow_mut())).ok()
}
