//! What can be set, and is checked before a server is asked.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dogpile::{Clock, SystemClock};
use dogpile_fleet::Answer;

use crate::meta::{LONGEST_NAME, Name};
use crate::place::Places;
use crate::trouble::Trouble;
use crate::verbs::Shared;

/// Builds a [`MemcachedStore`](crate::MemcachedStore), or one for tasks.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use dogpile_memcached::MemcachedStore;
///
/// let store = MemcachedStore::builder(["10.0.0.1:11211", "10.0.0.2:11211"])
///     .prefix("shop:")
///     .timeout(Duration::from_millis(200))
///     .connect()?;
/// # Ok::<_, dogpile_fleet::StoreError>(())
/// ```
#[must_use = "nothing is asked before `connect`"]
pub struct MemcachedBuilder {
    pub(crate) servers: Vec<String>,
    prefix: String,
    pub(crate) limits: Limits,
    clock: Option<Arc<dyn Clock>>,
}

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) connect: Duration,
    pub(crate) connections: usize,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Address {
    /// `host:port`. It is looked up at each connect.
    Tcp(String),
    Unix(PathBuf),
}

impl MemcachedBuilder {
    pub(crate) fn new<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            prefix: "dogpile:".to_owned(),
            limits: Limits {
                timeout: Duration::from_secs(1),
                connect: Duration::from_secs(1),
                connections: 8,
            },
            clock: None,
        }
    }

    /// What the name of each item begins with. Default: `dogpile:`.
    ///
    /// Programs with another prefix are another fleet. They share the servers and nothing else.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a request may take, from the first byte sent to the last one read. Default: 1 s.
    ///
    /// A verb makes two requests, or three if a connection turns out to be closed. It makes more only
    /// if another process changes the record meanwhile.
    pub fn timeout(mut self, span: Duration) -> Self {
        self.limits.timeout = span;
        self
    }

    /// How long connecting to a server may take. Default: 1 s. Looking up the name of a host counts for
    /// tasks alone: a thread waits for the system's resolver as long as that takes.
    pub fn connect_timeout(mut self, span: Duration) -> Self {
        self.limits.connect = span;
        self
    }

    /// How many connections this process has to each server at most. Default: 8. Whoever needs one more
    /// waits for it, as long as a request may take.
    pub fn connections(mut self, most: usize) -> Self {
        self.limits.connections = most;
        self
    }

    /// A clock by which leases and values end, for tests.
    ///
    /// Without one it is the clock of the server, to half a second, whatever the clock of this host
    /// says. With one, the server's time is asked for once, and this clock runs on from there.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    pub(crate) fn shared(&self) -> Answer<Arc<Shared>> {
        let limits = self.limits;
        for (name, is_zero) in [
            ("timeout", limits.timeout.is_zero()),
            ("connect_timeout", limits.connect.is_zero()),
            ("connections", limits.connections == 0),
        ] {
            if is_zero {
                return Err(Trouble::Zero(name).into());
            }
        }
        // The longest that follows it: a kind, a mark and a hash.
        let longest = LONGEST_NAME - "k:#".len() - 32;
        let fits = self.prefix.len() <= longest && Name::new(format!("{}k", self.prefix)).is_ok();
        if !fits {
            return Err(Trouble::Prefix(self.prefix.clone(), longest).into());
        }
        if self.servers.is_empty() {
            return Err(Trouble::NoServer.into());
        }
        let mut seen = HashSet::new();
        if let Some(twice) = self.servers.iter().find(|server| !seen.insert(*server)) {
            return Err(Trouble::Twice(twice.clone()).into());
        }
        let places = Places::new(&self.prefix, &self.servers);
        let follows = self.clock.is_none();
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        Ok(Arc::new(Shared::new(
            places,
            &self.servers,
            &clock,
            follows,
        )))
    }

    pub(crate) fn addresses(&self) -> Answer<Vec<Address>> {
        let addresses = self.servers.iter().map(|server| Address::parse(server));
        Ok(addresses.collect::<Result<_, _>>()?)
    }
}

impl std::fmt::Debug for MemcachedBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemcachedBuilder")
            .field("servers", &self.servers)
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Address {
    fn parse(server: &str) -> Result<Self, Trouble> {
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        if cfg!(unix) && server.starts_with('/') {
            return Ok(Self::Unix(server.into()));
        }
        match server.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && is_port(port) => {
                Ok(Self::Tcp(server.to_owned()))
            }
            _ => Err(Trouble::Address(server.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(builder: MemcachedBuilder) -> String {
        let refused = builder.shared().and_then(|_| builder.addresses());
        refused.unwrap_err().to_string()
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let one = || MemcachedBuilder::new(["a:1"]);
        assert!(one().shared().is_ok() && one().addresses().is_ok());
        let none: [&str; 0] = [];
        assert!(refused(MemcachedBuilder::new(none)).contains("at least one"));
        assert!(
            refused(MemcachedBuilder::new(["a:1", "b:1", "a:1"]))
                .contains("`a:1` is given twice".replace('`', "").as_str())
        );
        for address in [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:99999",
            "a:x",
            "relative/path",
        ] {
            let error = refused(MemcachedBuilder::new([address]));
            assert!(error.contains(&format!("`{address}`")), "{error}");
        }
        for prefix in ["a b", "a\n", &"a".repeat(216)] {
            assert!(refused(one().prefix(prefix)).contains("prefix"));
        }
        assert!(one().prefix("a".repeat(215)).shared().is_ok());
        assert!(refused(one().timeout(Duration::ZERO)).contains("`timeout`"));
        assert!(refused(one().connect_timeout(Duration::ZERO)).contains("`connect_timeout`"));
        assert!(refused(one().connections(0)).contains("`connections`"));
    }

    #[test]
    fn addresses_are_of_tcp_or_unix() {
        let tcp = |server: &str| Address::parse(server).unwrap() == Address::Tcp(server.into());
        assert!(tcp("localhost:11211") && tcp("10.0.0.1:1") && tcp("[::1]:11211"));
        #[cfg(unix)]
        assert_eq!(
            Address::parse("/run/m.sock").unwrap(),
            Address::Unix("/run/m.sock".into())
        );
    }
}
