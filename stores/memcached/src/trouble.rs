//! What goes wrong between a process and a server: each text names the server and the remedy.

use std::io;
use std::time::Duration;

use dogpile_fleet::StoreError;

use crate::meta::Malformed;

/// The oldest version whose meta commands are those that are used here: the number of a change that
/// `ms` tells is wrong in older ones.
pub(crate) const OLDEST: (u32, u32, u32) = (1, 6, 13);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("memcached at {0} cannot be reached ({1}): check that it runs and listens there")]
    Connect(String, #[source] io::Error),
    #[error(
        "memcached at {0} did not answer within {1:?}: it is stopped, overloaded or cut off; \
         `timeout` sets this limit"
    )]
    Slow(String, Duration),
    #[error(
        "all {1} connections of this process to memcached at {0} were in use for {2:?}: raise `connections`"
    )]
    Busy(String, usize, Duration),
    #[error("the connection to memcached at {0} broke ({1})")]
    Broken(String, #[source] io::Error),
    #[error("memcached at {0} answered what is no reply: {1}")]
    Malformed(String, #[source] Malformed),
    #[error("memcached at {0} answered `{1}` where that is no answer")]
    Unexpected(String, String),
    #[error(
        "memcached at {0} takes no connection (`{1}`): if it has none left, raise its limit (-c) or \
         lower `connections`"
    )]
    TurnedAway(String, String),
    #[error(
        "memcached at {0} is version {1}, and 1.6.13 is the oldest whose meta commands are used \
         here: upgrade it"
    )]
    Old(String, String),
    #[error(
        "memcached at {0} has no room for an item of {1} bytes (`{2}`): give it more memory (-m), or \
         let it evict (start it without -M)"
    )]
    Full(String, usize, String),
    #[error(
        "the record at memcached {0} was changed {1} times while this process tried to write it: too \
         many write one key at once"
    )]
    Contended(String, u32),
    #[error(
        "`{0}` is no address of a server: give `host:port`, or the path of a unix socket that begins with `/`"
    )]
    Address(String),
    #[error("there is no server: give at least one address")]
    NoServer,
    #[error("the server {0} is given twice: give each once")]
    Twice(String),
    #[error(
        "the prefix `{0}` cannot be part of an item's name: it has to have at most {1} bytes, none of them a space or a control character"
    )]
    Prefix(String, usize),
    #[error("`{0}` is zero: nothing can be done with that")]
    Zero(&'static str),
}

impl Trouble {
    /// What it means at the beginning of a connection.
    pub(crate) fn turned_away(self) -> Self {
        match self {
            Self::Broken(server, error) => Self::TurnedAway(server, error.to_string()),
            other => other,
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Connect(..)
            | Trouble::Slow(..)
            | Trouble::Busy(..)
            | Trouble::Broken(..)
            | Trouble::TurnedAway(..)
            | Trouble::Contended(..) => StoreError::unavailable(trouble),
            Trouble::Malformed(..) | Trouble::Unexpected(..) => StoreError::protocol(trouble),
            _ => StoreError::refused(trouble),
        }
    }
}
