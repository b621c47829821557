//! Releases processes at one instant, does them harm, and checks what they did.
//!
//! A [`Herd`] is a number of processes that run the same program, each in a *role*. They are started,
//! get ready, and wait at a gate: a file that the parent holds locked. When the parent lets go, the
//! kernel wakes them all at once. While they run, the parent may [kill](Running::kill) or
//! [stop](Running::stop) some. At the end it [collects](Running::collect) what they said.
//!
//! Tests use the program that they are: a test named `herd_member`, which does nothing in the parent,
//! is where the members begin.
//!
//! ```no_run
//! #[test]
//! fn herd_member() {
//!     if let Some(member) = herd::member() {
//!         assert_eq!(member.role(), "counter");
//!         member.wait_at_the_gate();
//!         member.say(format!("{} was here", member.number()));
//!     }
//! }
//!
//! #[test]
//! fn fifty_count() {
//!     let done = herd::Herd::of_this_test("herd_member", "counter").size(50).run();
//!     assert_eq!(done.lines().count(), 50);
//! }
//! ```
#![forbid(unsafe_code)]

mod line;
pub mod process;
mod section;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

pub use line::Line;
pub use section::{Entered, Section};

const ROLE: &str = "HERD_ROLE";
const NUMBER: &str = "HERD_NUMBER";
const GATE: &str = "HERD_GATE";
const ARGUMENT: &str = "HERD_ARGUMENT_";
/// What a member says begins with this: whatever else the program prints is not meant.
const SAYS: &str = "herd> ";
const READY: &str = "herd is ready";

/// This process, if it is a member of a herd.
pub fn member() -> Option<Member> {
    Some(Member {
        role: env::var(ROLE).ok()?,
        number: env::var(NUMBER).ok()?.parse().ok()?,
        gate: env::var_os(GATE)?.into(),
    })
}

/// A process of a herd, seen from inside.
#[derive(Debug)]
pub struct Member {
    role: String,
    number: usize,
    gate: PathBuf,
}

impl Member {
    /// What it is to do.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Which of the herd it is, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What the parent set with [`Herd::with`].
    ///
    /// # Panics
    ///
    /// If the parent did not, or it is of another type.
    pub fn get<T: std::str::FromStr>(&self, name: &str) -> T {
        let text = env::var(format!("{ARGUMENT}{name}"))
            .unwrap_or_else(|_| panic!("the herd was given no {name}"));
        let parsed = text.parse().ok();
        parsed.unwrap_or_else(|| panic!("{name} of the herd cannot be read: {text}"))
    }

    /// Says that it is ready, and waits until the parent releases the herd.
    pub fn wait_at_the_gate(&self) {
        self.line(READY);
        let gate = File::open(&self.gate).expect("the gate is there");
        gate.lock_shared().expect("the gate opens");
    }

    /// Says a line to the parent.
    pub fn say(&self, line: impl fmt::Display) {
        self.line(&format!("{SAYS}{line}"));
    }

    fn line(&self, line: &str) {
        // Not `println`, which the harness of tests may keep to itself. In one piece, for other
        // threads may print as well. The harness may have begun a line.
        let mut out = std::io::stdout().lock();
        let written = out.write_all(format!("\n{line}\n").as_bytes());
        written
            .and_then(|()| out.flush())
            .expect("the parent listens");
    }
}

/// A number of processes to be started.
#[derive(Debug)]
pub struct Herd {
    program: PathBuf,
    first_arguments: Vec<String>,
    role: String,
    size: usize,
    arguments: BTreeMap<String, String>,
    limit: Duration,
}

impl Herd {
    /// Members of the running test program, which begin in the test of this name.
    pub fn of_this_test(test: &str, role: &str) -> Self {
        let mut herd = Self::of_this_program(role);
        herd.first_arguments = [test, "--exact", "--nocapture", "--test-threads=1"]
            .map(String::from)
            .into();
        herd
    }

    /// Members of the running program.
    pub fn of_this_program(role: &str) -> Self {
        Self {
            program: env::current_exe().expect("a program knows its path"),
            first_arguments: Vec::new(),
            role: role.to_owned(),
            size: 1,
            arguments: BTreeMap::new(),
            limit: Duration::from_secs(120),
        }
    }

