//! What can go wrong: [`Error`] for callers, and what it carries from a creator that another caller
//! ran.

use std::any::{Any, type_name};
use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::shim::Arc;

type Source = dyn std::error::Error + Send + Sync;

/// Why a call brought no value.
///
/// `E` is the error type of the caller's own creator. A pile has no error type of its own, so callers
/// with different error types can share one. A caller that waited for a creation which failed with
/// the caller's `E` gets [`Error::Create`], whoever ran the creator. A caller whose `E` is another
/// type gets [`Error::Failed`].
///
/// `E` has to be `Send + Sync + 'static`, nothing more. `anyhow::Error`, `String` and `Box<dyn Error +
/// Send + Sync>` will do. Where `E` is a [`std::error::Error`], so is this.
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
/// A boxed error is no `std::error::Error` itself, and neither is `anyhow::Error`.
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
    /// The creation failed with this error. All who waited for it share it.
    Create(Arc<E>),
    /// The creation that this caller waited for failed, with an error of another type than this
    /// caller's `E`.
    Failed(Failure),
    /// The creator panicked, in another caller's call or on an executor.
    Panicked(Panicked),
    /// The look-up of a value that is kept elsewhere failed. Nobody was elected for it, and nobody
    /// else is told.
    Get(E),
    /// The wait limit of the call passed before there was a value: a creation took longer, which was another
    /// caller's or this call's own in the background, or a writer was at work, or nobody made one.
    #[non_exhaustive]
    TimedOut {
        /// The limit that was given to [`Call::wait`](crate::Call::wait).
        limit: Duration,
    },
    /// The call came from inside the creator of the same pile, and would wait for itself.
    Reentrant,
    /// The calling thread holds a read guard of the same
    /// [`SyncReaderDogpile`](crate::SyncReaderDogpile), and no value can be had without waiting. A
    /// creator that waits for the readers would wait for this thread.
    HoldsReadGuard,
    /// The calling thread holds the write lock of the same
    /// [`SyncReaderDogpile`](crate::SyncReaderDogpile), and would wait for itself.
    HoldsWriteLock,
    /// The call has a wait limit, and nothing would wake its task at the end of the limit: there is no
    /// timer, or it does not run here.
    NoTimer,
    /// The executor did not take the creation, which was this call's to run in the background, or it
    /// took the creation and dropped it before it began. Or the call would have blocked a thread
    /// that the executor needs.
    Refused(Refused),
    /// The creation that this call ran in the background ended with nothing: its executor dropped it
    /// while it ran.
    GivenUp,
    /// No creator may run yet: the pile [backs off](crate::Builder::backoff) after a failure, or keeps
    /// its [interval](crate::Builder::min_interval) between creations, or its map keeps its
    /// [rate](crate::KeyedBuilder::creation_rate). There is no value that the call could be given
    /// meanwhile.
    #[non_exhaustive]
    BackingOff {
        /// After how long the next creation may begin.
        retry_in: Duration,
        /// The failure that the pile backs off from, if there is one; or an [`OverRate`].
        failure: Option<Failure>,
    },
    /// The key was left out by the creator of several keys that was to bring it, here or where this call
    /// waited; see [`KeyedDogpile::get_or_create_multi`](crate::KeyedDogpile::get_or_create_multi).
    Missing,
    /// The call came from inside the creator of a key, whose value this call's key would wait for: two
    /// creators on two threads would wait for each other.
    Cycle(Cycle),
}

impl<E> Error<E> {
    /// The creator's error, where this caller's `E` is its type.
    pub fn created(&self) -> Option<&E> {
        match self {
            Error::Create(error) => Some(error),
            _ => None,
        }
    }

    /// The creator's error with its share, where this caller's `E` is its type; else the error as it
    /// was.
    ///
    /// # Errors
    ///
    /// Every other error, unchanged.
    pub fn into_created(self) -> Result<Arc<E>, Self> {
        match self {
            Error::Create(error) => Ok(error),
            other => Err(other),
        }
    }

