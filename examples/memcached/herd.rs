//! The threads that want the page, and what they got.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Acquired, Dogpile, Error, Lookup, Origin as Came};

use crate::client::Client;
use crate::origin::{KEY, Origin, Page};

/// How a process gets the page.
pub(crate) struct Reader<'a> {
    pub(crate) pile: &'a Dogpile<Page>,
    pub(crate) origin: &'a Origin,
    /// What the pile is told of a page that was found.
    pub(crate) look_up: fn(Page) -> Lookup<Page>,
}

impl Reader<'_> {
    /// The page, how the answer came about, and how often `get` was called.
    fn page(&self, client: &RefCell<Client>) -> (Result<(Page, Came), Error<io::Error>>, u64) {
        let gets = Cell::new(0);
        let page = self.pile.acquire(
            // Both want the connection, which is why it is in a cell.
            || self.origin.create(&mut client.borrow_mut()),
            || {
                gets.set(gets.get() + 1);
                Ok(match client.borrow_mut().get(KEY)? {
                    Some(text) => (self.look_up)(Page::parse(&text)?),
                    None => Lookup::NeedRegeneration,
                })
            },
        );
        (
            page.map(|page| (*page, Acquired::origin(&page))),
            gets.get(),
        )
    }
}

/// What a herd got.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) gets: u64,
    pub(crate) most_gets: u64,
    /// How often a thread was given an older page than before.
    pub(crate) went_back: u64,
    pub(crate) errors: u64,
    error: Option<String>,
    /// By the way that answers came about: how many, and the slowest.
    answers: BTreeMap<&'static str, (u64, Duration)>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.gets += other.gets;
        self.most_gets = self.most_gets.max(other.most_gets);
        self.went_back += other.went_back;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
        for (came, (count, slowest)) in other.answers {
            let sum = self.answers.entry(came).or_default();
            *sum = (sum.0 + count, sum.1.max(slowest));
        }
    }

    /// The first error, in words.
    pub(crate) fn first_error(&self) -> String {
        match &self.error {
            Some(error) => format!("{}, such as: {error}", self.errors),
            None => String::from("0"),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "answer                      calls  slowest")?;
        for (came, (count, slowest)) in &self.answers {
            let slowest = slowest.as_secs_f64() * 1e3;
            writeln!(f, "{came:22} {count:10} {slowest:5.1} ms")?;
        }
        Ok(())
    }
}

/// Runs a herd for as long as `go_on` says; each thread calls at least once.
pub(crate) fn run(
    reader: &Reader<'_>,
    address: SocketAddr,
    threads: usize,
    go_on: &(dyn Fn() -> bool + Sync),
) -> io::Result<Tally> {
    thread::scope(|scope| {
        let herd: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(move || {
                    let client = RefCell::new(Client::connect(address)?);
                    Ok::<_, io::Error>(one(reader, &client, go_on))
                })
            })
            .collect();
        let mut sum = Tally::default();
        for thread in herd {
            sum.add(thread.join().expect("no creator panics")?);
        }
        Ok(sum)
    })
}

/// One thread of a herd.
fn one(reader: &Reader<'_>, client: &RefCell<Client>, go_on: &dyn Fn() -> bool) -> Tally {
    let mut tally = Tally::default();
    let mut newest = 0;
    loop {
        let start = Instant::now();
        let (answer, gets) = reader.page(client);
        let took = start.elapsed();
        tally.calls += 1;
        tally.gets += gets;
        tally.most_gets = tally.most_gets.max(gets);
        match answer {
            Ok((page, came)) => {
                tally.went_back += u64::from(page.number < newest);
                newest = newest.max(page.number);
                let sum = tally.answers.entry(in_words(came)).or_default();
                *sum = (sum.0 + 1, sum.1.max(took));
            }
            Err(error) => {
                tally.errors += 1;
                // With what is behind it: "looking the value up failed" is half the story.
                let cause = std::error::Error::source(&error);
                let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
                tally.error.get_or_insert_with(|| format!("{error}{cause}"));
                // The connection may be gone for good: no use in hammering at it.
                thread::sleep(Duration::from_millis(10));
            }
        }
        if !go_on() {
            return tally;
        }
    }
}

fn in_words(came: Came) -> &'static str {
    match came {
        Came::Fresh => "looked up, fresh",
        Came::Stale => "looked up, stale",
        Came::CreatedHere => "created here",
        Came::CreatedByAnother => "created by another",
        Came::Superseded => "superseded",
        _ => "other",
    }
}
