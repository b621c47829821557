//! The verbs of a store, once for threads and for tasks: a record is read, decided upon, and written
//! back if nobody has changed it meanwhile.
//!
//! Four traps of memcached are avoided here:
//!
//! 1. `mg` without `h`, `t` or `N` reads without the lock of the item. Here it has one of them.
//! 2. The server's own election (`W`, `Z`) has no lease: a winner that dies keeps the others out until
//!    the item ends. Here the lease stands in the item, with its owner and its end.
//! 3. The numbers of changes begin at 1 again when a server is restarted. Here such a number is used
//!    with the process of the server alone that told it.
//! 4. Times to live are whole seconds, and end up to one early. Here they only remove what is over by
//!    the times in the item.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dogpile::Clock;
use dogpile_fleet::record::{Decision, Head, Space, State, invalidated};
use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Found, Grant, Guarded, Key, Owner, Placed, Put, StoreError,
    Version,
};

use crate::greeting::Greeting;
use crate::item::{self, HEADER, Record};
use crate::meta::{Flag, Marks, Mode, Name, Reply, request};
use crate::place::{Place, Places};
use crate::timeline::Timeline;
use crate::trouble::Trouble;

/// Clocks of two processes are this far apart at most, as each has the server's to half a second. A
/// lease is that much longer, so that nobody takes it for over while its holder does not.
const APART: Duration = Duration::from_secs(1);
/// A record is kept for so long at least, so that its numbers go on growing.
const LEAST_KEPT: Duration = Duration::from_secs(60);
/// memcached takes what is longer for a date.
const LONGEST_KEPT: u64 = 30 * 24 * 60 * 60;
/// So often a verb begins anew if somebody else changes the record between its two steps.
const TRIES: u32 = 64;
/// So long a name of a key may be that stands behind the value, before it leaves the value less room.
const TAIL: usize = 512;
/// What a value needs around it: the header, its name, and what memcached needs for an item.
const OVERHEAD: usize = HEADER + TAIL + 512;
/// So many leases of this process are committed in one step; of others the record is read before.
const MOST_LEASES: usize = 4096;
/// So many records one server is asked for at once. All these commands fit into what the kernel keeps
/// of a connection, so that a server whose replies are not read yet takes them all the same.
const AT_ONCE: usize = 256;

/// Commands that are sent in one piece.
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) replies: usize,
    /// The process of the server that it is for; if a connection broke, nobody knows whether it was done.
    /// `None`: for any, and it may be sent again.
    pub(crate) epoch: Option<u64>,
}

/// What came of a batch.
pub(crate) enum Exchanged {
    Replies(Vec<Reply>, u64),
    /// The server is another process by now: nothing was sent.
    Elsewhere,
}

/// Brings batches to servers: by threads that block, or by tasks.
pub(crate) trait Transport: Send + Sync + 'static {
    fn exchange(
        &self,
        server: usize,
        batch: &Batch,
    ) -> impl Future<Output = Answer<Exchanged>> + Send;
}

/// A lease of this process, and the change that granted it.
struct Token {
    grant: Grant,
    change: Change,
    state: State,
}

/// A change of an item: its number, and the process of the server that counts.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Change {
    cas: u64,
    epoch: u64,
}

/// What the verbs know besides the connections.
pub(crate) struct Shared {
    places: Places,
    servers: Vec<Server>,
    leases: Mutex<HashMap<Key, Token>>,
    trips: AtomicU64,
}

struct Server {
    name: String,
    timeline: Timeline,
    item_limit: AtomicUsize,
}

/// What was read of a record.
struct Seen {
    record: Record,
    /// `None`: there is no item.
    cas: Option<u64>,
    epoch: u64,
    now: u64,
    /// Whether the times of its lease were those of a clock that was put back since.
    moved: bool,
}

impl Shared {
    pub(crate) fn new(
        places: Places,
        names: &[String],
        clock: &Arc<dyn Clock>,
        follows: bool,
    ) -> Self {
        let server = |name: &String| Server {
            name: name.clone(),
            timeline: Timeline::new(Arc::clone(clock), follows),
            // The server's own default.
            item_limit: AtomicUsize::new(1 << 20),
        };
        Self {
            places,
            servers: names.iter().map(server).collect(),
            leases: Mutex::default(),
            trips: AtomicU64::new(0),
        }
    }

