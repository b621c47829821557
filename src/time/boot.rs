//! The system's clock that goes on while the machine is suspended: [`BootClock`].

use std::time::Duration;

use crate::time::clock::{Clock, Tick};

/// The system's clock, going on while the machine is suspended.
///
/// After eight hours of sleep a token with an hour to live is eight hours old, and not fresh. The
/// [`SystemClock`](crate::SystemClock), which stands still meanwhile, would take it for fresh. A step of
/// the wall clock changes nothing. For
/// [`Builder::clock_static`](crate::Builder::clock_static), or [`clock`](crate::Builder::clock).
///
/// It counts what the kernel knows of. A virtual machine whose host stops it is not suspended: as a
/// rule, none of its clocks notices.
///
/// # Platforms
///
/// [`COUNTS_SUSPEND`](BootClock::COUNTS_SUSPEND) says whether it does so here. On Linux it is
/// `CLOCK_BOOTTIME`. Elsewhere it is the same as the [`SystemClock`](crate::SystemClock), which may or
/// may not go on.
///
/// # Cost
///
/// The kernel has no coarse form of this clock, and the exact one costs several times as much. So a
/// hit reads two coarse clocks, which is twice the cost of one: the monotonic one, which stands still
/// during a suspend, and that of the wall, which does not. While they are as far apart as they were, so
/// is the time of sleep that has to be added to the former. When that distance has changed, after a
/// suspend or a step of the wall clock, `CLOCK_BOOTTIME` is asked, once. Its
/// [`lag`](Clock::lag) is that of the [`SystemClock`](crate::SystemClock).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::{BootClock, Dogpile};
///
/// static TOKEN: Dogpile<String> = Dogpile::builder(Duration::from_secs(3600))
///     .clock_static(&BootClock)
///     .build();
///
/// TOKEN.set(String::from("good for an hour, asleep or awake"));
/// assert!(TOKEN.is_fresh());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl BootClock {
    /// Whether, on this platform, it counts the time that the machine is suspended.
    pub const COUNTS_SUSPEND: bool = cfg!(target_os = "linux");
}

impl Clock for BootClock {
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

    fn bounds(&self) -> (Tick, Tick) {
        system::coarse().and_later(system::lag())
    }
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::time::ClockId;

    use super::{Boot, Kernel};
    use crate::time::clock::{Tick, system::read};

    struct Linux;

    impl Kernel for Linux {
        #[inline]
        fn monotonic_coarse(&self) -> Tick {
            read(ClockId::MonotonicCoarse)
        }

        #[inline]
        fn wall_coarse(&self) -> Tick {
            read(ClockId::RealtimeCoarse)
        }

        fn monotonic(&self) -> Tick {
            read(ClockId::Monotonic)
        }

        fn boot(&self) -> Tick {
            read(ClockId::Boottime)
        }
    }

    static BOOT: Boot<Linux> = Boot::new(Linux);

    #[cold]
    pub(super) fn now() -> Tick {
        BOOT.now()
    }

    #[inline]
    pub(super) fn coarse() -> Tick {
        BOOT.coarse()
    }

    #[inline]
    pub(super) fn lag() -> u64 {
        BOOT.lag()
    }
}

#[cfg(not(target_os = "linux"))]
use crate::time::clock::system;

#[cfg(target_os = "linux")]
use self::of_a_kernel::{Boot, Kernel};

/// How it is made of four clocks of a kernel.
#[cfg(target_os = "linux")]
mod of_a_kernel {
    use crate::shim::{Estimate, Signed};
    use crate::time::clock::{Tick, lag};

    /// The clocks of a kernel.
    pub(super) trait Kernel {
        /// Stands still while the machine is suspended.
        fn monotonic_coarse(&self) -> Tick;
        /// Goes on meanwhile, and can be put to another time.
        fn wall_coarse(&self) -> Tick;
        fn monotonic(&self) -> Tick;
        /// The monotonic one, and what the machine has slept.
        fn boot(&self) -> Tick;
    }

    pub(super) struct Boot<K> {
        kernel: K,
        /// What the machine has slept, in nanoseconds. The sign is the distance of the wall clock from
        /// the monotonic one, which a suspend changes, and otherwise only a step of the wall clock: what
        /// slews one of them slews the other.
        slept: Signed,
        /// How far behind the coarse time may be, in nanoseconds.
        lag: Estimate,
    }

