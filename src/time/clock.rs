//! Where "now" comes from: [`Clock`], [`Tick`], [`SystemClock`] and [`ManualClock`]. No other file
//! asks the time.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::task::Waker;
use std::time::Duration;

use crate::shim::{Arc, Mutex, Tally, contain};

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

    /// The instant `span` earlier, or [`Tick::ZERO`]. "Never" stays never.
    pub(crate) fn saturating_sub(self, span: Duration) -> Self {
        match self {
            Tick::MAX => Tick::MAX,
            Tick(tick) => Tick(tick.saturating_sub(nanos(span))),
        }
    }

    /// This instant, and the one so many nanoseconds later.
    #[inline]
    pub(in crate::time) fn and_later(self, nanos: u64) -> (Self, Self) {
        (self, Tick(self.0.saturating_add(nanos)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn saturating_since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A span in nanoseconds, as far as the clock's range goes.
#[inline]
pub(in crate::time) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A source of time that a pile can be given instead of the system's clock.
///
/// [`Builder::clock`](crate::Builder::clock) takes one: a [`ManualClock`] in tests, a
/// [`BootClock`](crate::BootClock) where the machine may be suspended, or a clock of your own.
///
/// Many threads may ask a clock at once, so it should be quick. A clock that steps back is safe: an
/// age is never less than zero.
pub trait Clock: Send + Sync + 'static {
    /// The exact time. It never reaches [`Tick::MAX`], which stands for "never".
    fn now(&self) -> Tick;

    /// The time, read cheaply: never ahead of [`now`](Clock::now), and behind it by at most
    /// [`lag`](Clock::lag).
    ///
    /// Hits ask for this time. They ask for the exact one only where the lag could matter.
    fn coarse(&self) -> Tick {
        self.now()
    }

    /// How far [`coarse`](Clock::coarse) may be behind. If it is further behind than this, a value may
    /// be taken for fresh for that much longer than its time to live.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }

    /// Bounds of the time, read cheaply: [`coarse`](Clock::coarse), and [`lag`](Clock::lag) later.
    ///
    /// This is what a hit asks for, in one call. A clock need not have its own.
    fn bounds(&self) -> (Tick, Tick) {
        let coarse = self.coarse();
        (coarse, coarse.saturating_add(self.lag()))
    }

    /// Asks to have `sleeper` woken, once, when the time has been changed by hand. The answer says
    /// whether the clock will do so.
    ///
    /// `false`, the default, says that time runs by itself, at the system's pace. Then sleepers use
    /// the system's time-outs.
    fn on_advance(&self, sleeper: &Waker) -> bool {
        let _ = sleeper;
        false
    }

    /// Says that `sleeper`, which [`on_advance`](Clock::on_advance) took, need not be woken any more.
    ///
    /// A clock that keeps wakers can drop this one; it finds it by [`Waker::will_wake`]. The default
    /// does nothing: waking a sleeper that is gone does nothing.
    fn forget(&self, sleeper: &Waker) {
        let _ = sleeper;
    }
}

/// The system's monotonic clock, which a pile uses unless told otherwise.
///
/// A step of the wall clock changes nothing. The clock stands still while the machine is suspended:
/// after eight hours of sleep a token with an hour to live looks fresh. Where that matters, inject
/// the [`BootClock`](crate::BootClock).
///
/// On Linux the coarse time is `CLOCK_MONOTONIC_COARSE`, which costs about a fifth of the exact one.
/// Elsewhere it is the exact one.
///
/// # How far behind the coarse time can be
///
/// The kernel moves the coarse time on at each tick of its timer, at least 100 times a second. A tick
/// comes late where the host takes the processor away from a virtual machine, or where the kernel
/// itself is held up. So the kernel promises no bound, and [`lag`](Clock::lag) is an estimate: 30
/// milliseconds at first. Each reading of the exact time, which piles do whenever they create or set a
/// value, compares the two. If the coarse time was found further behind than half of the estimate, the
/// estimate becomes twice what was found, up to one second. It never becomes less.
///
/// What is left is a tick that comes later than ever before in the process: meanwhile a hit can take a
/// value for fresh whose time to live ended up to that much earlier. Where that must not happen,
/// inject a [`Clock`] that only has [`now`](Clock::now): its coarse time is the exact one.
///
/// # Where there is no clock
///
/// `wasm32-unknown-unknown` has none: there, asking this one panics and says so. Give the pile a clock
/// of your own with [`Builder::clock`](crate::Builder::clock), for example one over the
/// `performance.now()` of the browser.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// What hits allow the coarse time to be behind, from what was found.
#[cfg(any(target_os = "linux", test))]
pub(in crate::time) mod lag {
    /// Three periods of the slowest tick, in nanoseconds: 100 a second, of which one may come late.
    pub(in crate::time) const LEAST: u64 = 30_000_000;
    /// Hits on values that are this near their end ask for the exact time, so there has to be an end
    /// to it: a machine that was stopped for a minute is found to be a minute behind, once.
    pub(super) const MOST: u64 = 1_000_000_000;

    /// The estimate to go by from now on, if `found` changes it.
    #[inline]
    pub(in crate::time) fn raised(estimate: u64, found: u64) -> Option<u64> {
        let raised = found.saturating_mul(2).min(MOST);
        (raised > estimate).then_some(raised)
    }
}

#[cfg(target_os = "linux")]
pub(in crate::time) mod system {
    use super::{Tick, lag};
    use crate::shim::Estimate;
    use rustix::time::{ClockId, clock_gettime};

    /// How far behind the coarse time may be, in nanoseconds.
    static LAG: Estimate = Estimate::new(lag::LEAST);

    #[inline]
    pub(in crate::time) fn read(id: ClockId) -> Tick {
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
    pub(in crate::time) fn now() -> Tick {
        let now = read(ClockId::Monotonic);
        // Read second: if this thread is stopped in between, it finds less, and nothing that was not
        // so.
        note(now.0.saturating_sub(coarse().0));
        now
    }

    /// The coarse time was found to be so far behind.
    #[inline]
    pub(super) fn note(found: u64) {
        if let Some(raised) = lag::raised(LAG.get(), found) {
            LAG.raise_to(raised);
        }
    }

    #[inline]
    pub(in crate::time) fn coarse() -> Tick {
        read(ClockId::MonotonicCoarse)
    }

    #[inline]
    pub(in crate::time) fn lag() -> u64 {
        LAG.get()
    }
}

#[cfg(all(
    not(target_os = "linux"),
    not(all(target_family = "wasm", target_os = "unknown"))
))]
pub(in crate::time) mod system {
    use super::{Tick, nanos};
    use crate::shim::OnceLock;
    use std::time::Instant;