    /// How many. Default: 1.
    pub fn size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Something for each member to [get](Member::get).
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.arguments.insert(name.to_owned(), value.to_string());
        self
    }

    /// How long a member may take before it is killed, which is a failure. Default: 2 minutes.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the members and waits until all stand at the gate.
    ///
    /// # Panics
    ///
    /// If one does not get there.
    pub fn start(self) -> Running {
        static HERDS: AtomicU64 = AtomicU64::new(0);
        let number = HERDS.fetch_add(1, Ordering::SeqCst);
        let path = env::temp_dir().join(format!("herd-{}-{number}.gate", std::process::id()));
        let gate = File::create(&path).expect("a file for the gate");
        gate.lock().expect("the gate is closed");
        let members = (0..self.size)
            .map(|number| self.start_one(number, &path))
            .collect();
        let mut running = Running {
            members,
            gate: Some(gate),
            path,
            limit: self.limit,
        };
        for number in 0..running.members.len() {
            let limit = running.limit;
            let line = running.members[number].next_line(limit);
            assert_eq!(
                line.as_deref(),
                Some(READY),
                "member {number} does not get ready"
            );
        }
        running
    }

    /// Starts the herd, releases it, and collects what it says.
    ///
    /// # Panics
    ///
    /// If a member fails, or takes too long.
    pub fn run(self) -> Done {
        let mut running = self.start();
        running.release();
        let done = running.collect();
        for (number, member) in done.0.iter().enumerate() {
            assert!(
                member.status.success(),
                "member {number}: {:?}",
                member.status
            );
        }
        done
    }

    fn start_one(&self, number: usize, gate: &Path) -> Started {
        let mut command = Command::new(&self.program);
        command
            .args(&self.first_arguments)
            .env(ROLE, &self.role)
            .env(NUMBER, number.to_string())
            .env(GATE, gate)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        for (name, value) in &self.arguments {
            command.env(format!("{ARGUMENT}{name}"), value);
        }
        let mut child = command.spawn().expect("a member starts");
        let out = child.stdout.take().expect("its output is piped");
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { break };
                let said = line.strip_prefix(SAYS).map(str::to_owned);
                let meant = said.or_else(|| (line == READY).then_some(line));
                if meant.is_some_and(|line| send.send((Instant::now(), line)).is_err()) {
                    break;
                }
            }
        });
        Started { child, lines }
    }
}

struct Started {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Started {
    fn next_line(&mut self, limit: Duration) -> Option<String> {
        self.lines.recv_timeout(limit).ok().map(|(_, line)| line)
    }
}

/// A herd that was started. Dropping it kills what is left.
pub struct Running {
    members: Vec<Started>,
    gate: Option<File>,
    path: PathBuf,
    limit: Duration,
}

impl Running {
    /// Opens the gate: all members go on at one instant.
    pub fn release(&mut self) {
        // Closing the file gives the lock back.
        self.gate = None;
    }

    /// The number of a member's process.
    pub fn id(&self, number: usize) -> u32 {
        self.members[number].child.id()
    }

    /// Waits for the next line of a member. `None`: it ended, or took too long.
    pub fn line_of(&mut self, number: usize) -> Option<String> {
        let limit = self.limit;
        self.members[number].next_line(limit)
    }

    /// Kills a member as `kill -9` does, and waits until it is dead.
    pub fn kill(&mut self, number: usize) {
        let child = &mut self.members[number].child;
        child.kill().expect("a child can be killed");
        child.wait().expect("it is dead");
    }

    /// Stops a member: it is still there, and does nothing.
    pub fn stop(&mut self, number: usize) {
        process::stop(self.id(number));
    }

    /// Lets a stopped member go on.
    pub fn go_on(&mut self, number: usize) {
        process::go_on(self.id(number));
    }

    /// Waits for all members and collects what they said since they were last asked.
    ///
    /// # Panics
    ///
    /// If a member takes too long. It is killed.
    pub fn collect(mut self) -> Done {
        let end = Instant::now() + self.limit;
        let mut done = Vec::new();
        for (number, member) in self.members.iter_mut().enumerate() {
            let mut lines = Vec::new();
            loop {
                let left = end.saturating_duration_since(Instant::now());
                match member.lines.recv_timeout(left) {
                    Ok(line) => lines.push(line),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => panic!("member {number} takes too long"),
                }
            }
            let status = member.child.wait().expect("a child can be waited for");
            done.push(Ended { status, lines });
        }
        Done(done)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that has ended already cannot be killed.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

/// How a member ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said, and when the parent read it.
    pub lines: Vec<(Instant, String)>,
}

/// A herd that has ended.
#[derive(Debug)]
pub struct Done(Vec<Ended>);

impl Done {
    /// The members, in the order of their numbers.
    pub fn members(&self) -> &[Ended] {
        &self.0
    }

    /// All lines of all members.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let lines = self.0.iter().flat_map(|member| &member.lines);
        lines.map(|(_, line)| line.as_str())
    }

    /// The numbers behind `name=` in all lines.
    pub fn numbers(&self, name: &str) -> Vec<u64> {
        let words = self.lines().flat_map(str::split_whitespace);
        words
            .filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
            .collect()
    }

    /// Their sum.
    pub fn sum(&self, name: &str) -> u64 {
        self.numbers(name).into_iter().sum()
    }

    /// The largest of them.
    pub fn max(&self, name: &str) -> u64 {
        self.numbers(name).into_iter().max().unwrap_or(0)
    }
}

/// A directory for one test, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty one.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn new(name: &str) -> Self {
        static DIRECTORIES: AtomicU64 = AtomicU64::new(0);
        let number = DIRECTORIES.fetch_add(1, Ordering::SeqCst);
        let path = env::temp_dir().join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