    /// The same error with another type for the creator's.
    ///
    /// `change` is given the share that this caller has in the error, since all who waited for the
    /// creation share it. The error of a look-up belongs to this caller alone, and comes in a share
    /// of its own.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("no keys")]
    /// struct NoKeys(#[source] Arc<std::io::Error>);
    ///
    /// let pile = Dogpile::<String>::new(Duration::from_secs(60));
    /// let answer = pile.get_or_try_create(|| std::fs::read_to_string("no such file"));
    /// let error = answer.map(drop).map_err(|error| error.map(NoKeys)).unwrap_err();
    /// assert_eq!(error.created().unwrap().to_string(), "no keys");
    /// ```
    pub fn map<F>(self, change: impl FnOnce(Arc<E>) -> F) -> Error<F> {
        match self {
            Error::Create(error) => Error::Create(Arc::new(change(error))),
            Error::Get(error) => Error::Get(change(Arc::new(error))),
            other => other.untyped(),
        }
    }

    /// Whether a creation failed, be it with this caller's error type or with another.
    pub fn is_failed(&self) -> bool {
        matches!(self, Error::Create(_) | Error::Failed(_))
    }

    /// Whether the creator panicked.
    pub fn is_panicked(&self) -> bool {
        matches!(self, Error::Panicked(_))
    }

    /// Whether the wait limit passed.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Error::TimedOut { .. })
    }

    /// Whether no creator may run yet.
    pub fn is_backing_off(&self) -> bool {
        matches!(self, Error::BackingOff { .. })
    }

    /// Whether no creator may run yet since the map's [rate](crate::KeyedBuilder::creation_rate) is used
    /// up.
    pub fn is_over_rate(&self) -> bool {
        matches!(self, Error::BackingOff { failure: Some(failure), .. } if failure.is_over_rate())
    }

    /// Whether the call came from inside the creator of the same pile.
    pub fn is_reentrant(&self) -> bool {
        matches!(self, Error::Reentrant)
    }

    /// Whether the executor did not take the creation.
    pub fn is_refused(&self) -> bool {
        matches!(self, Error::Refused(_))
    }

    /// Whether the creator of several keys left this one out.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::Missing)
    }

    /// Whether creators would wait for each other.
    pub fn is_cycle(&self) -> bool {
        matches!(self, Error::Cycle(_))
    }

    /// The same error once more, of a call that looked nothing up.
    pub(crate) fn again(&self) -> Self {
        match self {
            Error::Create(error) => Error::Create(Arc::clone(error)),
            Error::Failed(failure) => Error::Failed(failure.clone()),
            Error::Panicked(panicked) => Error::Panicked(panicked.clone()),
            Error::TimedOut { limit } => Error::TimedOut { limit: *limit },
            Error::Reentrant => Error::Reentrant,
            Error::HoldsReadGuard => Error::HoldsReadGuard,
            Error::HoldsWriteLock => Error::HoldsWriteLock,
            Error::NoTimer => Error::NoTimer,
            Error::GivenUp => Error::GivenUp,
            Error::BackingOff { retry_in, failure } => Error::BackingOff {
                retry_in: *retry_in,
                failure: failure.clone(),
            },
            Error::Missing => Error::Missing,
            Error::Cycle(cycle) => Error::Cycle(cycle.clone()),
            Error::Refused(refused) => Error::Refused(refused.again()),
            Error::Get(_) => unreachable!("it is of another kind of call"),
        }
    }

    /// An error that carries no `E`.
    fn untyped<F>(self) -> Error<F> {
        match self {
            Error::Create(_) | Error::Get(_) => unreachable!("it carries an `E`"),
            Error::Failed(failure) => Error::Failed(failure),
            Error::Panicked(panicked) => Error::Panicked(panicked),
            Error::TimedOut { limit } => Error::TimedOut { limit },
            Error::Reentrant => Error::Reentrant,
            Error::HoldsReadGuard => Error::HoldsReadGuard,
            Error::HoldsWriteLock => Error::HoldsWriteLock,
            Error::NoTimer => Error::NoTimer,
            Error::Refused(refused) => Error::Refused(refused),
            Error::GivenUp => Error::GivenUp,
            Error::BackingOff { retry_in, failure } => Error::BackingOff { retry_in, failure },
            Error::Missing => Error::Missing,
            Error::Cycle(cycle) => Error::Cycle(cycle),
        }
    }
}

