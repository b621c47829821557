//! What a pile promises, as a machine that takes one step at a time: the contract, written down
//! once more, without the crate. Every step is one that the contract tells as happening at once.
//!
//! | value | lease | a caller gets |
//! |---|---|---|
//! | fresh | any | the value |
//! | stale | free | the lease |
//! | stale | held | the stale value |
//! | none or gone | free | the lease |
//! | none or gone | held | it waits |
//!
//! A value that the pile does not keep counts as none, but for a caller who has one from elsewhere: the
//! pile knows how fresh that is.

use std::collections::BTreeMap;

use dogpile::Origin;

/// Names a value or an error; no two of a history have the same.
pub(crate) type Id = u64;

/// Names a call that waits.
pub(crate) type Caller = usize;

/// What a look-up elsewhere finds, if it finds anything. No creator makes it.
pub(crate) const ELSEWHERE: Id = 1;

/// In nanoseconds. The last one stands for "never", or "without end".
pub(crate) type Time = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) ttl: Time,
    pub(crate) stale_while_revalidate: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spec {
    ttl: Time,
    stale_while_revalidate: Option<Time>,
    now: Time,
    /// Of the grants, `set`s and `expire`s so far, the last one's number.
    last: u64,
    /// Of the `expire`s, the last one's.
    expiry_mark: u64,
    /// Of every value that there was.
    numbers: BTreeMap<Id, u64>,
    value: Option<Value>,
    /// Removed, and nothing came since.
    emptied: bool,
    lease: Option<Lease>,
    /// With the number of the grant or the `set` that it is from.
    told: BTreeMap<Caller, (Told, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Value {
    id: Id,
    /// Of the grant or the `set` that it is from.
    number: u64,
    /// The number with which it became the current one.
    came: u64,
    /// Whether the pile has it, and not only its times.
    kept: bool,
    made: Time,
    /// How old it was then.
    age_then: Time,
    ttl: Time,
    expired: Option<Time>,
}

/// The right to run the creator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lease {
    number: u64,
    /// A `set` or an `invalidate` came after its grant.
    superseded: bool,
    /// An `expire` came after its grant.
    expired: bool,
    /// Those who wait, and whether they came after it was superseded.
    waiters: Vec<(Caller, bool)>,
}

/// What a waiter is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Value(Id),
    /// The value of a creation that was superseded while this one waited.
    Superseded(Id),
    Failed(Id),
    Panicked,
    /// To look again.
    ElectAnew,
}

/// A call that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seeker {
    pub(crate) caller: Caller,
    pub(crate) takes: Takes,
    /// It takes nothing with a number up to this: that of its first look.
    pub(crate) floor: u64,
    /// Until the end of a lease: whichever it finds began after the call did.
    pub(crate) has_waited: bool,
}

/// Which values a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Takes {
    Stale,
    Fresh,
    /// And not expired since.
    NewerThan(Id),
    /// That begins after the call.
    New,
}

/// What a caller finds who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Value(Id, Origin),
    /// It is to create, under this number.
    Granted(u64),
    Waits,
}

/// What a value has besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) id: Id,
    pub(crate) age: Time,
    /// Instead of the pile's.
    pub(crate) ttl: Option<Time>,
    pub(crate) keep: bool,
}

impl From<Id> for Made {
    fn from(id: Id) -> Self {
        let (age, ttl, keep) = (0, None, true);
        Self { id, age, ttl, keep }
    }
}

/// What a value is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Good {
    Fresh,
    Stale,
    Dead,
}

/// How an `acquire` stands after its look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LookedUp {
    /// What came to the pile with a higher number came while it looked.
    before: u64,
    /// Of what it found, the number and what that is good for.
    found: Option<(u64, Good)>,
}

impl LookedUp {
    /// The caller has been outside since: what it found counts no more.
    pub(crate) fn in_vain(self) -> Self {
        let found = None;
        Self { found, ..self }
    }
}

