//! The same work over one Redis, by this crate and by dogpile.cache: how often is created, how often is the
//! server asked, when is the last one served, and what happens to a creator that is killed or slow.
//!
//! ```text
//! python3 -m venv target/venv && target/venv/bin/pip install dogpile.cache redis
//! cargo run --release -p dogpile-redis --example beside -- target/venv/bin/python
//! ```
//!
//! Without the second line's argument it shows this crate alone. It starts a `redis-server` of its own, on a
//! free port, and ends it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use dogpile_fleet::{Ask, FleetDogpile, Key, Store};
use dogpile_redis::{RedisStore, Settings};
use herd::Scratch;

type Fallible<T> = Result<T, Box<dyn Error>>;

const PROCESSES: usize = 20;
const MEMBER: &str = "member";

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == MEMBER) {
        return member(&arguments[1..]);
    }
    let server = Server::start()?;
    let mut sides = vec![Side::Ours { hints: false }, Side::Ours { hints: true }];
    match arguments.first() {
        Some(python) => sides.insert(0, Side::Theirs(python.clone())),
        None => println!("dogpile.cache is left out: name a python that has it.\n"),
    }
    println!("a cold key: {PROCESSES} processes call at once, a creation takes 300 ms");
    println!(
        "{:30} {:>9} {:>12} {:>22}",
        "", "creations", "round trips", "last served after, ms"
    );
    for side in &sides {
        let mut rounds: Vec<_> = (0..5)
            .map(|round| cold(&server, side, &format!("cold {round}")))
            .collect::<Fallible<_>>()?;
        rounds.sort_by(|a, b| a.2.total_cmp(&b.2));
        let (creations, trips): (Vec<_>, Vec<_>) = rounds.iter().map(|r| (r.0, r.1)).unzip();
        println!(
            "{:30} {:>9} {:>12} {:>22}",
            side.name(),
            range(&creations),
            range(&trips),
            format!("{:.0} ({:.0}-{:.0})", rounds[2].2, rounds[0].2, rounds[4].2),
        );
    }
    println!("\n1,000 calls of one process for a value that is there");
    for side in &sides {
        let trips = hits(&server, side)?;
        println!("{:30} {trips:>9} round trips", side.name());
    }
    println!(
        "\nthe creator is killed (kill -9) with {PROCESSES} waiting, its lock or lease ends after 2 s"
    );
    for side in &sides {
        println!("{:30} {}", side.name(), killed(&server, side, 2.0)?);
    }
    if let Some(theirs) = sides.first().filter(|side| matches!(side, Side::Theirs(_))) {
        let name = "dogpile.cache, no lock_timeout";
        println!("{name:30} {}", killed(&server, theirs, 0.0)?);
    }
    println!(
        "\na creation takes 3 s, the lock or lease ends after 1 s, 3 processes call, 1.2 s apart"
    );
    for side in &sides {
        println!("{:30} {}", side.name(), slow(&server, side)?);
    }
    Ok(())
}

fn range(numbers: &[usize]) -> String {
    let (low, high) = (numbers.iter().min(), numbers.iter().max());
    match (low, high) {
        (Some(low), Some(high)) if low != high => format!("{low}-{high}"),
        (Some(one), _) => one.to_string(),
        _ => String::new(),
    }
}

enum Side {
    Ours { hints: bool },
    Theirs(String),
}

impl Side {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours { hints: false } => "dogpile-redis",
            Self::Ours { hints: true } => "dogpile-redis, with hints",
            Self::Theirs(_) => "dogpile.cache",
        }
    }

    /// A process that has not called yet.
    fn process(&self, server: &Server, key: &str, job: Job) -> Fallible<Process> {
        let key = format!("{}: {key}", self.name());
        let (creation, limit) = (job.creation.to_string(), job.limit.to_string());
        let calls = job.calls.to_string();
        let mut command = match self {
            Self::Ours { hints } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([MEMBER, &hints.to_string()]);
                command
            }
            Self::Theirs(python) => {
                let mut command = Command::new(python);
                command.arg(concat!(
                    env!("CARGO_MANIFEST_DIR"),
                    "/examples/beside/dogpile_cache.py"
                ));
                command
            }
        };
        command.args([&server.url, &key, &creation, &limit, &calls]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, out) = (child.stdin.take(), child.stdout.take());
        let mut process = Process {
            child,
            stdin,
            lines: BufReader::new(out.ok_or("no output")?),
        };
        process.line("READY")?;
        Ok(process)
    }
}

