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
use crate::shim::Arc;
use crate::shim::thread_local;
#[cfg(feature = "async")]
use crate::shim::{Ran, run};

thread_local! {
    // LOOM: its `thread_local!` has no const initialisers.
    #[allow(clippy::missing_const_for_thread_local)]
    static INSIDE: RefCell<Vec<(Creation, Form)>> = RefCell::new(Vec::new());
}

/// A creation: of a pile, under a lease.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Creation {
    pub(crate) pile: Identity,
    pub(crate) fence: u64,
}

/// A creation, and what an observer has put around it.
pub(crate) type Watched = (Creation, Option<Arc<Watch>>);

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
pub(crate) struct Inside<'w>(Creation, Option<&'w Watch>);

impl<'w> Inside<'w> {
    /// Enters a creator that is a closure.
    pub(crate) fn enter(creation: Creation, watch: Option<&'w Watch>) -> Self {
        Self::enter_as(creation, watch, Form::Closure)
    }

    fn enter_as(creation: Creation, watch: Option<&'w Watch>, form: Form) -> Self {
        // A thread that is ending may have dropped its thread-locals. Then nothing is recorded, and
        // a nested call waits like any other call.
        let _ = with(|inside| inside.push((creation, form)));
        if let Some(watch) = watch {
            watch.enter();
        }
        Inside(creation, watch)
    }

    #[cfg(feature = "async")]
    fn enter_poll(creation: Creation, watch: Option<&'w Watch>) -> Self {
        Self::enter_as(creation, watch, Form::Poll)
    }
}

/// As [`inside`], for the creator of several piles at once. Its future is dropped inside, too.
#[cfg(feature = "async")]
pub(crate) struct InsideAll<F> {
    creations: Vec<Watched>,
    future: Option<std::pin::Pin<Box<F>>>,
}

#[cfg(feature = "async")]
impl<F: Future> InsideAll<F> {
    /// That of the future that `create` makes, or the panic of `create`.
    pub(crate) fn new(creations: Vec<Watched>, create: impl FnOnce() -> F) -> Ran<Self> {
        let inside = enter_polls(&creations);
        let future = Some(Box::pin(run(create)?));
        drop(inside);
        Ok(Self { creations, future })
    }
}

#[cfg(feature = "async")]
impl<F: Future> Future for InsideAll<F> {
    type Output = Ran<F::Output>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Ran<F::Output>> {
        let Self { creations, future } = &mut *self;
        let _inside = enter_polls(creations);
        let future = future.as_mut().expect("it is there until the drop");
        match run(|| future.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

#[cfg(feature = "async")]
impl<F> Drop for InsideAll<F> {
    fn drop(&mut self) {
        let _inside = enter_polls(&self.creations);
        self.future = None;
    }
}

#[cfg(feature = "async")]
fn enter_polls(creations: &[Watched]) -> Vec<Inside<'_>> {
    let mut inside = Vec::with_capacity(creations.len());
    for (creation, watch) in creations {
        inside.push(Inside::enter_poll(*creation, watch.as_deref()));
    }
    inside
}

/// Runs the future of a creator. A thread is inside the creator while it polls the future, and while
/// it drops the future. Each poll may come from another thread.
#[cfg(feature = "async")]
#[allow(clippy::manual_async_fn)] // An `async fn` would hold its arguments twice.
pub(crate) fn inside<F: Future>(
    (creation, watch): Watched,
    create: impl FnOnce() -> F,
) -> impl Future<Output = Ran<F::Output>> {
    async move {
        let watch = watch.as_deref();
        // Locals are dropped in reverse order, also if the caller is cancelled: `_enter` enters,
        // `future` is dropped inside, `_leave` leaves.
        let _leave = Inside(creation, watch);
        let mut future = pin!({
            let _inside = Inside::enter_poll(creation, watch);
            match run(create) {
                Ok(future) => future,
                Err(panic) => return Err(panic),
            }
        });
        let _enter = EnterOnDrop(creation, watch);
        poll_fn(|cx| {
            let _inside = Inside::enter_poll(creation, watch);
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
struct EnterOnDrop<'w>(Creation, Option<&'w Watch>);

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
            if let Some(at) = inside.iter().rposition(|&(creation, _)| creation == self.0) {
                inside.remove(at);
            }
        });
    }
}

/// Whether the current thread is inside the creator of this pile.
pub(crate) fn is_inside(pile: Identity) -> bool {
    with(|inside| inside.iter().any(|(of, _)| of.pile == pile)).unwrap_or(false)
}

/// Whether the current thread runs the creator of this pile as a closure. If so, the creation ends on
/// this thread.
pub(crate) fn runs_closure_of(pile: Identity) -> bool {
    let runs = |(of, form): &(Creation, Form)| of.pile == pile && *form == Form::Closure;
    with(|inside| inside.iter().any(runs)).unwrap_or(false)
}

/// The creations that the current thread is inside.
pub(crate) fn all_inside() -> Vec<Creation> {
    with(|inside| inside.iter().map(|(creation, _)| *creation).collect()).unwrap_or_default()
}

fn with<R>(f: impl FnOnce(&mut Vec<(Creation, Form)>) -> R) -> Option<R> {
    INSIDE.try_with(|inside| f(&mut inside.borrow_mut())).ok()
}