    pub(crate) fn greeted(&self, server: usize, greeting: &Greeting) {
        let server = &self.servers[server];
        server.timeline.told(greeting.seconds);
        server
            .item_limit
            .store(greeting.item_limit, Ordering::SeqCst);
    }

    pub(crate) fn place_of(&self, key: &Key) -> (&str, Name) {
        let place = self.places.of(key);
        (&self.servers[place.server].name, place.item)
    }

    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::SeqCst)
    }

    pub(crate) fn abilities(&self) -> Abilities {
        let limits = self
            .servers
            .iter()
            .map(|server| server.item_limit.load(Ordering::SeqCst));
        let mut abilities = Abilities::least();
        abilities.resend_safe = true;
        abilities.namespaces = true;
        abilities.max_value = limits.min().unwrap_or(0).saturating_sub(OVERHEAD) as u64;
        abilities
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Key, Token>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: &Key, token: Token, now: u64) {
        let mut leases = self.leases();
        if leases.len() >= MOST_LEASES && !leases.contains_key(key) {
            leases.retain(|_, token| token.state.is_leased(now));
        }
        if leases.len() < MOST_LEASES {
            leases.insert(key.clone(), token);
        }
    }

    /// The lease, if this process knows it. It is forgotten.
    fn recall(&self, key: &Key, grant: Grant) -> Option<Token> {
        let mut leases = self.leases();
        leases.get(key).filter(|token| token.grant == grant)?;
        leases.remove(key)
    }
}

/// The verbs over some transport.
pub(crate) struct Verbs<T> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) transport: T,
}

impl<T: Transport> Verbs<T> {
    async fn exchange(&self, server: usize, batch: &Batch) -> Answer<Exchanged> {
        self.shared.trips.fetch_add(1, Ordering::SeqCst);
        self.transport.exchange(server, batch).await
    }

    fn server(&self, place: &Place) -> &Server {
        &self.shared.servers[place.server]
    }

    async fn look(&self, key: &Key, place: &Place) -> Answer<Seen> {
        let mut bytes = Vec::new();
        // The record first: what is invalidated after that is seen.
        get_record(&mut bytes, &place.item);
        get_space(&mut bytes, &place.space);
        let batch = Batch {
            bytes,
            replies: 2,
            epoch: None,
        };
        let server = self.server(place);
        match self.exchange(place.server, &batch).await? {
            Exchanged::Replies(replies, epoch) => {
                let mut replies = replies.into_iter();
                let record = replies.next();
                let space = server.space(replies.next())?;
                server.seen((key, place), record, space, epoch)
            }
            Exchanged::Elsewhere => unreachable!("it is for any process of the server"),
        }
    }

    /// Writes a record over what was seen. `None`: somebody has changed it meanwhile.
    async fn write(
        &self,
        key: &Key,
        place: &Place,
        seen: &Seen,
        state: &State,
        value: Option<(&Head, &[u8])>,
    ) -> Answer<Option<Change>> {
        let server = self.server(place);
        let mut bytes = Vec::new();
        let record = (state, value);
        let size = server.put_record(&mut bytes, key, place, record, seen.condition(), seen.now);
        let batch = Batch {
            bytes,
            replies: 1,
            epoch: Some(seen.epoch),
        };
        match self.exchange(place.server, &batch).await? {
            Exchanged::Replies(replies, epoch) => {
                let reply = replies.into_iter().next();
                let cas = server.written(reply, size)?;
                Ok(cas.map(|cas| Change { cas, epoch }))
            }
            Exchanged::Elsewhere => Ok(None),
        }
    }

