//! The run: who is started, and what is done to the Redis.

use std::fs::File;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use herd::{Herd, Running, Scratch};

use crate::load::Told;
use crate::record::{Record, Slice};
use crate::report::Live;
use crate::server::Server;
use crate::upstream::Upstream;
use crate::{Result, SERVICES, STALE, TTL, Way};

/// So long the services may take until they share a value again, on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the Redis is emptied.
const EMPTIED: u32 = 3;

/// A part of the run.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) begin: Duration,
    pub(crate) end: Duration,
    /// Whether the Redis is harmed in it.
    pub(crate) harm: bool,
    /// Fetches under a lease in it.
    pub(crate) leased: usize,
    /// Whether all services shared a new value in it. Only asked for when the Redis is well.
    pub(crate) shared: bool,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) parts: Vec<Part>,
    /// By [`Way`].
    pub(crate) slices: [Vec<Slice>; 2],
    /// The most fetches at once: under a lease before anything happened, and of one service.
    pub(crate) most_leased: usize,
    pub(crate) most_of_one: usize,
    /// What the services counted.
    pub(crate) leads: u64,
    pub(crate) stored: u64,
    pub(crate) refused: u64,
    pub(crate) store_errors: u64,
    pub(crate) needless: u64,
    /// An error that a client got.
    pub(crate) error: Option<String>,
}

/// What the clients tell.
#[derive(Default)]
struct Heard {
    newest: [AtomicU64; SERVICES],
    error: Mutex<Option<String>>,
}

impl Heard {
    /// Takes note of it until they end.
    fn listen(&self, load: &mut Running, record: &Record) {
        while let Some(line) = load.line_of(0) {
            if let Some(Told(way, slice, newest)) = Told::parse(&line) {
                record.now(way, |now| *now += slice);
                for (known, newest) in self.newest.iter().zip(newest) {
                    known.store(newest, Ordering::SeqCst);
                }
            } else {
                let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
                error.get_or_insert(line);
            }
        }
    }
}

struct Stage {
    record: Arc<Record>,
    upstream: Arc<Upstream>,
    heard: Arc<Heard>,
    live: Live,
    parts: Vec<Part>,
}

impl Stage {
    /// Waits, and shows what happens meanwhile.
    fn pass(&mut self, mut goes_on: impl FnMut(&Self) -> bool) {
        while goes_on(self) {
            thread::sleep(Duration::from_millis(20));
            self.live.show(&self.record, &self.parts);
        }
    }

    fn begin(&mut self, name: &'static str, harm: bool) {
        self.end();
        let begin = self.record.elapsed();
        self.parts.push(Part {
            name,
            begin,
            end: Duration::MAX,
            harm,
            leased: self.upstream.leased(),
            shared: true,
        });
    }

    fn end(&mut self) {
        let (now, leased) = (self.record.elapsed(), self.upstream.leased());
        if let Some(part) = self.parts.last_mut() {
            part.end = now;
            part.leased = leased - part.leased;
        }
    }

    /// The Redis is not well.
    fn harm(&mut self, name: &'static str, span: Duration) {
        self.begin(name, true);
        let end = self.record.elapsed() + span;
        self.pass(|stage| stage.record.elapsed() < end);
    }

    /// The Redis is well: for so long, and until each service has a new value that all share.
    fn well(&mut self, name: &'static str, span: Duration) {
        self.begin(name, false);
        let (begin, before) = (self.record.elapsed(), self.upstream.fetches(Way::Fleet));
        let shared = |stage: &Self| {
            let mut newest = stage.heard.newest.iter();
            newest.all(|newest| newest.load(Ordering::SeqCst) > before)
        };
        self.pass(|stage| {
            let passed = stage.record.elapsed() - begin;
            passed < span || !shared(stage) && passed < PATIENCE
        });
        let shared = shared(self);
        if let Some(part) = self.parts.last_mut() {
            part.shared = shared;
        }
    }
}

/// All of it, in about so much time.
pub(crate) fn run(span: Duration) -> Result<Run> {
    let scratch = Scratch::new("dogpile-service");
    let mut redis = Server::start(&scratch)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let record = Arc::new(Record::default());
    let (upstream, address) = runtime.block_on(Upstream::serve(Arc::clone(&record)))?;
    let limit = span * 2 + PATIENCE * 5;

    let ends = ["load", "services"].map(|name| scratch.path().join(format!("{name}.end")));
    let [load_end, services_end] = &ends;
    let mut services = Herd::of_this_program("service")
        .with("redis", redis.url())
        .with("upstream", address)
        .with("end", services_end.display())
        .size(SERVICES)
        .limit(limit)
        .start();
    services.release();
    let mut addresses = Vec::new();
    for number in 0..SERVICES {
        let line = services.line_of(number);
        let line = line.ok_or_else(|| format!("service {number} does not start"))?;
        addresses.push(line.parse::<SocketAddr>()?.to_string());
    }
    let mut load = Herd::of_this_program("load")
        .with("services", addresses.join(","))
        .with("end", load_end.display())
        .limit(limit)
        .start();
    load.release();

    let heard = Arc::new(Heard::default());
    let listener = {
        let (heard, record) = (Arc::clone(&heard), Arc::clone(&record));
        thread::spawn(move || {
            heard.listen(&mut load, &record);
            load
        })
    };
    let mut stage = Stage {
        record,
        upstream,
        heard,
        live: Live::new(),
        parts: Vec::new(),
    };

    stage.well("all is well", span.mul_f64(0.2));
    let most_leased = stage.upstream.most_leased();
    redis.stop()?;
    stage.harm("stopped", span.mul_f64(0.1).max(TTL * 3));
    redis.go_on()?;
    stage.well("goes on", span.mul_f64(0.15));
    for number in 0..EMPTIED {
        redis.empty()?;
        let span = span.mul_f64(0.05);
        match number {
            0 => stage.harm("emptied, 3 times", span),
            _ => {
                let end = stage.record.elapsed() + span;
                stage.pass(|stage| stage.record.elapsed() < end);
            }
        }
    }
    stage.well("fills again", span.mul_f64(0.1));
    redis.kill()?;
    // Longer than the fleet goes on with an old value.
    stage.harm("killed", span.mul_f64(0.2).max(TTL + STALE + TTL * 2));
    redis.launch()?;
    stage.well("back, empty", span.mul_f64(0.2));
    stage.end();

    File::create(load_end)?;
    let load = listener
        .join()
        .map_err(|_| "the thread that listens to the clients panicked")?;
    check_ended("the clients", &load.collect())?;
    File::create(services_end)?;
    let services = services.collect();
    check_ended("a service", &services)?;
    stage.live.end(&stage.record, &stage.parts);

    let error = stage.heard.error.lock();
    let error = error.unwrap_or_else(PoisonError::into_inner).take();
    Ok(Run {
        parts: stage.parts,
        slices: Way::ALL.map(|way| stage.record.slices(way)),
        most_leased,
        most_of_one: stage.upstream.most_of_one(),
        leads: services.sum("leads"),
        stored: services.sum("stored"),
        refused: services.sum("refused"),
        store_errors: services.sum("store_errors"),
        needless: services.sum("needless"),
        error,
    })
}

fn check_ended(who: &str, done: &herd::Done) -> Result<()> {
    let failed = done
        .members()
        .iter()
        .find(|member| !member.status.success());
    match failed {
        Some(member) => Err(format!("{who} failed: {}", member.status).into()),
        None => Ok(()),
    }
}
