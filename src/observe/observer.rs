//! What an observer is told, and what it may put around a creation.

use std::panic::Location;
use std::time::Duration;

use crate::error::Failure;
use crate::observe::Holder;

/// Is told of what happens to the creations of a pile; see
/// [`Builder::observer`](crate::Builder::observer).
///
/// It is called by the thread on which the thing happens, never under a lock. Whoever waits was woken
/// before, and the lease is free. So an observer that blocks keeps only that one caller, and it may call
/// the pile. A panic in it is contained. An observer that has the pile create is told of that creation
/// in turn.
///
/// Two ends of leases may be told at the same time, and in either order: the [fence](Ended::fence) is
/// their order.
///
/// # Example
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use dogpile::Dogpile;
/// use dogpile::observe::{Event, Observer};
///
/// #[derive(Default)]
/// struct Log(Mutex<Vec<String>>);
///
/// impl Observer for Log {
///     fn event(&self, event: &Event) {
///         let Event::Ended(ended) = event else { return };
///         self.0.lock().unwrap().push(ended.end.name().to_owned());
///     }
/// }
///
/// let log = Arc::new(Log::default());
/// let pile = Dogpile::builder(Duration::from_secs(60)).observer(log.clone()).build();
/// let _ = pile.get_or_try_create(|| Err("no route"));
/// assert_eq!(*pile.get_or_create(|| 7), 7);
/// assert_eq!(*log.0.lock().unwrap(), ["failed", "published"]);
/// ```
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);

    /// A lease was granted, and the creator has not begun. What is returned is [entered](Scope::enter)
    /// while the creator runs, wherever that is.
    ///
    /// It is called by the elected caller, also if the creation will run in the background. It counts
    /// as inside of the creator: a call of the same pile gets the value held, or
    /// [`Error::Reentrant`](crate::Error::Reentrant).
    fn begin(&self, begun: &Begun) -> Option<Box<dyn Scope>> {
        let _ = begun;
        None
    }
}

/// What an [`Observer`] is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A lease ended: each lease does, once.
    Ended(Ended),
}

/// A lease that was granted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Begun {
    /// Its number. Every lease of a pile has a higher one than those before.
    pub fence: u64,
    /// Who was elected.
    pub holder: Holder,
    /// The call that was elected, where it is known: for threads, in the foreground.
    pub location: Option<&'static Location<'static>>,
}

/// A lease that ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The number of the lease.
    pub fence: u64,
    /// How it ended.
    pub end: End,
    /// For how long it was held, by the clock of the pile.
    pub took: Duration,
    /// How many callers waited for it as it ended.
    pub waiters: usize,
    /// For how long the pile had been served stale until this lease published: since the first
    /// election with a stale value at hand. `None` if it was not, or if nothing was published.
    pub served_stale: Option<Duration>,
    /// Who was elected.
    pub holder: Holder,
    /// The call that was elected, where it is known: for threads, in the foreground.
    pub location: Option<&'static Location<'static>>,
}

/// How a lease ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum End {
    /// With a value, which became the current one.
    Published,
    /// The creator failed.
    Failed(Failure),
    /// The creator panicked. [`Failure::text`] has the message.
    Panicked(Failure),
    /// The lease was dropped: its call was cancelled, or the job while it ran.
    GivenUp,
    /// Nothing ever ran: an executor did not take the job, or dropped it before it began.
    Refused(Failure),
    /// A `set` or an `invalidate` came meanwhile. The result went to its caller, and perhaps to those
    /// who waited. If it was no value, this is the failure.
    Superseded(Option<Failure>),
    /// The lease was held for too long, and somebody else was elected.
    TakenOver,
}

impl End {
    /// The same of a lease that was superseded.
    pub(crate) fn superseded(self) -> Self {
        match self {
            End::Published => End::Superseded(None),
            End::Failed(failure) | End::Panicked(failure) => End::Superseded(Some(failure)),
            end => end,
        }
    }

    /// A short name, for labels: `published`, `failed`, `panicked`, `given_up`, `refused`,
    /// `superseded`, `taken_over`.
    pub fn name(&self) -> &'static str {
        match self {
            End::Published => "published",
            End::Failed(_) => "failed",
            End::Panicked(_) => "panicked",
            End::GivenUp => "given_up",
            End::Refused(_) => "refused",
            End::Superseded(_) => "superseded",
            End::TakenOver => "taken_over",
        }
    }

    /// The failure, if there was one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            End::Failed(failure) | End::Panicked(failure) | End::Refused(failure) => Some(failure),
            End::Superseded(failure) => failure.as_ref(),
            End::Published | End::GivenUp | End::TakenOver => None,
        }
    }
}

/// What an [`Observer`] has put around a creation, such as a span of a trace.
///
/// It is entered by each thread that runs the creator, for as long as it does: of a creator that is a
/// future, for the length of each poll. It is dropped when the lease is. A panic in it is contained.
pub trait Scope: Send + Sync {
    /// The creator runs on this thread from here on.
    fn enter(&self);

    /// It does not any more.
    fn leave(&self);

    /// The lease ended. Comes just before the [event](Observer::event) that tells the same.
    fn end(&self, ended: &Ended) {
        let _ = ended;
    }
}
