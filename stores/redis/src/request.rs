//! The verbs as requests to the server, and what its replies mean, without any I/O: the same for
//! threads and for tasks.

use std::collections::HashMap;
use std::time::Duration;

use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Found, Grant, Guarded, Key, Placed, Put, StoreError, Stored,
    Version,
};
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};

use crate::error;
use crate::hints::Hints;
use crate::names::Names;
use crate::settings::Settings;

/// A script with the name by which the server knows it.
struct Named {
    code: String,
    hash: String,
}

impl Named {
    fn new(body: &str, clock: Option<&str>) -> Self {
        let mut code = concat!(include_str!("scripts/record.lua"), "\n").to_owned() + body;
        if let Some(key) = clock {
            let own = format!("{{0, redis.call('GET', '{key}')}}");
            code = code.replacen("redis.call('TIME')", &own, 1);
        }
        let hash = Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
}

/// What the verbs are on the server.
pub(crate) struct Verbs {
    pub(crate) names: Names,
    max_value: u64,
    ask: Named,
    put: Named,
    renew: Named,
    release: Named,
    invalidate: Named,
    invalidate_all: Named,
}

/// A script with its keys and arguments.
pub(crate) struct Request<'v> {
    script: &'v Named,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
    /// Whether it does no harm to send it once more when nobody knows whether it arrived.
    pub(crate) twice: bool,
}

/// So many records are asked for by one script: it keeps the server from everybody else.
const MOST_ASKS: usize = 100;
/// Hints may be lost: so long sleeps at most who relies on them.
pub(crate) const LONGEST_NAP: Duration = Duration::from_secs(1);
/// In place of a known version: no bytes are wanted at all.
const NO_BYTES: &str = "*";

impl Request<'_> {
    /// By its name, which a server knows that has seen the script.
    pub(crate) fn by_name(&self) -> Cmd {
        self.cmd("EVALSHA", &self.script.hash)
    }

    /// In full, for a server that does not.
    pub(crate) fn in_full(&self) -> Cmd {
        self.cmd("EVAL", &self.script.code)
    }

    /// Whether the server does not know the script.
    pub(crate) fn is_unknown(error: &RedisError) -> bool {
        error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
    }

    fn cmd(&self, command: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(script).arg(self.keys.len());
        for part in self.keys.iter().chain(&self.arguments) {
            cmd.arg(&part[..]);
        }
        cmd
    }

    fn text(mut self, text: impl ToString) -> Self {
        self.arguments.push(text.to_string().into_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.arguments.push(bytes.to_vec());
        self
    }

    fn grant(self, grant: Grant) -> Self {
        self.text(owner(grant)).text(grant.fence)
    }

    fn once(mut self) -> Self {
        self.twice = false;
        self
    }

    fn ask(self, ask: &Ask) -> Self {
        let owner = ask.owner.map_or(String::new(), |owner| {
            self::owner(Grant {
                owner,
                fence: Version::NONE,
            })
        });
        self.text(owner)
            .text(micros(ask.lease))
            .text(ask.known)
            .text(ask.floor)
            .text(u8::from(ask.ahead))
            .text(micros(ask.interval))
    }
}

fn owner(grant: Grant) -> String {
    format!("{:032x}", grant.owner.0)
}

/// In microseconds, rounded up: a span that is not zero stays so. Far enough below 2^53 that twice of it
/// can be added to the time.
fn micros(span: Duration) -> u64 {
    let micros = span.as_nanos().div_ceil(1000);
    u64::try_from(micros).unwrap_or(u64::MAX).min(1 << 51)
}

fn depth(depth: Depth) -> char {
    match depth {
        Depth::Soft => 'S',
        Depth::Hard => 'H',
    }
}

impl Verbs {
    pub(crate) fn new(settings: &Settings) -> Answer<Self> {
        let named = |body| Named::new(body, settings.clock_key());
        Ok(Self {
            names: settings.names()?,
            max_value: settings.max_value,
            ask: named(include_str!("scripts/ask.lua")),
            put: named(include_str!("scripts/put.lua")),
            renew: named(include_str!("scripts/renew.lua")),
            release: named(include_str!("scripts/release.lua")),
            invalidate: named(include_str!("scripts/invalidate.lua")),
            invalidate_all: named(include_str!("scripts/invalidate_all.lua")),
        })
    }