    impl<K: Kernel> Boot<K> {
        pub(super) const fn new(kernel: K) -> Self {
            Self {
                kernel,
                slept: Signed::unknown(),
                lag: Estimate::new(lag::LEAST),
            }
        }

        pub(super) fn now(&self) -> Tick {
            let now = self.kernel.boot();
            // Read second, as the system's clock does.
            let found = now.as_nanos().saturating_sub(self.coarse().as_nanos());
            if let Some(raised) = lag::raised(self.lag.get(), found) {
                self.lag.raise_to(raised);
            }
            now
        }

        #[inline]
        pub(super) fn coarse(&self) -> Tick {
            let awake = self.kernel.monotonic_coarse().as_nanos();
            let distance = self.kernel.wall_coarse().as_nanos().wrapping_sub(awake);
            let slept = match self.slept.get(distance) {
                Some(slept) => slept,
                None => self.look(),
            };
            Tick::from_nanos(awake.wrapping_add(slept))
        }

        /// Asks how long the machine has slept.
        #[cold]
        #[inline(never)]
        fn look(&self) -> u64 {
            let mut distance = self.distance();
            // If the tick of the kernel falls between the two readings, they are of two ticks, and look
            // further apart than they are. Not so if they say the same again.
            for _ in 0..TRIES {
                let again = self.distance();
                if again == distance {
                    break;
                }
                distance = again;
            }
            // The exact clocks after the distance: who notes too new a figure with an old sign does no
            // harm, the other way round would. The later of the two is subtracted, so it is never too
            // much, and if the thread is stopped in between too little: hence the best of a few.
            let slept = (0..TRIES)
                .map(|_| {
                    let boot = self.kernel.boot().as_nanos();
                    boot.saturating_sub(self.kernel.monotonic().as_nanos())
                })
                .max();
            self.slept.note(distance, slept.unwrap_or_default())
        }

        fn distance(&self) -> u64 {
            let awake = self.kernel.monotonic_coarse().as_nanos();
            self.kernel.wall_coarse().as_nanos().wrapping_sub(awake)
        }

        #[inline]
        pub(super) fn lag(&self) -> u64 {
            self.lag.get()
        }
    }

    const TRIES: usize = 3;

    #[cfg(test)]
    mod tests {
        use std::cell::Cell;

        use super::*;

        const HOUR: u64 = 3_600_000_000_000;
        const TICK: u64 = 4_000_000;

        /// A machine whose clocks the test moves, and which may be stopped between two readings.
        #[derive(Default)]
        struct Machine {
            awake: Cell<u64>,
            slept: Cell<u64>,
            wall: Cell<u64>,
            /// How often somebody asked for the boot time.
            asked: Cell<u32>,
            /// What happens after so many more readings.
            then: Cell<Option<(u32, Happening)>>,
        }

        type Happening = fn(&Machine);

        impl Machine {
            fn runs(&self, span: u64) {
                self.awake.set(self.awake.get() + span);
                self.wall.set(self.wall.get() + span);
            }

            fn sleeps(&self, span: u64) {
                self.slept.set(self.slept.get() + span);
                self.wall.set(self.wall.get() + span);
            }

            fn puts_its_wall_clock_to(&self, time: u64) {
                self.wall.set(time);
            }

            /// The exact time is half a tick ahead.
            fn read(&self, tick: u64) -> Tick {
                let time = Tick::from_nanos(tick);
                match self.then.take() {
                    Some((0, happens)) => happens(self),
                    then => self
                        .then
                        .set(then.map(|(readings, what)| (readings - 1, what))),
                }
                time
            }
        }

        impl Kernel for &Machine {
            fn monotonic_coarse(&self) -> Tick {
                self.read(self.awake.get())
            }

            fn wall_coarse(&self) -> Tick {
                self.read(self.wall.get())
            }

            fn monotonic(&self) -> Tick {
                self.read(self.awake.get() + TICK / 2)
            }

            fn boot(&self) -> Tick {
                self.asked.set(self.asked.get() + 1);
                self.read(self.awake.get() + self.slept.get() + TICK / 2)
            }
        }

        /// A machine that ran for an hour, has slept once, and knows the date.
        fn machine() -> Machine {
            let machine = Machine::default();
            machine.wall.set(400_000 * HOUR);
            machine.runs(HOUR);
            machine.sleeps(HOUR);
            machine
        }

