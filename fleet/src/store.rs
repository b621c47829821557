//! What a store must be able to do: [`Store`], and what goes in and out of it.
//!
//! No instant crosses this border, only spans: the store's clock alone decides leases and freshness.

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Names one record of a store: a namespace, a key of any bytes in it, and the format of the values.
///
/// The format is part of the name. So two programs that write their values in different formats never
/// read each other's, and a rolling deployment regenerates nothing over and over.
///
/// # Example
///
/// ```
/// use dogpile_fleet::Key;
///
/// let styles = Key::new("nitpick", "styles", 0);
/// assert_ne!(styles, Key::new("nitpick", "styles", 1));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// The key's name in its namespace, for values of this format.
    pub fn new(namespace: &str, key: impl AsRef<[u8]>, format: u64) -> Self {
        let key = key.as_ref();
        // The length makes it plain where the namespace ends.
        let mut name = format!("{}:{namespace}:", namespace.len()).into_bytes();
        name.extend_from_slice(key);
        name.push(b'#');
        name.extend_from_slice(format!("{format:016x}").as_bytes());
        Self(name.into())
    }

    /// The name as bytes. Different keys have different bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        namespace(&self.0).unwrap_or_default()
    }
}

/// The namespace in a name. `None`: these bytes are no name.
pub(crate) fn namespace(name: &[u8]) -> Option<&str> {
    let digits = name.iter().position(|byte| *byte == b':')?;
    let (length, rest) = name.split_at(digits);
    let length = std::str::from_utf8(length).ok()?.parse().ok()?;
    std::str::from_utf8(rest[1..].get(..length)?).ok()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The number of a grant or of a write. A value carries the number of the grant or the write that
/// stored it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Version(pub u64);

impl Version {
    /// No version: that of no value, and of a value that no store knows.
    pub const NONE: Self = Self(0);

    /// Whether it is [`NONE`](Version::NONE).
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who asks for a lease: drawn once for each creation, so that a request that is sent twice is one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub u128);

impl Owner {
    /// A new one, that nobody else has drawn.
    pub fn draw() -> Self {
        Self(u128::from(draw()) << 64 | u128::from(draw()))
    }
}

/// A random number, as random as the keys of the standard library's hash maps.
pub(crate) fn draw() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// A lease of the store: who holds it, and its number, the *fence*.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// Who holds it.
    pub owner: Owner,
    /// Its number. The value that is stored under it has this version.
    pub fence: Version,
}

/// A request for the value, or else for the lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Who would lead. `None` only looks, and elects nobody.
    pub owner: Option<Owner>,
    /// How long the lease would last.
    pub lease: Duration,
    /// The version that the caller has at hand, whose bytes need not be sent again.
    pub known: Version,
    /// A value of this version or an earlier one counts as stale.
    pub floor: Version,
    /// Whether a value that is still `known` counts as stale to this caller, if nobody leads: it is
    /// to be renewed ahead of its end.
    pub ahead: bool,
    /// How far apart creations begin at least.
    pub interval: Duration,
}

impl Ask {
    /// Only looks.
    pub const fn peek() -> Self {
        Self {
            owner: None,
            lease: Duration::ZERO,
            known: Version::NONE,
            floor: Version::NONE,
            ahead: false,
            interval: Duration::ZERO,
        }
    }

    /// Looks, and leads for `lease` if there is no fresh value and nobody else leads.
    pub const fn lead(owner: Owner, lease: Duration) -> Self {
        Self {
            owner: Some(owner),
            lease,
            ..Self::peek()
        }
    }
}

/// A value as the store has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its bytes. `None` where it is the version that the caller knows.
    pub bytes: Option<Vec<u8>>,
    /// Its version.
    pub version: Version,
    /// How old it is.
    pub age: Duration,
    /// How long until its time to live ends; zero where that is over.
    pub fresh_for: Duration,
    /// How long ago its time to live ended; zero where it has not.
    pub over_for: Duration,
    /// Whether it was made stale by a soft invalidation.
    pub expired: bool,
}

impl Stored {
    /// Whether it is within its time to live, and was not made stale.
    pub fn is_fresh(&self) -> bool {
        !self.expired && !self.fresh_for.is_zero()
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("bytes", &self.bytes.as_ref().map(Vec::len))
            .field("version", &self.version)
            .field("age", &self.age)
            .field("fresh_for", &self.fresh_for)
            .field("over_for", &self.over_for)
            .field("expired", &self.expired)
            .finish()
    }
}

