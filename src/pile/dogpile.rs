//! The pile as users hold it: [`Dogpile`].

use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::answer::{
    Acquired, Anchor, Caller, Created, Creating, Guard, HasSite, Lease, Lookup, Open, Settings,
    Site,
};
use crate::call::election::Failures;
use crate::call::{Attempt, Call};
#[cfg(feature = "async")]
use crate::call::{Background, KeptPile, OnExecutor, Refresher};
use crate::error::{Error, Failure};
#[cfg(feature = "async")]
use crate::executor::Executor;
use crate::observe::Stats;
use crate::pile::Builder;
use crate::policy::{Freshness, Seen};
use crate::raw::{Pile, Ready, Was, Writers};
use crate::shim::Arc;

/// One value with a time to live, and the right to renew it, held by one caller at a time.
///
/// | value | a creation runs | a caller gets |
/// |---|---|---|
/// | fresh | or not | the value, at once |
/// | stale | no | to run its creator, and the new value |
/// | stale | yes | the stale value, at once |
/// | none, or gone | no | to run its creator, and the new value |
/// | none, or gone | yes | to wait, and the new value |
///
/// A value is *stale* once it is older than its time to live. It is *gone* once it has been stale for
/// longer than [`stale_while_revalidate`](Builder::stale_while_revalidate), which is without limit
/// unless set. If the creator fails, its own caller gets the error, though there is a stale value, unless
/// [`Builder::stale_if_error`] is set. [`Builder::backoff`] sets how soon the next one may try.
///
/// # Cost
///
/// The state of a pile takes 32 bytes, and 112 more in a box from its first creation on. What hits read
/// and what others write of it stand on different cache lines. A creation that succeeds allocates for
/// its value, and twice more if anybody waits for it, however many do. Tasks that wait take a place in a
/// list besides.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dogpile::Dogpile;
///
/// static KEYS: Dogpile<Vec<String>> = Dogpile::builder(Duration::from_secs(300))
///     .stale_while_revalidate(Duration::from_secs(3600))
///     .build();
///
/// # fn fetch() -> Result<Vec<String>, std::io::Error> { Ok(vec!["k1".into()]) }
/// fn knows(key: &str) -> Result<bool, dogpile::Error<std::io::Error>> {
///     let keys = KEYS.get_or_try_create(|| fetch())?;
///     Ok(keys.iter().any(|known| known == key))
/// }
/// # assert!(knows("k1").unwrap());
/// ```
#[repr(C, align(128))]
pub struct Dogpile<T> {
    // What every hit reads stands at the end of one pair of cache lines: the settings, and the
    // address of the value, which comes first in a pile.
    _gap: [u8; GAP],
    settings: Settings,
    // All else of a pile, which callers without a value write, begins the next.
    pile: Pile<T>,
}

const GAP: usize = LINES - std::mem::size_of::<u64>() - std::mem::size_of::<Settings>();
const LINES: usize = 256;
#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::offset_of!(Dogpile<u8>, pile) + 8 == LINES);

impl<T> Builder<T> {
    crate::shim::const_unless_loom! {
        /// The pile, without a value.
        ///
        /// # Panics
        ///
        /// If two settings make no sense together: the message names both. In a `const` or a `static`,
        /// that is an error of the compiler. [`try_build`](Builder::try_build) gives it as a value.
        pub const fn build(mut self) -> Dogpile<T> {
            if let Some(fault) = self.settings.policy.fault() {
                panic!("{}", fault);
            }
            let settings = self.settings.build();
            std::mem::forget(self);
            Dogpile { _gap: [0; GAP], settings, pile: Pile::new() }
        }
    }
}

impl<T> Dogpile<T> {
    crate::shim::const_unless_loom! {
        /// A pile without a value, whose values will be fresh for `ttl`.
        ///
        /// A `ttl` of zero is never fresh; one beyond the clock's range, such as `Duration::MAX`,
        /// never ends.
        pub const fn new(ttl: Duration) -> Self {
            Self::builder(ttl).build()
        }
    }

    /// Settings for a pile whose values will be fresh for `ttl`.
    pub const fn builder(ttl: Duration) -> Builder<T> {
        Builder::new(ttl)
    }

