//! What can go wrong: [`Error`] for callers, [`Failure`] for those who did not run the creator
//! themselves.

use std::any::{Any, type_name};
use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::shim::Arc;

/// Why a call brought no value.
///
/// `E` is the error type of the caller's own creator. A pile has no error type of its own, so
/// callers with different ones can share it: a caller who waited for a creation that failed with
/// *its* `E` gets [`Error::Create`], whoever ran the creator; one whose `E` is another type gets
/// [`Error::Failed`].
///
/// `E` has to be `Send + Sync + 'static`, nothing more: `anyhow::Error`, `String` and `Box<dyn
/// Error + Send + Sync>` will do. Where it is a [`std::error::Error`], so is this.
///
/// # Example
///
/// With `?` in a function that returns a boxed error:
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
///
/// static MOTD: Dogpile<String> = Dogpile::new(Duration::from_secs(60));
///
/// fn banner() -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
///     let text = MOTD.get_or_try_create(|| std::fs::read_to_string("no such file"))?;
///     Ok(text.len())
/// }
/// assert!(banner().unwrap_err().to_string().contains("creating the value failed"));
/// ```
///
/// A boxed error is no `std::error::Error` itself, and neither is `anyhow::Error`;
/// [`into_boxed`](Error::into_boxed) makes one of it:
///
/// ```
/// # use std::time::Duration;
/// # use dogpile::Dogpile;
/// type Boxed = Box<dyn std::error::Error + Send + Sync>;
///
/// fn number(pile: &Dogpile<u32>, text: &str) -> Result<u32, Boxed> {
///     let value = pile.get_or_try_create(|| Ok::<_, Boxed>(text.parse()?));
///     Ok(*value.map_err(|error| error.into_boxed())?)
/// }
/// let pile = Dogpile::new(Duration::from_secs(60));
/// assert!(number(&pile, "seven").unwrap_err().to_string().contains("invalid digit"));
/// assert_eq!(number(&pile, "7").unwrap(), 7);
/// ```
///
/// ```
/// # use std::time::Duration;
/// # use dogpile::Dogpile;
/// fn number(pile: &Dogpile<u32>, text: &str) -> anyhow::Result<u32> {
///     let value = pile.get_or_try_create(|| anyhow::Ok(text.parse()?));
///     Ok(*value.map_err(|error| anyhow::Error::from_boxed(error.into_boxed()))?)
/// }
/// let pile = Dogpile::new(Duration::from_secs(60));
/// assert!(number(&pile, "seven").unwrap_err().to_string().contains("invalid digit"));
/// ```
#[non_exhaustive]
pub enum Error<E> {
    /// The creation failed with this error, shared by all who waited for it.
    Create(Arc<E>),
    /// The creation this caller waited for failed, with an error of another type than this caller's
    /// `E`.
    Failed(Failure),
    /// The look-up of the value failed where it is kept. Nobody was elected for it, and nobody else
    /// is told.
    Get(E),
    /// The wait limit of the call passed while somebody else was creating the value.
    TimedOut {
        /// The limit that was given to [`Call::wait`](crate::Call::wait).
        limit: Duration,
    },
    /// The call came from inside the creator of the same pile, and would wait for itself.
    Reentrant,
    /// The calling thread holds a read guard of the same
    /// [`SyncReaderDogpile`](crate::SyncReaderDogpile), and there is no value to be had without
    /// waiting: a creator that waits for the readers would wait for this one.
    HoldsReadGuard,
    /// The calling thread holds the write lock of the same
    /// [`SyncReaderDogpile`](crate::SyncReaderDogpile), and would wait for itself.
    HoldsWriteLock,
    /// An async call has a wait limit, and nothing that would wake it at its end.
    NoTimer,
    /// The executor did not take the creation, which was this call's to run in the background; or
    /// it took it and dropped it before it had begun.
    Refused(Refused),
    /// The creation that this call ran in the background ended with nothing: its creator panicked,
    /// or its executor dropped it.
    GivenUp,
}

impl<E> Error<E> {
    /// The creator's error, where this caller's `E` is its type.
    pub fn created(&self) -> Option<&E> {
        match self {
            Error::Create(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the wait limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Error::TimedOut { .. })
    }

    /// Whether the call came from inside the creator of the same pile.
    pub fn is_reentrant(&self) -> bool {
        matches!(self, Error::Reentrant)
    }
}

impl<E> Error<E>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + fmt::Display + Send + Sync + 'static,
{
    /// A boxed error, for an `E` that is no [`std::error::Error`] itself but can be made one, as
    /// `anyhow::Error`, `Box<dyn Error + Send + Sync>` and `String` can.
    ///
    /// The creator's error comes out whole if nobody else holds it; otherwise its text does.
    pub fn into_boxed(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Error::Create(error) => match Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                Err(shared) => shared.to_string().into(),
            },
            Error::Failed(failure) => Box::new(failure),
            Error::Get(error) => error.into(),
            Error::TimedOut { limit } => Box::new(Error::<Infallible>::TimedOut { limit }),
            Error::Reentrant => Box::new(Error::<Infallible>::Reentrant),
            Error::HoldsReadGuard => Box::new(Error::<Infallible>::HoldsReadGuard),
            Error::HoldsWriteLock => Box::new(Error::<Infallible>::HoldsWriteLock),
            Error::NoTimer => Box::new(Error::<Infallible>::NoTimer),
            Error::Refused(refused) => Box::new(Error::<Infallible>::Refused(refused)),
            Error::GivenUp => Box::new(Error::<Infallible>::GivenUp),
        }
    }
}