    pub(crate) fn abilities(&self, hints: &Hints) -> Abilities {
        let mut abilities = Abilities::least();
        abilities.monotonic = true;
        abilities.resend_safe = true;
        abilities.hints = hints.can();
        abilities.namespaces = true;
        abilities.resolution = Duration::from_micros(1);
        abilities.max_value = self.max_value;
        abilities
    }

    fn of<'v>(&self, script: &'v Named, key: &Key) -> Request<'v> {
        let slice = self.names.slice(key);
        Request {
            script,
            keys: vec![
                self.names.generation(key.namespace(), slice),
                self.names.record(key),
            ],
            arguments: Vec::new(),
            twice: true,
        }
    }

    pub(crate) fn ask(&self, key: &Key, ask: &Ask) -> Request<'_> {
        self.of(&self.ask, key).ask(ask)
    }

    /// A look that is not told any bytes.
    pub(crate) fn glance(&self, key: &Key) -> Request<'_> {
        let mut request = self.of(&self.ask, key).ask(&Ask::peek());
        request.arguments[2] = NO_BYTES.into();
        request
    }

    /// The asks that go into one request each: those of one slot, in their order, and not too many.
    pub(crate) fn batches(&self, asks: &[(Key, Ask)]) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        // Which batch of a slot has room.
        let mut open: HashMap<(&str, u16), usize> = HashMap::new();
        for (number, (key, _)) in asks.iter().enumerate() {
            let slot = (key.namespace(), self.names.slice(key));
            let batch = open.get(&slot).copied();
            match batch.filter(|batch| batches[*batch].len() < MOST_ASKS) {
                Some(batch) => batches[batch].push(number),
                None => {
                    open.insert(slot, batches.len());
                    batches.push(vec![number]);
                }
            }
        }
        batches
    }

    /// Asks for the records of one batch.
    pub(crate) fn ask_many<'a>(
        &self,
        batch: impl IntoIterator<Item = (&'a Key, &'a Ask)>,
    ) -> Request<'_> {
        let mut requests = batch.into_iter().map(|(key, ask)| self.ask(key, ask));
        let first = requests.next().expect("a batch is not empty");
        requests.fold(first, |mut all, one| {
            all.keys.extend(one.keys.into_iter().skip(1));
            all.arguments.extend(one.arguments);
            all
        })
    }

    pub(crate) fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Request<'_>> {
        let length = put.bytes.len() as u64;
        if length > self.max_value {
            return Err(StoreError::refused(format!(
                "a value of {length} bytes is larger than its limit of {} bytes: raise it with `Settings::max_value`",
                self.max_value
            )));
        }
        let request = self.of(&self.put, key);
        let guarded = match put.guard {
            Guarded::Lease(grant) => request.text('L').grant(grant),
            // The second of two would find what the first has stored.
            Guarded::Absent => request.text('A').text("").text(0).once(),
            Guarded::Version(version) => request.text('V').text("").text(version).once(),
            Guarded::Any => request.text('*').text("").text(0),
        };
        let age = u64::try_from(put.age.as_micros()).unwrap_or(u64::MAX);
        Ok(guarded
            .text(micros(put.fresh_for))
            .text(micros(put.keep_for))
            .text(age.min(1 << 51))
            .bytes(put.bytes)
            .bytes(&self.names.channel(key.namespace())))
    }

    pub(crate) fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Request<'_> {
        self.of(&self.renew, key).grant(grant).text(micros(lease))
    }

    pub(crate) fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Request<'_> {
        self.of(&self.release, key)
            .grant(grant)
            .text(micros(quiet))
            .bytes(&self.names.channel(key.namespace()))
            .once()
    }

    pub(crate) fn invalidate(&self, key: &Key, how: Depth, only: Version) -> Request<'_> {
        let request = self
            .of(&self.invalidate, key)
            .text(depth(how))
            .text(only)
            .bytes(&self.names.channel(key.namespace()));
        match only.is_none() {
            true => request,
            false => request.once(),
        }
    }

    /// One request for each slice of the namespace. The last one tells those who watch: by then all is
    /// done.
    pub(crate) fn invalidate_all(&self, namespace: &str, how: Depth) -> Vec<Request<'_>> {
        let slices = self.names.slices();
        let request = |slice| {
            let channel = match slice + 1 == slices {
                true => self.names.channel(namespace),
                false => Vec::new(),
            };
            Request {
                script: &self.invalidate_all,
                keys: vec![self.names.generation(namespace, slice)],
                arguments: Vec::new(),
                twice: true,
            }
            .text(depth(how))
            .bytes(&channel)
            .text(namespace)
        };
        (0..slices).map(request).collect()
    }
}

