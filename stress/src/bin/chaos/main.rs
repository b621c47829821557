//! Everything that can be done to a pile, in every form, on real threads and in real time, and the
//! promises that can be seen from outside: `chaos [SECONDS] [SEED]`, by default 5.
//!
//! Each round draws a kind of pile and its settings, and lets some threads do to it what they draw:
//! calls, tasks on threads of their own and on the workers of tokio, creations on threads, tokio and
//! rayon, attempts with leases that are sent away, look-ups elsewhere, the write lock, and `set`,
//! `invalidate` and `expire` at any time. Creators fail, panic, hang for a while; jobs are refused and
//! dropped; futures are dropped half way. What is looked at:
//!
//! - creators of one pile at once: one, or two where they are taken over (`one_creator`), and of a map
//!   as many as it allows (`creation_limit`); in no span more than it allows (`creation_rate`);
//! - no thread is given an older value than it has seen;
//! - no value whose creation began before an `invalidate` that has returned (`invalidate_wins`);
//! - every value is dropped once, and soon: none is left when the pile is gone;
//! - nobody hangs;
//! - what is counted adds up, and each end of a lease is told once (`observed_once`);
//! - nobody outlasts more than two creations (`no_starvation`);
//! - no reader beside a writer (`write_lock_excludes_readers`).
//!
//! A round is known by its seed, which is printed with what is found. The same seed draws the same
//! operations; who goes first is not drawn.
//!
//! Ends with 1 if it finds anything, and at once. `.ci/chaos` runs it, also with the crate broken on
//! purpose.

mod calls;
mod keyed;
mod ledger;
mod plan;
mod random;
mod rate;
mod site;
mod storm;
mod tasks;
mod watchdog;

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use calls::Parcels;
use keyed::Map;
use random::Random;
use site::{Site, on_pile};
use watchdog::{look_after, tell_state};

const CALLERS: u64 = 5;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let seconds = args.next().map_or(Ok(5.0), |text| text.parse());
    let seed = args.next().map(|text| text.parse::<u64>()).transpose();
    let (Ok(Ok(time)), Ok(seed), None) =
        (seconds.map(Duration::try_from_secs_f64), seed, args.next())
    else {
        eprintln!("usage: chaos [SECONDS] [SEED]");
        return ExitCode::from(2);
    };
    let mut seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(1, |since| since.as_millis() as u64)
    });
    println!("from seed {seed} on");
    watchdog::start();
    let begin = Instant::now();
    let (mut rounds, mut calls) = (0, 0);
    while begin.elapsed() < time && ledger::faults() == 0 {
        ledger::set_seed(seed);
        calls += round(seed);
        ledger::demand(ledger::only_left(0, 0), || {
            let left = ledger::alive();
            format!("dropped_once_and_soon: (values, errors) left without a pile: {left:?}")
        });
        seed += 1;
        rounds += 1;
    }
    println!(
        "{rounds} rounds, {calls} calls in {:.1?}: {} faults",
        begin.elapsed(),
        ledger::faults()
    );
    match ledger::faults() {
        0 if calls > 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Answers how many calls there were.
fn round(seed: u64) -> u64 {
    let mut random = Random::new(seed, 0);
    // Short ones: much can go wrong at the beginning of a pile alone.
    let time = random.one_of(&[2, 10, 40, 150]);
    let until = Instant::now() + Duration::from_millis(time);
    match random.below(8) {
        0 => storm::storm(&mut random, until),
        1..=3 => one_map(&mut random, until),
        _ => one_pile(&mut random, until),
    }
}

fn one_pile(random: &mut Random, until: Instant) -> u64 {
    let site = Site::draw(random);
    let parcels = Parcels::default();
    let gone = AtomicBool::new(false);
    let told = Arc::downgrade(&site);
    tell_state(move || match Weak::upgrade(&told) {
        Some(site) => format!("{site:?}"),
        None => "no pile".to_owned(),
    });
    let calls = thread::scope(|threads| {
        let (site, parcels, gone) = (&site, &parcels, &gone);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let random = random.split();
                threads.spawn(move || {
                    let doing = look_after("a caller");
                    calls::Caller::new(site, parcels, &doing, random).run(until)
                })
            })
            .collect();
        let mut ends = random.split();
        threads.spawn(move || calls::end_leases(site, parcels, &mut ends, gone));
        let calls = joined(callers);
        gone.store(true, Ordering::SeqCst);
        calls
    });
    let _doing = look_after("jobs and tasks end");
    // Jobs have a share in it.
    while Arc::strong_count(&site) > 1
        || Arc::strong_count(&site.ledger) > 1
        || on_pile!(&site.pile, |pile| Arc::strong_count(pile)) > 1
    {
        thread::sleep(Duration::from_micros(200));
    }
    calls::settle(site, parcels);
    calls
}

fn one_map(random: &mut Random, until: Instant) -> u64 {
    let map = Arc::new(Map::draw(random));
    let told = Arc::downgrade(&map);
    tell_state(move || match Weak::upgrade(&told) {
        Some(map) => map.state(),
        None => "no map".to_owned(),
    });
    let calls = thread::scope(|threads| {
        let map = &*map;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let random = random.split();
                threads.spawn(move || {
                    let doing = look_after("a caller of a map");
                    keyed::Caller::new(map, &doing, random).run(until)
                })
            })
            .collect();
        joined(callers)
    });
    let _doing = look_after("jobs of a map end");
    while Arc::strong_count(&map.all) > 1 || map.map.stats().creating > 0 {
        thread::sleep(Duration::from_micros(200));
    }
    match Arc::into_inner(map) {
        Some(map) => map.settle(),
        None => ledger::fault("somebody still has the map"),
    }
    calls
}

/// How many calls they made, all together.
fn joined(callers: Vec<thread::ScopedJoinHandle<'_, u64>>) -> u64 {
    let calls = callers.into_iter().map(|caller| match caller.join() {
        Ok(calls) => calls,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            ledger::fault(&format!("a caller panicked: {text:?}"));
            0
        }
    });
    calls.sum()
}