// Written out, since a derived `source` would be the `Arc` and not the error in it.
impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Create(error) => Some(&**error),
            Error::Get(error) => Some(error),
            Error::Refused(refused) => std::error::Error::source(refused),
            Error::Failed(_)
            | Error::TimedOut { .. }
            | Error::Reentrant
            | Error::HoldsReadGuard
            | Error::HoldsWriteLock
            | Error::NoTimer
            | Error::GivenUp => None,
        }
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Create(_) => f.write_str("creating the value failed"),
            Error::Failed(failure) => failure.fmt(f),
            Error::Get(_) => f.write_str("looking the value up failed"),
            Error::TimedOut { limit } => write!(
                f,
                "no value within the wait limit of {limit:?}: its creation, or a writer, is still at \
                 work; raise the limit of the call, or allow stale values"
            ),
            Error::Reentrant => f.write_str(
                "called from inside the creator of the same pile, which would wait for itself; \
                 take what the creator needs before the call, or from another pile",
            ),
            Error::HoldsReadGuard => f.write_str(
                "no value to be had without waiting, and this thread holds a read guard of the same \
                 pile, for which a creator may wait; drop the guard before the call",
            ),
            Error::HoldsWriteLock => f.write_str(
                "this thread holds the write lock of the same pile, and would wait for itself; drop \
                 the lock before the call",
            ),
            Error::NoTimer => f.write_str(
                "an async call cannot keep a wait limit without a timer: name one with \
                 Call::timer, or put the time-out of the runtime around the call",
            ),
            Error::Refused(refused) => refused.fmt(f),
            Error::GivenUp => f.write_str(
                "the creation in the background was given up: its creator panicked, or its \
                 executor dropped it",
            ),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Create(error) => f.debug_tuple("Create").field(error).finish(),
            Error::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Error::Get(error) => f.debug_tuple("Get").field(error).finish(),
            Error::TimedOut { limit } => f.debug_struct("TimedOut").field("limit", limit).finish(),
            Error::Reentrant => f.write_str("Reentrant"),
            Error::HoldsReadGuard => f.write_str("HoldsReadGuard"),
            Error::HoldsWriteLock => f.write_str("HoldsWriteLock"),
            Error::NoTimer => f.write_str("NoTimer"),
            Error::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
            Error::GivenUp => f.write_str("GivenUp"),
        }
    }
}

/// Why a write lock was not acquired; see
/// [`SyncReaderDogpile::acquire_write_lock`](crate::SyncReaderDogpile::acquire_write_lock).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteLockError {
    /// The calling thread holds a read guard of the same pile, and would wait for itself.
    #[error(
        "this thread holds a read guard of the same pile, and would wait for itself; drop the \
         guard first"
    )]
    HoldsReadGuard,
    /// The calling thread holds the write lock already, or waits for it further up.
    #[error("this thread holds the write lock of this pile already, and would wait for itself")]
    HoldsWriteLock,
    /// The limit passed while there were readers, or another writer.
    #[error("readers or another writer did not leave within {limit:?}")]
    TimedOut {
        /// The limit that was given.
        limit: Duration,
    },
    /// The kernel refuses a system call that it granted before, by a filter that was installed
    /// since: without it no writer can know that all readers have left.
    #[error(
        "the kernel refuses membarrier(2), which it granted when this process began: let the filter \
         of system calls pass it, or install the filter earlier"
    )]
    NoBarrier,
}

/// An executor's refusal to run a creation, with its reason.
#[derive(Debug, thiserror::Error)]
#[error("the executor refused to run the creation")]
pub struct Refused(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Refused {
    /// A refusal for this reason: an error, or words.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Refused(reason.into())
    }
}

// As for a failure: it shows an error and changes nothing in it.
impl UnwindSafe for Refused {}
impl RefUnwindSafe for Refused {}

/// A creation's error, shared and without its type.
///
/// # Example
///
/// ```
/// use std::thread;
/// use std::time::Duration;
///
/// use dogpile::{Dogpile, Error};
///
/// let pile = Dogpile::new(Duration::from_secs(60));
/// let answer = thread::scope(|threads| {
///     let mut waiter = None;
///     let _ = pile.get_or_try_create(|| {
///         // Another thread calls meanwhile, with another error type, and waits for this creation ...
///         waiter = Some(threads.spawn(|| pile.get_or_try_create(|| "7".parse::<u8>()).map(|v| *v)));
///         while pile.waiters() == 0 {
///             thread::yield_now();
///         }
///         Err("no route") // ... which fails.
///     });
///     waiter.unwrap().join().unwrap()
/// });
/// let Err(Error::Failed(failure)) = answer else { panic!() };
/// assert_eq!(failure.downcast_ref::<&str>(), Some(&"no route"));
/// ```
#[derive(Clone, thiserror::Error)]
#[error("creating the value failed elsewhere, with an error of type {type_name}")]
pub struct Failure {
    error: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
}

impl Failure {
    pub(crate) fn new<E: Send + Sync + 'static>(error: Arc<E>) -> Self {
        Self {
            error,
            type_name: type_name::<E>(),
        }
    }

    /// The creator's error, if `E` is its type.
    pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The name of the type of the creator's error, for messages.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The error of a caller whose own error type is `E`: [`Error::Create`] where the creator's was
    /// the same, else [`Error::Failed`].
    pub fn into_error<E: Send + Sync + 'static>(self) -> Error<E> {
        let type_name = self.type_name;
        match self.error.downcast() {
            Ok(error) => Error::Create(error),
            Err(error) => Error::Failed(Failure { error, type_name }),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.type_name).finish()
    }
}

// It shows an error and changes nothing in it.
impl UnwindSafe for Failure {}
impl RefUnwindSafe for Failure {}
