//! Where the kernel plays a part: a process that forks, and one that may not pass the barrier.
//!
//! Most of it needs a process of its own: the test starts this program again, for itself alone.
#![cfg(target_os = "linux")]
// fork(2) is for the bold.
#![allow(unsafe_code)]
// Tests are built with the newest stable Rust, not with the lowest one the library supports.
#![allow(clippy::incompatible_msrv)]

// Made for all tests; these use some of it.
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::mem;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use dogpile::{Attempt, Dogpile, Guard, Origin, SyncReaderDogpile, WriteLockError};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::support::{Census, Counted, MINUTE, OnDrop, burst, bursts, within};

const CHILD: &str = "DOGPILE_TEST_CHILD";

/// Runs `body` in a process where no other test runs, nor has run: another run of this program,
/// with this test alone.
fn alone(test: &str, body: impl FnOnce() + Send + 'static) {
    if env::var_os(CHILD).is_some() {
        return within(body);
    }
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    print!("{said}{errors}");
    assert!(output.status.success(), "{}", output.status);
    assert!(said.contains("1 passed"), "no test is named {test}");
}

/// From here on the kernel refuses membarrier(2) to this thread, and to those that it starts.
fn forbid_membarrier() {
    forbid(Vec::new());
}

/// The same, but to ask whether there is one, and to register for it, is allowed.
fn forbid_the_barrier_alone() {
    let kind = SeccompCmpArgLen::Dword;
    let command = PRIVATE_EXPEDITED.try_into().unwrap();
    let is_it = SeccompCondition::new(0, kind, SeccompCmpOp::Eq, command).unwrap();
    forbid(vec![SeccompRule::new(vec![is_it]).unwrap()]);
}

fn forbid(rules: Vec<SeccompRule>) {
    let filter = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_membarrier, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.cast_unsigned()),
        env::consts::ARCH.try_into().unwrap(),
    );
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    assert!(!may_pass_the_barrier());
}

const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

fn may_pass_the_barrier() -> bool {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    [REGISTER_PRIVATE_EXPEDITED, PRIVATE_EXPEDITED]
        .iter()
        .all(|&command| {
            // SAFETY: it touches no memory of ours.
            let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
            result == 0
        })
}

/// Whether there is a barrier to forbid. If not, piles go by fences anyway.
fn piles_go_by_the_barrier() -> bool {
    if !may_pass_the_barrier() {
        println!("skipped: the kernel offers no membarrier(2)");
        return false;
    }
    // Decided here, where nothing is forbidden yet.
    drop(Dogpile::with_value(MINUTE, ()).peek());
    true
}

mod the_barrier_forbidden_later {
    use super::*;

