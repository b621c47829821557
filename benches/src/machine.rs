//! What of the machine the measuring needs: cores, the time that a thread got, the coarse clock.
//!
//! Linux has all of it. Elsewhere threads stay where the system puts them, every batch counts as
//! undisturbed, and the coarse clock is the exact one.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod system {
    use super::Duration;
    use rustix::thread::{
        membarrier, membarrier_query, sched_getaffinity, sched_setaffinity, CpuSet,
        MembarrierCommand, MembarrierQuery,
    };
    use rustix::time::{clock_gettime, ClockId};
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    use std::collections::BTreeMap;
    use std::error::Error;

    pub(crate) fn cores() -> Vec<usize> {
        match sched_getaffinity(None) {
            Ok(set) => (0..CpuSet::MAX_CPU)
                .filter(|&cpu| set.is_set(cpu))
                .collect(),
            Err(_) => Vec::new(),
        }
    }

    pub(crate) fn pin(core: usize) -> bool {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set).is_ok()
    }

    pub(crate) fn thread_time() -> Option<Duration> {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
    }

    #[inline]
    pub(crate) fn coarse_nanos() -> u64 {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    /// Whether the cheap barrier is to be had; from then on it is.
    pub(crate) fn register_membarrier() -> bool {
        membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
            && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    /// Interrupts every other core that runs this program.
    pub(crate) fn heavy_barrier() {
        membarrier(MembarrierCommand::PrivateExpedited).expect("registered before");
    }

    /// Has the kernel refuse membarrier(2) to this thread and those that it will start.
    pub(crate) fn forbid_membarrier() -> Result<(), Box<dyn Error>> {
        let filter = SeccompFilter::new(
            BTreeMap::from([(libc::SYS_membarrier, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EPERM as u32),
            std::env::consts::ARCH.try_into()?,
        )?;
        let program: BpfProgram = filter.try_into()?;
        Ok(seccompiler::apply_filter(&program)?)
    }

    fn line(file: &str, key: &str) -> Option<String> {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.rsplit(':').next()?.trim().to_owned())
    }

    pub(crate) fn describe() -> String {
        let or = |text: Option<String>| text.unwrap_or_else(|| String::from("unknown"));
        format!(
            "{}, Linux {}, clock source {}",
            or(line("/proc/cpuinfo", "model name")),
            or(line("/proc/sys/kernel/osrelease", "")),
            or(line(
                "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                ""
            )),
        )
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Duration;
    use std::error::Error;
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(crate) fn cores() -> Vec<usize> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).collect()
    }

    pub(crate) fn pin(_core: usize) -> bool {
        false
    }

    pub(crate) fn thread_time() -> Option<Duration> {
        None
    }

    pub(crate) fn coarse_nanos() -> u64 {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }

    pub(crate) fn register_membarrier() -> bool {
        false
    }

    pub(crate) fn forbid_membarrier() -> Result<(), Box<dyn Error>> {
        Err("there is no membarrier(2) here to forbid".into())
    }

    pub(crate) fn heavy_barrier() {
        unreachable!("not registered");
    }

    pub(crate) fn describe() -> String {
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
    }
}

pub(crate) use system::*;

/// One thread and, if there is a core for each, two.
pub(crate) fn up_to_two() -> &'static [usize] {
    match cores().len() {
        0 | 1 => &[1],
        _ => &[1, 2],
    }
}