    /// A pile that holds `value`, fresh for `ttl` from now on.
    pub fn with_value(ttl: Duration, value: T) -> Self {
        let pile = Self::new(ttl);
        pile.set(value);
        pile
    }

    /// A call with options of its own: a limit to waiting, a stricter age, which values it takes.
    pub fn call(&self) -> Call<'_, T> {
        Call::new(self.site(), Open)
    }

    /// The value, or else the one that `create` makes.
    ///
    /// Runs `create` if the value is missing, gone or stale and nobody else is creating. While
    /// another caller is creating, a stale value is returned at once. Without one the call waits.
    ///
    /// Waiting has no limit: [`call`](Dogpile::call) sets one. If the creation that the call waits
    /// for fails, it creates itself.
    ///
    /// # Panics
    ///
    /// If `create` does. The others go on, and the next one creates. If called from inside the
    /// creator of the same pile while no value can be had:
    /// [`get_or_try_create`](Dogpile::get_or_try_create) returns that as an error.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Guard, Origin};
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// assert_eq!(*pile.get_or_create(|| 7), 7);
    /// assert_eq!(Guard::origin(&pile.get_or_create(|| 8)), Origin::Fresh);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn get_or_create(&self, create: impl FnOnce() -> T) -> Guard<'_, T> {
        let call = self.call();
        match call.hit_by(Caller::Thread) {
            Some(guard) => guard,
            // Another caller's failure is no answer to one whose creator cannot fail.
            None => match call.create_or_wait(Failures::Pressed, |_| Ok(create().into())) {
                Ok(guard) => guard,
                Err(error) => cannot_answer("Dogpile", "", &error),
            },
        }
    }

    /// The value, or else the one that `create` makes, if it can.
    ///
    /// As [`get_or_create`](Dogpile::get_or_create), but a failure is the answer: to this caller,
    /// and to everybody with a fallible form who was waiting for that very creation. The creator is
    /// not run again for them. A caller with a stale value to go on with does not notice.
    ///
    /// # Errors
    ///
    /// [`Error::Create`] or [`Error::Failed`] if the creation failed, here or where this call waited.
    /// [`Error::Panicked`] if the creator that this call waited for panicked. [`Error::BackingOff`] if no
    /// creator may run yet and there is no value to give: see [`Builder::backoff`],
    /// [`Builder::min_interval`] and [`Creating::retry_after`]. [`Error::Reentrant`] if called from inside
    /// the creator of the same pile while no value can be had.
    ///
    /// # Panics
    ///
    /// If `create` does. Those who wait with a fallible form are told, and the next caller creates.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Error};
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// let answer = pile.get_or_try_create(|| "seven".parse::<u32>());
    /// assert!(matches!(answer, Err(Error::Create(_))));
    /// assert_eq!(*pile.get_or_try_create(|| "7".parse::<u32>())?, 7);
    /// # Ok::<_, Error<std::num::ParseIntError>>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().get_or_try_create(create)
    }

    /// The value, or else the one that `create` makes, which may say how long the value lives, how
    /// old it is, or that the previous one is unchanged.
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create). See [`Created`] for what can be said,
    /// and [`Creating`] for what the creator may know.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, as [`get_or_try_create`](Dogpile::get_or_try_create).
    #[inline(always)]
    #[track_caller]
    pub fn get_or_try_create_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().get_or_try_create_with(create)
    }

    /// The value where it is kept, or else the one that `create` makes and puts there.
    ///
    /// For a value that lives in a memcached, a file, a cache: `get` looks it up there, `create`
    /// makes it and stores it, and the pile makes sure that one caller creates at a time. The pile
    /// knows when the last creation was, and by that a value that `get` finds is fresh, stale or
    /// gone. [`Lookup::Aged`] brings an age of its own. What `get` finds on a pile that never
    /// created, and without an age, counts as none; see [`Builder::init`].
    ///
    /// `get` is called at most once: not after a creation, not again after a wait, and not after an
    /// [`invalidate`](Dogpile::invalidate) until something new was created. The pile keeps the
    /// value of its last creation for callers that looked in vain while it was made; see
    /// [`Builder::keep_last`]. A `get` that cannot reach the store says so with
    /// [`Lookup::Unreachable`], and the call goes by that kept value.
    ///
    /// Both functions run one after the other, on this thread. What both need to change, such as a
    /// connection, can be in a `RefCell`.
    ///
    /// This is the original's `dogpile.acquire(creator, value_fn)`, and
    /// [`Lookup::NeedRegeneration`] its `NeedRegenerationException`.
    ///
    /// # Errors
    ///
    /// [`Error::Get`] if `get` fails. That goes to this caller alone and elects nobody. The others as
    /// for [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::convert::Infallible;
    /// use std::sync::Mutex;
    /// use std::time::Duration;
    ///
    /// use dogpile::{Dogpile, Lookup};
    ///
    /// let store = Mutex::new(HashMap::new());
    /// let page = Dogpile::new(Duration::from_secs(60));
    ///
    /// let show = || {
    ///     page.acquire(
    ///         || {
    ///             let html = String::from("<h1>slowly rendered</h1>");
    ///             store.lock().unwrap().insert("front", html.clone());
    ///             Ok::<_, Infallible>(html)
    ///         },
    ///         || Ok(Lookup::from(store.lock().unwrap().get("front").cloned())),
    ///     )
    /// };
    /// assert!(show()?.starts_with("<h1>"));
    /// # Ok::<_, dogpile::Error<Infallible>>(())
    /// ```
    #[track_caller]
    pub fn acquire<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'_, T>, Error<E>> {
        self.call().acquire(create, get)
    }

    /// As [`acquire`](Dogpile::acquire), with a creator that may say how long the value lives, how
    /// old it is, and whether the pile keeps it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Dogpile::acquire).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does.
    #[track_caller]
    pub fn acquire_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'_, T>, Error<E>> {
        self.call().acquire_with(create, get)
    }

    /// One look: the value, or the lease, or the news that another caller has it. It neither creates
    /// nor waits.
    ///
    /// For those who embed the election in something of their own, such as a cache that keeps its
    /// values itself. [`Call::attempt_acquire`] is the same for a value that is kept elsewhere.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Attempt, Dogpile, Guard, Outcome};
    ///
    /// let pile = Dogpile::<u32>::new(Duration::from_secs(60));
    /// let value = loop {
    ///     match pile.attempt() {
    ///         Attempt::Hit(guard) => break Guard::to_owned(&guard),
    ///         Attempt::Lease(lease) => break lease.publish(7).expect("nobody interferes here"),
    ///         Attempt::Busy(busy) => match busy.into_stale() {
    ///             Ok(stale) => break Guard::to_owned(&stale),
    ///             Err(busy) => match busy.wait() {
    ///                 Outcome::Value(guard) => break Guard::to_owned(&guard),
    ///                 _ => continue,
    ///             },
    ///         },
    ///         Attempt::NotYet(_) => panic!("this pile backs off from nothing"),
    ///     }
    /// };
    /// assert_eq!(*value, 7);
    /// ```
    #[track_caller]
    pub fn attempt(&self) -> Attempt<'_, T> {
        self.call().attempt()
    }

    /// As [`attempt`](Dogpile::attempt), with a lease that holds the pile by its `Arc`, and so can be
    /// kept in a struct or sent to where no borrow can go.
    #[track_caller]
    pub fn attempt_owned(self: &Arc<Self>) -> Attempt<'_, T, Lease<'static, T>>
    where
        T: Send + Sync + 'static,
    {
        let hold = |lease: Lease<'_, T>| lease.held_by(Anchor::Owned(Arc::<Self>::clone(self)));
        self.attempt().map_lease(hold)
    }

    /// Creates now, however fresh the value is, and returns the new one.
    ///
    /// It takes part in the election as any creation does. The others go on with the old value
    /// meanwhile, and of several callers at once one creates for all. A creation that runs already
    /// began too early to count, and this call waits for it to end.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does, as [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Error};
    /// let pile = Dogpile::with_value(Duration::from_secs(60), 1);
    /// assert_eq!(*pile.refresh(|| "2".parse())?, 2);
    /// # Ok::<_, Error<std::num::ParseIntError>>(())
    /// ```
    #[track_caller]
    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().refresh(create)
    }

    /// The value, fresh or stale, without creating or waiting. `None` if there is none, or it is
    /// gone.
    #[inline]
    pub fn peek(&self) -> Option<Guard<'_, T>> {
        self.call().peek()
    }

    /// The value, fresh or stale, or else the next one that another caller makes.
    ///
    /// For a caller that cannot create: it waits until somebody [`set`](Dogpile::set)s or publishes a
    /// value, whether or not anybody creates meanwhile, and is never elected. A creation that fails or
    /// is given up lets it wait on, and so does an [`invalidate`](Dogpile::invalidate).
    ///
    /// Waiting has no limit: [`call`](Dogpile::call) sets one.
    ///
    /// # Panics
    ///
    /// If it would wait inside the creator of the same pile. [`Call::wait_for_value`] returns that as
    /// an error.
    ///
    /// # Example
    ///
    /// A consumer that comes before the producer:
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// static ROUTES: Dogpile<Vec<&str>> = Dogpile::new(Duration::MAX);
    ///
    /// let consumer = std::thread::spawn(|| ROUTES.wait_for_value().len());
    /// ROUTES.set(vec!["/", "/about"]);
    /// assert_eq!(consumer.join().unwrap(), 2);
    /// ```
    #[track_caller]
    pub fn wait_for_value(&self) -> Guard<'_, T> {
        match self.call().wait_for_value() {
            Ok(guard) => guard,
            Err(error) => cannot_wait("Dogpile", "wait_for_value", &error),
        }
    }

    /// The value if it is newer than the one seen, or else the next one that another caller makes.
    ///
    /// As [`wait_for_value`](Dogpile::wait_for_value), which it is where none was seen. Values that
    /// come and go while nobody waits are not kept: of several the newest is the answer.
    ///
    /// # Panics
    ///
    /// As [`wait_for_value`](Dogpile::wait_for_value). In builds with debug assertions, if the value
    /// was seen in another pile.
    ///
    /// # Example
    ///
    /// Who is to be told of each new configuration:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{Dogpile, Guard};
    ///
    /// let config = Arc::new(Dogpile::new(Duration::MAX));
    /// # let (told, hear) = std::sync::mpsc::channel();
    /// let shared = config.clone();
    /// let listener = std::thread::spawn(move || {
    ///     let mut seen = None;
    ///     loop {
    ///         let workers = shared.wait_for_newer(seen);
    ///         seen = Some(Guard::seen(&workers));
    ///         // There are so many workers from now on.
    /// #       told.send(*workers).unwrap();
    ///         if *workers == 0 {
    ///             break;
    ///         }
    ///     }
    /// });
    /// config.set(4);
    /// # assert_eq!(hear.recv(), Ok(4));
    /// config.set(0);
    /// listener.join().unwrap();
    /// ```
    #[track_caller]
    pub fn wait_for_newer(&self, seen: impl Into<Option<Seen>>) -> Guard<'_, T> {
        match self.call().wait_for_newer(seen) {
            Ok(guard) => guard,
            Err(error) => cannot_wait("Dogpile", "wait_for_newer", &error),
        }
    }

    /// Makes `value` the current one, fresh from now on.
    ///
    /// With [`acquire`](Dogpile::acquire), put the value where it is kept first: what is found there
    /// is what callers get.
    ///
    /// Those who wait get the value at once. A creation that runs is superseded: its result goes to
    /// its own caller only and never overwrites this value.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// pile.set(7);
    /// assert_eq!(*pile.peek().unwrap(), 7);
    /// ```
    pub fn set(&self, value: T) {
        self.set_with(Created::new(value));
    }

    /// Makes a value the current one, with a time to live or an age of its own.
    ///
    /// As [`set`](Dogpile::set). A value that is not to be kept goes to those who wait.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Created, Dogpile};
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// pile.set_with(Created::new(7).age(Duration::from_secs(59)));
    /// assert!(pile.is_fresh());
    /// ```
    pub fn set_with(&self, created: Created<T>) {
        self.set_among(created, Writers(Some(0)));
    }

    /// As [`set_with`](Dogpile::set_with), when so many writers have been inside.
    pub(crate) fn set_among(&self, created: Created<T>, writers: Writers) {
        let ready = self.ready(created);
        let policy = &self.settings().policy;
        let _ = self
            .pile
            .set(policy, &ready.node, ready.kept, None, writers);
    }

    /// Makes `value` the current one, as [`set`](Dogpile::set) does, if the value seen is still the
    /// current one, or if there is still none where none was seen.
    ///
    /// # Errors
    ///
    /// The value itself, if something else came meanwhile.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Dogpile, Guard};
    ///
    /// let pile = Dogpile::with_value(Duration::from_secs(60), 1);
    /// let seen = Guard::seen(&pile.peek().unwrap());
    /// assert_eq!(pile.set_if(seen, 2), Ok(()));
    /// assert_eq!(pile.set_if(seen, 3), Err(3));
    /// assert_eq!(pile.set_if(None, 4), Err(4));
    /// ```
    pub fn set_if(&self, seen: impl Into<Option<Seen>>, value: T) -> Result<(), T> {
        self.set_if_among(seen.into(), value, Writers(Some(0)))
    }

    /// As [`set_if`](Dogpile::set_if), when so many writers have been inside.
    pub(crate) fn set_if_among(
        &self,
        seen: Option<Seen>,
        value: T,
        writers: Writers,
    ) -> Result<(), T> {
        let ready = self.ready(Created::new(value));
        let was = seen.map_or(Was::Nothing, Was::Seen);
        let policy = &self.settings().policy;
        match self
            .pile
            .set(policy, &ready.node, ready.kept, Some(was), writers)
        {
            true => Ok(()),
            false => Err(ready
                .node
                .into_value()
                .expect("nobody else has a share in it")),
        }
    }

    fn ready(&self, created: Created<T>) -> Ready<T> {
        let settings = self.settings();
        // The pile numbers it.
        created.into_ready(self.site(), settings.time.now(), 0)
    }

    /// Makes the value stale: one caller renews it, and the others are served the old one meanwhile.
    ///
    /// What a creation that runs already will publish is stale as well, since that creation began
    /// before: one more follows. The value ends no sooner than it would have. `expire` asks for a
    /// renewal and condemns nothing.
    pub fn expire(&self) {
        let Settings { policy, time, .. } = self.settings();
        self.pile.expire(policy, None, time.now());
    }

    /// Makes the value stale, as [`expire`](Dogpile::expire) does, if the value seen is still the
    /// current one and was not expired before. Says whether it did.
    ///
    /// For callers that find a fault in what they were given: a hundred callers that find the same
    /// fault cause one renewal. A creation already running does not count: it began before the fault
    /// was found, so one more follows. A caller that would rather have its result asks for
    /// [`Accept::NewerThan`](crate::Accept::NewerThan) alone.
    ///
    /// # Faults that strangers make up
    ///
    /// Each call of this marks the value, so it is for faults that are facts: a server refused the
    /// token. A key id that is not known is none. It may be new, or anybody may have made it up. Asked
    /// for at each of them, a source gets as many requests as strangers send, and if it is down then the
    /// callers with good keys, whose value is marked, meet its failure. So do not mark the value: ask
    /// for a newer one, bound how often that creates by
    /// [`min_interval`](Builder::min_interval), and take
    /// [`BackingOff`](Error::BackingOff) for "unknown".
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Accept, Dogpile, Error, Guard};
    ///
    /// static KEYS: Dogpile<Vec<u32>> = Dogpile::builder(Duration::from_secs(86_400))
    ///     .min_interval(Duration::from_secs(10))
    ///     .build();
    ///
    /// # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
    /// fn is_known(id: u32) -> Result<bool, Error<std::io::Error>> {
    ///     let keys = KEYS.get_or_try_create(fetch)?;
    ///     if keys.contains(&id) {
    ///         return Ok(true);
    ///     }
    ///     let newer = KEYS.call().accept(Accept::NewerThan(Guard::seen(&keys)));
    ///     match newer.get_or_try_create(fetch) {
    ///         Ok(newer) => Ok(newer.contains(&id)),
    ///         // Somebody asked less than ten seconds ago. If the key is new, it is known soon.
    ///         Err(error) if error.is_backing_off() => Ok(false),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// assert!(is_known(2)?);
    /// assert!(!is_known(3)?);
    /// # Ok::<_, Error<std::io::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Accept, Dogpile, Guard};
    ///
    /// # fn sign_in() -> u32 { 2 }
    /// # fn server_takes(token: u32) -> bool { token == 2 }
    /// let tokens = Dogpile::with_value(Duration::from_secs(60), 1);
    /// let token = tokens.get_or_create(sign_in);
    /// if !server_takes(*token) {
    ///     // It was revoked. The first caller gets a new one, the others wait for that.
    ///     let seen = Guard::seen(&token);
    ///     tokens.expire_if(seen);
    ///     let newer = tokens.call().accept(Accept::NewerThan(seen)).get_or_create(sign_in).unwrap();
    ///     assert!(server_takes(*newer));
    /// }
    /// ```
    pub fn expire_if(&self, seen: Seen) -> bool {
        let Settings { policy, time, .. } = self.settings();
        self.pile.expire(policy, Some(seen), time.now())
    }

    /// Removes the value: from here on no call that starts gets it, nor any value whose creation
    /// began before.
    ///
    /// Guards keep showing the value to those who hold them. A creation that runs is superseded. Its
    /// result goes to its own caller and to those who wait for it already. Whoever comes after waits
    /// for the next creation.
    pub fn invalidate(&self) {
        self.pile.invalidate(None);
    }

    /// Removes the value, as [`invalidate`](Dogpile::invalidate) does, if the value seen is still the
    /// current one. Says whether it did.
    ///
    /// # Panics
    ///
    /// In builds with debug assertions, if the value was seen in another pile.
    pub fn invalidate_if(&self, seen: Seen) -> bool {
        self.pile.invalidate(Some(seen))
    }

    /// Whether a call could be given a value, fresh or stale, without a creation. One that would only stand
    /// in for a failure does not count. For [`acquire`](Dogpile::acquire) one that is kept elsewhere does.
    pub fn has_value(&self) -> bool {
        self.known().is_some()
    }

    /// Whether there is a fresh value, here or for [`acquire`](Dogpile::acquire).
    pub fn is_fresh(&self) -> bool {
        self.known()
            .is_some_and(|(freshness, _)| matches!(freshness, Freshness::Fresh | Freshness::Due))
    }

    /// How old the value is, if there is one that a call could be given.
    pub fn age(&self) -> Option<Duration> {
        self.known().map(|(_, age)| age)
    }

    /// What the pile knows of its value, be it kept here or elsewhere, if the value is of use.
    fn known(&self) -> Option<(Freshness, Duration)> {
        let settings = self.settings();
        let times = match self.pile.load() {
            Some(node) => node.is_of_a_value().then(|| node.times())?,
            // What the first `acquire` finds counts as just created.
            None if settings.policy.init && !self.pile.is_emptied() => {
                self.call().looked_up(settings.time.now(), Duration::ZERO)
            }
            None => return None,
        };
        let (freshness, now) = self.call().freshness_now(&times);
        let is_served = !matches!(freshness, Freshness::Fallback | Freshness::Gone);
        is_served.then(|| (freshness, times.age(now)))
    }

    /// The last failure of a creation, with its age: that of a creator, of a panic, or of an executor
    /// that did not run the creation.
    ///
    /// A value that is published later does not make it forgotten.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::Dogpile;
    /// let pile = Dogpile::<u32>::new(Duration::from_secs(60));
    /// let _ = pile.get_or_try_create(|| Err("no route"));
    /// let (failure, _age) = pile.last_failure().unwrap();
    /// assert_eq!(failure.text().as_deref(), Some("no route"));
    /// ```
    pub fn last_failure(&self) -> Option<(Failure, Duration)> {
        let (failure, at) = self.pile.last_failure()?;
        let age = self.settings().time.now().saturating_since(at);
        Some((failure, age))
    }

    /// After how long the next creation may begin, for a caller without a usable value. `None`: at
    /// once, or as soon as the one that runs ends.
    pub fn retry_in(&self) -> Option<Duration> {
        let Settings { policy, time, .. } = self.settings();
        self.pile.retry_in(policy, time.now())
    }

    /// What goes on in the pile, and what was counted.
    ///
    /// Who creates, for how long already, and what was counted is known only of a pile that counts: see
    /// [`Builder::stats`].
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::Dogpile;
    ///
    /// let pile = Dogpile::builder(Duration::from_secs(60)).stats(true).build();
    /// let value = pile.get_or_create(|| {
    ///     let creating = pile.stats().creating.unwrap();
    ///     assert!(creating.location.is_some() && creating.held_for.is_some());
    ///     7
    /// });
    /// assert_eq!(*value, 7);
    /// assert_eq!(pile.stats().counters.unwrap().published, 1);
    /// ```
    pub fn stats(&self) -> Stats {
        let Settings { policy, time, .. } = self.settings();
        let mut stats = self.pile.stats(policy, time.now());
        stats.hits = time.hits().sum();
        stats
    }

    /// Whether somebody is creating a value.
    pub fn is_creating(&self) -> bool {
        self.pile.is_leased()
    }

    /// How many callers wait: for the creation that runs (who holds a [`Busy`](crate::Busy) counts), or for
    /// [the next value](Dogpile::wait_for_value), whoever makes it.
    pub fn waiters(&self) -> usize {
        self.pile.waiters()
    }

    /// The value, fresh, stale or gone, for changing it in place.
    ///
    /// `None` if there is none, or if it is kept elsewhere, or if an [`Owned`](crate::Owned) or
    /// perhaps a guard that was forgotten shares it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.pile.get_mut()
    }

    /// The value, fresh, stale or gone, taken out.
    ///
    /// `None` if there is none, or if an [`Owned`](crate::Owned) or perhaps a guard that was
    /// forgotten shares it, and keeps it.
    pub fn into_inner(self) -> Option<T> {
        self.pile.into_value()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn site(&self) -> Site<'_, T> {
        Site {
            settings: self.settings(),
            pile: &self.pile,
            gate: None,
        }
    }
}

