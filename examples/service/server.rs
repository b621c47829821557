//! A `redis-server` of our own, for as long as the example runs, and the harm that is done to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use herd::Scratch;
use redis::Client;

use crate::Result;

/// How long it may take to answer for the first time.
const START: Duration = Duration::from_secs(30);

/// The server, on a socket in this directory. It ends when this is dropped.
pub(crate) struct Server<'a> {
    scratch: &'a Scratch,
    child: Option<Child>,
}

impl<'a> Server<'a> {
    /// Whether the program is installed.
    pub(crate) fn is_here() -> bool {
        let version = Command::new("redis-server").arg("--version").output();
        version.is_ok()
    }

    pub(crate) fn start(scratch: &'a Scratch) -> Result<Self> {
        let mut server = Self {
            scratch,
            child: None,
        };
        server.launch()?;
        Ok(server)
    }

    fn socket(&self) -> PathBuf {
        self.scratch.path().join("redis.sock")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Starts it, with nothing in it.
    pub(crate) fn launch(&mut self) -> Result<()> {
        // A server that was killed leaves its socket behind.
        let _ = fs::remove_file(self.socket());
        let log = self.scratch.path().join("redis.log");
        let url = self.url();
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(self.socket())
            .arg("--dir")
            .arg(self.scratch.path())
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log)?)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start redis-server: {error}"))?;
        let child = self.child.insert(child);
        let client = Client::open(url)?;
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("redis-server ended at once, {status}:\n{log}").into());
            }
            let answer = client
                .get_connection()
                .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > START => {
                    return Err(format!("redis-server does not answer: {error}").into());
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Stops it: it is still there, takes connections, and says nothing.
    pub(crate) fn stop(&self) -> Result<()> {
        self.signal("-STOP")
    }

    pub(crate) fn go_on(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let child = self.child.as_ref().ok_or("redis-server does not run")?;
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status()?;
        match sent.success() {
            true => Ok(()),
            false => Err(format!("kill {signal} {id}: {sent}").into()),
        }
    }

    pub(crate) fn empty(&self) -> Result<()> {
        let mut connection = Client::open(self.url())?.get_connection()?;
        Ok(redis::cmd("FLUSHALL").exec(&mut connection)?)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // Also where the example fails. A stopped one dies of this too.
        let _ = self.kill();
    }
}
