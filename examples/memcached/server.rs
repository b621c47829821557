//! A memcached of our own, for as long as the example runs.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;

/// How long the server may take to answer for the first time.
const START: Duration = Duration::from_secs(5);

/// The running server. Dropping it stops it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
}

impl Server {
    /// Where the program is, if it is installed.
    pub(crate) fn find() -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        // Not in everybody's PATH.
        let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
        env::split_paths(&path)
            .chain(usual)
            .map(|folder| folder.join("memcached"))
            .find(|program| program.is_file())
    }

    /// Starts it on a free port of the loopback interface.
    pub(crate) fn start(program: &PathBuf) -> Result<Self, String> {
        let mut failure = String::new();
        // A port that was free a moment ago may be taken by now: then another one.
        for _ in 0..3 {
            match Self::start_once(program) {
                Ok(server) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn start_once(program: &PathBuf) -> Result<Self, String> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(|error| format!("no free port on loopback: {error}"))?;
        let mut command = Command::new(program);
        command
            .args(["-l", "127.0.0.1", "-U", "0", "-m", "16", "-c", "1024"])
            .args(["-p", &address.port().to_string()])
            // For root, whom memcached refuses to run as; ignored for anybody else.
            .args(["-u", "nobody"])
            // One thread executes one command after the other. With more of them a `flush_all`
            // would not be one instant for all, and there would be nothing exact to say about it.
            .args(["-t", "1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let mut server = Self {
            child,
            address,
            version: String::new(),
        };
        let patience = Instant::now() + START;
        loop {
            let version = Client::connect(address).and_then(|mut client| client.version());
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("memcached ended at once, {status}"));
            }
            match version {
                Ok(version) => {
                    server.version = version;
                    return Ok(server);
                }
                Err(_) if Instant::now() < patience => thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(format!("memcached does not answer: {error}")),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails if the server has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
