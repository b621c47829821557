//! A pile per key, in a cache that stays in charge of what is kept: moka decides which keys stay,
//! dogpile decides who renews them.
//!
//! ```text
//! cargo run --release --example embed
//! ```
//!
//! To put the election over a cache, use dogpile-moka. This example shows by hand what an attempt is
//! for. If moka evicts a pile while its value is created, a second creator may run; the adapter
//! prevents that.
//!
//! Each entry of a [`moka::sync::Cache`] is an `Arc<Dogpile<Page>>`: the cache has a capacity and a
//! time to idle, and no time to live; the pile has a time to live, and a limit to how long a stale
//! page may be served.
//!
//! Two ways of asking are shown, both made of [`Dogpile::attempt`], which neither creates nor
//! waits, so that what to do about it stays with the program:
//!
//! - [`Pages::page`]: who gets the [`Lease`] renders; the others take the stale page, or wait.
//! - [`Pages::page_behind`]: who gets the lease sends it to a worker thread and takes the stale
//!   page like everybody else. It takes [`Dogpile::attempt_owned`], whose lease borrows nothing.
//!
//! # How to read the output
//!
//! A line for each thing that should hold, with PASS or FAIL and the figures; if one fails the exit
//! code is 1. Nothing is left to chance: the piles' clock is moved by hand, and threads wait for
//! each other by channels. Only moka's time to idle runs by the real clock, which takes three
//! seconds.

use std::error::Error as StdError;
use std::fmt;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use dogpile::{Attempt, Builder, Dogpile, Guard, Lease, ManualClock, Origin, Outcome, Owned};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// How long a page is fresh, and how much longer it may be served stale.
const TTL: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(3600);
/// How many pages the cache keeps, and for how long if nobody wants them.
const CAPACITY: u64 = 100;
const IDLE: Duration = Duration::from_secs(2);

/// How many threads want the same page.
const HERD: usize = 8;

/// A page, which counts while it is alive.
struct Page {
    html: String,
    _alive: Alive,
}

/// Counts how many of it there are.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A page that cannot be rendered.
#[derive(Clone, Debug)]
struct NoPage(&'static str);

impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot render the page: {}", self.0)
    }
}

impl StdError for NoPage {}

/// What a caller gets: a page that outlives its pile and its place in the cache.
struct Answer {
    page: Owned<Page>,
    origin: Origin,
}

type Result<T, E = Box<dyn StdError + Send + Sync>> = std::result::Result<T, E>;

/// Renders the page of a key.
type Render = dyn Fn(&str) -> Result<Page, NoPage> + Send + Sync;

/// The right to render a page, with the pile in it: it needs neither the caller nor the cache.
type PageLease = Lease<'static, Page>;

/// The cache.
struct Pages {
    cache: Cache<String, Arc<Dogpile<Page>>>,
    /// What all piles are built with.
    settings: Builder<Page>,
}

impl Pages {
    fn new(settings: Builder<Page>) -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_idle(IDLE)
            // By default moka also looks at how often keys are wanted; this is easier to follow.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { cache, settings }
    }

    /// The pile of a key, without a value if the key is new. Building one is quick, so moka's own
    /// election, which makes others wait, is over at once.
    fn pile(&self, key: &str) -> Arc<Dogpile<Page>> {
        self.cache
            .get_with_by_ref(key, || Arc::new(self.settings.clone().build()))
    }

    /// Has moka do now what it does in its own time: it removes entries in batches, and drops them
    /// a little later, when no thread can be reading them any more.
    fn tidy_until(&self, done: impl Fn() -> bool) {
        wait_for(|| {
            self.cache.run_pending_tasks();
            // Its garbage is collected on every so many looks.
            (0..128).for_each(|_| drop(self.cache.get("no such key")));
            done()
        });
    }

    /// The page, rendered by this caller if it has to be and nobody else is at it.
    fn page(&self, key: &str, mut render: impl FnMut() -> Result<Page, NoPage>) -> Result<Answer> {
        let pile = self.pile(key);
        loop {
            let lease = match pile.attempt() {
                Attempt::Lease(lease) => lease,
                other => match settle(other)? {
                    Some(answer) => return Ok(answer),
                    None => continue,
                },
            };
            // If this panics the lease is dropped, and given up: the next one to come takes it.
            match render() {
                Ok(page) => {
                    if let Ok(page) = lease.publish(page) {
                        let origin = Origin::CreatedHere;
                        return Ok(Answer { page, origin });
                    }
                    // Invalidated meanwhile: what was rendered is out of date. Once more.
                }
                // Everybody who waits is told, and none of them renders for that.
                Err(error) => {
                    drop(lease.fail(error.clone()));
                    return Err(error.into());
                }
            }
        }
    }

    /// The page, rendered by the worker if it has to be: a caller waits only if there is nothing at
    /// all to go on with.
    fn page_behind(&self, key: &str, worker: &Worker) -> Result<Answer> {
        let pile = self.pile(key);
        loop {
            match pile.attempt_owned() {
                // After that somebody is at it, and this caller is like any other: it goes round
                // once more and takes the stale page, unless that is too old, and then it waits.
                Attempt::Lease(lease) => worker.send(key, lease),
                other => {
                    if let Some(answer) = settle(other)? {
                        return Ok(answer);
                    }
                }
            }
        }
    }
}

