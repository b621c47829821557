//! Why a call gets no value.

use std::convert::Infallible;
use std::time::Duration;

use crate::error::{Cycle, Error, Failure, Panicked, Refused};

/// Why a call gets no value, whatever the error type of its creator.
pub(crate) enum Stop {
    Failed(Failure),
    Panicked(Panicked),
    TimedOut(Duration),
    Reentrant,
    HoldsReadGuard,
    HoldsWriteLock,
    #[cfg_attr(not(feature = "async"), expect(dead_code))]
    NoTimer,
    Refused(Refused),
    GivenUp,
    BackingOff {
        retry_in: Duration,
        failure: Option<Failure>,
    },
    /// Only of a call that [waits and nothing else](Role::Waits).
    ElectAnew,
    Cycle(Cycle),
}

impl Stop {
    pub(crate) fn into_error<E: Send + Sync + 'static>(self) -> Error<E> {
        match self {
            Stop::Failed(failure) => failure.into_error(),
            Stop::Panicked(panicked) => Error::Panicked(panicked),
            Stop::TimedOut(limit) => Error::TimedOut { limit },
            Stop::Reentrant => Error::Reentrant,
            Stop::HoldsReadGuard => Error::HoldsReadGuard,
            Stop::HoldsWriteLock => Error::HoldsWriteLock,
            Stop::NoTimer => Error::NoTimer,
            Stop::Refused(refused) => Error::Refused(refused),
            Stop::GivenUp => Error::GivenUp,
            Stop::BackingOff { retry_in, failure } => Error::BackingOff { retry_in, failure },
            Stop::Cycle(cycle) => Error::Cycle(cycle),
            Stop::ElectAnew => unreachable!("a call that creates elects anew itself"),
        }
    }
}

impl Stop {
    /// Whether an older value may stand in: nobody made a new one.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Stop::Failed(_)
            | Stop::Panicked(_)
            | Stop::TimedOut(_)
            | Stop::HoldsReadGuard
            | Stop::Refused(_)
            | Stop::GivenUp
            | Stop::BackingOff { .. } => true,
            Stop::Reentrant
            | Stop::Cycle(_)
            | Stop::HoldsWriteLock
            | Stop::NoTimer
            | Stop::ElectAnew => false,
        }
    }

    pub(super) fn into_failure(self) -> Failure {
        match self {
            Stop::BackingOff {
                failure: Some(failure),
                ..
            } => failure,
            stop => stop.into_error::<Infallible>().into(),
        }
    }
}