    pub(in crate::time) fn now() -> Tick {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        Tick(nanos(ORIGIN.get_or_init(Instant::now).elapsed()))
    }

    pub(in crate::time) fn coarse() -> Tick {
        now()
    }

    pub(in crate::time) fn lag() -> u64 {
        0
    }
}

// The standard library's clock compiles there, and panics without naming a remedy.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(in crate::time) mod system {
    use super::Tick;

    #[track_caller]
    pub(in crate::time) fn now() -> Tick {
        panic!(
            "dogpile: this target has no clock. Give the pile one with `Builder::clock`: a type of your \
             own that implements `dogpile::Clock`"
        );
    }

    #[track_caller]
    pub(in crate::time) fn coarse() -> Tick {
        now()
    }

    pub(in crate::time) fn lag() -> u64 {
        0
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
        Duration::from_nanos(system::lag())
    }

    // Without the detour over a `Duration`.
    #[inline]
    fn bounds(&self) -> (Tick, Tick) {
        self.coarse().and_later(system::lag())
    }
}

/// A clock that moves when told to, for tests that see time pass without sleeping.
///
/// It starts at [`Tick::ZERO`]. Moving it wakes every caller that sleeps with a wait limit. Those
/// callers then look at it again.
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

/// The sleepers are kept in the order in which they came, and are found by their identity, so that
/// each one is kept once, and can be taken out.
struct ManualState {
    now: Tick,
    /// The number of the sleeper that comes next.
    next: u64,
    sleepers: BTreeMap<u64, Waker>,
    numbers: BTreeMap<Identity, u64>,
}

/// Two wakers of which one [will wake](Waker::will_wake) the other's task have the same.
type Identity = (usize, usize);

fn identity(waker: &Waker) -> Identity {
    let vtable: *const _ = waker.vtable();
    (waker.data().addr(), vtable.addr())
}

impl ManualClock {
    crate::shim::const_unless_loom! {
        /// A clock that stands at [`Tick::ZERO`]. It can be a `static`.
        pub const fn new() -> Self {
            Self {
                state: Mutex::new(ManualState {
                    now: Tick::ZERO,
                    next: 0,
                    sleepers: BTreeMap::new(),
                    numbers: BTreeMap::new(),
                }),
            }
        }
    }