impl<T> HasSite<T> for Dogpile<T> {
    fn site(&self) -> Site<'_, T> {
        Dogpile::site(self)
    }
}

/// # In the background
#[cfg(feature = "async")]
impl<T: Send + Sync + 'static> Dogpile<T> {
    /// Calls whose creations run on `executor`, whatever becomes of the caller.
    ///
    /// A caller that finds the value stale takes it and leaves. Its own cancellation or time-out
    /// stops no creation. Nothing is cloned or allocated unless the caller is elected.
    ///
    /// # Example
    ///
    /// A hundred callers a second that have a tenth of a second each, and a source that takes longer:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// # fn fetch() -> Result<u32, std::io::Error> { Ok(7) }
    /// let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
    /// let rates = pile.background(&Thread).wait(Duration::from_millis(100));
    /// match rates.get_or_try_create(fetch) {
    ///     Ok(value) => assert_eq!(*value, 7),
    ///     // Another caller will find it.
    ///     Err(error) => assert!(error.is_timed_out()),
    /// };
    /// ```
    pub fn background<'a, 'e>(
        self: &'a Arc<Self>,
        executor: &'e dyn Executor,
    ) -> Background<'a, 'e, T> {
        let mode = OnExecutor::new(KeptPile::Shared(self), executor);
        self.call().by(mode)
    }

    /// As [`background`](Dogpile::background), for a pile that is a `static`.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// static KEYS: Dogpile<Vec<u32>> = Dogpile::new(Duration::from_secs(60));
    ///
    /// let keys = KEYS.background_static(&Thread).get_or_create(|| vec![1, 2]);
    /// assert_eq!(keys.unwrap().len(), 2);
    /// ```
    pub fn background_static<'e>(
        &'static self,
        executor: &'e dyn Executor,
    ) -> Background<'static, 'e, T> {
        let mode = OnExecutor::new(KeptPile::Static(self.site()), executor);
        self.call().by(mode)
    }

    /// Renews the value without any caller, as soon as it is due: at the refresh point that
    /// [`refresh_ahead`](Builder::refresh_ahead) sets, else when it becomes stale. Creates at once if
    /// there is no value, and after an [`expire`](Dogpile::expire) or an
    /// [`invalidate`](Dogpile::invalidate).
    ///
    /// It needs a creator: see [`Refresher`] for the forms. It ends when the
    /// [`KeepFresh`](crate::KeepFresh) is dropped, or with the pile, which it does not keep alive. It
    /// takes part in the election: while another caller creates it waits for the end of that.
    ///
    /// # What runs where
    ///
    /// Creations run on `executor`, as those of [`background`](Dogpile::background) do. What waits for the
    /// next one runs there too if the executor has a timer, as a task that sleeps; else on a thread of its
    /// own, which sleeps. Nothing asks again and again.
    ///
    /// # When a creation fails
    ///
    /// It goes by the rules of the pile: [`backoff`](Builder::backoff), what the creator
    /// [said](Creating::retry_after), [`min_interval`](Builder::min_interval), and
    /// [`max_create_time`](Builder::max_create_time) if the creator hangs. Where the pile has no rule it
    /// rests for a second after each creation of its own that left nothing fresh. A creator that panics
    /// has failed, and takes nothing down with it. [`last_failure`](Dogpile::last_failure) tells of it.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use dogpile::{executor::Thread, Backoff, Dogpile, RefreshAhead};
    ///
    /// # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
    /// let keys = Dogpile::builder(Duration::from_secs(3600))
    ///     .refresh_ahead(RefreshAhead::left(Duration::from_secs(300)))
    ///     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60)));
    /// let keys = Arc::new(keys.build());
    ///
    /// let keeps_fresh = keys.keep_fresh(Thread).start(fetch)?;
    /// assert_eq!(keys.wait_for_value().len(), 2); // Nobody has called for it.
    /// drop(keeps_fresh);
    /// # Ok::<_, dogpile::Refused>(())
    /// ```
    pub fn keep_fresh<X: Executor + 'static>(self: &Arc<Self>, executor: X) -> Refresher<T, X> {
        Refresher::of(self, executor)
    }

    /// As [`keep_fresh`](Dogpile::keep_fresh), for a pile that is a `static`.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{executor::Thread, Dogpile};
    ///
    /// static KEYS: Dogpile<Vec<u32>> = Dogpile::new(Duration::from_secs(60));
    ///
    /// # fn fetch() -> Result<Vec<u32>, std::io::Error> { Ok(vec![1, 2]) }
    /// let _keeps_fresh = KEYS.keep_fresh_static(Thread).start(fetch)?;
    /// assert_eq!(KEYS.wait_for_value().len(), 2);
    /// # Ok::<_, dogpile::Refused>(())
    /// ```
    pub fn keep_fresh_static<X: Executor + 'static>(&'static self, executor: X) -> Refresher<T, X> {
        Refresher::of_static(self.site(), executor)
    }
}

/// A call that can only fail by waiting for itself has done so.
#[cold]
#[track_caller]
pub(crate) fn cannot_answer(pile: &str, form: &str, error: &Error<Infallible>) -> ! {
    panic!(
        "{pile}::get_or_create{form}: {error} (get_or_try_create{form} returns this as an error)"
    )
}

/// As [`cannot_answer`], for a call that has no creator.
#[cold]
#[track_caller]
pub(crate) fn cannot_wait(pile: &str, form: &str, error: &Error<Infallible>) -> ! {
    panic!("{pile}::{form}: {error} (call().{form} returns this as an error)")
}

impl<T: fmt::Debug> fmt::Debug for Dogpile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.call().peek_exact();
        f.debug_struct("Dogpile")
            .field("value", &held.as_deref())
            .field("origin", &held.as_ref().map(Guard::origin))
            .field("age", &held.as_ref().map(Guard::age))
            .field("stats", &self.stats())
            .field("settings", &self.settings)
            .finish()
    }
}

// A panic leaves no pile in a state that could be seen: it ends the lease of its creator.
impl<T: UnwindSafe + RefUnwindSafe> UnwindSafe for Dogpile<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Dogpile<T> {}