impl<E: AsRef<Source> + Send + Sync + 'static> Error<E> {
    /// A boxed error, for an `E` that is no [`std::error::Error`] itself but stands for one, as
    /// `anyhow::Error` and `Box<dyn Error + Send + Sync>` do.
    ///
    /// Every caller gets the text of the creator's error and its whole chain of sources, however
    /// many callers share it. For an `E` that is a text, make an error of it first with
    /// [`map`](Error::map).
    pub fn into_boxed(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Error::Create(error) => Box::new(Shared(error)),
            Error::Get(error) => Box::new(Shared(Arc::new(error))),
            other => Box::new(other.untyped::<Infallible>()),
        }
    }
}

/// A share in an error, as an error: it shows the text and the sources of what is shared.
struct Shared<E>(Arc<E>);

impl<E: AsRef<Source>> Shared<E> {
    fn inner(&self) -> &Source {
        self.0.as_ref().as_ref()
    }
}

impl<E: AsRef<Source>> std::error::Error for Shared<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner().source()
    }
}

impl<E: AsRef<Source>> fmt::Display for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl<E: AsRef<Source>> fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

// Written out, since a derived `source` would be the `Arc` and not the error in it.
impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Create(error) => Some(&**error),
            Error::Get(error) => Some(error),
            Error::Refused(refused) => std::error::Error::source(refused),
            Error::Failed(failure) => std::error::Error::source(failure),
            Error::BackingOff { failure, .. } => {
                let failure = failure.as_ref().filter(|failure| !failure.is_over_rate())?;
                Some(failure)
            }
            Error::Panicked(_)
            | Error::TimedOut { .. }
            | Error::Reentrant
            | Error::HoldsReadGuard
            | Error::HoldsWriteLock
            | Error::NoTimer
            | Error::GivenUp
            | Error::Missing
            | Error::Cycle(_) => None,
        }
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Create(_) => f.write_str("creating the value failed"),
            Error::Failed(failure) => failure.fmt(f),
            Error::Panicked(panicked) => panicked.fmt(f),
            Error::Get(_) => f.write_str("looking the value up failed"),
            Error::TimedOut { limit } => write!(
                f,
                "no value within the wait limit of {limit:?}: a creation or a writer is still at work, \
                 or nobody creates; raise the limit of the call, or allow stale values"
            ),
            Error::Reentrant => f.write_str(
                "called from inside the creator of the same pile, which would wait for itself; \
                 take what the creator needs before the call, or from another pile",
            ),
            Error::HoldsReadGuard => f.write_str(
                "no value can be had without waiting, and this thread holds a read guard of the same \
                 pile, for which a creator may wait; drop the guard before the call",
            ),
            Error::HoldsWriteLock => f.write_str(
                "this thread holds the write lock of the same pile, and would wait for itself; drop \
                 the lock before the call",
            ),
            Error::NoTimer => f.write_str(
                "nothing would wake this task at the end of its wait limit: name a timer that \
                 runs here with Call::timer, or put the time-out of the runtime around the call",
            ),
            Error::Refused(refused) => refused.fmt(f),
            Error::GivenUp => f.write_str(
                "the creation in the background was given up: its executor dropped it while it ran",
            ),
            Error::BackingOff { retry_in, failure } => {
                write!(f, "no value, and none may be created for another {retry_in:?}: ")?;
                f.write_str(match failure {
                    Some(failure) if failure.is_over_rate() => {
                        "the map keeps its rate of creations, which is used up"
                    }
                    Some(_) => "the last creation failed, and the pile backs off",
                    None => "the pile keeps its interval between creations",
                })
            }
            Error::Missing => Missing.fmt(f),
            Error::Cycle(cycle) => cycle.fmt(f),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Create(error) => f.debug_tuple("Create").field(error).finish(),
            Error::Failed(failure) => f.debug_tuple("Failed").field(failure).finish(),
            Error::Panicked(panicked) => f.debug_tuple("Panicked").field(panicked).finish(),
            Error::Get(error) => f.debug_tuple("Get").field(error).finish(),
            Error::TimedOut { limit } => f.debug_struct("TimedOut").field("limit", limit).finish(),
            Error::Reentrant => f.write_str("Reentrant"),
            Error::HoldsReadGuard => f.write_str("HoldsReadGuard"),
            Error::HoldsWriteLock => f.write_str("HoldsWriteLock"),
            Error::NoTimer => f.write_str("NoTimer"),
            Error::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
            Error::GivenUp => f.write_str("GivenUp"),
            Error::BackingOff { retry_in, failure } => f
                .debug_struct("BackingOff")
                .field("retry_in", retry_in)
                .field("failure", failure)
                .finish(),
            Error::Missing => f.write_str("Missing"),
            Error::Cycle(cycle) => cycle.fmt(f),
        }
    }
}