    pub(crate) async fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let place = self.shared.places.of(key);
        for _ in 0..TRIES {
            let seen = self.look(key, &place).await?;
            let (state, decision) = seen.decide(ask);
            if !seen.is_to_write(decision, ask) {
                return Ok(seen.found(state, decision, ask));
            }
            if let Some(change) = (self.write(key, &place, &seen, &state, seen.value())).await? {
                self.granted(key, ask, (state, decision), change, seen.now);
                return Ok(seen.found(state, decision, ask));
            }
        }
        Err(self.contended(&place))
    }

    /// Two round trips to each server at most, if nobody else changes the records meanwhile.
    pub(crate) async fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let places: Vec<_> = asks
            .iter()
            .map(|(key, _)| self.shared.places.of(key))
            .collect();
        let mut answers: Vec<_> = asks.iter().map(|_| None).collect();
        // Of several asks for one record one is answered in each round.
        for _ in 0..asks.len().saturating_add(TRIES as usize) {
            let mut begun = HashSet::new();
            let is_next = |at: &usize| answers[*at].is_none() && begun.insert(&asks[*at].0);
            let round: Vec<_> = (0..asks.len()).filter(is_next).collect();
            if round.is_empty() {
                break;
            }
            for server in 0..self.shared.servers.len() {
                let here = round
                    .iter()
                    .copied()
                    .filter(|at| places[*at].server == server);
                let here: Vec<_> = here.collect();
                for chunk in here.chunks(AT_ONCE) {
                    let asked = self
                        .ask_at_once(server, asks, &places, chunk, &mut answers)
                        .await;
                    let Err(error) = asked else { continue };
                    // It is not waited for again.
                    for (answer, place) in answers.iter_mut().zip(&places) {
                        if answer.is_none() && place.server == server {
                            *answer = Some(Err(StoreError {
                                kind: error.kind,
                                source: error.source.to_string().into(),
                            }));
                        }
                    }
                    break;
                }
            }
        }
        let contended = |place| Err(self.contended(place));
        let pairs = answers.into_iter().zip(&places);
        pairs
            .map(|(answer, place)| answer.unwrap_or_else(|| contended(place)))
            .collect()
    }

    /// Asks one server for different records. What is still unanswered then was changed by somebody else.
    async fn ask_at_once(
        &self,
        server: usize,
        asks: &[(Key, Ask)],
        places: &[Place],
        chosen: &[usize],
        answers: &mut [Option<Answer<Found>>],
    ) -> Answer<()> {
        let at = &self.shared.servers[server];
        let mut bytes = Vec::new();
        chosen
            .iter()
            .for_each(|number| get_record(&mut bytes, &places[*number].item));
        let mut spaces = Vec::new();
        for number in chosen {
            let space = &places[*number].space;
            if !spaces.contains(&space) {
                get_space(&mut bytes, space);
                spaces.push(space);
            }
        }
        let batch = Batch {
            bytes,
            replies: chosen.len() + spaces.len(),
            epoch: None,
        };
        let Exchanged::Replies(mut replies, epoch) = self.exchange(server, &batch).await? else {
            unreachable!("it is for any process of the server");
        };
        let generations = replies.split_off(chosen.len().min(replies.len()));
        let generations = generations.into_iter().map(|reply| at.space(Some(reply)));
        let generations = generations.collect::<Answer<Vec<_>>>()?;
        let spaces: HashMap<_, _> = spaces.into_iter().zip(generations).collect();

        let (mut bytes, mut writes) = (Vec::new(), Vec::new());
        for (number, reply) in chosen.iter().zip(replies) {
            let ((key, ask), place) = (&asks[*number], &places[*number]);
            let space = spaces.get(&place.space).copied().unwrap_or_default();
            let seen = match at.seen((key, place), Some(reply), space, epoch) {
                Ok(seen) => seen,
                Err(error) => {
                    answers[*number] = Some(Err(error));
                    continue;
                }
            };
            let (state, decision) = seen.decide(ask);
            if !seen.is_to_write(decision, ask) {
                answers[*number] = Some(Ok(seen.found(state, decision, ask)));
                continue;
            }
            let record = (&state, seen.value());
            let size = at.put_record(&mut bytes, key, place, record, seen.condition(), seen.now);
            writes.push((*number, seen, state, decision, size));
        }
        if writes.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            bytes,
            replies: writes.len(),
            epoch: Some(epoch),
        };
        let Exchanged::Replies(replies, epoch) = self.exchange(server, &batch).await? else {
            return Ok(());
        };
        for ((number, seen, state, decision, size), reply) in writes.into_iter().zip(replies) {
            let (key, ask) = &asks[number];
            match at.written(Some(reply), size) {
                Ok(Some(cas)) => {
                    self.granted(key, ask, (state, decision), Change { cas, epoch }, seen.now);
                    answers[number] = Some(Ok(seen.found(state, decision, ask)));
                }
                Ok(None) => {}
                Err(error) => answers[number] = Some(Err(error)),
            }
        }
        Ok(())
    }

    fn granted(
        &self,
        key: &Key,
        ask: &Ask,
        (state, decision): (State, Decision),
        change: Change,
        now: u64,
    ) {
        if let (Decision::Leased { .. }, Some(owner)) = (decision, ask.owner) {
            self.holds(key, owner, state, change, now);
        }
    }

    /// This process holds the lease, by this change.
    fn holds(&self, key: &Key, owner: Owner, state: State, change: Change, now: u64) {
        let fence = Version(state.generation);
        let grant = Grant { owner, fence };
        let token = Token {
            grant,
            change,
            state,
        };
        self.shared.remember(key, token, now);
    }

    fn contended(&self, place: &Place) -> StoreError {
        Trouble::Contended(self.server(place).name.clone(), TRIES).into()
    }

    pub(crate) async fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let place = self.shared.places.of(key);
        self.server(&place).check_size(put.bytes.len(), &place)?;
        if let Guarded::Lease(grant) = put.guard
            && let Some(token) = self.shared.recall(key, grant)
            && let Some(placed) = self.commit(key, &place, put, token).await?
        {
            return Ok(placed);
        }
        for _ in 0..TRIES {
            let seen = self.look(key, &place).await?;
            if matches!(put.guard, Guarded::Lease(_)) && seen.cas.is_none() {
                return Ok(Placed::Gone);
            }
            let mut state = seen.record.state;
            let next = number(state.generation, seen.now);
            let version = match state.place(seen.record.head(), put.guard, next) {
                Ok(version) => version,
                Err(placed) => return Ok(placed),
            };
            let head = Head::new(&state, (put.age, put.fresh_for, put.keep_for), seen.now);
            let value = Some((&head, put.bytes));
            if self
                .write(key, &place, &seen, &state, value)
                .await?
                .is_some()
            {
                return Ok(Placed::Stored(Version(version)));
            }
        }
        Err(self.contended(&place))
    }

    /// Stores the value of a lease that this process knows, without reading the record before: one step
    /// instead of two. `None`: it is not known what became of it, or the lease is not what it was.
    async fn commit(
        &self,
        key: &Key,
        place: &Place,
        put: &Put<'_>,
        token: Token,
    ) -> Answer<Option<Placed>> {
        let server = self.server(place);
        let now = server.timeline.now();
        let mut state = token.state;
        // Nothing of the record has changed since, or the write is refused.
        let Ok(version) = state.place(None, put.guard, 0) else {
            return Ok(None);
        };
        let head = Head::new(&state, (put.age, put.fresh_for, put.keep_for), now);
        let mut bytes = Vec::new();
        let value = Some((&head, put.bytes));
        let condition = Flag::Cas(token.change.cas);
        let size = server.put_record(&mut bytes, key, place, (&state, value), condition, now);
        get_space(&mut bytes, &place.space);
        let batch = Batch {
            bytes,
            replies: 2,
            epoch: Some(token.change.epoch),
        };
        let (replies, epoch) = match self.exchange(place.server, &batch).await {
            Ok(Exchanged::Replies(replies, epoch)) => (replies, epoch),
            // The record itself says what became of it: its version is the number of the lease.
            Ok(Exchanged::Elsewhere) | Err(_) => return Ok(None),
        };
        let mut replies = replies.into_iter();
        let Some(cas) = server.written(replies.next(), size)? else {
            return Ok(None);
        };
        if server.space(replies.next())?.generation == state.space {
            return Ok(Some(Placed::Stored(Version(version))));
        }
        // The namespace was invalidated since the lease was granted. The value bears the generation of
        // before, so nobody takes it for fresh. After a soft one it would be there as a stale value,
        // which is for what was stored in time.
        let seen = Seen {
            record: Record { state, value: None },
            cas: Some(cas),
            epoch,
            now,
            moved: false,
        };
        // If another was faster, it is gone too.
        self.write(key, place, &seen, &state, None).await?;
        Ok(Some(Placed::Refused(Version::NONE)))
    }

    pub(crate) async fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let place = self.shared.places.of(key);
        for _ in 0..TRIES {
            let seen = self.look(key, &place).await?;
            let mut state = seen.record.state;
            if !state.renew(grant, lease.saturating_add(APART), seen.now) {
                self.shared.recall(key, grant);
                return Ok(false);
            }
            if let Some(change) = self.write(key, &place, &seen, &state, seen.value()).await? {
                self.holds(key, grant.owner, state, change, seen.now);
                return Ok(true);
            }
        }
        Err(self.contended(&place))
    }

    pub(crate) async fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
        let place = self.shared.places.of(key);
        self.shared.recall(key, grant);
        for _ in 0..TRIES {
            let seen = self.look(key, &place).await?;
            let mut state = seen.record.state;
            let kept = seen.record.value.is_some();
            if !state.release(grant, quiet, kept, seen.now) {
                return Ok(false);
            }
            if self
                .write(key, &place, &seen, &state, seen.value())
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        Err(self.contended(&place))
    }

    pub(crate) async fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
        let place = self.shared.places.of(key);
        for _ in 0..TRIES {
            let seen = self.look(key, &place).await?;
            if seen.cas.is_none() {
                return Ok(only.is_none());
            }
            if !State::is_meant(seen.record.head(), only) {
                return Ok(false);
            }
            let mut state = seen.record.state;
            state.overtake(number(state.generation, seen.now));
            let left = seen
                .value()
                .and_then(|(head, bytes)| Some((invalidated(*head, depth)?, bytes)));
            let left = left.as_ref().map(|(head, bytes)| (head, *bytes));
            if self
                .write(key, &place, &seen, &state, left)
                .await?
                .is_some()
            {
                return Ok(true);
            }
        }
        Err(self.contended(&place))
    }

    /// One server after another. If one of them fails, the caller is told and the others are done.
    pub(crate) async fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let name = self.shared.places.space(namespace);
        let mut failed = None;
        for number in 0..self.shared.servers.len() {
            if let Err(error) = self.invalidate_at(number, &name, depth).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn invalidate_at(&self, number: usize, name: &Name, depth: Depth) -> Answer<()> {
        let server = &self.shared.servers[number];
        for _ in 0..TRIES {
            let mut bytes = Vec::new();
            get_space(&mut bytes, name);
            let batch = Batch {
                bytes,
                replies: 1,
                epoch: None,
            };
            let Exchanged::Replies(replies, epoch) = self.exchange(number, &batch).await? else {
                unreachable!("it is for any process of the server");
            };
            let (data, cas) = server.value(replies.into_iter().next())?;
            let mut space = item::read_space(&data, cas);
            space.invalidate(depth, server.timeline.now());
            let (data, mut bytes) = (item::write_space(space), Vec::new());
            request::set(
                &mut bytes,
                name,
                &data,
                &[Flag::Cas(cas), Flag::Ttl(0), Flag::ReturnCas],
            );
            let batch = Batch {
                bytes,
                replies: 1,
                epoch: Some(epoch),
            };
            if let Exchanged::Replies(replies, _) = self.exchange(number, &batch).await?
                && server
                    .written(replies.into_iter().next(), data.len())?
                    .is_some()
            {
                return Ok(());
            }
        }
        Err(Trouble::Contended(server.name.clone(), TRIES).into())
    }
}

