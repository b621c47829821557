//! Why a call brought no value: [`FleetError`].

use std::any::{Any, type_name};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Panicked, Refused};

use crate::store::StoreError;

/// Why a call of a [`FleetDogpile`](crate::FleetDogpile) brought no value. All callers in this process
/// that waited for one creation share it.
#[non_exhaustive]
pub enum FleetError<E> {
    /// The creator failed.
    Create(Arc<E>),
    /// The creator of another call failed, with an error of another type.
    Failed(Foreign),
    /// The creator of another call panicked.
    Panicked(Panicked),
    /// The store failed, and [`OnStoreError::Fail`](crate::OnStoreError) makes that the answer.
    Store(Arc<StoreError>),
    /// Nobody in the fleet may create yet, and there is no usable value.
    #[non_exhaustive]
    BackingOff {
        /// When the next creation may begin.
        retry_in: Duration,
    },
    /// The wait limit is over.
    TimedOut,
    /// The call was made from within the creator of this very pile.
    Reentrant,
    /// The call has a wait limit, and there is no timer to keep it.
    NoTimer,
    /// The executor did not take the creation.
    Refused(Refused),
    /// The creation was dropped while it ran.
    GivenUp,
    /// A creator for several keys left this one out.
    Missing,
}

impl<E> FleetError<E> {
    /// The same once more, for a key that is named twice.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Create(error) => Self::Create(Arc::clone(error)),
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Panicked(panic) => Self::Panicked(panic.clone()),
            Self::Store(error) => Self::Store(Arc::clone(error)),
            Self::BackingOff { retry_in } => Self::BackingOff {
                retry_in: *retry_in,
            },
            Self::TimedOut => Self::TimedOut,
            Self::Reentrant => Self::Reentrant,
            Self::NoTimer => Self::NoTimer,
            Self::Missing => Self::Missing,
            // No call for several keys has an executor.
            Self::Refused(_) | Self::GivenUp => Self::GivenUp,
        }
    }

    /// The creator's error, if it was that.
    pub fn created(&self) -> Option<&E> {
        match self {
            Self::Create(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the wait limit was over.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// When the next creation may begin, if that is what the call has to wait for.
    pub fn retry_in(&self) -> Option<Duration> {
        match self {
            Self::BackingOff { retry_in } => Some(*retry_in),
            _ => None,
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for FleetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(error) => f.debug_tuple("Create").field(error).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::Panicked(panic) => f.debug_tuple("Panicked").field(panic).finish(),
            Self::Store(error) => f.debug_tuple("Store").field(error).finish(),
            Self::BackingOff { retry_in } => f
                .debug_struct("BackingOff")
                .field("retry_in", retry_in)
                .finish(),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::Reentrant => f.write_str("Reentrant"),
            Self::NoTimer => f.write_str("NoTimer"),
            Self::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
            Self::GivenUp => f.write_str("GivenUp"),
            Self::Missing => f.write_str("Missing"),
        }
    }
}

impl<E> fmt::Display for FleetError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(_) => f.write_str("the value could not be created"),
            Self::Failed(error) => error.fmt(f),
            Self::Panicked(panic) => panic.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::BackingOff { retry_in } => {
                write!(f, "nobody may create the value for another {retry_in:?}")
            }
            Self::TimedOut => f.write_str("another creation took longer than the wait limit"),
            Self::Reentrant => f.write_str("a creator asked for the very value that it creates"),
            Self::NoTimer => f.write_str("a wait limit needs a timer"),
            Self::Refused(refused) => refused.fmt(f),
            Self::GivenUp => f.write_str("the creation was dropped while it ran"),
            Self::Missing => f.write_str("the creator for several keys left this one out"),
        }
    }
}

impl<E: Error + 'static> Error for FleetError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Create(error) => Some(&**error),
            Self::Panicked(panic) => Some(panic),
            Self::Store(error) => Some(&**error),
            Self::Refused(refused) => Some(refused),
            _ => None,
        }
    }
}

/// The error of a creator whose type differs from the caller's.
#[derive(Clone)]
pub struct Foreign {
    error: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
}

impl Foreign {
    /// The error, if it is of this type.
    pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Foreign").field(&self.type_name).finish()
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "another call could not create the value: {}",
            self.type_name
        )
    }
}

impl Error for Foreign {}

/// Why a creation failed, as the pile of this process is told: one type for all callers.
#[derive(Clone)]
pub enum Fail {
    Create(Foreign),
    Store(Arc<StoreError>),
    BackingOff(Duration),
    TimedOut,
    Missing,
}

impl Fail {
    pub(crate) fn create<E: Send + Sync + 'static>(error: E) -> Self {
        Self::Create(Foreign {
            error: Arc::new(error),
            type_name: type_name::<E>(),
        })
    }
}

impl<E: Send + Sync + 'static> From<Fail> for FleetError<E> {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Create(foreign) => match Arc::downcast(Arc::clone(&foreign.error)) {
                Ok(error) => Self::Create(error),
                Err(_) => Self::Failed(foreign),
            },
            Fail::Store(error) => Self::Store(error),
            Fail::BackingOff(retry_in) => Self::BackingOff { retry_in },
            Fail::TimedOut => Self::TimedOut,
            Fail::Missing => Self::Missing,
        }
    }
}

impl<E: Send + Sync + 'static> From<dogpile::Error<Fail>> for FleetError<E> {
    fn from(error: dogpile::Error<Fail>) -> Self {
        match error {
            dogpile::Error::Create(fail) => Fail::clone(&fail).into(),
            dogpile::Error::Panicked(panic) => Self::Panicked(panic),
            dogpile::Error::TimedOut { .. } => Self::TimedOut,
            dogpile::Error::Reentrant => Self::Reentrant,
            dogpile::Error::NoTimer => Self::NoTimer,
            dogpile::Error::Refused(refused) => Self::Refused(refused),
            // The rest is of piles of another kind.
            _ => Self::GivenUp,
        }
    }
}

/// Why a write was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The store failed. Whether the value was written is known only if the store says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The value has no bytes.
    #[error("the value cannot be encoded")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
}