fn garbled(reply: &impl std::fmt::Debug) -> StoreError {
    StoreError::protocol(format!(
        "it answers what no script of this store says: {reply:?}"
    ))
}

fn number(reply: Option<&Value>) -> Answer<u64> {
    match reply {
        Some(Value::Int(number)) => u64::try_from(*number).map_err(|_| garbled(&number)),
        other => Err(garbled(&other)),
    }
}

fn span(reply: Option<&Value>) -> Answer<Duration> {
    number(reply).map(Duration::from_micros)
}

fn letter(reply: Option<&Value>) -> Answer<u8> {
    match reply {
        Some(Value::BulkString(text)) if text.len() == 1 => Ok(text[0]),
        other => Err(garbled(&other)),
    }
}

/// What was answered to asks for so many records. An error of the request is one of each.
pub(crate) fn found_many(reply: Answer<Value>, asked: usize) -> Vec<Answer<Found>> {
    let error = match reply {
        Ok(Value::Array(replies)) if replies.len() == asked => {
            return replies.into_iter().map(found_one).collect();
        }
        Ok(other) => garbled(&other),
        Err(error) => error,
    };
    (0..asked).map(|_| Err(again(&error))).collect()
}

/// The same error once more.
pub(crate) fn again(error: &StoreError) -> StoreError {
    StoreError {
        kind: error.kind,
        source: error.source.to_string().into(),
    }
}

pub(crate) fn found(reply: Answer<Value>) -> Answer<Found> {
    let mut answers = found_many(reply, 1);
    answers.pop().expect("one was asked for")
}

/// Whether the lease with this number runs still.
pub(crate) fn is_led(found: &Found, number: Version) -> bool {
    matches!(found, Found::Busy { fence, .. } if *fence == number)
}

fn found_one(reply: Value) -> Answer<Found> {
    let Value::Array(mut parts) = reply else {
        return Err(garbled(&reply));
    };
    let kind = letter(parts.first())?;
    if kind == b'E' {
        let Some(Value::BulkString(text)) = parts.get(1) else {
            return Err(garbled(&parts));
        };
        return Err(error::of_text(&String::from_utf8_lossy(text)));
    }
    let fence = Version(number(parts.get(1))?);
    let wait = span(parts.get(2))?;
    let failures = u32::try_from(number(parts.get(3))?).unwrap_or(u32::MAX);
    let stored = match number(parts.get(4))? {
        0 => None,
        _ => {
            let bytes = match parts.get_mut(10) {
                Some(Value::BulkString(bytes)) => Some(std::mem::take(bytes)),
                Some(Value::Nil) => None,
                other => return Err(garbled(&other)),
            };
            Some(Stored {
                bytes,
                version: Version(number(parts.get(5))?),
                age: span(parts.get(6))?,
                fresh_for: span(parts.get(7))?,
                over_for: span(parts.get(8))?,
                expired: number(parts.get(9))? != 0,
            })
        }
    };
    Ok(match (kind, stored) {
        (b'F', Some(stored)) => Found::Fresh(stored),
        (b'L', stale) => Found::Leased {
            fence,
            stale,
            failures,
        },
        (b'B', stale) => Found::Busy {
            fence,
            stale,
            retry_in: wait,
        },
        (b'Q', stale) => Found::Quiet {
            stale,
            retry_in: wait,
        },
        (b'I', stale) => Found::Idle { stale },
        _ => return Err(garbled(&parts)),
    })
}