fn get_record(bytes: &mut Vec<u8>, name: &Name) {
    let flags = [Flag::ReturnValue, Flag::ReturnCas, Flag::ReturnHit];
    request::get(bytes, name, &flags);
}

/// A namespace that nobody has asked for begins a generation, which is an empty item.
fn get_space(bytes: &mut Vec<u8>, name: &Name) {
    request::get(
        bytes,
        name,
        &[Flag::ReturnValue, Flag::ReturnCas, Flag::Vivify(0)],
    );
}

/// Above that of before, and with the time in it also above those of a record that was forgotten. The
/// rest is drawn, so that two who do not see each other's records do not give out the same.
fn number(before: u64, now: u64) -> u64 {
    const DRAWN: u32 = 12;
    let drawn = Owner::draw().0 as u64 & ((1 << DRAWN) - 1);
    (before + 1).max((now / 1000) << DRAWN | drawn)
}

impl Server {
    /// The reply to [`get_record`].
    fn seen(
        &self,
        (key, place): (&Key, &Place),
        reply: Option<Reply>,
        space: Space,
        epoch: u64,
    ) -> Answer<Seen> {
        let (record, cas) = match reply {
            Some(Reply::Miss) => (Record::default(), None),
            reply => {
                let (data, cas) = self.value(reply)?;
                // What is torn or foreign is a miss, and is overwritten.
                let record = item::read(data, key.as_bytes(), &place.tail);
                (record.unwrap_or_default(), Some(cas))
            }
        };
        let now = self.timeline.now();
        let moved = record.state.at(now) != record.state;
        Ok(Seen {
            moved,
            record: pruned(record, space, now),
            cas,
            epoch,
            now,
        })
    }