/// An answer from an attempt that brought no lease; `None` if it has to be repeated.
fn settle(attempt: Attempt<'_, Page, dogpile::Lease<'_, Page>>) -> Result<Option<Answer>> {
    let guard = match attempt {
        Attempt::Hit(guard) => guard,
        Attempt::Busy(busy) => match busy.into_stale() {
            Ok(stale) => stale,
            Err(busy) => match busy.wait() {
                Outcome::Value(guard) => guard,
                // The pile has no error type of its own; here all creators have the same.
                Outcome::Failed(failure) => match failure.downcast_ref::<NoPage>() {
                    Some(error) => return Err(error.clone().into()),
                    None => return Err(failure.into()),
                },
                // Given up, by a panic for instance, or superseded.
                Outcome::ElectAnew => return Ok(None),
                // There is no limit to this wait, so it is this.
                _ => return Err("a renderer asks for the page that it renders".into()),
            },
        },
        _ => return Ok(None),
    };
    let origin = Guard::origin(&guard);
    let page = guard.into();
    Ok(Some(Answer { page, origin }))
}

/// Renders pages on a thread of its own, for as long as somebody can send to it.
struct Worker {
    jobs: SyncSender<(String, PageLease)>,
    render: Arc<Render>,
}

impl Worker {
    /// It takes up a job for each word that comes through `gate`: that makes the order of events
    /// certain, and is for this example alone.
    fn start(gate: Receiver<()>, render: Arc<Render>) -> (Self, thread::JoinHandle<()>) {
        let (jobs, inbox) = mpsc::sync_channel::<(String, PageLease)>(16);
        let worker = Self {
            jobs,
            render: Arc::clone(&render),
        };
        let thread = thread::spawn(move || {
            for (key, lease) in inbox {
                // A gate that is gone stands open.
                let (Ok(()) | Err(RecvError)) = gate.recv();
                finish(&key, lease, &*render);
            }
        });
        (worker, thread)
    }

    /// Hands the lease over. If the worker is behind with its work, or gone, the caller does it:
    /// dropping the lease would only elect the next caller to find that out.
    fn send(&self, key: &str, lease: PageLease) {
        match self.jobs.try_send((key.to_owned(), lease)) {
            Ok(()) => {}
            Err(TrySendError::Full((key, lease)) | TrySendError::Disconnected((key, lease))) => {
                finish(&key, lease, &*self.render);
            }
        }
    }
}

/// Renders a page under its lease.
fn finish(key: &str, lease: PageLease, render: &Render) {
    match render(key) {
        // If it was superseded nobody wants the page any more.
        Ok(page) => drop(lease.publish(page)),
        Err(error) => drop(lease.fail(error)),
    }
}

/// What the checks need.
struct Show {
    pages: Arc<Pages>,
    clock: Arc<ManualClock>,
    /// How many pages are alive, wherever.
    alive: Arc<AtomicUsize>,
    held: bool,
}

impl Show {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let settings = Dogpile::builder(TTL)
            .stale_while_revalidate(STALE)
            .clock(Arc::clone(&clock) as Arc<dyn dogpile::Clock>);
        Self {
            pages: Arc::new(Pages::new(settings)),
            clock,
            alive: Arc::default(),
            held: true,
        }
    }

    fn check(&mut self, held: bool, what: &str, figures: fmt::Arguments<'_>) {
        let verdict = if held { "PASS" } else { "FAIL" };
        println!("{verdict} {what:<62} {figures}");
        self.held &= held;
    }

    fn rendered(&self, html: &str) -> Page {
        Page {
            html: html.to_owned(),
            _alive: Alive::new(&self.alive),
        }
    }

    fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    /// How many of the answers are this page.
    fn are(answers: &[Answer], html: &str) -> usize {
        answers.iter().filter(|a| a.page.html == html).count()
    }
}