pub(crate) fn placed(reply: Value) -> Answer<Placed> {
    let Value::Array(parts) = &reply else {
        return Err(garbled(&reply));
    };
    let version = Version(number(parts.get(1))?);
    match letter(parts.first())? {
        b'S' => Ok(Placed::Stored(version)),
        b'R' => Ok(Placed::Refused(version)),
        b'G' => Ok(Placed::Gone),
        _ => Err(garbled(&reply)),
    }
}

pub(crate) fn done(reply: Value) -> Answer<bool> {
    match reply {
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        other => Err(garbled(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dogpile_fleet::{Owner, StoreErrorKind};

    /// The fields of an ask for one record.
    const ASK_FIELDS: usize = 6;

    #[test]
    fn a_span_is_never_cut_to_nothing_nor_beyond_what_lua_has_exactly() {
        assert_eq!(micros(Duration::ZERO), 0);
        assert_eq!(micros(Duration::from_nanos(1)), 1);
        assert_eq!(micros(Duration::from_nanos(1001)), 2);
        // The year 2200 in microseconds, and twice the span.
        assert!(7_258_118_400_000_000 / 2 + 2 * micros(Duration::MAX) < 1 << 53);
    }

    #[test]
    fn many_asks_are_one_request_for_each_slot_in_their_order_and_none_is_too_long() {
        let verbs = Verbs::new(&Settings::new()).unwrap();
        let ask = Ask::lead(Owner(1), Duration::from_secs(1));
        let asks: Vec<_> = (0..500)
            .map(|number| {
                let namespace = if number % 2 == 0 { "a" } else { "b" };
                (Key::new(namespace, format!("{number}"), 0), ask)
            })
            .collect();
        let batches = verbs.batches(&asks);
        assert_eq!(batches.len(), 6);
        for batch in &batches {
            assert!(batch.is_sorted() && batch.len() <= MOST_ASKS);
            let request = verbs.ask_many(batch.iter().map(|at| (&asks[*at].0, &asks[*at].1)));
            assert_eq!(request.arguments.len(), batch.len() * ASK_FIELDS);
            let namespace = asks[batch[0]].0.namespace();
            let mut keys = vec![verbs.names.generation(namespace, 0)];
            keys.extend(batch.iter().map(|at| verbs.names.record(&asks[*at].0)));
            assert_eq!(request.keys, keys);
        }
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn a_reply_that_no_script_gives_is_an_error_and_no_panic() {
        let text = |text: &str| Value::BulkString(text.into());
        let list = Value::Array;
        for reply in [
            Value::Nil,
            Value::Okay,
            Value::Int(-1),
            text("F"),
            list(vec![]),
            list(vec![list(vec![])]),
            list(vec![list(vec![text("F")])]),
            list(vec![list(vec![text("Z"), Value::Int(1)])]),
            list(vec![list(vec![text("E")])]),
            list(vec![list(vec![
                text("F"),
                Value::Int(1),
                Value::Int(0),
                Value::Int(0),
                Value::Int(0),
            ])]),
            list(vec![list(vec![
                text("F"),
                Value::Int(1),
                Value::Int(-5),
                Value::Int(0),
                Value::Int(1),
            ])]),
            list(vec![list(vec![text("L"), text("1"), Value::Int(0)])]),
        ] {
            let kind = |answer: Result<(), StoreError>| answer.expect_err("garbled").kind;
            let protocol = StoreErrorKind::Protocol;
            assert_eq!(
                kind(found(Ok(reply.clone())).map(drop)),
                protocol,
                "{reply:?}"
            );
            assert_eq!(kind(placed(reply.clone()).map(drop)), protocol, "{reply:?}");
            assert_eq!(kind(done(reply.clone()).map(drop)), protocol, "{reply:?}");
        }
    }
}
