//! The five commands of memcached's text protocol that this example needs.
//!
//! Written out because the blocking clients on crates.io are either no longer kept up or bring some
//! seventy crates with them, Unicode tables for host names among them; and because the example
//! wants two commands sent as one, see [`Client::put`].

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that does not answer for so long is broken.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let stream = BufReader::new(stream);
        Ok(Self { stream })
    }

    /// The value of `key`.
    pub(crate) fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        self.send(&format!("get {key}\r\n"))?;
        self.value()
    }

    /// Stores a value. Says whether there was one before.
    ///
    /// Both commands leave in one write, so that the server, which has one thread, executes them
    /// one after the other with nothing of anybody else's between.
    pub(crate) fn put(&mut self, key: &str, value: &str) -> io::Result<bool> {
        let length = value.len();
        self.send(&format!(
            "get {key}\r\nset {key} 0 0 {length}\r\n{value}\r\n"
        ))?;
        let before = self.value()?;
        self.expect("STORED")?;
        Ok(before.is_some())
    }

    /// Removes everything. Says whether `key` was there, in one go as [`put`](Client::put).
    pub(crate) fn flush_all(&mut self, key: &str) -> io::Result<bool> {
        self.send(&format!("get {key}\r\nflush_all\r\n"))?;
        let before = self.value()?;
        self.expect("OK")?;
        Ok(before.is_some())
    }

    pub(crate) fn version(&mut self) -> io::Result<String> {
        self.send("version\r\n")?;
        let line = self.line()?;
        let version = line.strip_prefix("VERSION ");
        version
            .map(str::to_owned)
            .ok_or_else(|| unexpected("VERSION", &line))
    }

    /// What the server counted since it was started.
    pub(crate) fn stats(&mut self) -> io::Result<HashMap<String, u64>> {
        self.send("stats\r\n")?;
        let mut stats = HashMap::new();
        loop {
            let line = self.line()?;
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("END"), None, None) => return Ok(stats),
                (Some("STAT"), Some(name), Some(value)) => {
                    // Some are no whole numbers, such as the version.
                    stats.extend(value.parse().ok().map(|value| (name.to_owned(), value)));
                }
                _ => return Err(unexpected("STAT or END", &line)),
            }
        }
    }

    fn send(&mut self, commands: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(commands.as_bytes())
    }

    /// The answer to a `get`: `VALUE <key> <flags> <length>`, the value, `END`; or `END` alone.
    fn value(&mut self) -> io::Result<Option<String>> {
        let head = self.line()?;
        if head == "END" {
            return Ok(None);
        }
        let length: usize = head
            .strip_prefix("VALUE ")
            .and_then(|head| head.rsplit(' ').next()?.parse().ok())
            .ok_or_else(|| unexpected("VALUE or END", &head))?;
        let mut value = vec![0; length + "\r\n".len()];
        self.stream.read_exact(&mut value)?;
        value.truncate(length);
        self.expect("END")?;
        let text = String::from_utf8(value);
        text.map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn expect(&mut self, answer: &str) -> io::Result<()> {
        let line = self.line()?;
        match line == answer {
            true => Ok(()),
            false => Err(unexpected(answer, &line)),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn unexpected(wanted: &str, got: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("memcached answered `{got}` where {wanted} was due"),
    )
}