/// Two keys whose creators would wait for each other.
///
/// They are named if the map was told how: see
/// [`KeyedBuilder::name_keys`](crate::KeyedBuilder::name_keys).
#[derive(Clone, PartialEq, Eq)]
pub struct Cycle {
    keys: Option<Arc<[String; 2]>>,
}

impl Cycle {
    pub(crate) fn new(keys: Option<[String; 2]>) -> Self {
        Self {
            keys: keys.map(Arc::new),
        }
    }

    /// The names of the key whose creator made the call, and of the key that it called for.
    pub fn keys(&self) -> Option<[&str; 2]> {
        let [one, other] = &**self.keys.as_ref()?;
        Some([one, other])
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.keys() {
            Some([one, other]) => write!(
                f,
                "the creator of {one} called for {other}, whose creator waits for it; "
            )?,
            None => f.write_str(
                "the creator of a key called for another key, whose creator waits for it; ",
            )?,
        }
        f.write_str("take what a creator needs before its call, or create such keys together")
    }
}

impl fmt::Debug for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cycle").field(&self.keys()).finish()
    }
}

/// What those are told who wait for a key that a creator of several keys left out.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("there is no value: the creator of several keys left this one out")]
pub(crate) struct Missing;

/// Why a creation may not begin yet though nothing failed: the
/// [rate](crate::KeyedBuilder::creation_rate) of the map is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the map's rate of creations is used up")]
#[non_exhaustive]
pub struct OverRate;

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
    /// since. Without that call no writer can know that all readers have left.
    #[error(
        "the kernel refuses membarrier(2), which it granted when this process began: let the filter \
         of system calls pass it, or install the filter earlier"
    )]
    NoBarrier,
    /// Nothing would wake this task at the end of its limit.
    #[error("nothing would wake this task at the end of its limit: the timer has none here")]
    NoTimer,
}

/// An executor's refusal to run a creation, with its reason.
#[derive(Debug, thiserror::Error)]
#[error("the executor refused to run the creation")]
pub struct Refused(#[source] Arc<Source>);

impl Refused {
    /// A refusal for this reason: an error, or words.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Refused(reason.into().into())
    }

    pub(crate) fn again(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

// As for a failure: it shows an error and changes nothing in it.
impl UnwindSafe for Refused {}
impl RefUnwindSafe for Refused {}

/// The panic of a creator, as those are told of it who did not run the creator themselves.
///
/// Whoever ran the creator in its own call is unwound by the panic. Those who waited for the creation
/// with a fallible form get this, as does the caller of a creation that ran on an executor.
#[derive(Clone, thiserror::Error)]
#[error("the creator panicked: {text}")]
pub struct Panicked {
    text: Arc<str>,
}

impl Panicked {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        let text = match payload.downcast_ref::<&'static str>() {
            Some(text) => text,
            None => payload
                .downcast_ref::<String>()
                .map_or("with a payload that is no text", String::as_str),
        };
        Self { text: text.into() }
    }

    /// The panic's message, where it has one.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panicked").field(&self.text).finish()
    }
}

/// A creation's error, shared and without its type.
///
/// Its text and its sources are those of the creator's error where that is a text, a
/// [`std::io::Error`] or a `Box<dyn Error + Send + Sync>`. Of other types Rust cannot tell whether
/// they have a text. For them, [`downcast_ref`](Failure::downcast_ref) gives the error itself, and
/// the message names the type.
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
///         // Another thread calls, with another error type, and waits for this creation ...
///         let call = || pile.get_or_try_create(|| "7".parse::<u8>()).map(|seven| *seven);
///         waiter = Some(threads.spawn(call));
///         while pile.waiters() == 0 {
///             thread::yield_now();
///         }
///         Err("no route") // ... which fails.
///     });
///     waiter.unwrap().join().unwrap()
/// });
/// let Err(Error::Failed(failure)) = answer else { panic!() };
/// assert_eq!(failure.to_string(), "creating the value failed: no route");
/// assert_eq!(failure.downcast_ref::<&str>(), Some(&"no route"));
/// ```
#[derive(Clone)]
pub struct Failure(Arc<dyn Erased>);