/// What an [`Ask`] found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// A fresh value.
    Fresh(Stored),
    /// The caller leads.
    Leased {
        /// The number of its lease.
        fence: Version,
        /// The value that is kept.
        stale: Option<Stored>,
        /// How many creations in a row have failed before this one.
        failures: u32,
    },
    /// Somebody else leads.
    Busy {
        /// The number of that lease.
        fence: Version,
        /// The value that is kept.
        stale: Option<Stored>,
        /// When the lease ends, unless it is renewed.
        retry_in: Duration,
    },
    /// Nobody leads, and nobody may yet: a creation failed, or the last one began not long enough
    /// ago.
    Quiet {
        /// The value that is kept.
        stale: Option<Stored>,
        /// When the next creation may begin.
        retry_in: Duration,
    },
    /// Only for one who looks: there is no fresh value, and whoever asks would lead.
    Idle {
        /// The value that is kept.
        stale: Option<Stored>,
    },
}

impl Found {
    /// The value that is kept, of whatever age.
    pub fn stored(&self) -> Option<&Stored> {
        match self {
            Found::Fresh(stored) => Some(stored),
            Found::Leased { stale, .. }
            | Found::Busy { stale, .. }
            | Found::Quiet { stale, .. }
            | Found::Idle { stale } => stale.as_ref(),
        }
    }
}

/// On what condition a [`Put`] is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guarded {
    /// The lease is still this one.
    Lease(Grant),
    /// There is no value, not even a stale one.
    Absent,
    /// The value is of this version.
    Version(Version),
    /// On none.
    Any,
}

/// A value for the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Put<'a> {
    /// On what condition.
    pub guard: Guarded,
    /// The value.
    pub bytes: &'a [u8],
    /// How old it is already.
    pub age: Duration,
    /// How long it is fresh from now on.
    pub fresh_for: Duration,
    /// How long it is kept from now on, fresh and stale.
    pub keep_for: Duration,
}

/// What became of a [`Put`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placed {
    /// It is stored, under this version.
    Stored(Version),
    /// It is not: the lease is another's, or a write or an invalidation came meanwhile, or the
    /// condition did not hold. The value is of this version.
    Refused(Version),
    /// It is not: the store knows nothing of the lease any more.
    Gone,
}

/// How far an invalidation goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// The value is stale from now on.
    Soft,
    /// The value is gone.
    Hard,
}

/// What a store can do beyond the least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Abilities {
    /// Versions of one record grow, for as long as the store remembers it. Else they are unique only,
    /// and a fence tells leases apart without an order.
    pub monotonic: bool,
    /// The store notices the death of a lease's owner by itself. Then a lease need not be renewed.
    pub sees_death: bool,
    /// A request that is sent twice is one request.
    pub resend_safe: bool,
    /// The store tells of changes: see [`Described::watch`].
    pub hints: bool,
    /// A namespace can be invalidated as a whole. Else [`Store::invalidate_all`] is refused.
    pub namespaces: bool,
    /// The shortest span that it can tell.
    pub resolution: Duration,
    /// The largest value that it takes, in bytes.
    pub max_value: u64,
}

impl Abilities {
    /// Those of a store that can do the least.
    pub const fn least() -> Self {
        Self {
            monotonic: false,
            sees_death: false,
            resend_safe: false,
            hints: false,
            namespaces: false,
            resolution: Duration::from_secs(1),
            max_value: u64::MAX,
        }
    }
}

/// Why a store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("the store {kind}: {source}")]
pub struct StoreError {
    /// What kind of failure it is.
    pub kind: StoreErrorKind,
    /// What the store, or what lies between, said.
    pub source: Box<dyn Error + Send + Sync>,
}

/// Kinds of [`StoreError`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, or did not answer in time. Whether it did what it was asked to is not
    /// known.
    Unavailable,
    /// It answered that it will not: it is full or read-only, or the value is too large.
    Refused,
    /// What it answered cannot be understood.
    Protocol,
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "cannot be reached",
            Self::Refused => "refuses",
            Self::Protocol => "answers what cannot be understood",
        })
    }
}

