//! Small histories from real threads: programs at random, and all of the smallest.
//!
//! ```breakages
//! fresh-takes-what-began-before | src/policy/accept.rs
//! - Accept::Fresh => marks.expiry
//! + Accept::Fresh => 0
//!
//! grants-a-held-lease-once-begun | src/raw/lease.rs
//! @ fn availability
//! - if state.is_leased()
//! + if state.is_leased() && state.last() > 1
//!
//! creates-what-another-just-made | src/call/hit.rs
//! @ fn judge_locked
//! - if node.value().is_some()
//! + if node.times().ttl.is_zero()
//!
//! made-meanwhile-and-made-again | src/call/acquire.rs
//! - Some(made) => call.judge(made, newer_than, now),
//! + Some(_) => Use::No,
//!
//! looked-up-though-it-was-emptied | src/call/acquire.rs
//! - self.accept == Accept::New || self.site.pile.is_emptied()
//! + self.accept == Accept::New
//!
//! kept-against-its-creators-word | src/answer/created.rs
//! - match self.keep.unwrap_or(true)
//! + match self.keep.is_none_or(|_| true)
//!
//! what-was-set-is-taken-for-its-own | src/call/election/told.rs
//! - let is_own = own.is_some_and(|job| job.awaited == Some(node.number()));
//! + let is_own = own.is_some();
//!
//! what-a-reader-made-is-not-its-own | src/call/election/told.rs
//! - _ => call.site.pile.is_current(guard.node().number()),
//! + _ => false,
//! ```

use std::env;

use dogpile::Origin;
use fastrand::Rng;

use crate::history::{Answer, Call, run};
use crate::linearize::check;
use crate::program::{Form, GET, Get, Kind, LooksUp, Makes, Op, Program, Start};
use crate::spec::{Settings, Time};
use crate::watchdog::Watchdog;

/// Each program so many times.
fn holds(program: &Program, times: usize, met: &mut Met) {
    let spec = program.spec();
    for history in run(program, times) {
        history.iter().flatten().for_each(|call| met.count(call));
        if let Err(why) = check(program.kind, spec.clone(), &history) {
            panic!("{program:#?}\n{why}");
        }
    }
}

/// How often threads met: what only happens to those who do.
#[derive(Debug, Default)]
struct Met {
    stale: usize,
    created_by_another: usize,
    superseded: usize,
    failed_by_another: usize,
    /// An `acquire` took what another had made meanwhile.
    acquired_from_another: usize,
    /// A caller left while what it had started was created.
    started: usize,
}

impl Met {
    fn count(&mut self, call: &Call) {
        let ended = call.creator.map_or(0, |(_, ended)| ended);
        self.started += usize::from(ended > call.end);
        match call.answer {
            Answer::Value(_, Origin::Stale) if call.op != Op::Peek => self.stale += 1,
            Answer::Value(_, Origin::CreatedByAnother) => {
                self.created_by_another += 1;
                self.acquired_from_another += usize::from(call.looked.is_some());
            }
            Answer::Value(_, Origin::Superseded) => self.superseded += 1,
            Answer::Failed(id) if id != call.id => self.failed_by_another += 1,
            _ => {}
        }
    }

    /// Histories of threads that never meet show nothing. (One call in a hundred does.)
    fn all(&self) {
        println!("{self:?}");
        let least = self.stale.min(self.created_by_another);
        let least = least.min(self.superseded).min(self.failed_by_another);
        let least = least.min(self.acquired_from_another).min(self.started);
        assert!(least > 0, "{self:?}");
    }
}

/// As much again as asked for.
pub(crate) fn times() -> usize {
    let times = env::var("HISTORIES_TIMES").ok();
    times.map_or(1, |times| {
        times.parse().expect("HISTORIES_TIMES is a number")
    })
}

/// The seed that was given, or a new one.
pub(crate) fn seed() -> u64 {
    let seed = env::var("HISTORIES_SEED").ok();
    seed.map_or_else(Rng::new, |seed| {
        Rng::with_seed(seed.parse().expect("HISTORIES_SEED is a number"))
    })
    .get_seed()
}

fn random(threads: usize, calls: usize, programs: usize) {
    let seed = seed();
    // Shown if it fails.
    println!("HISTORIES_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut met = Met::default();
    Watchdog::watch(|watchdog| {
        for _ in 0..programs * times() {
            let program = Program::random(&mut rng, threads, calls);
            watchdog.about_to(&(seed, &program));
            holds(&program, 20, &mut met);
        }
        met.all();
    });
}

#[test]
fn random_programs_of_two_threads() {
    random(2, 5, 300);
}

#[test]
fn random_programs_of_three_threads() {
    random(3, 4, 300);
}

#[test]
fn random_programs_of_four_threads() {
    random(4, 3, 100);
}

/// All programs of two threads with one or two calls each, of every kind of call.
#[test]
fn all_of_two_threads_with_two_calls() {
    let kinds = [
        Op::Get(GET),
        Op::Get(Get {
            makes: Makes::Error,
            ..GET
        }),
        Op::Get(Get {
            form: Form::Plain,
            makes: Makes::Panic,
            ..GET
        }),
        Op::Get(Get {
            makes: Makes::Unkept,
            ..GET
        }),
        Op::Get(Get {
            looks: LooksUp::InVain,
            ..GET
        }),
        Op::Get(Get {
            form: Form::Background,
            ..GET
        }),
        Op::Set,
        Op::Expire,
        Op::Invalidate,
        Op::Peek,
    ];
    let one = kinds.map(|kind| vec![kind]);
    let two = kinds
        .iter()
        .flat_map(|&first| kinds.map(|second| vec![first, second]));
    let sides: Vec<_> = one.into_iter().chain(two).collect();
    let mut met = Met::default();
    Watchdog::watch(|watchdog| {
        let starts = [Start::Nothing, Start::Fresh, Start::Expired];
        let kinds = [Kind::Plain, Kind::Reader];
        for (kind, start) in kinds
            .iter()
            .flat_map(|&kind| starts.map(|start| (kind, start)))
        {
            for (number, left) in sides.iter().enumerate() {
                for right in &sides[number..] {
                    let program = Program {
                        kind,
                        settings: Settings {
                            ttl: Time::MAX,
                            stale_while_revalidate: None,
                        },
                        start,
                        threads: vec![left.clone(), right.clone()],
                    };
                    watchdog.about_to(&program);
                    holds(&program, times(), &mut met);
                }
            }
        }
        met.all();
    });
}
