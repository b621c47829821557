//! A PostgreSQL of a test's own.

use std::fs::Permissions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogpile_postgres::{PostgresStore, Settings};
use herd::{Line, Scratch, process};
use store_bench::SECOND;

/// A server in a directory of its own, ended when it is dropped.
pub(crate) struct Server {
    child: Option<Child>,
    arguments: Vec<String>,
    scratch: Scratch,
    /// In the name of its socket, and of TCP if it listens there.
    port: u16,
}

/// Where the programs of the newest version are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    programs.filter(|path| path.join("initdb").exists()).max()
}

/// Whether the server is there. If not, the test does nothing; in a CI it fails.
pub(crate) fn is_here() -> bool {
    if programs().is_some() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "there is no PostgreSQL here, and in a CI no test is skipped: .ci/servers installs it"
    );
    // Not `eprintln`, which the harness keeps to itself where a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "skipped: there is no PostgreSQL here (apt-get install postgresql)"
    );
    false
}

/// Leaves the test where the server is missing.
macro_rules! server {
    ($($argument:expr),*) => {{
        if !crate::server::is_here() {
            return;
        }
        crate::server::Server::start(&[$($argument),*])
    }};
}
pub(crate) use server;

/// A program of the server's. It refuses to run as root, so root runs it as the user of Debian's package.
fn program(name: &str, directory: &Path) -> Command {
    let path = programs().expect("it is here").join(name);
    let mut command = Command::new(&path);
    if std::fs::metadata(directory).expect("a directory").uid() == 0 || is_root() {
        command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(path);
    }
    command.stdin(Stdio::null());
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn succeeds(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said} {error}");
    said
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let scratch = Scratch::new("dogpile-postgres");
        if is_root() {
            succeeds(
                Command::new("chown")
                    .arg("postgres:postgres")
                    .arg(scratch.path()),
            );
        }
        let data = scratch.path().join("data");
        succeeds(
            program("initdb", scratch.path())
                .args([
                    "--no-sync",
                    "-A",
                    "trust",
                    "-U",
                    "app",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "-D",
                ])
                .arg(data),
        );
        let mut server = Self {
            child: None,
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            scratch,
            port: 5432,
        };
        server.launch();
        server
    }

    /// Starts it again so that it listens on TCP as well, with these files among its own. There it speaks TLS,
    /// and lets in those alone who do too.
    pub(crate) fn listen_with_tls(&mut self, certificate: &str, key: &str) {
        self.crash();
        let data = self.scratch.path().join("data");
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        let files = [
            ("server.crt", certificate),
            ("server.key", key),
            ("pg_hba.conf", rules),
        ];
        for (name, text) in files {
            let path = data.join(name);
            std::fs::write(&path, text).expect("a file");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
            if is_root() {
                succeeds(Command::new("chown").arg("postgres:postgres").arg(&path));
            }
        }
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        self.port = free.expect("a free port").port();
        let arguments = ["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on"];
        self.arguments.extend(arguments.map(str::to_owned));
        self.launch();
    }

    /// Its address on TCP.
    pub(crate) fn tcp(&self) -> String {
        format!("host=127.0.0.1 port={} user=app dbname=postgres", self.port)
    }

    fn launch(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path());
        let child = program("postgres", self.scratch.path())
            .arg("-D")
            .arg(self.scratch.path().join("data"))
            .arg("-k")
            .arg(self.scratch.path())
            .arg("-p")
            .arg(self.port.to_string())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=16MB",
            ])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("postgres starts");
        self.child = Some(child);
        let begun = Instant::now();
        while !self.answers() {
            let child = self.child.as_mut().expect("it was started");
            let ended = child.try_wait().expect("a child").is_some();
            assert!(
                !ended && begun.elapsed() < SECOND * 60,
                "it does not start: {}",
                self.log()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let ready = program("pg_isready", self.scratch.path())
            .arg("-q")
            .arg("-h")
            .arg(self.scratch.path())
            .arg("-p")
            .arg(self.port.to_string())
            .status();
        ready.is_ok_and(|ready| ready.success())
    }

    fn log_path(&self) -> PathBuf {
        self.scratch.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn url(&self) -> String {
        self.url_of("app")
    }

    pub(crate) fn url_of(&self, user: &str) -> String {
        format!(
            "host={} port={} user={user} dbname=postgres",
            self.scratch.path().display(),
            self.port
        )
    }

    /// A line to the server, and the address of its other end.
    pub(crate) fn line(&self) -> (Line<PathBuf>, String) {
        let socket = ".s.PGSQL.5432";
        let own = self.scratch.path().join("line");
        std::fs::create_dir(&own).expect("a directory");
        let line = Line::to_socket(self.scratch.path().join(socket), own.join(socket));
        let url = format!("host={} user=app dbname=postgres", own.display());
        (line, url)
    }

    pub(crate) fn store(&self) -> Arc<PostgresStore> {
        // Processes that share two processors wait for each other for long.
        self.store_with(Settings::new().timeout(SECOND * 20))
    }

    pub(crate) fn store_with(&self, settings: Settings) -> Arc<PostgresStore> {
        Arc::new(PostgresStore::with(&self.url(), settings).expect("a store"))
    }

    /// Says something to the server, as an operator does.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let said = succeeds(
            program("psql", self.scratch.path())
                .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d"])
                .arg(self.url())
                .args(["-c", sql]),
        );
        said.trim().to_owned()
    }

    /// Ends it at once, as a crash does: what is not in its log is lost.
    pub(crate) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(child.id(), "-QUIT");
            child.wait().expect("it is dead");
        }
    }

    pub(crate) fn restart(&mut self) {
        self.crash();
        self.launch();
    }

    /// Stops it: it is still there, and does nothing.
    pub(crate) fn stop(&self) {
        self.all().into_iter().for_each(process::stop);
    }

    pub(crate) fn go_on(&self) {
        self.all().into_iter().for_each(process::go_on);
    }

    /// The server and the processes that it started.
    fn all(&self) -> Vec<u32> {
        let id = self.child.as_ref().expect("it runs").id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.expect("the kernel tells");
        let children = children
            .split_whitespace()
            .map(|id| id.parse().expect("a number"));
        std::iter::once(id).chain(children).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.go_on();
        }
        self.crash();
    }
}

/// Waits for something that another thread or process does.
pub(crate) fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < SECOND * 60, "it never comes");
        thread::sleep(Duration::from_millis(2));
    }
}
