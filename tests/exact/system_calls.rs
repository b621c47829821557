//! A hit makes no system call. A replacement makes one, unless values follow each other often.
//!
//! ```breakages
//! always-plain | src/raw/value/node.rs | none_by_one_replacement_of_many
//!   self.hurry.store(hurry.0, Ordering::Relaxed);
//! - hurry.is_often()
//! + false
//! fenced-for-ever | src/raw/value/hurry.rs | none_by_one_replacement_of_many
//! - _ => Self::NONE,
//! + _ => self,
//! a-map-always-plain | src/raw/index/form.rs | none_by_one_eviction_of_many
//! - self.hurry.is_often()
//! + false
//! fences-of-a-map-however-long-it-is-read | src/raw/index/mod.rs | none_by_one_eviction_of_many
//! - if own::has_found_long() {
//! + if own::has_found_long() && false {
//! fences-of-a-map-however-late | src/raw/index/form.rs | none_by_one_eviction_of_many
//! - (Form::Turning(_) | Form::Fenced, false) => self.become_plain(),
//! + (Form::Turning(_) | Form::Fenced, false) => {}
//! fenced-however-long-it-is-read | src/raw/value/cell.rs | none_by_one_replacement_of_many
//! - self.unmark(current);
//! + let _ = Self::unmark;
//!
//! yields-at-a-hit | src/call/hit.rs
//! @ pub(crate) fn hit_inside
//!   let due_from = self.due_from(&node);
//! + std::thread::yield_now();
//! ```

use std::env;
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, Dogpile, ManualClock};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::hits::Kind;

const HITS: u32 = 100_000;

/// Whether the kernel offers membarrier(2).
pub(crate) fn offers_membarrier() -> bool {
    // SAFETY: it only asks which commands there are.
    unsafe { libc::syscall(libc::SYS_membarrier, 0, 0, 0) >= 0 }
}

/// Runs `body` in a child process that may do nothing but write and end: any other system call
/// kills it. Says whether it got to the end. Whatever `body` needs must be warmed up.
///
/// (The kernel has a strict mode for this. But in that mode it takes away the processor's time stamp
/// counter as well, without which the exact clock is a system call.)
fn ends_under_strict_rules(body: impl FnOnce()) -> bool {
    let filter = SeccompFilter::new(
        [libc::SYS_write, libc::SYS_exit]
            .map(|call| (call, Vec::new()))
            .into(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        env::consts::ARCH.try_into().unwrap(),
    );
    let rules: BpfProgram = filter.unwrap().try_into().unwrap();
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let [reading, writing] = ends;
    // SAFETY: the child runs `body` and ends. It does not even allocate.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork");
    if child == 0 {
        if seccompiler::apply_filter(&rules).is_ok() {
            body();
            let done = b"done";
            // SAFETY: four bytes of ours.
            unsafe { libc::write(writing, done.as_ptr().cast(), done.len()) };
        }
        // SAFETY: the end of the only thread; `_exit` would ask for the end of all.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    // SAFETY: nobody else has this end.
    drop(unsafe { File::from_raw_fd(writing) });
    // SAFETY: nor this one.
    let mut reading = unsafe { File::from_raw_fd(reading) };
    let mut said = String::new();
    reading.read_to_string(&mut said).unwrap();
    let mut status = 0;
    // SAFETY: `status` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    (status, said.as_str()) == (0, "done")
}

#[test]
fn none_by_a_hit() {
    // The rules do kill.
    assert!(ends_under_strict_rules(|| ()));
    assert!(!ends_under_strict_rules(|| {
        // SAFETY: it does nothing.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }));
    for kind in Kind::ALL {
        kind.run(HITS, |hits| {
            assert!(ends_under_strict_rules(hits), "{kind:?}")
        });
    }
}

/// The last of a row of values that follow each other often is replaced without a barrier. The value
/// after a pause is not, nor one that has been read for long.
#[test]
fn none_by_one_replacement_of_many() {
    if !offers_membarrier() {
        println!("skipped: the kernel offers no membarrier(2)");
        return;
    }
    let clock = Arc::new(ManualClock::new());
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let pile = Dogpile::builder(Duration::MAX).clock(shared).build();
    let asks_nothing = || ends_under_strict_rules(|| pile.set(8));
    let row = || (0..17).for_each(|_| pile.set(7));
    pile.set(7);
    assert!(!asks_nothing());
    row();
    assert!(asks_nothing());
    // A short pause changes nothing.
    clock.advance(Duration::from_millis(5));
    pile.set(7);
    assert!(asks_nothing());
    clock.advance(Duration::from_millis(11));
    pile.set(7);
    assert!(!asks_nothing());
    row();
    assert!(asks_nothing());
    for _ in 0..1 << 16 {
        assert_eq!(pile.peek().as_deref(), Some(&7));
    }
    assert!(!asks_nothing());
}

/// The same of keys that were found and are pushed out of a map.
#[test]
fn none_by_one_eviction_of_many() {
    if !offers_membarrier() {
        println!("skipped: the kernel offers no membarrier(2)");
        return;
    }
    let clock = Arc::new(ManualClock::new());
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let settings = Dogpile::builder(Duration::MAX).clock(shared).keyed();
    let map = settings.max_entries(1).build();
    let push_out = |key: u64| {
        map.set(key, key);
        assert_eq!(map.peek(&key).as_deref(), Some(&key));
    };
    let asks_nothing = || ends_under_strict_rules(|| push_out(0));
    let row = || (1..20).for_each(push_out);
    push_out(1);
    assert!(!asks_nothing());
    row();
    assert!(asks_nothing());
    // A short pause changes nothing.
    clock.advance(Duration::from_millis(5));
    push_out(1);
    assert!(asks_nothing());
    // The first after a long one is the last without.
    clock.advance(Duration::from_millis(11));
    push_out(2);
    assert!(!asks_nothing());
    row();
    assert!(asks_nothing());
    // A reader looks twice whether somebody pushes out keys still.
    for _ in 0..2 << 16 {
        assert_eq!(map.peek(&19).as_deref(), Some(&19));
    }
    assert!(!asks_nothing());
}
