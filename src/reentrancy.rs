//! Which creators the current thread is inside. A creator that asks its own pile gets an error
//! because of this, instead of waiting for itself.

use std::cell::RefCell;
#[cfg(feature = "async")]
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use crate::observe::Watch;
use crate::shim::thread_local;
#[cfg(feature = "async")]
use crate::shim::{Arc, Ran, run};

thread_local! {
    // LOOM: its `thread_local!` has no const initialisers.
    #[allow(clippy::missing_const_for_thread_local)]
    static INSIDE: RefCell<Vec<(Identity, Form)>> = RefCell::new(Vec::new());
}

/// In which form the thread runs a creator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As a closure, to its end.
    Closure,
    /// As a future. The thread is inside one poll of it.
    #[cfg(feature = "async")]
    Poll,
}

/// The address of a pile. It identifies the pile as long as the pile is not moved.
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

/// The current thread runs the creator of a pile until this is dropped, inside of what an observer has
/// put around it.
pub(crate) struct Inside<'w>(Identity, Option<&'w Watch>);

impl<'w> Inside<'w> {
    /// Enters a creator that is a closure.
    pub(crate) fn enter(pile: Identity, watch: Option<&'w Watch>) -> Self {
        Self::enter_as(pile, watch, Form::Closure)
    }

    fn enter_as(pile: Identity, watch: Option<&'w Watch>, form: Form) -> Self {
        // A thread that is ending may have dropped its thread-locals. Then nothing is recorded, and
        // a nested call waits like any other call.
        let _ = with(|inside| inside.push((pile, form)));
        if let Some(watch) = watch {
            watch.enter();
        }
        Inside(pile, watch)
    }

    #[cfg(feature = "async")]
    fn enter_poll(pile: Identity, watch: Option<&'w Watch>) -> Self {
        Self::enter_as(pile, watch, Form::Poll)
    }
}

/// Runs the future of a creator. A thread is inside the creator while it polls the future, and while
/// it drops the future. Each poll may come from another thread.
#[cfg(feature = "async")]
#[allow(clippy::manual_async_fn)] // An `async fn` would hold its arguments twice.
pub(crate) fn inside<F: Future>(
    pile: Identity,
    watch: Option<Arc<Watch>>,
    create: impl FnOnce() -> F,
) -> impl Future<Output = Ran<F::Output>> {
    async move {
        let watch = watch.as_deref();
        // Locals are dropped in reverse order, also if the caller is cancelled: `_enter` enters,
        // `future` is dropped inside, `_leave` leaves.
        let _leave = Inside(pile, watch);
        let mut future = pin!({
            let _inside = Inside::enter_poll(pile, watch);
            match run(create) {
                Ok(future) => future,
                Err(panic) => return Err(panic),
            }
        });
        let _enter = EnterOnDrop(pile, watch);
        poll_fn(|cx| {
            let _inside = Inside::enter_poll(pile, watch);
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
struct EnterOnDrop<'w>(Identity, Option<&'w Watch>);

#[cfg(feature = "async")]
impl Drop for EnterOnDrop<'_> {
    fn drop(&mut self) {
        std::mem::forget(Inside::enter_poll(self.0, self.1));
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.1 {
            watch.leave();
        }
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

/// Whether the current thread runs the creator of this pile as a closure. If so, the creation ends on
/// this thread.
pub(crate) fn runs_closure_of(pile: Identity) -> bool {
    with(|inside| inside.contains(&(pile, Form::Closure))).unwrap_or(false)
}

fn with<R>(f: impl FnOnce(&mut Vec<(Identity, Form)>) -> R) -> Option<R> {
    INSIDE.try_with(|inside| f(&mut inside.borrow_mut())).ok()
}