    fn space(&self, reply: Option<Reply>) -> Answer<Space> {
        let (data, cas) = self.value(reply)?;
        Ok(item::read_space(&data, cas))
    }

    /// The bytes of an item, and the number of its last change.
    fn value(&self, reply: Option<Reply>) -> Answer<(Vec<u8>, u64)> {
        match reply {
            Some(Reply::Value {
                data,
                marks: Marks { cas: Some(cas), .. },
            }) => Ok((data, cas)),
            Some(Reply::ServerError(said)) => Err(Trouble::Full(self.name.clone(), 0, said).into()),
            other => Err(self.unexpected(other)),
        }
    }

    /// The number of the change, or `None` if the condition did not hold.
    fn written(&self, reply: Option<Reply>, size: usize) -> Answer<Option<u64>> {
        match reply {
            Some(Reply::Header(Marks { cas: Some(cas), .. })) => Ok(Some(cas)),
            Some(Reply::Exists | Reply::NotFound | Reply::NotStored) => Ok(None),
            Some(Reply::ServerError(said)) => {
                Err(Trouble::Full(self.name.clone(), size, said).into())
            }
            other => Err(self.unexpected(other)),
        }
    }

    fn unexpected(&self, reply: Option<Reply>) -> StoreError {
        Trouble::Unexpected(self.name.clone(), format!("{reply:?}")).into()
    }

