//! How a pile is configured: [`Builder`], which holds the settings.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::answer::{Cold, Settings};
use crate::policy::Policy;
use crate::shim::Arc;
use crate::time::{Clock, Time};

/// The settings of a pile; see [`Dogpile::builder`](crate::Dogpile::builder).
///
/// [`build`](Builder::build) and all setters but [`clock`](Builder::clock) are `const`, so a
/// configured pile can be a `static`.
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

    /// How long a stale value may be served while one caller creates the next. Default: without
    /// limit.
    ///
    /// The limit counts from the end of the time to live. After the limit the value is *gone* and
    /// counts as no value: one caller creates, and the others wait. The term comes from RFC 5861.
    ///
    /// `Duration::ZERO` serves no value beyond its time to live. Choose it for a value that must not
    /// be used any longer, whatever happens to its source.
    ///
    /// [`expire`](crate::Dogpile::expire) does not move the limit. An expired value is stale at once,
    /// and is served until the same instant as before. That holds with a limit of zero too: such a
    /// value is served until its time to live is over. To remove a value at once, use
    /// [`invalidate`](crate::Dogpile::invalidate).
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, ManualClock};
    ///
    /// let clock = Arc::new(ManualClock::new());
    /// let pile = Dogpile::builder(Duration::from_secs(60))
    ///     .stale_while_revalidate(Duration::from_secs(10))
    ///     .clock(clock.clone())
    ///     .build();
    /// pile.set(7);
    /// pile.expire();
    /// clock.advance(Duration::from_secs(70));
    /// assert!(pile.has_value()); // It is stale, but may still be served.
    /// clock.advance(Duration::from_secs(1));
    /// assert!(!pile.has_value()); // It is gone.
    /// ```
    pub const fn stale_while_revalidate(mut self, limit: Duration) -> Self {
        self.settings.policy.stale_while_revalidate = Some(limit);
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): the pile starts as if its value had been created at
    /// the first call.
    ///
    /// If that call finds a value without an age, the value counts as fresh from then on. Without this
    /// setting such a value counts as no value, and the first call creates.
    pub const fn init(mut self) -> Self {
        self.settings.cold.init = true;
        self
    }

    /// For [`acquire`](crate::Dogpile::acquire): whether the pile itself keeps the value of its last
    /// creation. Default: it does.
    ///
    /// The kept value serves callers whose look-up missed while the value was being created. It also
    /// serves while the store [cannot be reached](crate::Lookup::Unreachable). Without it, such
    /// callers create again.
    pub const fn keep_last(mut self, keep: bool) -> Self {
        self.settings.cold.keep = keep;
        self
    }

    /// The clock of the pile. Default: [`SystemClock`](crate::SystemClock).
    ///
    /// Tests give the pile a [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.settings.time = Time::injected(clock);
        self
    }

    /// As [`clock`](Builder::clock), for a clock that is a `static`. The pile can be a `static` too.
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
        // The clock before it is not dropped, since no destructor runs at compile time. If that clock
        // was in an `Arc`, its share is leaked.
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
