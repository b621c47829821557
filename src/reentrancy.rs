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
    static INSIDE: RefCell<Vec<(Identity, Form)>> = RefCell::new(Vec::new());
}

/// How the thread runs a creator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a closure, to its end.
    Closure,
    /// As a future, of which this is one poll.
    #[cfg(feature = "async")]
    Poll,
}

/// A pile, for the time it stays where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(usize);

impl Identity {
    pub(crate) fn of<P>(pile: &P) -> Self {
        Self(std::ptr::from_ref(pile) as usize)
    }

    /// Its address.
    #[cfg(feature = "async")]
    pub(crate) fn address(self) -> usize {
        self.0
    }
}

/// The current thread runs the creator of a pile until this is dropped.
pub(crate) struct Inside(Identity);

impl Inside {
    /// For the length of a creator that is a closure.
    pub(crate) fn enter(pile: Identity) -> Self {
        Self::enter_as(pile, Form::Closure)
    }

    fn enter_as(pile: Identity, form: Form) -> Self {
        // Where the thread is past its thread-locals nothing is recorded, and a nested call waits
        // as any other.
        let _ = with(|inside| inside.push((pile, form)));
        Inside(pile)
    }

    #[cfg(feature = "async")]
    fn enter_poll(pile: Identity) -> Self {
        Self::enter_as(pile, Form::Poll)
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
            let _inside = Inside::enter_poll(pile);
            match run(create) {
                Ok(future) => future,
                Err(panic) => return Err(panic),
            }
        });
        let _enter = EnterOnDrop(pile);
        poll_fn(|cx| {
            let _inside = Inside::enter_poll(pile);
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
        std::mem::forget(Inside::enter_poll(self.0));
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = with(|inside| {
            if let Some(at) = inside.iter().rposition(|&(pile, _)| pile == self.0) {
                inside.remove(at);
            }
        });
    }
}

/// Whether the current thread is inside the creator of this pile.
pub(crate) fn is_inside(pile: Identity) -> bool {
    with(|inside| inside.iter().any(|&(of, _)| of == pile)).unwrap_or(false)
}

/// Whether the current thread runs the creator of this pile as a closure: then it is the thread on
/// which that creation ends.
pub(crate) fn runs_closure_of(pile: Identity) -> bool {
    with(|inside| inside.contains(&(pile, Form::Closure))).unwrap_or(false)
}

fn with<R>(f: impl FnOnce(&mut Vec<(Identity, Form)>) -> R) -> Option<R> {
    INSIDE.try_with(|inside| f(&mut inside.borrow_mut())).ok()
}