    /// Moves the clock on by `span` and wakes those who sleep by it.
    pub fn advance(&self, span: Duration) {
        self.change(|now| now.saturating_add(span));
    }

    /// Puts the clock to `time`, which may be in the past, and wakes those who sleep by it.
    pub fn set(&self, time: Tick) {
        self.change(|_| time);
    }

    fn change(&self, step: impl FnOnce(Tick) -> Tick) {
        let sleepers = {
            let mut state = self.state.lock();
            state.now = step(state.now);
            state.numbers.clear();
            std::mem::take(&mut state.sleepers)
        };
        for sleeper in sleepers.into_values() {
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
        // Cloned and dropped outside the lock: a waker is somebody else's code.
        let sleeper = sleeper.clone();
        let mut state = self.state.lock();
        // By the clone's identity, and not the original's: what is kept here keeps its identity from
        // being used again, so that nobody is taken for a sleeper that is gone.
        let (number, identity) = (state.next, identity(&sleeper));
        if state.numbers.contains_key(&identity) {
            drop(state);
            drop(sleeper);
        } else {
            state.next += 1;
            state.numbers.insert(identity, number);
            state.sleepers.insert(number, sleeper);
        }
        true
    }

    fn forget(&self, sleeper: &Waker) {
        let mut state = self.state.lock();
        let number = state.numbers.remove(&identity(sleeper));
        let forgotten = number.and_then(|number| state.sleepers.remove(&number));
        drop(state);
        drop(forgotten);
    }
}

// A panic leaves it whole: nothing but moving the time and the list happens under its lock.
impl RefUnwindSafe for ManualClock {}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        let (now, sleepers) = (state.now, state.sleepers.len());
        drop(state);
        f.debug_struct("ManualClock")
            .field("now", &now)
            .field("sleepers", &sleepers)
            .finish()
    }
}

/// The clock of a pile: an injected one, or the system's without an indirect call. And the count of its
/// hits, if it has one: a hit looks at the clock, and sees at the same glance that it is a plain one.
/// (Before the pile is built, `H` says whether there is to be a count.)
#[derive(Clone)]
pub(crate) struct Time<H = Tally> {
    source: Source,
    hits: H,
}

#[derive(Clone)]
enum Source {
    System,
    /// The same, of a pile that counts its hits.
    SystemCounted,
    Shared(Arc<dyn Clock>),
    /// For piles in a `static`, which cannot hold an `Arc`.
    Fixed(&'static dyn Clock),
}

/// How long a sleeper with a deadline may sleep.
pub(crate) enum SleepPlan {
    /// The deadline has passed.
    Over,
    /// By the system's time-out.
    For(Duration),
    /// Until woken: the clock wakes whoever it must.
    UntilWoken,
}

impl<H> Time<H> {
    pub(crate) const fn of_the_system(hits: H) -> Self {
        let source = Source::System;
        Self { source, hits }
    }

    /// Goes by this clock from now on.
    pub(crate) fn inject(&mut self, clock: Arc<dyn Clock>) {
        self.source = Source::Shared(clock);
    }

    /// As [`inject`](Time::inject), for a pile that is a `static`.
    ///
    /// The clock before it is not dropped, since no destructor runs at compile time. If that clock was in
    /// an `Arc`, its share is leaked.
    pub(crate) const fn fix(&mut self, clock: &'static dyn Clock) {
        std::mem::forget(std::mem::replace(&mut self.source, Source::Fixed(clock)));
    }

    pub(crate) fn hits(&self) -> &H {
        &self.hits
    }

    #[inline]
    fn clock(&self) -> Option<&dyn Clock> {
        match &self.source {
            Source::System | Source::SystemCounted => None,
            Source::Shared(clock) => Some(&**clock),
            Source::Fixed(clock) => Some(*clock),
        }
    }
}

impl Time<bool> {
    /// Is to count hits.
    pub(crate) const fn count_hits(&mut self) {
        self.hits = true;
        if let Source::System = self.source {
            // It has nothing to be dropped.
            std::mem::forget(std::mem::replace(&mut self.source, Source::SystemCounted));
        }
    }

    /// The same, of a pile that is built. It is taken out, since no destructor runs at compile time.
    pub(crate) const fn build(&mut self) -> Time {
        let source = std::mem::replace(&mut self.source, Source::System);
        let hits = match self.hits {
            true => Tally::on(),
            false => Tally::off(),
        };
        Time { source, hits }
    }
}

impl Time {
    #[cfg(any(feature = "async", all(test, dogpile_loom)))]
    pub(crate) const fn system() -> Self {
        Self::of_the_system(Tally::off())
    }

