//! The herd: threads that check the tokens as they arrive, the same way for all three ways.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::LEAD;
use crate::keys::Token;
use crate::options::Options;
use crate::origin::Origin;
use crate::spells::{Spell, Spells};
use crate::tally::{Answer, Tally};
use crate::tokens::{Dice, Kind, Mint};
use crate::ways::Way;

pub(crate) const THREAD_NAME: &str = "herd";

/// How long tokens are in use: from the first one signed with the new key on, it takes this long
/// until all are. At 600 times the usual pace, two hours, where keys live for five minutes.
const TOKEN_LIFE: Duration = Duration::from_secs(12);

/// One run of the herd.
pub(crate) struct Herd<'a> {
    pub(crate) options: &'a Options,
    pub(crate) mint: &'a Mint,
    pub(crate) origin: &'a Origin,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) requests: u64,
    pub(crate) most_at_once: u64,
    pub(crate) damaged: u64,
    /// When the keys were rotated, from the start.
    pub(crate) rotated: Option<Duration>,
    pub(crate) took: Duration,
    pub(crate) tally: Tally,
    /// What each thread did that was not plain work.
    pub(crate) rows: Vec<Vec<Spell>>,
}

/// One thread of it.
struct Member {
    tally: Tally,
    spells: Spells,
    dice: Dice,
}