    fn check_size(&self, length: usize, place: &Place) -> Answer<()> {
        let limit = self.item_limit.load(Ordering::SeqCst);
        let limit = limit.saturating_sub(OVERHEAD + place.tail.len().saturating_sub(TAIL));
        if length <= limit {
            return Ok(());
        }
        let remedy = format!(
            "start memcached at {} with a larger item size (-I)",
            self.name
        );
        Err(StoreError::too_large(length as u64, limit as u64, &remedy))
    }

    /// Says how large the item is.
    fn put_record(
        &self,
        bytes: &mut Vec<u8>,
        key: &Key,
        place: &Place,
        (state, value): (&State, Option<(&Head, &[u8])>),
        condition: Flag,
        now: u64,
    ) -> usize {
        let data = item::write(state, value, key.as_bytes(), &place.tail);
        let head = value.map(|(head, _)| head);
        let flags = [
            condition,
            Flag::Ttl(seconds(state, head, now)),
            Flag::ReturnCas,
        ];
        request::set(bytes, &place.item, &data, &flags);
        data.len()
    }
}

/// As it is to be taken at `now`, in this generation of the namespace.
fn pruned(record: Record, space: Space, now: u64) -> Record {
    let value = record.value.and_then(|(head, bytes)| {
        let head = space.head(head.at(now))?;
        head.is_kept(now).then_some((head, bytes))
    });
    Record {
        state: space.state(record.state.at(now)),
        value,
    }
}