        #[track_caller]
        fn is_right(boot: &Boot<&Machine>, machine: &Machine) {
            let right = machine.awake.get() + machine.slept.get();
            assert_eq!(boot.coarse().as_nanos(), right);
            assert_eq!(boot.now().as_nanos(), right + TICK / 2);
        }

        #[test]
        fn a_suspend_counts() {
            let machine = machine();
            let boot = Boot::new(&machine);
            is_right(&boot, &machine);
            for hours in [8, 1, 100] {
                machine.sleeps(hours * HOUR);
                is_right(&boot, &machine);
                machine.runs(HOUR);
                is_right(&boot, &machine);
            }
        }

        #[test]
        fn a_step_of_the_wall_clock_does_not() {
            let machine = machine();
            let boot = Boot::new(&machine);
            for date in [500_000, 3, 400_000] {
                machine.puts_its_wall_clock_to(date * HOUR);
                is_right(&boot, &machine);
            }
            // Even if it hides the suspend from who looks at the wall clock alone.
            machine.sleeps(8 * HOUR);
            machine.puts_its_wall_clock_to(400_000 * HOUR + 1);
            is_right(&boot, &machine);
        }

        /// One without a battery for its clock, which begins at the epoch.
        #[test]
        fn a_machine_without_a_date_has_it_too() {
            let machine = Machine::default();
            let boot = Boot::new(&machine);
            is_right(&boot, &machine);
            machine.sleeps(HOUR);
            is_right(&boot, &machine);
        }

        #[test]
        fn it_is_asked_only_when_the_distance_has_changed() {
            let machine = machine();
            let boot = Boot::new(&machine);
            boot.coarse();
            let asked = machine.asked.get();
            for _ in 0..1000 {
                machine.runs(TICK);
                boot.coarse();
            }
            assert_eq!(machine.asked.get(), asked);
            machine.sleeps(1);
            boot.coarse();
            assert!(machine.asked.get() > asked);
        }

        /// Whatever happens between whichever two readings, the coarse time is none that never was, and
        /// right the next time.
        #[test]
        fn what_happens_meanwhile_is_not_missed() {
            let happenings: [Happening; 4] = [
                |machine| machine.runs(TICK),
                |machine| machine.sleeps(8 * HOUR),
                |machine| machine.runs(HOUR),
                |machine| machine.puts_its_wall_clock_to(5 * HOUR),
            ];
            for happens in happenings {
                for readings in 0..20 {
                    for known in [false, true] {
                        let machine = machine();
                        let boot = Boot::new(&machine);
                        if known {
                            boot.coarse();
                            machine.sleeps(HOUR);
                        }
                        let earliest = machine.awake.get() + machine.slept.get();
                        machine.then.set(Some((readings, happens)));
                        let told = boot.coarse().as_nanos();
                        let latest = machine.awake.get() + machine.slept.get() + TICK;
                        assert!((earliest..=latest).contains(&told), "{readings} {told}");
                        machine.then.set(None);
                        is_right(&boot, &machine);
                    }
                }
            }
        }

        /// The tick of the kernel may fall between the two readings that tell the distance.
        #[test]
        fn a_tick_meanwhile_is_not_taken_for_another_distance() {
            for readings in 2..6 {
                let machine = machine();
                let boot = Boot::new(&machine);
                machine
                    .then
                    .set(Some((readings, |machine| machine.runs(TICK))));
                boot.coarse();
                let asked = machine.asked.get();
                boot.coarse();
                assert_eq!(machine.asked.get(), asked, "{readings}");
            }
        }

        #[test]
        fn the_lag_of_the_boot_clock_is_no_less_than_a_late_tick() {
            assert!(crate::time::boot::system::lag() >= lag::LEAST);
        }

        #[test]
        fn the_lag_is_what_was_found() {
            let machine = machine();
            let boot = Boot::new(&machine);
            boot.now();
            assert_eq!(boot.lag(), lag::LEAST);
            // The tick comes late: exact time passes that the coarse clock does not show.
            machine.then.set(Some((0, |machine| {
                machine.awake.set(machine.awake.get() - 20 * TICK);
                machine.wall.set(machine.wall.get() - 20 * TICK);
            })));
            boot.now();
            assert!(boot.lag() > lag::LEAST);
        }
    }
}