/// An error of whatever type.
trait Erased: Send + Sync {
    fn type_name(&self) -> &'static str;

    fn as_any(&self) -> &dyn Any;

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<E: Send + Sync + 'static> Erased for E {
    fn type_name(&self) -> &'static str {
        type_name::<E>()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Failure {
    pub(crate) fn new<E: Send + Sync + 'static>(error: Arc<E>) -> Self {
        Self(error)
    }

    /// Whether a creator panicked: then [`downcast_ref`](Failure::downcast_ref) gives the
    /// [`Panicked`].
    pub fn is_panicked(&self) -> bool {
        self.downcast_ref::<Panicked>().is_some()
    }

    /// Whether it is no failure, but an [`OverRate`].
    fn is_over_rate(&self) -> bool {
        self.downcast_ref::<OverRate>().is_some()
    }

    /// Whether nothing was created since a wait limit passed, an executor did not run the creation, or
    /// the pile backs off: then [`downcast_ref`](Failure::downcast_ref) gives an `Error<Infallible>`
    /// that says so.
    pub fn as_refusal(&self) -> Option<&Error<Infallible>> {
        self.downcast_ref()
    }

    /// The creator's error, if `E` is its type.
    pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
        (*self.0).as_any().downcast_ref()
    }

    /// The name of the type of the creator's error, for messages.
    pub fn type_name(&self) -> &'static str {
        (*self.0).type_name()
    }

    /// The text of the creator's error, where its type is known to have one.
    pub fn text(&self) -> Option<String> {
        if let Some(text) = self.downcast_ref::<&'static str>() {
            return Some((*text).to_owned());
        }
        match self.downcast_ref::<String>() {
            Some(text) => Some(text.clone()),
            None => self.as_error().map(ToString::to_string),
        }
    }

    /// The error of a caller whose own error type is `E`: [`Error::Create`] where the creator's was
    /// the same, else [`Error::Failed`].
    pub fn into_error<E: Send + Sync + 'static>(self) -> Error<E> {
        if self.downcast_ref::<E>().is_none() {
            return match self.downcast_ref::<Missing>() {
                Some(_) => Error::Missing,
                None => Error::Failed(self),
            };
        }
        match self.0.into_any().downcast() {
            Ok(error) => Error::Create(error),
            Err(_) => unreachable!("it was just seen to be one"),
        }
    }

    /// The creator's error as one, where its type is known to be one or to stand for one.
    fn as_error(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Some(error) = self.downcast_ref::<Box<Source>>() {
            return Some(&**error);
        }
        if let Some(error) = self.downcast_ref::<Panicked>() {
            return Some(error);
        }
        if let Some(missing) = self.downcast_ref::<Missing>() {
            return Some(missing);
        }
        if let Some(over_rate) = self.downcast_ref::<OverRate>() {
            return Some(over_rate);
        }
        if let Some(error) = self.downcast_ref::<Error<Infallible>>() {
            return Some(error);
        }
        let error = self.downcast_ref::<std::io::Error>()?;
        Some(error)
    }
}

impl From<Panicked> for Failure {
    fn from(panicked: Panicked) -> Self {
        Failure::new(Arc::new(panicked))
    }
}

impl<E: Send + Sync + 'static> From<Error<E>> for Failure {
    /// What the error tells, shared and without its type.
    fn from(error: Error<E>) -> Self {
        match error {
            Error::Create(error) => Failure::new(error),
            Error::Get(error) => Failure::new(Arc::new(error)),
            Error::Failed(failure) => failure,
            Error::Panicked(panicked) => panicked.into(),
            other => Failure::new(Arc::new(other.untyped::<Infallible>())),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.as_error()?.source()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("creating the value failed")?;
        match self.text() {
            Some(text) => write!(f, ": {text}"),
            None => write!(f, ", with an error of type {}", self.type_name()),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failure").field(&self.type_name()).finish()
    }
}

// It shows an error and changes nothing in it.
impl UnwindSafe for Failure {}
impl RefUnwindSafe for Failure {}