    /// Nothing is dropped early, and nothing is lost. What is kept are the value that was current at
    /// the refusal and the one that replaced it; later ones are dropped as usual.
    #[test]
    fn keeps_two_old_values_until_it_is_passed_again() {
        alone(
            "the_barrier_forbidden_later::keeps_two_old_values_until_it_is_passed_again",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                let census = Census::default();
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                let (first, second) = (pile.peek().unwrap(), pile.peek().unwrap());
                let last = thread::scope(|threads| {
                    let filtered = threads.spawn(|| {
                        forbid_membarrier();
                        for number in 1..=10 {
                            pile.set(census.value(number));
                            // A hit goes on, and its guard keeps what it shows.
                            assert_eq!(pile.get_or_create(|| unreachable!()).number, number);
                            // And one that is forgotten, below.
                            let kept = number.min(2) + u32::from(number > 6);
                            assert_eq!(census.live(), kept as isize + 1);
                            if number == 6 {
                                mem::forget(pile.peek());
                            }
                        }
                        drop(pile.refresh(|| Ok::<_, ()>(census.value(11))));
                        pile.invalidate();
                        pile.set(census.value(12));
                        pile.peek().unwrap()
                    });
                    filtered.join().unwrap()
                });
                // The two that are kept, the forgotten one, and itself.
                assert_eq!((last.number, census.live()), (12, 4));
                // To drop a guard is not to pass the barrier.
                drop(second);
                assert_eq!(census.live(), 4);
                pile.set(census.value(13));
                // All that are not read: the first has a reader, the seventh a forgetful one, and the
                // last but one has one.
                assert_eq!((first.number, census.live()), (0, 4));
                drop((first, last));
                assert_eq!(census.live(), 2);
                drop(pile);
                assert_eq!(census.live(), 0);
            },
        );
    }

    /// To register once more is not to pass it.
    #[test]
    fn though_registering_is_allowed() {
        alone(
            "the_barrier_forbidden_later::though_registering_is_allowed",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                let census = Census::default();
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                thread::scope(|threads| {
                    threads.spawn(|| {
                        forbid_the_barrier_alone();
                        (1..=10).for_each(|number| pile.set(census.value(number)));
                    });
                });
                assert_eq!(census.live(), 3);
                pile.set(census.value(11));
                assert_eq!(census.live(), 1);
            },
        );
    }

    /// Also if nothing is replaced by then, but removed.
    #[test]
    fn or_until_the_pile_goes() {
        alone(
            "the_barrier_forbidden_later::or_until_the_pile_goes",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                let census = Census::default();
                let piles = [(); 2].map(|()| Dogpile::with_value(MINUTE, census.value(0)));
                thread::scope(|threads| {
                    threads.spawn(|| {
                        forbid_membarrier();
                        for pile in &piles {
                            (1..5).for_each(|number| pile.set(census.value(number)));
                            pile.invalidate();
                        }
                    });
                });
                // Two of the pile that found out, and one of the other.
                assert_eq!(census.live(), 3);
                let [one, other] = piles;
                drop(one);
                assert_eq!(census.live(), 1);
                other.set(census.value(6));
                assert_eq!(census.live(), 1);
                drop(other);
                assert_eq!(census.live(), 0);
            },
        );
    }

    /// Both are dropped at once then. One that panics does not keep the other.
    #[test]
    fn and_one_of_them_panics_when_dropped() {
        struct Fragile(bool, #[allow(dead_code)] Counted);
        impl Drop for Fragile {
            fn drop(&mut self) {
                // Not where a test has failed already: that would hide why.
                if self.0 && !thread::panicking() {
                    burst();
                }
            }
        }
        alone(
            "the_barrier_forbidden_later::and_one_of_them_panics_when_dropped",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                let census = Census::default();
                let value = |number| Fragile(number == 0, census.value(number));
                let pile = Dogpile::with_value(MINUTE, value(0));
                let filtered = || {
                    forbid_membarrier();
                    (1..6).for_each(|number| pile.set(value(number)));
                };
                thread::scope(|threads| drop(threads.spawn(filtered)));
                assert_eq!(census.live(), 3);
                assert!(bursts(|| pile.set(value(6))));
                assert_eq!(census.live(), 1);
            },
        );
    }

    /// They are dropped under no lock.
    #[test]
    fn and_their_drops_use_the_pile() {
        alone(
            "the_barrier_forbidden_later::and_their_drops_use_the_pile",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                static PILE: Dogpile<OnDrop> = Dogpile::new(MINUTE);
                let used = Arc::new(AtomicU32::new(0));
                let value = || {
                    let used = Arc::clone(&used);
                    OnDrop::new(move || {
                        PILE.expire();
                        used.fetch_add(1, Ordering::SeqCst);
                    })
                };
                PILE.set(value());
                let filtered = || {
                    forbid_membarrier();
                    (1..6).for_each(|_| PILE.set(value()));
                };
                thread::scope(|threads| drop(threads.spawn(filtered)));
                assert_eq!(used.load(Ordering::SeqCst), 3);
                PILE.set(value());
                assert_eq!(used.load(Ordering::SeqCst), 6);
            },
        );
    }

    /// A filtered writer, others, and readers, all at a time.
    #[test]
    fn while_others_read_and_write() {
        alone(
            "the_barrier_forbidden_later::while_others_read_and_write",
            || {
                if !piles_go_by_the_barrier() {
                    return;
                }
                let census = Census::default();
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                let over = AtomicBool::new(false);
                thread::scope(|threads| {
                    for _ in 0..2 {
                        threads.spawn(|| {
                            while !over.load(Ordering::SeqCst) {
                                let guards = [(); 3].map(|()| pile.peek().unwrap());
                                assert!(guards.iter().all(|guard| guard.number < 2000));
                            }
                        });
                    }
                    let filtered = threads.spawn(|| {
                        forbid_membarrier();
                        (0..2000).for_each(|number| pile.set(census.value(number)));
                    });
                    (0..2000).for_each(|number| pile.set(census.value(number)));
                    filtered.join().unwrap();
                    over.store(true, Ordering::SeqCst);
                });
                pile.set(census.value(0));
                assert_eq!(census.live(), 1);
            },
        );
    }
}