impl StoreError {
    /// The store cannot be reached, or did not answer in time.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(StoreErrorKind::Unavailable, source)
    }

    /// The store will not.
    pub fn refused(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(StoreErrorKind::Refused, source)
    }

    /// The store answered what cannot be understood.
    pub fn protocol(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of(StoreErrorKind::Protocol, source)
    }

    /// A value is larger than the store takes: it says what the limit is, and what to do.
    pub fn too_large(length: u64, limit: u64, remedy: &str) -> Self {
        Self::refused(format!(
            "a value of {length} bytes is larger than its limit of {limit} bytes: {remedy}"
        ))
    }

    fn of(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            source: source.into(),
        }
    }
}

/// What a verb of a store answers.
pub type Answer<T> = Result<T, StoreError>;

/// The largest value that the stores of this crate take unless told otherwise: 256 MiB.
pub(crate) const MAX_VALUE: u64 = 256 << 20;

/// What a store says of its own accord. It may be late and it may be lost: nothing relies on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// A value was stored, or ([`Version::NONE`]) made stale or removed.
    Changed {
        /// Of which record.
        key: Key,
        /// The version of the value that is there now, if it is a new one.
        version: Version,
        /// Whether what was there before is stale or gone.
        depth: Depth,
    },
    /// All that was in a namespace was made stale or removed.
    AllChanged {
        /// Which namespace.
        namespace: Arc<str>,
        /// Whether what was there before is stale or gone.
        depth: Depth,
    },
    /// Hints were lost: anything may have changed.
    Missed,
}

/// Who is told a [`Hint`].
pub trait Watch: Send + Sync {
    /// Takes note of a hint. It runs on a thread of the store, and must not block.
    fn hint(&self, hint: &Hint);
}

/// What a store says about itself. It stands below [`Store`] and [`AsyncStore`](crate::AsyncStore).
pub trait Described: Send + Sync + 'static {
    /// What the store can do.
    fn abilities(&self) -> Abilities;

    /// Tells `watch` of changes from now on, for as long as it lives. `false`: it never will.
    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        let _ = watch;
        false
    }
}

/// A store of records that several processes share. Each verb is *one atomic step* at the store.
///
/// A record is a value with its times, and a lease: an owner, a number and an end. Of each verb it is
/// said below what it must do, and [`conformance`](crate::conformance) has a case for each such
/// sentence.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile_fleet::{Ask, Found, Grant, Guarded, Key, MemoryStore, Owner, Placed, Put, Store};
///
/// let (store, key) = (MemoryStore::new(), Key::new("docs", "answer", 0));
/// let owner = Owner::draw();
/// let minute = Duration::from_secs(60);
/// // Nothing is there, so this caller leads.
/// let Found::Leased { fence, .. } = store.get_or_lease(&key, &Ask::lead(owner, minute))? else {
///     panic!()
/// };
/// let put = Put {
///     guard: Guarded::Lease(Grant { owner, fence }),
///     bytes: b"42",
///     age: Duration::ZERO,
///     fresh_for: minute,
///     keep_for: minute,
/// };
/// assert_eq!(store.put(&key, &put)?, Placed::Stored(fence));
/// # Ok::<_, dogpile_fleet::StoreError>(())
/// ```
pub trait Store: Described {
    /// The value if it is fresh, else the lease if it is free.
    ///
    /// 1. A value is *fresh to this caller* if it is within its time to live, was not made stale, is
    ///    above `floor`, and not (`ahead`, still `known`, and nobody leads).
    /// 2. If the lease is held by this very owner: it is granted again, under the same number.
    /// 3. If the value is fresh to this caller: [`Found::Fresh`].
    /// 4. If another holds the lease: [`Found::Busy`].
    /// 5. If a span of quiet that [`release`](Store::release) told is not over, or the last creation
    ///    began less than `interval` ago: [`Found::Quiet`].
    /// 6. One who only looks is told [`Found::Idle`].
    /// 7. Else the lease is granted, under a number that the record has not seen: higher than all
    ///    before where [`Abilities::monotonic`] says so.
    ///
    /// A look changes nothing. The bytes of the version `known` are not sent.
    ///
    /// # Errors
    ///
    /// As of every verb, [`StoreError`]. Bytes that are torn or foreign are no error but a miss.
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found>;