impl Herd<'_> {
    /// Lets the herd loose on `way`.
    pub(crate) fn run<W: Way>(&self, way: &W) -> Result<Run, String> {
        let served = AtomicU64::new(0);
        let members = thread::scope(|scope| {
            let spawned: io::Result<Vec<_>> = (0..self.options.threads)
                .map(|number| {
                    let served = &served;
                    thread::Builder::new()
                        .name(THREAD_NAME.into())
                        .spawn_scoped(scope, move || self.member(way, number, served))
                })
                .collect();
            let spawned = spawned.map_err(|error| format!("cannot start a thread: {error}"))?;
            self.conduct(W::NAME, &served);
            let joined = spawned.into_iter().map(|thread| thread.join());
            let members: Result<Vec<Member>, _> = joined.collect();
            members.map_err(|_| String::from("a thread of the herd is broken"))
        })?;
        let mut tally = Tally::new();
        let mut rows = Vec::new();
        for member in members {
            tally.add(member.tally);
            rows.push(member.spells.into_list());
        }
        Ok(Run {
            name: W::NAME,
            about: W::ABOUT,
            requests: self.origin.requests(),
            most_at_once: self.origin.most_at_once(),
            damaged: self.origin.damaged(),
            rotated: self.origin.rotated().map(|at| at - self.start),
            took: self.start.elapsed(),
            tally,
            rows,
        })
    }

    /// Shows how far it is, and sees to it that the rotation happens.
    fn conduct(&self, name: &str, served: &AtomicU64) {
        let terminal = io::stdout().is_terminal();
        let tick = Duration::from_millis(if terminal { 100 } else { 1000 });
        let mut next = self.start + tick;
        while Instant::now() < self.end {
            thread::sleep(Duration::from_millis(20));
            self.origin.rotate_at_latest();
            let now = Instant::now();
            if now < next {
                continue;
            }
            next += tick;
            let line = format!(
                "{:<14} {:>4.1} s {:>8} tokens checked {:>5} requests",
                name,
                (now - self.start).as_secs_f64(),
                served.load(Ordering::Relaxed),
                self.origin.requests()
            );
            if terminal {
                print!("\r{line}");
                // Only the show suffers if it fails.
                let _ = io::stdout().flush();
            } else {
                println!("{line}");
            }
        }
        if terminal {
            println!();
        }
    }

    /// The life of one thread.
    fn member<W: Way>(&self, way: &W, number: u64, served: &AtomicU64) -> Member {
        let mut member = Member {
            tally: Tally::new(),
            spells: Spells::new(self.start),
            dice: Dice::new(number),
        };
        let mut arrival = self.start;
        sleep_until(self.start);
        loop {
            if self.options.rate == 0 {
                arrival = Instant::now();
            }
            sleep_until(arrival);
            if arrival >= self.end || Instant::now() >= self.end {
                break;
            }
            let serial = served.fetch_add(1, Ordering::Relaxed);
            self.serve(way, serial, arrival, &mut member);
            if arrival == self.start {
                // The first token of each thread finds no keys at all. The stream begins when it
                // has been answered, or the wait for the first keys would outweigh all the rest.
                arrival = Instant::now();
            }
            arrival += self.pause(&mut member.dice);
        }
        // Those that still wait have waited for so long at least.
        while arrival < self.end {
            member.tally.left(self.end - arrival);
            arrival += self.pause(&mut member.dice);
        }
        member
    }

    /// From one token's arrival to the next one's.
    fn pause(&self, dice: &mut Dice) -> Duration {
        match self.options.rate {
            0 => Duration::ZERO,
            rate => {
                let mean = Duration::from_secs(self.options.threads).div_f64(rate as f64);
                mean.mul_f64(0.5 + dice.unit())
            }
        }
    }

    /// One token: takes it up, has it checked, and books the answer.
    fn serve<W: Way>(&self, way: &W, serial: u64, arrival: Instant, member: &mut Member) {
        let taken = Instant::now();
        let kind = self.kind(serial, taken, &mut member.dice);
        let token = self.mint.token(kind, &mut member.dice);
        let checked = panic::catch_unwind(AssertUnwindSafe(|| {
            check(way, token, taken, &mut member.spells)
        }));
        match checked {
            Ok(answer) => member.tally.answered(kind, answer),
            Err(payload) => {
                member.tally.panicked(&*payload);
                member.spells.panicked();
            }
        }
        member.tally.checked(arrival.elapsed());
    }

    /// What kind of token this one is. Fixed when it is taken up: that settles what is right. (Not when it
    /// arrives: a herd that cannot keep up would come to no token of the new key.)
    fn kind(&self, serial: u64, taken: Instant, dice: &mut Dice) -> Kind {
        let forged = self.options.forged;
        if serial % forged == forged / 2 {
            return Kind::UnknownKey;
        }
        if serial % forged == forged / 4 {
            return Kind::BadSignature;
        }
        let in_use = self.origin.rotated().map(|rotated| rotated + LEAD);
        match in_use.and_then(|since| taken.checked_duration_since(since)) {
            Some(span) if dice.unit() < span.div_duration_f64(TOKEN_LIFE) => Kind::NewKey,
            _ => Kind::OldKey,
        }
    }
}

/// Checks a token that was taken up then: the whole of it, getting at the keys included.
fn check<W: Way>(way: &W, token: &str, taken: Instant, spells: &mut Spells) -> Answer {
    try_check(way, token, taken, spells).unwrap_or(Answer::Refused)
}

/// `None`: not a token, no such key, or no keys. The service fails closed.
fn try_check<W: Way>(way: &W, token: &str, taken: Instant, spells: &mut Spells) -> Option<Answer> {
    let token = Token::parse(token)?;
    let id = token.key_id()?;
    let seen = spells.watch(|| way.keys()).ok()?;
    let signed = match seen.key(id) {
        Some(key) => token.is_signed_by(key),
        None if seen.knows_all(taken) => false,
        None => {
            // Perhaps the keys were rotated. Newer ones settle it.
            let newer = spells.watch(|| way.newer_than(&seen)).ok()?;
            token.is_signed_by(newer.key(id)?)
        }
    };
    Some(if signed {
        Answer::Accepted
    } else {
        Answer::Refused
    })
}

fn sleep_until(instant: Instant) {
    // Returns at once if it has passed.
    thread::sleep(instant.saturating_duration_since(Instant::now()));
}