/// Then it works with fences, and drops every value as soon as ever.
#[test]
fn the_barrier_forbidden_from_the_start() {
    alone("the_barrier_forbidden_from_the_start", || {
        forbid_membarrier();
        let census = Census::default();
        let pile = Dogpile::new(MINUTE);
        for number in 0..100 {
            pile.set(census.value(number));
            assert_eq!(census.live(), 1);
            let guards: Vec<_> = (0..20).map(|_| pile.peek().unwrap()).collect();
            drop(pile.refresh(|| Ok::<_, ()>(census.value(1))));
            assert!(guards.iter().all(|guard| guard.number == number));
            assert_eq!(census.live(), 2);
            thread::scope(|threads| drop(threads.spawn(move || drop(guards))));
            assert_eq!(census.live(), 1);
        }
        let over = AtomicBool::new(false);
        thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut last = 0;
                    while !over.load(Ordering::SeqCst) {
                        let guards = [(); 3].map(|()| pile.peek().unwrap());
                        assert!(guards.is_sorted_by_key(|guard| guard.number));
                        assert!(guards[0].number >= last);
                        last = guards[2].number;
                    }
                });
            }
            (1..20_000).for_each(|number| pile.set(census.value(number)));
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(census.live(), 1);
    });
}

/// What the kernel offers is tried before it is relied on.
#[test]
fn the_barrier_forbidden_from_the_start_and_offered() {
    alone("the_barrier_forbidden_from_the_start_and_offered", || {
        forbid_the_barrier_alone();
        let census = Census::default();
        let pile = Dogpile::new(MINUTE);
        for number in 0..10 {
            pile.set(census.value(number));
            assert_eq!(census.live(), 1);
        }
    });
}

