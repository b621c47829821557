//! A memcached of a test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dogpile_memcached::meta::{Decoder, Reply, request};
use herd::{Scratch, process};

/// Where a server listens.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    Unix,
    Tcp,
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    program: PathBuf,
    child: Child,
    address: String,
    arguments: Vec<String>,
    scratch: Scratch,
}

/// The program, or `None` if there is none, which is said.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join("memcached"));
    let found = found.into_iter().find(|program| program.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "memcached is not installed, and CI is set: install Debian's package `memcached`"
        );
        eprintln!("skipped: memcached is not installed (Debian's package is `memcached`)");
    }
    found
}

impl Server {
    /// `None`: memcached is not installed, so the test is skipped.
    pub(crate) fn start(kind: Kind, arguments: &[&str]) -> Option<Self> {
        let program = program()?;
        let scratch = Scratch::new("dogpile-memcached");
        let arguments: Vec<_> = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        for _ in 0..5 {
            let address = match kind {
                Kind::Unix => scratch.path().join("sock").display().to_string(),
                Kind::Tcp => {
                    // Free by now. If another takes it meanwhile, the server ends, and the next is tried.
                    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
                    free.local_addr().expect("its number").to_string()
                }
            };
            let child = spawn(&program, &address, &arguments);
            let mut server = Self {
                program: program.clone(),
                child,
                address,
                arguments: arguments.clone(),
                scratch: Scratch::new("dogpile-memcached-next"),
            };
            if server.answers() {
                server.scratch = scratch;
                return Some(server);
            }
        }
        panic!("memcached does not start: {arguments:?}");
    }

    pub(crate) fn unix() -> Option<Self> {
        Self::start(Kind::Unix, &[])
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// As `kill -9` does, and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("it is dead");
        if self.address.starts_with('/') {
            let _ = std::fs::remove_file(&self.address);
        }
    }

    /// Starts another one at the same address, which is empty.
    pub(crate) fn start_again(&mut self) {
        self.start_with(&self.arguments.clone());
    }

    pub(crate) fn start_with(&mut self, arguments: &[String]) {
        self.child = spawn(&self.program, &self.address, arguments);
        assert!(self.answers(), "memcached does not start again");
    }

    /// It is still there, and does nothing, until [`go_on`](Server::go_on).
    pub(crate) fn stop(&self) {
        process::stop(self.child.id());
    }

    pub(crate) fn go_on(&self) {
        process::go_on(self.child.id());
    }

    /// Sends one command as a foreign client, and returns what comes back.
    pub(crate) fn ask(&self, command: &[u8]) -> Vec<Reply> {
        let mut stream = self.connect().expect("it answers");
        let mut sent = command.to_vec();
        request::noop(&mut sent);
        stream.write_all(&sent).expect("it reads");
        let (mut decoder, mut replies) = (Decoder::new(1 << 30), Vec::new());
        let mut chunk = [0; 1 << 16];
        loop {
            while let Some(reply) = decoder.next().expect("a reply") {
                match reply {
                    Reply::Noop => return replies,
                    reply => replies.push(reply),
                }
            }
            let read = stream.read(&mut chunk).expect("it answers");
            assert!(read > 0, "the server closed the connection");
            decoder.feed(&chunk[..read]);
        }
    }

    /// How many records it has. The generation of a namespace and the number of the server are none.
    pub(crate) fn items(&self) -> usize {
        let mut stream = self.connect().expect("it answers");
        stream
            .write_all(b"lru_crawler metadump all\r\n")
            .expect("it reads");
        let (mut text, mut chunk) = (String::new(), [0; 4096]);
        while !text.ends_with("END\r\n") {
            let read = stream.read(&mut chunk).expect("it answers");
            assert!(read > 0, "the server closed the connection");
            text.push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
        // The colons of a name are escaped.
        text.matches("key=dogpile%3Ak%3A").count() + text.matches("key=dogpile:k:").count()
    }

    /// Removes all that it has.
    pub(crate) fn flush(&self) {
        let mut stream = self.connect().expect("it answers");
        stream.write_all(b"flush_all\r\n").expect("it reads");
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"OK\r\n");
    }

    fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        match self.address.starts_with('/') {
            true => {
                let stream = UnixStream::connect(&self.address)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                Ok(Box::new(stream))
            }
            false => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                Ok(Box::new(stream))
            }
        }
    }

    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if self.connect().is_ok() {
                return true;
            }
            if self
                .child
                .try_wait()
                .expect("a child can be asked")
                .is_some()
            {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

fn spawn(program: &PathBuf, address: &str, arguments: &[String]) -> Child {
    let mut command = Command::new(program);
    // As root it needs to be told that it may be; to others this is nothing.
    command.args(["-u", "root", "-t", "2", "-U", "0"]);
    match address.rsplit_once(':') {
        Some((host, port)) if !address.starts_with('/') => command.args(["-l", host, "-p", port]),
        _ => command.args(["-s", address]),
    };
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("memcached starts")
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = &self.scratch;
    }
}
