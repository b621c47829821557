//! What an error of the client or the server is to a store.

use dogpile_fleet::StoreError;
use redis::{ErrorKind, RedisError};

/// What the server says when it is, or will soon be, another one's turn, or is busy.
const LATER: &[&str] = &[
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "BUSY",
    "NOREPLICAS",
    "UNKILLABLE",
    "ERR max number of clients reached",
];
/// An operator ended a script that ran too long. It had changed nothing, or it could not be ended.
const KILLED: &str = "Script killed by user";

const NO_PASSWORD: &str = "it wants a password: give it in the URL, as in redis://:PASSWORD@HOST/";

/// What the server says when it will not, and what to do about it.
const REMEDIES: &[(&str, &str)] = &[
    (
        "OOM",
        "it is full: raise its `maxmemory`, or let it evict with `maxmemory-policy allkeys-lru`",
    ),
    (
        "MISCONF",
        "it takes no writes since it could not save its data: look into its log",
    ),
    ("NOAUTH", NO_PASSWORD),
    // It takes only short requests of one whom it does not know, and says this of a longer one.
    ("ERR Protocol error: unauthenticated", NO_PASSWORD),
    (
        "WRONGPASS",
        "the user or the password is wrong: give the right ones in the URL, as in redis://USER:PASSWORD@HOST/",
    ),
    (
        "NOPERM",
        "its user may not do this: the store needs EVALSHA, EVAL, TIME, GET, SET, PTTL, PEXPIRE, HMGET, HGET, \
         HSET, HDEL, DEL on keys that begin with its prefix, and PUBLISH and PSUBSCRIBE on channels that do",
    ),
    (
        "CROSSSLOT",
        "it takes keys of one script for keys of several slots: is a proxy between that changes the names of keys?",
    ),
];

/// What an error is to the fleet.
pub(crate) fn of(error: RedisError) -> StoreError {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return refused(remedy("WRONGPASS"), &error.to_string());
    }
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => of_text(&said(&error)),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => StoreError::protocol(error),
        ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported | ErrorKind::Client => {
            StoreError::refused(error)
        }
        _ => StoreError::unavailable(error),
    }
}

/// What the server said, as it said it.
fn said(error: &RedisError) -> String {
    let (code, detail) = (error.code(), error.detail());
    format!("{} {}", code.unwrap_or("ERR"), detail.unwrap_or_default())
}

/// What a text is that the server answered as an error.
pub(crate) fn of_text(text: &str) -> StoreError {
    let text = text.trim_start_matches('-');
    if is_later(text) {
        return StoreError::unavailable(format!("it says: {text}"));
    }
    let known = REMEDIES.iter().find(|(code, _)| says(text, code));
    refused(known.map(|(_, remedy)| *remedy), text)
}

fn refused(remedy: Option<&str>, text: &str) -> StoreError {
    StoreError::refused(match remedy {
        Some(remedy) => format!("{remedy}. It says: {text}"),
        None => format!("it says: {text}"),
    })
}

fn remedy(code: &str) -> Option<&'static str> {
    let known = REMEDIES.iter().find(|(known, _)| *known == code);
    known.map(|(_, remedy)| *remedy)
}

/// Whether an error begins with this code. Before Redis 7 the code of an error in a script stands
/// within a sentence, behind a hyphen.
fn says(text: &str, code: &str) -> bool {
    let begins = |text: &str| {
        text.strip_prefix(code)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
    };
    begins(text)
        || text
            .match_indices(" -")
            .any(|(at, _)| begins(&text[at + 2..]))
}

fn is_later(text: &str) -> bool {
    text.contains(KILLED) || LATER.iter().any(|code| says(text, code))
}

/// Whether the connection cannot be used again: it is lost, out of step, or leads to a server that is
/// no longer the one that takes writes.
pub(crate) fn breaks(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => is_later(&said(error)),
        _ => true,
    }
}

/// Whether the connection was lost, perhaps long before the request.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_timeout()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dogpile_fleet::StoreErrorKind::{self, Refused, Unavailable};

    fn kind(text: &str) -> StoreErrorKind {
        of_text(text).kind
    }

    #[test]
    fn what_may_be_over_soon_is_unavailable_and_what_needs_somebody_is_refused() {
        for text in [
            "READONLY You can't write against a read only replica. script: x, on @user_script:1.",
            "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN The cluster is down",
            "BUSY Redis is busy running a script.",
            "NOREPLICAS Not enough good replicas to write.",
            "ERR max number of clients reached",
            "ERR Error running script (call to f_1): @user_script:25: @user_script: 25: -READONLY You can't",
            "ERR Script killed by user with SCRIPT KILL... script: x, on @user_script:1.",
        ] {
            assert_eq!(kind(text), Unavailable, "{text}");
        }
        for text in [
            "OOM command not allowed when used memory > 'maxmemory'. script: x, on @user_script:1.",
            "ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not allowed",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "ERR unknown command 'EVALSHA'",
            "BUSYGROUP it only begins like busy",
        ] {
            assert_eq!(kind(text), Refused, "{text}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        for (text, remedy) in [
            ("OOM command not allowed", "maxmemory-policy"),
            ("NOAUTH Authentication required.", "redis://:PASSWORD@HOST/"),
            ("NOPERM this user", "EVALSHA"),
        ] {
            let error = of_text(text).to_string();
            assert!(error.contains(remedy) && error.contains(text), "{error}");
        }
    }
}
