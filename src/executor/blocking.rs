//! What a call that blocks does on a thread of an executor: [`Blocking`].

use std::fmt;

use crate::error::Refused;

/// What a call that blocks does on this thread, where it would wait for a job of an executor; see
/// [`Executor::blocking_here`](crate::executor::Executor::blocking_here).
///
/// # Example
///
/// A pool whose threads run a job themselves instead of waiting for it:
///
/// ```
/// use std::cell::Cell;
/// use std::sync::mpsc::{channel, Sender};
/// use dogpile::executor::{Blocking, Executor, Job};
/// use dogpile::Refused;
///
/// thread_local!(static MINE: Cell<bool> = const { Cell::new(false) });
///
/// struct Pool(Sender<Box<dyn FnOnce() + Send>>);
///
/// impl Executor for Pool {
///     fn spawn(&self, job: Job) -> Result<(), Refused> {
///         self.0.send(Box::new(|| job.run())).map_err(|_| Refused::new("shut down"))
///     }
///
///     fn blocking_here(&self) -> Blocking {
///         if MINE.get() { Blocking::RunHere } else { Blocking::Wait }
///     }
/// }
///
/// let (sender, work) = channel::<Box<dyn FnOnce() + Send>>();
/// std::thread::spawn(move || {
///     MINE.set(true);
///     work.into_iter().for_each(|task| task());
/// });
/// // Its only thread creates what it asks for.
/// # let pile = std::sync::Arc::new(dogpile::Dogpile::new(std::time::Duration::MAX));
/// # let (answer, answered) = channel();
/// let pool = std::sync::Arc::new(Pool(sender));
/// let shared = pool.clone();
/// pool.0.send(Box::new(move || {
///     let seven = pile.background(&shared).get_or_create(|| 7);
///     answer.send(*seven.unwrap()).unwrap();
/// }));
/// # assert_eq!(answered.recv(), Ok(7));
/// ```
///
/// Its queue being a channel, it cannot find a job in there again, as
/// [`run_queued`](crate::executor::Executor::run_queued) would: so a job that another caller has
/// started, and its only thread waits for, is one that nobody runs.
#[non_exhaustive]
pub enum Blocking {
    /// Waits: the executor gets on without this thread.
    Wait,
    /// Waits inside of this function, which calls once what it is given, on the same thread.
    WaitIn(fn(&mut dyn FnMut())),
    /// Creates here what it was elected to create, which its wait limit then does not bound; for
    /// what another started it waits, if that is not to be found in a
    /// [queue](crate::executor::Executor::run_queued).
    RunHere,
    /// Fails with [`Error::Refused`](crate::Error::Refused): the executor needs this thread. If the
    /// call was elected its lease is given up, and if not the creation goes on.
    Refuse(Refused),
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blocking::Wait => f.write_str("Wait"),
            Blocking::WaitIn(_) => f.write_str("WaitIn"),
            Blocking::RunHere => f.write_str("RunHere"),
            Blocking::Refuse(refused) => f.debug_tuple("Refuse").field(refused).finish(),
        }
    }
}
