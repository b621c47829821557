//! Three ways to share keys that expire: the part of the program that the example is about.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dogpile::{Accept, Dogpile, Error, Guard, Origin};

use crate::TTL;
use crate::keys::KeySet;

/// How the herd gets at the keys.
pub(crate) trait Way: Sync {
    const NAME: &'static str;
    const ABOUT: &'static str;

    /// Keys, for as long as somebody works with them.
    type Held<'a>: Deref<Target = KeySet>
    where
        Self: 'a;

    /// The keys, as good as this way has them.
    fn keys(&self) -> Result<(Self::Held<'_>, How), NoKeys>;

    /// Newer keys than these.
    fn newer_than(&self, seen: &Self::Held<'_>) -> Result<(Self::Held<'_>, How), NoKeys>;
}

/// How somebody came by the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// They were there.
    Fresh,
    /// They were there, and old, and somebody else was fetching new ones.
    Old,
    /// Somebody else was fetching, or held the lock.
    Waited,
    /// Fetched them.
    Fetched,
}

/// The keys could not be had.
pub(crate) struct NoKeys;

/// Where the keys come from.
pub(crate) struct Source {
    url: String,
}

impl Source {
    pub(crate) fn new(url: String) -> Self {
        Self { url }
    }

    fn fetch(&self) -> Result<KeySet, minreq::Error> {
        let asked = Instant::now();
        let answer = minreq::get(self.url.as_str()).with_timeout(5).send()?;
        Ok(KeySet::parse(answer.as_str()?, asked))
    }
}

/// What the two ways by hand keep: the keys, and when they came.
type Kept = Option<(Arc<KeySet>, Instant)>;

fn fresh(kept: &Kept) -> Option<Arc<KeySet>> {
    let (keys, since) = kept.as_ref()?;
    (since.elapsed() <= TTL).then(|| Arc::clone(keys))
}

/// Those kept, if they were asked for later than `seen`.
fn newer(kept: &Kept, seen: &KeySet) -> Option<Arc<KeySet>> {
    fresh(kept).filter(|keys| keys.asked() > seen.asked())
}

/// A lock that a panic has poisoned serves on: what is behind it was replaced as a whole or not at
/// all.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Way 1: whoever finds the keys expired fetches them. The lock is held to read and to replace them
/// only.
pub(crate) struct Unprotected {
    source: Source,
    kept: Mutex<Kept>,
}

impl Unprotected {
    pub(crate) fn new(source: Source) -> Self {
        let kept = Mutex::new(None);
        Self { source, kept }
    }

    fn take(&self, found: Option<Arc<KeySet>>) -> Result<(Arc<KeySet>, How), NoKeys> {
        if let Some(keys) = found {
            return Ok((keys, How::Fresh));
        }
        let keys = Arc::new(self.source.fetch().map_err(|_| NoKeys)?);
        *lock(&self.kept) = Some((Arc::clone(&keys), Instant::now()));
        Ok((keys, How::Fetched))
    }
}

impl Way for Unprotected {
    const NAME: &'static str = "no protection";
    const ABOUT: &'static str = "whoever finds the keys expired fetches them";

    type Held<'a> = Arc<KeySet>;

    fn keys(&self) -> Result<(Arc<KeySet>, How), NoKeys> {
        let found = fresh(&lock(&self.kept));
        self.take(found)
    }

    fn newer_than(&self, seen: &Arc<KeySet>) -> Result<(Arc<KeySet>, How), NoKeys> {
        let found = newer(&lock(&self.kept), seen);
        self.take(found)
    }
}

/// Way 2: one lock, held while looking and while fetching.
pub(crate) struct OneMutex {
    source: Source,
    kept: Mutex<Kept>,
}

impl OneMutex {
    /// What is waiting, and what only the lock changing hands.
    const NOTICEABLE: Duration = Duration::from_millis(1);

    pub(crate) fn new(source: Source) -> Self {
        let kept = Mutex::new(None);
        Self { source, kept }
    }