/// What a process does.
#[derive(Clone, Copy)]
struct Job {
    /// How long a creation takes, in seconds.
    creation: f64,
    /// When the lock or the lease ends, in seconds; zero is never.
    limit: f64,
    calls: usize,
}

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn go(&mut self) -> Fallible<()> {
        Ok(self
            .stdin
            .take()
            .ok_or("it went already")?
            .write_all(b"go\n")?)
    }

    /// Waits for a line that begins so, and gives what it says.
    fn line(&mut self, begin: &str) -> Fallible<BTreeMap<String, String>> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Err(format!("a process ended before it said {begin}").into());
            }
            if let Some(rest) = line.strip_prefix(begin) {
                let words = rest
                    .split_whitespace()
                    .filter_map(|word| word.split_once('='));
                return Ok(words.map(|(a, b)| (a.to_owned(), b.to_owned())).collect());
            }
        }
    }

    fn done(&mut self) -> Fallible<Done> {
        let said = self.line("DONE")?;
        let word = |name: &str| said.get(name).cloned().ok_or(format!("no {name}"));
        self.child.wait()?;
        Ok(Done {
            created: word("created")?.parse()?,
            at: word("at")?.parse()?,
            error: word("error")?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Done {
    created: usize,
    at: f64,
    error: String,
}

/// Creations, round trips, and after how many milliseconds from the end of the creation the last one had it.
fn cold(server: &Server, side: &Side, key: &str) -> Fallible<(usize, usize, f64)> {
    let job = Job {
        creation: 0.3,
        limit: 30.0,
        calls: 1,
    };
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| side.process(server, key, job))
        .collect::<Fallible<_>>()?;
    // So that whoever listens does.
    thread::sleep(Duration::from_millis(300));
    let watched = Monitor::of(server)?;
    for process in &mut processes {
        process.go()?;
    }
    let done: Vec<_> = processes
        .iter_mut()
        .map(Process::done)
        .collect::<Fallible<_>>()?;
    let trips = watched.end()?;
    let created = done.iter().map(|done| done.created).sum();
    // Its creator is the first one who has it.
    let times = done.iter().map(|done| done.at);
    let (first, last) = times.fold((f64::MAX, 0f64), |(a, b), at| (a.min(at), b.max(at)));
    Ok((created, trips, (last - first) * 1000.0))
}

fn hits(server: &Server, side: &Side) -> Fallible<usize> {
    let job = |calls| Job {
        creation: 0.0,
        limit: 30.0,
        calls,
    };
    let mut first = side.process(server, "hits", job(1))?;
    first.go()?;
    first.done()?;
    let mut process = side.process(server, "hits", job(1000))?;
    let watched = Monitor::of(server)?;
    process.go()?;
    process.done()?;
    watched.end()
}

fn killed(server: &Server, side: &Side, limit: f64) -> Fallible<String> {
    let key = format!("killed {limit}");
    let job = Job {
        creation: 0.5,
        limit,
        calls: 1,
    };
    let mut creator = side.process(server, &key, job)?;
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| side.process(server, &key, job))
        .collect::<Fallible<_>>()?;
    creator.go()?;
    let began: f64 = creator.line("CREATES")?["at"].parse()?;
    creator.child.kill()?;
    creator.child.wait()?;
    for process in &mut processes {
        process.go()?;
    }
    if limit == 0.0 {
        let patience = Duration::from_secs(10);
        thread::sleep(patience);
        let mut ended = 0;
        for process in &mut processes {
            ended += usize::from(process.child.try_wait()?.is_some());
        }
        return Ok(format!(
            "{ended} of {PROCESSES} had a value after {patience:?}: nobody frees the lock"
        ));
    }
    let done: Vec<_> = processes
        .iter_mut()
        .map(Process::done)
        .collect::<Fallible<_>>()?;
    let created: usize = done.iter().map(|done| done.created).sum();
    let last = done.iter().map(|done| done.at).fold(0f64, f64::max);
    let errors = done.iter().filter(|done| done.error != "none").count();
    Ok(format!(
        "{created} took over; the last one had it {:.2} s after the grant (the creation takes 0.5 s); {errors} errors",
        last - began
    ))
}

fn slow(server: &Server, side: &Side) -> Fallible<String> {
    let job = Job {
        creation: 3.0,
        limit: 1.0,
        calls: 1,
    };
    let mut processes: Vec<_> = (0..3)
        .map(|_| side.process(server, "slow", job))
        .collect::<Fallible<_>>()?;
    let mut threads = Vec::new();
    for mut process in processes.drain(..) {
        process.go()?;
        threads.push(thread::spawn(move || {
            process.done().map_err(|error| error.to_string())
        }));
        thread::sleep(Duration::from_millis(1200));
    }
    let done: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
        .collect::<Result<_, _>>()?;
    let created: usize = done.iter().map(|done| done.created).sum();
    let failed: Vec<_> = done
        .iter()
        .filter(|done| done.error != "none")
        .map(|done| done.error.as_str())
        .collect();
    let served = done.len() - failed.len();
    let callers = done.len();
    Ok(match failed.first() {
        None => format!("{created} creations, {served} of {callers} callers had the value"),
        Some(error) => format!(
            "{created} creations, {served} of {callers} callers had the value, the others {error}"
        ),
    })
}

/// A process of this program.
fn member(arguments: &[String]) -> Fallible<()> {
    let [hints, url, key, creation, limit, calls] = arguments else {
        return Err("a member is started by the example".into());
    };
    let (creation, limit): (f64, f64) = (creation.parse()?, limit.parse()?);
    let store = RedisStore::new(redis::Client::open(url.as_str())?, Settings::new())?;
    let mut builder =
        FleetDogpile::<String, _>::builder(Arc::new(store), key, Duration::from_secs(300))
            .lease(Duration::from_secs_f64(limit));
    if hints == "true" {
        builder = builder.watched();
    }
    let pile = builder.build();
    // Connected, as theirs is.
    let nobodys = Key::new("beside", "nobody's", 0);
    pile.store().get_or_lease(&nobodys, &Ask::peek())?;
    println!("READY");
    std::io::stdin().read_line(&mut String::new())?;
    let created = AtomicUsize::new(0);
    let mut error = "none";
    for _ in 0..calls.parse::<usize>()? {
        let made = pile.get_or_try_create(|_| {
            created.fetch_add(1, Ordering::SeqCst);
            let at = now();
            println!("CREATES at={at:.6}");
            thread::sleep(Duration::from_secs_f64(creation));
            Ok::<_, std::convert::Infallible>(format!("made at {at:.6}"))
        });
        if made.is_err() {
            error = "FleetError";
        }
    }
    let created = created.into_inner();
    println!("DONE created={created} at={:.6} error={error}", now());
    Ok(())
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// A server of its own.
struct Server {
    child: Child,
    url: String,
    port: u16,
    _directory: Scratch,
}

impl Server {
    fn start() -> Fallible<Self> {
        let directory = Scratch::new("dogpile-redis-beside");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
            ])
            .args(["--dir", &directory.path().to_string_lossy()])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server: {error} (apt-get install redis-server)"))?;
        let server = Self {
            child,
            url: format!("redis://127.0.0.1:{port}/"),
            port,
            _directory: directory,
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("redis-server does not answer".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sees what clients send: not what scripts do in the server.
struct Monitor {
    line: TcpStream,
    seen: Arc<Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Monitor {
    fn of(server: &Server) -> Fallible<Self> {
        let mut line = TcpStream::connect(("127.0.0.1", server.port))?;
        line.write_all(b"MONITOR\r\n")?;
        let mut ok = [0; 5];
        line.read_exact(&mut ok)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (line.try_clone()?, Arc::clone(&seen));
        let thread = thread::spawn(move || {
            let mut bytes = [0; 1 << 16];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                if let Ok(mut seen) = to.lock() {
                    seen.extend_from_slice(&bytes[..read]);
                }
            }
        });
        Ok(Self { line, seen, thread })
    }

    /// How many commands came, those aside that every connection begins with.
    fn end(self) -> Fallible<usize> {
        // What was sent before this has come by then.
        thread::sleep(Duration::from_millis(100));
        self.line.shutdown(std::net::Shutdown::Both)?;
        let _ = self.thread.join();
        let seen = self.seen.lock().map_err(|_| "the monitor panicked")?;
        let text = String::from_utf8_lossy(&seen);
        let begins = ["HELLO", "CLIENT", "SELECT", "PING", "AUTH"];
        Ok(text
            .lines()
            .filter(|line| !line.contains(" lua] "))
            .filter_map(|line| line.split('"').nth(1))
            .filter(|command| {
                !begins
                    .iter()
                    .any(|begin| command.eq_ignore_ascii_case(begin))
            })
            .count())
    }
}