impl Seen {
    /// That nobody has changed it since.
    fn condition(&self) -> Flag {
        self.cas.map_or(Flag::Mode(Mode::Add), Flag::Cas)
    }

    fn value(&self) -> Option<(&Head, &[u8])> {
        self.record
            .value
            .as_ref()
            .map(|(head, bytes)| (head, &**bytes))
    }

    fn decide(&self, ask: &Ask) -> (State, Decision) {
        let mut state = self.record.state;
        let ask = Ask {
            lease: ask.lease.saturating_add(APART),
            ..*ask
        };
        let next = number(state.generation, self.now);
        let decision = state.decide(self.record.head(), &ask, next, self.now);
        (state, decision)
    }

    /// Whether the record becomes another one. A lease that seems to be from the future has to: it would
    /// end so far in the future again for each who asks.
    fn is_to_write(&self, decision: Decision, ask: &Ask) -> bool {
        match decision {
            Decision::Leased { .. } => true,
            Decision::Busy | Decision::Quiet(_) => self.moved && ask.owner.is_some(),
            Decision::Fresh | Decision::Idle => false,
        }
    }

    fn found(self, state: State, decision: Decision, ask: &Ask) -> Found {
        let stored = self.record.value.map(|(head, bytes)| {
            let known = head.version == ask.known.0;
            head.stored((!known).then_some(bytes), self.now)
        });
        state.found(decision, stored, self.now)
    }
}

/// How long memcached keeps an item: until all that it says is over, and a little longer, since its
/// seconds end early.
fn seconds(state: &State, head: Option<&Head>, now: u64) -> u32 {
    let lease = if state.owner == 0 { 0 } else { state.until };
    let ends = [
        lease,
        state.quiet_until,
        state.worth_until,
        head.map_or(0, |head| head.kept_until),
    ];
    let last = ends.into_iter().max().unwrap_or(0);
    let left = Duration::from_nanos(last.saturating_sub(now)).max(LEAST_KEPT);
    match left.as_secs().saturating_add(2) {
        // Without an end: the times in the item say when it is over.
        left if left > LONGEST_KEPT => 0,
        left => left as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_kept_until_all_is_over_that_it_says() {
        const SECOND: u64 = 1_000_000_000;
        let now = 1_000 * SECOND;
        let state = State {
            owner: 1,
            until: now + 100 * SECOND + 1,
            ..State::default()
        };
        let head = |kept_until| Head {
            version: 1,
            made: 0,
            placed: now,
            fresh_until: now,
            kept_until,
            expired: false,
            space: 0,
        };
        assert_eq!(seconds(&State::default(), None, now), 62);
        assert_eq!(seconds(&state, None, now), 102);
        assert_eq!(seconds(&state, Some(&head(now + 200 * SECOND)), now), 202);
        assert_eq!(seconds(&State { owner: 0, ..state }, None, now), 62);
        let quiet = State {
            quiet_until: now + 300 * SECOND,
            ..state
        };
        assert_eq!(seconds(&quiet, None, now), 302);
        let month = 30 * 24 * 3600;
        assert_eq!(
            seconds(&state, Some(&head(now + (month - 2) * SECOND)), now),
            month as u32
        );
        assert_eq!(
            seconds(&state, Some(&head(now + (month - 1) * SECOND)), now),
            0
        );
        assert_eq!(seconds(&state, Some(&head(u64::MAX)), now), 0);
    }

    #[test]
    fn numbers_grow_and_are_not_given_out_twice() {
        let now = 1_764_000_000_000_000_000;
        let numbers: Vec<_> = (0..8).map(|_| number(0, now)).collect();
        assert!(
            numbers.iter().any(|number| *number != numbers[0]),
            "{numbers:?}"
        );
        assert!(numbers.iter().all(|before| number(*before, now) > *before));
        assert!(number(0, now + 1000) > *numbers.iter().max().unwrap());
        assert!(number(0, now) < u64::MAX / 2);
    }
}