    /// [`get_or_lease`](Store::get_or_lease) for many records at once. There is one answer for each
    /// ask, in the order of the asks.
    ///
    /// 1. Each record is a step of its own: nothing is atomic over several records.
    /// 2. Asks for the same record are steps in the order of the asks.
    /// 3. An error of one record concerns that record alone. A store that cannot be reached is waited
    ///    for once, and not once for each ask.
    ///
    /// The provided form asks one after the other. A store that can answer many asks in one round trip
    /// has a form of its own.
    ///
    /// # Cost
    ///
    /// Of the provided form: as many round trips as asks. All leases that are granted begin with the
    /// call, as far as the caller can tell: so it renews them from then on.
    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let mut answers = Vec::with_capacity(asks.len());
        for (key, ask) in asks {
            let answer = match out_of_reach(answers.last()) {
                Some(unasked) => Err(unasked),
                None => self.get_or_lease(key, ask),
            };
            answers.push(answer);
        }
        answers
    }

    /// Stores a value on a condition, and ends the lease, whoever holds it.
    ///
    /// Under a lease the value gets the number of the lease as its version, and the count of failures
    /// begins anew. If the value has that version already, the request was sent twice: it is
    /// [`Placed::Stored`]. A write that is not guarded by a lease gets a new number, and ends a span
    /// of quiet and the interval.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`] for a value that is larger than [`Abilities::max_value`], or if
    /// there is no room.
    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed>;

    /// Makes a lease end in `lease` from now on. `false`: it is lost.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool>;

    /// Ends a lease without a value. `false`: it was lost before.
    ///
    /// If `quiet` is not zero, a creation failed: the count of failures goes up, and no lease is
    /// granted for so long. If it is zero, the lease was given up: then the interval begins anew as
    /// well, unless a value is kept.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool>;

    /// Makes the value stale, or removes it: if it is of the version `only`, or that is none. It ends
    /// every lease, every span of quiet, and the interval. Says whether it did.
    ///
    /// A soft one leaves the value until its end. A store that cannot do this removes it.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool>;

    /// Makes all values of a namespace stale, or removes them, and ends every lease, every span of
    /// quiet and every interval in it. What is in other namespaces is left alone.
    ///
    /// It is one step however many records there are, so a store keeps a *generation* of each
    /// namespace: a value and a lease bear the one in which they were asked for, and those of another
    /// one are from before. The number of a record goes on growing.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`] if the store cannot do this: see [`Abilities::namespaces`].
    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()>;

    /// Sleeps until the lease with this number seems to be over, and may wake too early.
    ///
    /// A store that notices the end of a lease sleeps for `until` at most, any other for `poll`.
    /// Whoever wakes asks again.
    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        let _ = (key, fence);
        std::thread::sleep(poll.min(until));
    }
}

/// The answer to an ask whose forerunner found the store out of reach, if it did.
pub(crate) fn out_of_reach(before: Option<&Answer<Found>>) -> Option<StoreError> {
    let unavailable = |error: &StoreError| error.kind == StoreErrorKind::Unavailable;
    let out = matches!(before, Some(Err(error)) if unavailable(error));
    out.then(|| StoreError::unavailable("it did not answer an earlier request of the same call"))
}

macro_rules! through {
    ($outer:ty) => {
        impl<S: Described + ?Sized> Described for $outer {
            fn abilities(&self) -> Abilities {
                (**self).abilities()
            }

            fn watch(&self, watch: Weak<dyn Watch>) -> bool {
                (**self).watch(watch)
            }
        }

        impl<S: Store + ?Sized> Store for $outer {
            fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
                (**self).get_or_lease(key, ask)
            }

            fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
                (**self).get_or_lease_many(asks)
            }

            fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
                (**self).put(key, put)
            }

            fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
                (**self).renew(key, grant, lease)
            }

            fn release(&self, key: &Key, grant: Grant, quiet: Duration) -> Answer<bool> {
                (**self).release(key, grant, quiet)
            }

            fn invalidate(&self, key: &Key, depth: Depth, only: Version) -> Answer<bool> {
                (**self).invalidate(key, depth, only)
            }

            fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
                (**self).invalidate_all(namespace, depth)
            }

            fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
                (**self).nap(key, fence, poll, until);
            }
        }
    };
}
through!(Arc<S>);
through!(Box<S>);