    /// Whether it wakes those who sleep by it, so that a task needs no timer.
    #[cfg(feature = "async")]
    pub(crate) fn wakes(&self) -> bool {
        let Some(clock) = self.clock() else {
            return false;
        };
        // A clone, as what a clock keeps is one: then it finds the same again.
        let nobody = Waker::noop().clone();
        let wakes = clock.on_advance(&nobody);
        clock.forget(&nobody);
        wakes
    }

    #[inline]
    pub(crate) fn now(&self) -> Tick {
        match self.clock() {
            None => SystemClock.now(),
            Some(clock) => clock.now(),
        }
    }

    /// The time to within the clock's lag.
    #[inline]
    pub(crate) fn coarse(&self) -> Tick {
        match self.clock() {
            None => SystemClock.coarse(),
            Some(clock) => clock.coarse(),
        }
    }

    /// Bounds of the time, cheaply: it is no earlier than the first and no later than the second.
    #[inline]
    pub(crate) fn bounds(&self) -> (Tick, Tick) {
        match self.source {
            Source::System => SystemClock.bounds(),
            _ => self.other_bounds(),
        }
    }

    /// What `of` says of the present, and a time for which it says that: read cheaply, where the lag does
    /// not matter to it.
    pub(crate) fn near<R: PartialEq>(&self, of: impl Fn(Tick) -> R) -> (R, Tick) {
        let (earliest, latest) = self.bounds();
        let said = of(earliest);
        // If it is the same at both bounds, so it is between them.
        if of(latest) == said {
            return (said, earliest);
        }
        let now = self.now();
        (of(now), now)
    }

    // A function of its own, to keep it out of the way of the other.
    #[inline(never)]
    fn other_bounds(&self) -> (Tick, Tick) {
        self.asked_bounds()
    }

    #[inline(always)]
    fn asked_bounds(&self) -> (Tick, Tick) {
        match self.clock() {
            None => SystemClock.bounds(),
            Some(clock) => clock.bounds(),
        }
    }

    /// The same for a hit, which is counted by that, if hits are: whoever finds that it is none says
    /// [so](Time::no_hit).
    #[inline]
    pub(crate) fn bounds_of_hit(&self) -> (Tick, Tick) {
        match self.source {
            // Whoever counts nothing pays nothing.
            Source::System => SystemClock.bounds(),
            _ => self.counted_bounds(),
        }
    }

    #[inline(never)]
    fn counted_bounds(&self) -> (Tick, Tick) {
        let bounds = self.asked_bounds();
        if self.hits.is_on() {
            self.hits.add();
        }
        bounds
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn no_hit(&self) {
        self.hits.take_back();
    }

    /// Says that a sleeper is gone which the clock was asked to wake.
    pub(crate) fn forget(&self, sleeper: &Waker) {
        if let Some(clock) = self.clock() {
            clock.forget(sleeper);
        }
    }

    /// What a sleeper that gives up at `deadline` should do now. `register` asks an injected clock to
    /// wake it, and says whether the clock will.
    pub(crate) fn sleep_plan(
        &self,
        deadline: Tick,
        register: impl FnOnce(&dyn Clock) -> bool,
    ) -> SleepPlan {
        // Registered before the clock is read: a move in between is seen by the one or the other.
        let woken = self.clock().is_some_and(register);
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

// The pile asks a clock and relies on nothing that it said before.
impl<H> UnwindSafe for Time<H> {}
impl<H> RefUnwindSafe for Time<H> {}

impl<H> fmt::Debug for Time<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::System | Source::SystemCounted => "system",
            Source::Shared(_) | Source::Fixed(_) => "injected",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::lag::{LEAST, MOST, raised};

    #[test]
    fn the_lag_is_twice_what_was_found_and_never_less_than_it_was() {
        assert_eq!(raised(LEAST, 0), None);
        assert_eq!(raised(LEAST, LEAST / 2), None);
        assert_eq!(raised(LEAST, LEAST / 2 + 1), Some(LEAST + 2));
        assert_eq!(raised(LEAST, 40_000_000), Some(80_000_000));
        assert_eq!(raised(80_000_000, 30_000_000), None);
        // A machine that was stopped for a day.
        assert_eq!(raised(80_000_000, 86_400 * MOST), Some(MOST));
        assert_eq!(raised(MOST, u64::MAX), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_coarse_time_that_lags_more_is_noted() {
        let before = super::system::lag();
        super::system::note(before / 2 + 1);
        assert!(super::system::lag() > before);
    }
}
