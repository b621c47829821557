//! A `redis-server` of a test's own.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogpile_redis::{RedisStore, Settings};
use herd::{Scratch, process};
use redis::{Client, FromRedisValue, IntoConnectionInfo};

/// A server in a directory of its own, ended when it is dropped.
pub(crate) struct Server {
    child: Option<Child>,
    arguments: Vec<String>,
    scratch: Scratch,
    password: Option<&'static str>,
    port: Option<u16>,
}

/// Whether the program is there. If not, the test does nothing; in a CI it fails.
pub(crate) fn is_here() -> bool {
    let version = Command::new("redis-server").arg("--version").output();
    if version.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "there is no redis-server here, and in a CI no test is skipped: .ci/servers installs it"
    );
    // Not `eprintln`, which the harness keeps to itself where a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: there is no redis-server here (apt-get install redis-server)"
    );
    false
}

/// Leaves the test where the program is missing.
macro_rules! server {
    ($($argument:expr),*) => {{
        if !crate::server::is_here() {
            return;
        }
        crate::server::Server::start(&[$($argument),*])
    }};
}
pub(crate) use server;

impl Server {
    /// A server on a socket in its directory, with these arguments besides.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut server = Self::new(arguments);
        server.launch();
        server
    }

    /// A server on a port of the loopback device.
    pub(crate) fn on_port(arguments: &[&str]) -> Self {
        // Another program may take the port in between: then it is tried again with another one.
        for _ in 0..5 {
            let mut server = Self::new(arguments);
            server.port = Some(free_port());
            if server.try_launch() {
                return server;
            }
        }
        panic!("redis-server finds no free port");
    }

    fn new(arguments: &[&str]) -> Self {
        let password = arguments
            .iter()
            .position(|argument| *argument == "--requirepass")
            .map(|at| &*Box::leak(arguments[at + 1].to_owned().into_boxed_str()));
        Self {
            child: None,
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            scratch: Scratch::new("dogpile-redis"),
            password,
            port: None,
        }
    }

    fn launch(&mut self) {
        assert!(
            self.try_launch(),
            "redis-server does not start: {}",
            self.log()
        );
    }

    fn try_launch(&mut self) -> bool {
        let directory = self.scratch.path().to_str().expect("a path of letters");
        let socket = self.socket();
        let port = self.port.unwrap_or(0).to_string();
        let log = std::fs::File::create(self.scratch.path().join("log")).expect("a log");
        let child = Command::new("redis-server")
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args(["--unixsocket", socket.to_str().expect("a path of letters")])
            .args(["--dir", directory, "--daemonize", "no"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        self.child = Some(child);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            let child = self.child.as_mut().expect("it was started");
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            if let Ok(mut connection) = self.client().get_connection()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.scratch.path().join("socket")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port.expect("it is on a port")).into()
    }

    pub(crate) fn url(&self) -> String {
        let password = self.password.map(|word| format!(":{word}@"));
        let password = password.as_deref().unwrap_or_default();
        match self.port {
            Some(port) => format!("redis://{password}127.0.0.1:{port}/"),
            None => match self.password {
                Some(word) => format!("redis+unix://{}?pass={word}", self.socket().display()),
                None => format!("redis+unix://{}", self.socket().display()),
            },
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(self.url().into_connection_info().expect("a URL")).expect("a client")
    }

    pub(crate) fn store(&self) -> Arc<RedisStore> {
        self.store_with(Settings::new())
    }

    pub(crate) fn store_with(&self, settings: Settings) -> Arc<RedisStore> {
        Arc::new(RedisStore::new(self.client(), settings).expect("a store"))
    }

    /// Says something to the server, as an operator does.
    pub(crate) fn say<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let answer = self.try_say(command);
        answer.unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    pub(crate) fn try_say<T: FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let mut connection = self.client().get_connection()?;
        let mut cmd = redis::cmd(command[0]);
        cmd.arg(&command[1..]);
        cmd.query(&mut connection)
    }

    /// How often the server ran scripts, by their names and in full, since it was asked last.
    pub(crate) fn scripts(&self) -> (u64, u64) {
        let all: String = self.say(&["INFO", "commandstats"]);
        let _: () = self.say(&["CONFIG", "RESETSTAT"]);
        let calls = |command| {
            let begin = format!("cmdstat_{command}:calls=");
            let line = all.lines().find_map(|line| line.strip_prefix(&begin));
            let number = line.and_then(|rest| rest.split(',').next());
            number.map_or(0, |number| number.parse().expect("a number"))
        };
        (calls("evalsha"), calls("eval"))
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("it is dead");
        }
    }

    /// Starts it again in its directory.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.socket());
        self.launch();
    }

    /// Stops it: it is still there, and does nothing.
    pub(crate) fn stop(&self) {
        process::stop(self.id());
    }

    pub(crate) fn go_on(&self) {
        process::go_on(self.id());
    }

    fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Also where a test panics. A stopped one dies of this too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback device");
    listener.local_addr().expect("an address").port()
}

/// Waits for something that another thread or process does.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never comes");
        thread::sleep(Duration::from_millis(2));
    }
}