    fn take(
        &self,
        find: impl FnOnce(&Kept) -> Option<Arc<KeySet>>,
    ) -> Result<(Arc<KeySet>, How), NoKeys> {
        let asked = Instant::now();
        let mut kept = lock(&self.kept);
        if let Some(keys) = find(&kept) {
            let waited = asked.elapsed() >= Self::NOTICEABLE;
            return Ok((keys, if waited { How::Waited } else { How::Fresh }));
        }
        let keys = Arc::new(self.source.fetch().map_err(|_| NoKeys)?);
        *kept = Some((Arc::clone(&keys), Instant::now()));
        Ok((keys, How::Fetched))
    }
}

impl Way for OneMutex {
    const NAME: &'static str = "one mutex";
    const ABOUT: &'static str = "held while looking and while fetching";

    type Held<'a> = Arc<KeySet>;

    fn keys(&self) -> Result<(Arc<KeySet>, How), NoKeys> {
        self.take(fresh)
    }

    fn newer_than(&self, seen: &Arc<KeySet>) -> Result<(Arc<KeySet>, How), NoKeys> {
        self.take(|kept| newer(kept, seen))
    }
}

/// Way 3: one caller fetches, the others go on with the old keys.
pub(crate) struct OnePile {
    source: Source,
    pile: Dogpile<KeySet>,
    leases: AtomicU64,
    created_here: AtomicU64,
}

/// What [`OnePile`] counted.
pub(crate) struct Counts {
    /// How often the creator ran.
    pub(crate) leases: u64,
    /// How many answers said that they were created by the call itself.
    pub(crate) created_here: u64,
}

impl OnePile {
    /// How long old keys will do while the origin does not answer. After that nobody is let in.
    const STALE_LIMIT: Duration = Duration::from_secs(1);
    /// How long to wait for somebody else's fetch, if there are no keys to go on with.
    const PATIENCE: Duration = Duration::from_secs(1);

    pub(crate) fn new(source: Source) -> Self {
        let pile = Dogpile::builder(TTL)
            .stale_while_revalidate(Self::STALE_LIMIT)
            .build();
        Self {
            source,
            pile,
            leases: AtomicU64::new(0),
            created_here: AtomicU64::new(0),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            leases: self.leases.load(Ordering::SeqCst),
            created_here: self.created_here.load(Ordering::SeqCst),
        }
    }

    fn take(&self, accept: Accept) -> Result<(Guard<'_, KeySet>, How), NoKeys> {
        let call = self.pile.call().wait(Self::PATIENCE).accept(accept);
        let answer = call.get_or_try_create(|| {
            self.leases.fetch_add(1, Ordering::SeqCst);
            self.source.fetch()
        });
        let keys = answer.map_err(|_: Error<minreq::Error>| NoKeys)?;
        let how = match Guard::origin(&keys) {
            Origin::Fresh => How::Fresh,
            Origin::Stale => How::Old,
            Origin::CreatedByAnother => How::Waited,
            _ => How::Fetched,
        };
        if Guard::origin(&keys) == Origin::CreatedHere {
            self.created_here.fetch_add(1, Ordering::SeqCst);
        }
        Ok((keys, how))
    }
}

impl Way for OnePile {
    const NAME: &'static str = "Dogpile";
    const ABOUT: &'static str = "one caller fetches, the others go on with the old keys";

    type Held<'a> = Guard<'a, KeySet>;

    fn keys(&self) -> Result<(Guard<'_, KeySet>, How), NoKeys> {
        self.take(Accept::Stale)
    }

    fn newer_than(&self, seen: &Guard<'_, KeySet>) -> Result<(Guard<'_, KeySet>, How), NoKeys> {
        // Keys past their time are being fetched anew already, by a request young enough to judge
        // by; to expire them as well would have that one done over.
        if Guard::age(seen) <= TTL {
            self.pile.expire_if(Guard::seen(seen));
        }
        self.take(Accept::NewerThan(Guard::seen(seen)))
    }
}
