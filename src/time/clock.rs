//! Where "now" comes from: [`Clock`], [`Tick`], [`SystemClock`] and [`ManualClock`]. The only file
//! that asks the time.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;
use std::time::Duration;

use crate::shim::{Arc, Mutex, contain};

/// An instant on a [`Clock`]: nanoseconds since the clock's own origin.
///
/// Arithmetic never overflows: it stops at the ends of the range, 0 and about 584 years. The last
/// tick stands for "never", so a time to live beyond the clock's range does not end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Tick(u64);

impl Tick {
    /// The clock's origin.
    pub const ZERO: Tick = Tick(0);
    /// The end of the range: never.
    pub const MAX: Tick = Tick(u64::MAX);

    /// The instant this many nanoseconds after the clock's origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Tick(nanos)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The instant `span` later, or [`Tick::MAX`].
    #[must_use]
    #[inline]
    pub fn saturating_add(self, span: Duration) -> Self {
        Tick(self.0.saturating_add(nanos(span)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn saturating_since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A span in nanoseconds, as far as the clock's range goes.
#[inline]
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A source of time that a pile can be given instead of the system's.
///
/// Given with [`Builder::clock`](crate::Builder::clock), for tests ([`ManualClock`]) or for a
/// notion of time of your own, such as a clock that goes on while the machine is suspended.
///
/// A clock may be asked by many threads at once and should be quick. One that steps back does no
/// harm: an age is never less than zero.
pub trait Clock: Send + Sync + 'static {
    /// The exact time, which never gets to [`Tick::MAX`]: that stands for "never".
    fn now(&self) -> Tick;

    /// The time, cheaply: never ahead of [`now`](Clock::now), behind it by at most
    /// [`lag`](Clock::lag).
    ///
    /// Hits ask this one, and the exact one only where the lag could matter.
    fn coarse(&self) -> Tick {
        self.now()
    }

    /// How far [`coarse`](Clock::coarse) may be behind.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Asks to have `sleeper` woken, once, when the time has been changed by hand; says whether it
    /// will be.
    ///
    /// `false`, the default, says that time runs by itself, at the system's pace: then sleepers use
    /// the system's time-outs.
    fn on_advance(&self, sleeper: &Waker) -> bool {
        let _ = sleeper;
        false
    }
}

/// The system's monotonic clock, which a pile uses unless told otherwise.
///
/// A step of the wall clock changes nothing. The clock stands still while the machine is suspended:
/// after eight hours of sleep a token with an hour to live looks fresh. Where that matters, inject
/// a [`Clock`] over `CLOCK_BOOTTIME`.
///
/// On Linux the coarse time is `CLOCK_MONOTONIC_COARSE`, about a fifth of the cost of the exact
/// one; elsewhere it is the exact one.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
mod system {
    use super::Tick;
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    /// The coarse clock moves on with the kernel's tick, at the slowest 100 times a second, and a
    /// tick may come late: three periods cover it. Near its end a value pays for the exact clock,
    /// nothing else depends on this figure.
    pub(super) const LAG: Duration = Duration::from_millis(30);

    #[inline]
    fn read(id: ClockId) -> Tick {
        let time = clock_gettime(id);
        // Neither is negative, and their sum fits for 584 years of running.
        let seconds = time.tv_sec as u64;
        Tick(
            seconds
                .wrapping_mul(1_000_000_000)
                .wrapping_add(time.tv_nsec as u64),
        )
    }

    #[cold]
    pub(super) fn now() -> Tick {
        read(ClockId::Monotonic)
    }

    #[inline]
    pub(super) fn coarse() -> Tick {
        read(ClockId::MonotonicCoarse)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Tick, nanos};
    use crate::shim::OnceLock;
    use std::time::{Duration, Instant};

    pub(super) const LAG: Duration = Duration::ZERO;

    pub(super) fn now() -> Tick {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        Tick(nanos(ORIGIN.get_or_init(Instant::now).elapsed()))
    }

    pub(super) fn coarse() -> Tick {
        now()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Tick {
        system::now()
    }

    #[inline]
    fn coarse(&self) -> Tick {
        system::coarse()
    }

    #[inline]
    fn lag(&self) -> Duration {
        system::LAG
    }
}

/// A clock that moves when told to, for tests that see time pass without sleeping.
///
/// It starts at [`Tick::ZERO`]. Moving it wakes every caller that sleeps with a wait limit, who
/// then looks again.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dogpile::{Dogpile, ManualClock};
///
/// let clock = Arc::new(ManualClock::new());
/// let pile = Dogpile::builder(Duration::from_secs(60)).clock(clock.clone()).build();
/// pile.set("one");
/// clock.advance(Duration::from_secs(60));
/// assert!(pile.is_fresh()); // exactly as old as its time to live: still fresh
/// clock.advance(Duration::from_nanos(1));
/// assert!(!pile.is_fresh());
/// ```
pub struct ManualClock {
    state: Mutex<ManualState>,
}

#[derive(Default)]
struct ManualState {
    now: Tick,
    sleepers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that stands at [`Tick::ZERO`].
    pub fn new() -> Self {
        Self {
            state: Mutex::new(ManualState::default()),
        }
    }

    /// Moves the clock on by `span` and wakes who sleeps by it.
    pub fn advance(&self, span: Duration) {
        self.change(|now| now.saturating_add(span));
    }

    /// Puts the clock to `time`, which may be in the past, and wakes who sleeps by it.
    pub fn set(&self, time: Tick) {
        self.change(|_| time);
    }

    fn change(&self, step: impl FnOnce(Tick) -> Tick) {
        let sleepers = {
            let mut state = self.state.lock();
            state.now = step(state.now);
            std::mem::take(&mut state.sleepers)
        };
        for sleeper in sleepers {
            contain(|| sleeper.wake());
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        self.state.lock().now
    }

    fn on_advance(&self, sleeper: &Waker) -> bool {
        let sleeper = sleeper.clone();
        self.state.lock().sleepers.push(sleeper);
        true
    }
}

// A panic leaves it whole: nothing but moving the time and the list happens under its lock.
impl RefUnwindSafe for ManualClock {}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// The clock of a pile: an injected one, or the system's without an indirect call.
#[derive(Clone)]
pub(crate) struct Time(Option<Arc<dyn Clock>>);

/// How long a sleeper with a deadline may sleep.
pub(crate) enum SleepPlan {
    /// The deadline has passed.
    Over,
    /// By the system's time-out.
    For(Duration),
    /// Until woken: the clock wakes whoever it must.
    UntilWoken,
}

impl Time {
    pub(crate) const SYSTEM: Time = Time(None);

    pub(crate) fn injected(clock: Arc<dyn Clock>) -> Self {
        Time(Some(clock))
    }

    /// Whether it runs at the system's pace for certain, and so wakes nobody.
    #[cfg(feature = "async")]
    pub(crate) fn is_system(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        match &self.0 {
            None => SystemClock.now(),
            Some(clock) => clock.now(),
        }
    }

    /// The time to within the clock's lag.
    pub(crate) fn coarse(&self) -> Tick {
        match &self.0 {
            None => SystemClock.coarse(),
            Some(clock) => clock.coarse(),
        }
    }

    /// Bounds of the time, cheaply: it is no earlier than the first and no later than the second.
    #[inline]
    pub(crate) fn bounds(&self) -> (Tick, Tick) {
        match &self.0 {
            None => bounds(&SystemClock),
            Some(clock) => injected_bounds(&**clock),
        }
    }

    /// What a sleeper that gives up at `deadline` should do now; `waker` makes it look again.
    pub(crate) fn sleep_plan(&self, deadline: Tick, waker: impl FnOnce() -> Waker) -> SleepPlan {
        // Registered before the clock is read: a move in between is then seen by the one or the
        // other.
        let woken = match &self.0 {
            None => false,
            Some(clock) => clock.on_advance(&waker()),
        };
        let now = self.now();
        if now >= deadline {
            SleepPlan::Over
        } else if woken || deadline == Tick::MAX {
            SleepPlan::UntilWoken
        } else {
            SleepPlan::For(deadline.saturating_since(now))
        }
    }
}

#[inline(always)]
fn bounds(clock: &(impl Clock + ?Sized)) -> (Tick, Tick) {
    let coarse = clock.coarse();
    (coarse, coarse.saturating_add(clock.lag()))
}

// A function of its own, to keep it out of the way of the other.
#[inline(never)]
fn injected_bounds(clock: &dyn Clock) -> (Tick, Tick) {
    bounds(clock)
}

// The pile asks a clock and relies on nothing that it said before.
impl UnwindSafe for Time {}
impl RefUnwindSafe for Time {}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "system",
            Some(_) => "injected",
        })
    }
}