/// A thread-local that is dropped after the one that gives the thread's record back, and that uses a
/// pile while another thread has that record already.
#[test]
fn a_thread_that_ends_shares_no_slot_with_its_successor() {
    static PILE: SyncReaderDogpile<u8> = SyncReaderDogpile::new(MINUTE);
    struct Late(SyncSender<()>, Receiver<()>);
    impl Late {
        fn next_stage(&self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }
    impl Drop for Late {
        fn drop(&mut self) {
            self.next_stage();
            let guard = PILE.peek().unwrap();
            self.next_stage();
            drop(guard);
        }
    }
    thread_local! {
        // Made before the thread's first hit, so it is dropped after the record was given back.
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    alone(
        "a_thread_that_ends_shares_no_slot_with_its_successor",
        || {
            PILE.set(1);
            let (tell, told) = mpsc::sync_channel(0);
            let (answer, answered) = mpsc::sync_channel(0);
            let ending = thread::spawn(move || {
                LATE.set(Some(Late(tell, answered)));
                drop(PILE.peek());
            });
            told.recv().unwrap();
            let successor = thread::spawn(move || {
                drop(PILE.peek());
                answer.send(()).unwrap();
                told.recv().unwrap();
                let write = PILE.try_acquire_write_lock().map(drop);
                answer.send(()).unwrap();
                write
            });
            // The reader is another thread, and not the one that asks.
            let write = successor.join().unwrap();
            ending.join().unwrap();
            assert!(matches!(write, Err(WriteLockError::TimedOut { .. })));
        },
    );
}

mod a_child_process {
    use super::*;

    /// Ends with the status of `body`: whether it returned without a panic.
    fn in_a_fork(body: impl FnOnce()) {
        // SAFETY: the child runs `body`, which uses nothing that another thread of the parent may
        // have locked, and ends without going back.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "no fork");
        if child == 0 {
            let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: the process ends here, without anybody's destructors.
            unsafe { libc::_exit(i32::from(!well)) };
        }
        let mut status = 0;
        // SAFETY: `status` is ours.
        let ended = unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!((ended, status), (child, 0));
    }

    /// It has the piles as they were, and its own from then on.
    #[test]
    fn goes_on_with_what_it_inherited() {
        alone("a_child_process::goes_on_with_what_it_inherited", || {
            let census = Census::default();
            let pile = Dogpile::with_value(MINUTE, census.value(0));
            let guard = pile.peek().unwrap();
            in_a_fork(|| {
                assert_eq!((guard.number, pile.peek().unwrap().number), (0, 0));
                assert_eq!(
                    Guard::origin(&pile.get_or_create(|| unreachable!())),
                    Origin::Fresh
                );
                for number in 1..100 {
                    pile.set(census.value(number));
                    assert_eq!(pile.get_or_create(|| unreachable!()).number, number);
                    assert_eq!((guard.number, census.live()), (0, 2));
                }
                drop(guard);
                assert_eq!(census.live(), 1);
                // Threads of the child, with records of the parent's.
                thread::scope(|threads| {
                    for _ in 0..4 {
                        threads.spawn(|| {
                            let guards: Vec<_> = (0..20).map(|_| pile.peek().unwrap()).collect();
                            pile.set(census.value(100));
                            drop(pile.refresh(|| Ok::<_, ()>(census.value(101))));
                            drop(guards);
                        });
                    }
                });
                assert_eq!(census.live(), 1);
                pile.invalidate();
                assert_eq!(census.live(), 0);
            });
            // The parent's is as it was.
            assert_eq!((pile.peek().unwrap().number, census.live()), (0, 1));
        });
    }

    /// The first use of any pile is in the child, and then there is one in the parent.
    #[test]
    fn may_be_the_first_to_use_a_pile() {
        alone("a_child_process::may_be_the_first_to_use_a_pile", || {
            let census = Census::default();
            let pile = Dogpile::new(MINUTE);
            let uses = || {
                for number in 0..10 {
                    pile.set(census.value(number));
                    let guard = pile.peek().unwrap();
                    pile.set(census.value(number));
                    drop(guard);
                    assert_eq!(census.live(), 1);
                }
            };
            in_a_fork(uses);
            assert_eq!(census.live(), 0);
            uses();
            in_a_fork(|| in_a_fork(uses));
        });
    }

    /// What threads read at that moment which the child does not have, stays as long as its pile.
    #[test]
    fn keeps_what_the_threads_of_its_parent_were_reading() {
        alone(
            "a_child_process::keeps_what_the_threads_of_its_parent_were_reading",
            || {
                let census = Census::default();
                let pile = Dogpile::with_value(MINUTE, census.value(0));
                let stage = AtomicU32::new(0);
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let _guard = pile.peek().unwrap();
                        stage.store(1, Ordering::SeqCst);
                        support::until(|| stage.load(Ordering::SeqCst) == 2);
                    });
                    support::until(|| stage.load(Ordering::SeqCst) == 1);
                    in_a_fork(|| {
                        for number in 1..100 {
                            pile.set(census.value(number));
                            assert_eq!(pile.peek().unwrap().number, number);
                            assert_eq!(census.live(), 2);
                        }
                    });
                    // The parent knows nothing of it.
                    assert_eq!((pile.peek().unwrap().number, census.live()), (0, 1));
                    stage.store(2, Ordering::SeqCst);
                });
                pile.set(census.value(1));
                assert_eq!(census.live(), 1);
            },
        );
    }

    /// Whatever another thread of the parent held is held for ever in the child: that thread is not
    /// there. What is left is to read values, to set one, and to make new piles.
    #[test]
    fn does_not_have_the_threads_that_hold_something() {
        alone(
            "a_child_process::does_not_have_the_threads_that_hold_something",
            || {
                let leased = Dogpile::with_value(MINUTE, 1);
                leased.expire();
                let [read, closed] =
                    [1, 2].map(|value| SyncReaderDogpile::with_value(MINUTE, value));
                let stage = AtomicU32::new(0);
                thread::scope(|threads| {
                    threads.spawn(|| {
                        let held = (
                            leased.attempt(),
                            read.peek().unwrap(),
                            closed.acquire_write_lock().unwrap(),
                        );
                        stage.store(1, Ordering::SeqCst);
                        support::until(|| stage.load(Ordering::SeqCst) == 2);
                        drop(held);
                    });
                    support::until(|| stage.load(Ordering::SeqCst) == 1);
                    in_a_fork(|| {
                        // The lease: nobody else is granted it, and stale values are served. A value
                        // that is set supersedes it.
                        let busy = || matches!(leased.attempt(), Attempt::Busy(_));
                        assert!(busy() && *leased.peek().unwrap() == 1);
                        leased.set(2);
                        assert!(leased.is_fresh() && *leased.peek().unwrap() == 2);
                        leased.invalidate();
                        assert!(busy());
                        // The read guard: no writer gets in, readers do.
                        assert!(read.try_acquire_write_lock().is_err());
                        assert_eq!(*read.get_or_create(|| unreachable!()), 1);
                        // The write lock: nobody gets in.
                        assert!(closed.peek().is_none());
                        assert!(closed.try_acquire_write_lock().is_err());
                        // New ones know nothing of all that.
                        let new = SyncReaderDogpile::new(MINUTE);
                        assert_eq!(*new.get_or_create(|| 3), 3);
                        assert!(new.try_acquire_write_lock().is_ok());
                    });
                    stage.store(2, Ordering::SeqCst);
                });
                // The parent knows nothing of it.
                assert_eq!(*leased.get_or_create(|| 4), 4);
                assert!(read.try_acquire_write_lock().is_ok());
                assert_eq!(*closed.peek().unwrap(), 2);
            },
        );
    }
}