fn main() -> ExitCode {
    // The panic of the thread of this name is part of the show; all others are printed as ever.
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(CLUMSY) {
            print(panic);
        }
    }));

    let mut show = Show::new();
    let shown = one_renders(&mut show)
        .and_then(|()| stale_meanwhile(&mut show))
        .and_then(|()| panic_hands_over(&mut show))
        .and_then(|()| failure_is_told(&mut show))
        .and_then(|()| refresh_behind(&mut show))
        .and_then(|()| eviction(&mut show));
    match shown {
        Ok(()) if show.held => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Nobody has the page: one renders, the others wait.
fn one_renders(show: &mut Show) -> Result<()> {
    let renders = AtomicUsize::new(0);
    let pile = show.pages.pile("front");
    let answers = herd(|| {
        show.pages.page("front", || {
            renders.fetch_add(1, Ordering::SeqCst);
            // Until all the others wait.
            wait_for(|| pile.waiters() == HERD - 1);
            Ok(show.rendered("v1"))
        })
    })?;
    let renders = renders.into_inner();
    let got = Show::are(&answers, "v1");
    show.check(
        renders == 1 && got == HERD,
        "a new key: one caller renders, all get that page",
        format_args!("rendered {renders}, {got} of {HERD} got it"),
    );
    Ok(())
}

/// The page is stale: one renders, the others get the stale page meanwhile.
fn stale_meanwhile(show: &mut Show) -> Result<()> {
    show.clock.advance(TTL + Duration::from_secs(1));
    let mut meanwhile = Vec::new();
    let answers = &mut meanwhile;
    let renewed = show.pages.page("front", || {
        // The whole herd comes and goes while this page is being rendered. If one of them waited,
        // this would never end.
        let twice = || Err(NoPage("rendered twice"));
        *answers = herd(|| show.pages.page("front", twice)).map_err(|_| NoPage("no stale page"))?;
        Ok(show.rendered("v2"))
    })?;
    let stale = meanwhile
        .iter()
        .filter(|a| a.origin == Origin::Stale)
        .count();
    let old = Show::are(&meanwhile, "v1");
    show.check(
        stale == HERD && old == HERD && renewed.page.html == "v2",
        "a stale page: served to all while one caller renews it",
        format_args!("{stale} of {HERD} served, then {}", renewed.page.html),
    );
    Ok(())
}

/// The name of a thread that panics.
const CLUMSY: &str = "clumsy";

/// The creator panics while others wait for it: one of them takes over.
fn panic_hands_over(show: &mut Show) -> Result<()> {
    let renders = AtomicUsize::new(0);
    let pile = show.pages.pile("news");
    let (answers, panicked) = thread::scope(|threads| {
        let (holds, held) = mpsc::channel();
        let (pages, pile) = (&show.pages, &pile);
        let clumsy = thread::Builder::new().name(CLUMSY.to_owned());
        let clumsy = clumsy.spawn_scoped(threads, move || {
            pages.page("news", || {
                // Nobody listens any more once this has been heard.
                let _ = holds.send(());
                wait_for(|| pile.waiters() == HERD);
                panic!("a careless renderer")
            })
        })?;
        // The herd starts when the lease is held.
        let _ = held.recv();
        let answers = herd(|| {
            pages.page("news", || {
                renders.fetch_add(1, Ordering::SeqCst);
                Ok(show.rendered("v1"))
            })
        });
        Ok::<_, Box<dyn StdError + Send + Sync>>((answers?, clumsy.join().is_err()))
    })?;
    let renders = renders.into_inner();
    let got = Show::are(&answers, "v1");
    show.check(
        panicked && renders == 1 && got == HERD,
        "a creator panics: one of those who waited takes over",
        format_args!("rendered {renders}, {got} of {HERD} got it"),
    );
    Ok(())
}

/// The creator fails: it and those who waited are told, and nobody renders once more for that.
fn failure_is_told(show: &mut Show) -> Result<()> {
    let renders = AtomicUsize::new(0);
    let pile = show.pages.pile("broken");
    let told = herd(|| {
        let answer = show.pages.page("broken", || {
            renders.fetch_add(1, Ordering::SeqCst);
            wait_for(|| pile.waiters() == HERD - 1);
            Err(NoPage("no such template"))
        });
        Ok(answer.is_err_and(|error| error.is::<NoPage>()))
    })?;
    let told = told.into_iter().filter(|told| *told).count();
    let renders = renders.into_inner();
    show.check(
        renders == 1 && told == HERD,
        "a creator fails: all who waited are told, nobody tries again",
        format_args!("rendered {renders}, {told} of {HERD} told"),
    );
    Ok(())
}

/// The lease goes to a worker, and all callers return at once with the stale page.
fn refresh_behind(show: &mut Show) -> Result<()> {
    let (open, gate) = mpsc::channel();
    let alive = Arc::clone(&show.alive);
    let (worker, thread) = Worker::start(
        gate,
        Arc::new(move |key| {
            let html = format!("{key}, from behind");
            let _alive = Alive::new(&alive);
            Ok(Page { html, _alive })
        }),
    );
    show.clock.advance(TTL + Duration::from_secs(1));
    let pile = show.pages.pile("front");
    // The worker is not let in yet: nobody can be waiting for it.
    let answers = herd(|| show.pages.page_behind("front", &worker))?;
    let stale = Show::are(&answers, "v2");
    let creating = pile.is_creating();
    open.send(())?;
    wait_for(|| pile.is_fresh());
    let renewed = show.pages.page_behind("front", &worker)?;
    show.check(
        stale == HERD && creating && renewed.page.html == "front, from behind",
        "refresh-behind: the stale page at once, a worker renews it",
        format_args!("{stale} of {HERD} at once, then `{}`", renewed.page.html),
    );

    // Stale for too long: then there is nothing to go on with, and all wait for the worker.
    show.clock.advance(TTL + STALE + Duration::from_secs(1));
    let answers = thread::scope(|threads| {
        let (pages, worker) = (&show.pages, &worker);
        let herd = threads.spawn(move || herd(|| pages.page_behind("front", worker)));
        wait_for(|| pile.waiters() == HERD);
        open.send(())?;
        herd.join()
            .unwrap_or_else(|_| Err("a caller panicked".into()))
    })?;
    let new = answers
        .iter()
        .filter(|a| a.origin == Origin::CreatedByAnother)
        .count();
    show.check(
        new == HERD,
        "refresh-behind: a page past its stale limit is not served",
        format_args!("{new} of {HERD} waited for the worker"),
    );

    // Its key is thrown out of the cache while the worker has the lease: nobody is harmed.
    show.clock.advance(TTL + Duration::from_secs(1));
    let stale = show.pages.page_behind("front", &worker)?;
    let orphan = Arc::downgrade(&pile);
    drop(pile);
    show.pages.cache.invalidate("front");
    show.pages.tidy_until(|| orphan.strong_count() == 1);
    let held_by_lease = orphan.strong_count();
    open.send(())?;
    // The worker's work is done when nobody can send to it any more, and it has ended.
    drop(worker);
    let joined = thread.join().is_ok();
    let gone = orphan.upgrade().is_none();
    show.check(
        stale.origin == Origin::Stale && held_by_lease == 1 && joined && gone,
        "a key removed meanwhile: its pile lives as long as the lease",
        format_args!("held by {held_by_lease}, then gone: {gone}"),
    );
    Ok(())
}

/// What moka throws out takes its pile and its page along.
fn eviction(show: &mut Show) -> Result<()> {
    let keys = 10 * CAPACITY;
    let mut first = None;
    for key in 0..keys {
        let answer = show
            .pages
            .page(&key.to_string(), || Ok(show.rendered("many")))?;
        first.get_or_insert(answer);
    }
    show.pages
        .tidy_until(|| show.alive() as u64 <= CAPACITY + 1);
    let (kept, alive) = (show.pages.cache.entry_count(), show.alive());
    let first_is_out = !show.pages.cache.contains_key("0");
    show.check(
        // One more: the caller still has it.
        first_is_out && kept == CAPACITY && alive as u64 == CAPACITY + 1,
        "capacity: evicted keys drop their piles and pages",
        format_args!("{keys} keys, {kept} kept, {alive} pages alive with ours"),
    );
    let still_there = first.is_some_and(|first| first.page.html == "many");
    let alive = show.alive();
    show.check(
        still_there && alive as u64 == CAPACITY,
        "and a caller's page outlives its pile, until it is dropped",
        format_args!("{alive} pages alive"),
    );

    // One key stays in use; being asked for counts as use, a renewal is not needed.
    let in_use = (keys - 1).to_string();
    let until = Instant::now() + IDLE + IDLE / 2;
    while Instant::now() < until {
        show.pages
            .page(&in_use, || Ok(show.rendered("once more")))?;
        thread::sleep(IDLE / 20);
    }
    show.pages.tidy_until(|| show.alive() == 1);
    let (kept, alive) = (show.pages.cache.entry_count(), show.alive());
    let same = show
        .pages
        .page(&in_use, || Ok(show.rendered("once more")))?;
    show.check(
        kept == 1 && alive == 1 && same.page.html == "many",
        "time to idle: keys that nobody wants go, one in use stays",
        format_args!("{kept} kept, {alive} pages alive"),
    );
    Ok(())
}

/// What a herd of threads is given, each calling once.
fn herd<T: Send>(call: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|threads| {
        let herd: Vec<_> = (0..HERD).map(|_| threads.spawn(&call)).collect();
        let answers = herd.into_iter().map(|thread| thread.join());
        answers
            .map(|answer| answer.unwrap_or_else(|_| Err("a caller panicked".into())))
            .collect()
    })
}

/// Returns when it is so, or after ten seconds, when something is broken and a check will tell.
fn wait_for(it: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !it() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(1));
    }
}
