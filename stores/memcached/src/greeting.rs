//! What is asked of a server at each connect: which version it is, how large an item may be, what time
//! it is, and whether it is the same server as before.

use crate::meta::{Flag, Mode, Name, Reply, request};
use crate::trouble::{OLDEST, Trouble};

/// An item that each server process has one of, with a number that somebody has drawn. The numbers by
/// which memcached counts changes begin at 1 again when it is restarted, so they mean nothing to
/// another process of it.
const EPOCH: &str = "dogpile:epoch";

/// What a server said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Greeting {
    /// Of this process of the server.
    pub(crate) epoch: u64,
    /// The largest item, in bytes, all that belongs to it counted.
    pub(crate) item_limit: usize,
    /// The time there, in seconds since 1970.
    pub(crate) seconds: u64,
}

/// Takes the replies one by one.
pub(crate) struct Greeter {
    server: String,
    greeting: Greeting,
    version: bool,
    answered: u32,
}

impl Greeter {
    /// One for this server, and what to send. `drawn` is the number of the server process, if it has none
    /// yet.
    pub(crate) fn new(server: &str, drawn: u64) -> (Self, Vec<u8>) {
        let name = Name::new(EPOCH).expect("it is a name");
        let mut sent = Vec::new();
        request::version(&mut sent);
        request::stats(&mut sent, false);
        request::stats(&mut sent, true);
        let epoch = format!("{drawn:016x}");
        request::set(
            &mut sent,
            &name,
            epoch.as_bytes(),
            &[Flag::Mode(Mode::Add), Flag::Ttl(0)],
        );
        request::get(&mut sent, &name, &[Flag::ReturnValue, Flag::ReturnHit]);
        request::noop(&mut sent);
        let greeter = Self {
            server: server.to_owned(),
            greeting: Greeting {
                // Without an item nobody else knows it, and no number is trusted beyond a connection.
                epoch: drawn,
                item_limit: 1 << 20,
                seconds: 0,
            },
            version: false,
            answered: 0,
        };
        (greeter, sent)
    }

    /// Takes a reply. `None`: there are more to come.
    pub(crate) fn take(&mut self, reply: Reply) -> Result<Option<Greeting>, Trouble> {
        let unexpected = |server: &str, what: String| Trouble::Unexpected(server.to_owned(), what);
        match reply {
            Reply::Version(version) if !self.version => {
                if parse(&version).is_none_or(|version| version < OLDEST) {
                    return Err(Trouble::Old(self.server.clone(), version));
                }
                self.version = true;
            }
            Reply::Error(said) if !self.version => {
                return Err(Trouble::TurnedAway(self.server.clone(), said));
            }
            other if !self.version => return Err(unexpected(&self.server, format!("{other:?}"))),
            Reply::Stat { name, value } => {
                let number = value.parse().ok();
                match (&*name, number) {
                    ("time", Some(seconds)) => self.greeting.seconds = seconds,
                    ("item_size_max", Some(limit)) => {
                        self.greeting.item_limit = usize::try_from(limit).unwrap_or(usize::MAX);
                    }
                    _ => {}
                }
            }
            // A full server has no room for it.
            Reply::End | Reply::Header(_) | Reply::NotStored | Reply::Miss => self.answered += 1,
            Reply::ServerError(_) => self.answered += 1,
            Reply::Value { data, .. } => {
                let text = str::from_utf8(&data).ok();
                let epoch = text.and_then(|text| u64::from_str_radix(text, 16).ok());
                self.greeting.epoch = epoch.unwrap_or(self.greeting.epoch);
                self.answered += 1;
            }
            Reply::Noop if self.answered == 4 && self.greeting.seconds > 0 => {
                return Ok(Some(self.greeting));
            }
            other => return Err(unexpected(&self.server, format!("{other:?}"))),
        }
        Ok(None)
    }
}

/// Such as 1.6.18, or 1.6.18_3 of a package.
fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = version
        .split(['.', '-', '_', ' '])
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Decoder;

    fn greet(answer: &str) -> Result<Option<Greeting>, Trouble> {
        let (mut greeter, _) = Greeter::new("here", 7);
        let mut decoder = Decoder::new(100);
        decoder.feed(answer.as_bytes());
        while let Some(reply) = decoder.next().unwrap() {
            if let Some(greeting) = greeter.take(reply)? {
                return Ok(Some(greeting));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_server_says_what_it_is() {
        let answer = "VERSION 1.6.18\r\nSTAT time 1000\r\nEND\r\nSTAT item_size_max 4096\r\nEND\r\n\
                      NS\r\nVA 16 h1\r\n00000000000000ff\r\nMN\r\n";
        let greeting = Greeting {
            epoch: 255,
            item_limit: 4096,
            seconds: 1000,
        };
        assert_eq!(greet(answer).unwrap(), Some(greeting));
        let full = answer.replace(
            "NS\r\nVA 16 h1\r\n00000000000000ff",
            "SERVER_ERROR out of memory\r\nEN",
        );
        assert_eq!(greet(&full).unwrap().unwrap().epoch, 7);
        for cut in 0..answer.len() - 1 {
            assert_eq!(greet(&answer[..cut]).unwrap(), None);
        }
    }

    #[test]
    fn who_is_too_old_or_turns_away_is_named_with_the_remedy() {
        for version in ["1.4.39", "1.5.6", "1.6.12", "1.5", "nonsense", ""] {
            let error = greet(&format!("VERSION {version}\r\n"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!("here is version {version}, ")),
                "{error}"
            );
            assert!(error.contains("upgrade it"), "{error}");
        }
        for version in [
            "1.6.13",
            "1.6.45",
            "1.7.0",
            "2.0.0",
            "1.6.18-beta",
            "1.6.18_3",
        ] {
            assert_eq!(greet(&format!("VERSION {version}\r\n")).unwrap(), None);
        }
        let error = greet("ERROR Too many open connections\r\n").unwrap_err();
        assert!(
            error.to_string().contains("Too many open connections")
                && error.to_string().contains("-c")
        );
        assert!(greet("EN\r\n").is_err());
        assert!(greet("VERSION 1.6.18\r\nMN\r\n").is_err());
        assert!(greet("VERSION 1.6.18\r\nNF\r\n").is_err());
    }
}