impl Spec {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            ttl: settings.ttl,
            stale_while_revalidate: settings.stale_while_revalidate,
            now: 0,
            last: 0,
            expiry_mark: 0,
            numbers: BTreeMap::new(),
            value: None,
            emptied: false,
            lease: None,
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.now
    }

    pub(crate) fn advance(&mut self, by: Time) {
        self.now += by;
    }

    /// The number that an answer must exceed, to a call that looks for the first time now.
    pub(crate) fn floor(&self, takes: Takes) -> u64 {
        match takes {
            Takes::Stale => 0,
            Takes::Fresh => self.expiry_mark,
            Takes::NewerThan(id) => self.numbers[&id].max(self.expiry_mark),
            Takes::New => self.last,
        }
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn good_for(&self, value: &Value, max_age: Option<Time>) -> Good {
        let ttl = value.ttl.min(max_age.unwrap_or(Time::MAX));
        let age = (self.now - value.made).saturating_add(value.age_then);
        // Exactly ttl old is still fresh; a ttl of zero is never, one of MAX always.
        let aged = ttl == 0 || (ttl != Time::MAX && age > ttl);
        if !aged && value.expired.is_none() {
            return Good::Fresh;
        }
        // The limit counts from the end of the ttl, whatever `expire` said in between.
        match self.stale_while_revalidate {
            None => Good::Stale,
            Some(_) if !aged => Good::Stale,
            Some(limit) if limit > 0 && age - ttl <= limit => Good::Stale,
            Some(_) => Good::Dead,
        }
    }

    /// The value, if it is kept and not dead.
    fn usable(&self, max_age: Option<Time>) -> Option<(Value, Origin)> {
        let value = self.value.filter(|value| value.kept)?;
        match self.good_for(&value, max_age) {
            Good::Fresh => Some((value, Origin::Fresh)),
            Good::Stale => Some((value, Origin::Stale)),
            Good::Dead => None,
        }
    }

    /// Section 2 of the contract, for a caller who calls stale what is older than `max_age`.
    pub(crate) fn look(&mut self, seeker: Seeker, max_age: Option<Time>) -> Look {
        let usable = self.usable(max_age);
        let usable = usable.filter(|&(value, origin)| match seeker.takes {
            Takes::Stale => true,
            Takes::Fresh => origin == Origin::Fresh,
            Takes::NewerThan(_) | Takes::New => value.number > seeker.floor,
        });
        let usable = usable.map(|(value, origin)| match origin {
            Origin::Fresh => (value.id, origin, true),
            _ => (value.id, origin, false),
        });
        self.take(seeker, usable)
    }

    /// What is usable, at once or while another creates; or the lease; or a place among the waiters.
    fn take(&mut self, seeker: Seeker, usable: Option<(Id, Origin, bool)>) -> Look {
        match (usable, &mut self.lease) {
            (Some((id, origin, true)), _) => Look::Value(id, origin),
            (Some((id, origin, false)), Some(_)) => Look::Value(id, origin),
            (None, Some(lease)) => {
                let late = lease.superseded && !seeker.has_waited;
                lease.waiters.push((seeker.caller, late));
                Look::Waits
            }
            (_, None) => {
                let number = self.next();
                self.lease = Some(Lease {
                    number,
                    superseded: false,
                    expired: false,
                    waiters: Vec::new(),
                });
                Look::Granted(number)
            }
        }
    }

    /// Whether an `acquire` looks its value up: not in a pile that was emptied, and not if it takes
    /// nothing that is there.
    pub(crate) fn is_to_look_up(&self, takes: Takes) -> bool {
        takes != Takes::New && !self.emptied
    }

    /// An `acquire` begins, and looks up next, or does not.
    pub(crate) fn begin_look_up(&self, takes: Takes) -> LookedUp {
        let before = match self.is_to_look_up(takes) {
            true => self.value.map_or(0, |value| value.came),
            false => 0,
        };
        let found = None;
        LookedUp { before, found }
    }

    /// It found the value, which is as good as the one that it began with. None if another one is there by
    /// now: then this is too late a step. What is found for a pile that never created is none, and what was
    /// found before the pile was emptied counts no more.
    pub(crate) fn finds(&self, looked: LookedUp) -> Option<LookedUp> {
        if looked.before == 0 || self.emptied {
            return Some(looked);
        }
        let value = self.value.filter(|value| value.came == looked.before)?;
        let found = Some((value.number, self.good_for(&value, None)));
        Some(LookedUp { found, ..looked })
    }

    /// Whether what was found is an answer without more ado.
    pub(crate) fn is_answered(&self, looked: LookedUp, takes: Takes) -> Option<Origin> {
        match (looked.found?.1, takes) {
            (Good::Fresh, Takes::Stale | Takes::Fresh) => Some(Origin::Fresh),
            (Good::Stale, Takes::Stale) if self.lease.is_some() => Some(Origin::Stale),
            _ => None,
        }
    }

    /// As [`look`](Spec::look), of an `acquire` after its look-up: what was made meanwhile, and is kept,
    /// will do instead of what was found.
    pub(crate) fn look_after(&mut self, seeker: Seeker, looked: LookedUp) -> Look {
        let takes = seeker.takes;
        let good_for_it = |number, good| match takes {
            Takes::Stale => good != Good::Dead,
            Takes::Fresh => good == Good::Fresh,
            Takes::NewerThan(_) | Takes::New => number > seeker.floor && good != Good::Dead,
        };
        let meanwhile = self.value.filter(|value| value.came > looked.before);
        let usable = match (meanwhile, looked.found) {
            (Some(value), _) if value.kept => {
                let good = self.good_for(&value, None);
                let origin = match good {
                    Good::Fresh => Origin::CreatedByAnother,
                    Good::Stale | Good::Dead => Origin::Stale,
                };
                good_for_it(value.number, good).then_some((value.id, origin, good == Good::Fresh))
            }
            // No reason to make it again for one that can go on with a stale one.
            (Some(value), Some((_, Good::Stale))) if takes == Takes::Stale => {
                let good = self.good_for(&value, None);
                (good != Good::Dead).then_some((ELSEWHERE, Origin::Stale, good == Good::Fresh))
            }
            // Once the pile was emptied, what was found before that is good for nothing.
            (None, Some((number, good))) if !self.emptied && good_for_it(number, good) => {
                Some(match good {
                    Good::Fresh => (ELSEWHERE, Origin::Fresh, true),
                    Good::Stale | Good::Dead => (ELSEWHERE, Origin::Stale, false),
                })
            }
            _ => None,
        };
        self.take(seeker, usable)
    }

    /// One that was granted the lease, and has had another start to create, joins those who wait.
    pub(crate) fn join_own(&mut self, caller: Caller) {
        let lease = self.lease.as_mut().expect("the lease is held");
        lease.waiters.push((caller, false));
    }

    pub(crate) fn peek(&self) -> Option<(Id, Origin)> {
        self.usable(None).map(|(value, origin)| (value.id, origin))
    }

    pub(crate) fn is_creating(&self) -> bool {
        self.lease.is_some()
    }

    pub(crate) fn is_superseded(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.superseded)
    }

    /// What this waiter was told, which is nothing from then on. What began too early for it is no
    /// answer.
    pub(crate) fn hear(&mut self, caller: Caller, floor: u64) -> Option<Told> {
        let (told, number) = self.told.remove(&caller)?;
        Some(if number > floor {
            told
        } else {
            Told::ElectAnew
        })
    }

    /// A waiter gives up.
    pub(crate) fn leave(&mut self, caller: Caller) {
        self.told.remove(&caller);
        if let Some(lease) = &mut self.lease {
            lease.waiters.retain(|&(waiter, _)| waiter != caller);
        }
    }

    fn tell(&mut self, waiters: Vec<(Caller, bool)>, told: Told, number: u64) {
        let told = waiters
            .into_iter()
            .map(|(waiter, _)| (waiter, (told, number)));
        self.told.extend(told);
    }

    /// Tells those who wait for the lease that has ended. Whoever came after it was superseded looks
    /// again.
    fn tell_end(&mut self, lease: Lease, told: Told) {
        let number = lease.number;
        let (late, early) = lease.waiters.into_iter().partition(|&(_, late)| late);
        self.tell(late, Told::ElectAnew, number);
        self.tell(early, told, number);
    }

    fn end(&mut self, number: u64) -> Lease {
        let lease = self.lease.take().expect("the lease is held");
        assert_eq!(lease.number, number, "by this one");
        lease
    }

    fn make(&mut self, made: Made, number: u64) -> Value {
        self.numbers.insert(made.id, number);
        Value {
            id: made.id,
            number,
            came: self.next(),
            kept: made.keep,
            made: self.now,
            age_then: made.age,
            ttl: made.ttl.unwrap_or(self.ttl),
            expired: None,
        }
    }

    /// The creation is complete; says whether its value became the current one.
    pub(crate) fn publish(&mut self, number: u64, made: Made) -> bool {
        let lease = self.end(number);
        let mut value = self.make(made, number);
        if lease.superseded {
            self.tell_end(lease, Told::Superseded(made.id));
            return false;
        }
        value.expired = lease.expired.then_some(self.now);
        self.value = Some(value);
        self.emptied = false;
        self.tell_end(lease, Told::Value(made.id));
        true
    }

    pub(crate) fn fail(&mut self, number: u64, id: Id) {
        let lease = self.end(number);
        self.tell_end(lease, Told::Failed(id));
    }

    pub(crate) fn panicked(&mut self, number: u64) {
        let lease = self.end(number);
        self.tell_end(lease, Told::Panicked);
    }

    pub(crate) fn give_up(&mut self, number: u64) {
        let lease = self.end(number);
        self.tell_end(lease, Told::ElectAnew);
    }

    pub(crate) fn set(&mut self, made: Made) {
        let number = self.next();
        self.value = Some(self.make(made, number));
        self.emptied = false;
        if let Some(lease) = &mut self.lease {
            lease.superseded = true;
            let waiters = std::mem::take(&mut lease.waiters);
            self.tell(waiters, Told::Value(made.id), number);
        }
    }

    pub(crate) fn invalidate(&mut self) {
        self.value = None;
        self.emptied = true;
        if let Some(lease) = &mut self.lease {
            lease.superseded = true;
        }
    }

    pub(crate) fn expire(&mut self) {
        self.expiry_mark = self.next();
        let now = self.now;
        if let Some(value) = &mut self.value {
            value.expired.get_or_insert(now);
        }
        if let Some(lease) = &mut self.lease {
            lease.expired = true;
        }
    }

    pub(crate) fn is_current(&self, id: Id) -> bool {
        self.value.is_some_and(|value| value.id == id)
    }

    /// Says whether it did anything.
    pub(crate) fn invalidate_if(&mut self, id: Id) -> bool {
        let is = self.is_current(id);
        if is {
            self.invalidate();
        }
        is
    }

    /// Says whether it did anything: one who comes second, for the same fault in the same value,
    /// does not.
    pub(crate) fn expire_if(&mut self, id: Id) -> bool {
        let is = self.is_current(id) && self.value.is_some_and(|value| value.expired.is_none());
        if is {
            self.expire();
        }
        is
    }
}
