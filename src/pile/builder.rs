//! How a pile is configured: [`Builder`], which is the configuration itself.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::answer::{Cold, Settings};
use crate::policy::Policy;
use crate::shim::Arc;
use crate::time::{Clock, Time};

/// The settings of a pile; see [`Dogpile::builder`](crate::Dogpile::builder).
///
/// The setters of plain values, and [`build`](Builder::build), are `const`: a configured pile can
/// be a `static`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
///
/// static RATES: Dogpile<Vec<f64>> = Dogpile::builder(Duration::from_secs(300))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .build();
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct Builder<T> {
    pub(crate) settings: Settings,
    value: PhantomData<fn() -> T>,
}

impl<T> Builder<T> {
    pub(crate) const fn new(ttl: Duration) -> Self {
        Self {
            settings: Settings {
                cold: Cold {
                    init: false,
                    keep: true,
                },
                time: Time::SYSTEM,
                policy: Policy {
                    stale_while_revalidate: None,
                    ttl,
                },
            },
            value: PhantomData,
        }
    }

    /// How long a stale value may still be served while another is created. Default: without limit.
    ///
    /// A value that was stale for longer is *dead*, and treated as none: callers wait.
    /// `Duration::ZERO` serves no stale value at all, and makes [`expire`](crate::Dogpile::expire)
    /// act as [`invalidate`](crate::Dogpile::invalidate): set it to fail closed. The term is that
    /// of RFC 5861.
    pub const fn stale_while_revalidate(mut self, limit: Duration) -> Self {
        self.settings.policy.stale_while_revalidate = Some(limit);
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): starts as if created at the first call.
    ///
    /// What that call finds, and cannot tell the age of, counts as fresh from then on. Without this
    /// such a value counts as none, so that the first call creates.
    pub const fn init(mut self) -> Self {
        self.settings.cold.init = true;
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): whether the pile keeps the value of its last
    /// creation besides, for callers who looked it up in vain while it was created. Default: it
    /// does.
    ///
    /// Switched off, such a caller creates again.
    pub const fn keep_last(mut self, keep: bool) -> Self {
        self.settings.cold.keep = keep;
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.time = Time::injected(clock);
        self
    }

    /// As [`clock`](Builder::clock), for a clock and a pile that are a `static`.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock};
    ///
    /// static CLOCK: ManualClock = ManualClock::new();
    /// static RATES: Dogpile<u32> = Dogpile::builder(Duration::from_secs(60))
    ///     .clock_static(&CLOCK)
    ///     .build();
    ///
    /// RATES.set(7);
    /// CLOCK.advance(Duration::from_secs(61));
    /// assert!(!RATES.is_fresh());
    /// ```
    pub const fn clock_static(mut self, clock: &'static dyn Clock) -> Self {
        // Not dropped, as no destructor runs at compile time: an `Arc` that was given before it is
        // never given back.
        std::mem::forget(std::mem::replace(
            &mut self.settings.time,
            Time::fixed(clock),
        ));
        self
    }
}

impl<T> Clone for Builder<T> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            value: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("ttl", &self.settings.policy.ttl)
            .field(
                "stale_while_revalidate",
                &self.settings.policy.stale_while_revalidate,
            )
            .field("clock", &self.settings.time)
            .field("init", &self.settings.cold.init)
            .field("keep_last", &self.settings.cold.keep)
            .finish()
    }
}
