//! The pile as users hold it: [`Dogpile`].

use std::convert::Infallible;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use crate::answer::Lease;
use crate::answer::{Acquired, Lookup};
use crate::answer::{Anchor, HasSite, Site};
use crate::answer::{Caller, Open};
use crate::answer::{Created, Creating};
use crate::answer::{Guard, Origin};
use crate::call::Attempt;
use crate::call::Call;
use crate::error::Error;
use crate::pile::Builder;
use crate::policy::Accept;
use crate::raw::{Gate, NodeRef, Pile};
use crate::shim::Arc;

/// One value with a time to live, and the right to renew it, held by one caller at a time.
///
/// | value | a creation runs | a caller gets |
/// |---|---|---|
/// | fresh | or not | the value, at once |
/// | stale | no | to run its creator, and the new value |
/// | stale | yes | the stale value, at once |
/// | none, or dead | no | to run its creator, and the new value |
/// | none, or dead | yes | to wait, and the new value |
///
/// A value is *stale* once it is older than its time to live, and *dead* once it has been stale for
/// longer than [`stale_while_revalidate`](Builder::stale_while_revalidate), which is without limit
/// unless set.
///
/// The state of a pile takes 64 bytes. What hits read and what others write of it stand on different
/// cache lines. A creation that succeeds allocates for its value, and twice more if anybody waits
/// for it, however many do; tasks that wait take a place in a list besides.
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
    // What every hit reads, at the end of one pair of cache lines: these, and the address of the
    // value, which is the first of a pile.
    settings: Builder<T>,
    _gap: [u8; GAP],
    // All else of a pile, which callers without a value write, begins the next.
    pile: Pile<T>,
}

const GAP: usize = 128 - std::mem::size_of::<u64>() - std::mem::size_of::<Builder<()>>();
#[cfg(target_pointer_width = "64")]
const _: () = assert!(std::mem::offset_of!(Dogpile<u8>, pile) == 120);

impl<T> Builder<T> {
    crate::shim::const_unless_loom! {
        /// The pile, without a value.
        pub const fn build(self) -> Dogpile<T> {
            Dogpile { settings: self, _gap: [0; GAP], pile: Pile::new() }
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
        Call::new(self.place(), Open)
    }

    /// The value, or else the one that `create` makes.
    ///
    /// Runs `create` if the value is missing, dead or stale and nobody else is creating. While
    /// somebody else is, a stale value is returned at once, and without one the call waits. One
    /// creation at a time, whatever happens.
    ///
    /// Waiting has no limit: [`call`](Dogpile::call) sets one. If the creation it waits for fails,
    /// it creates itself.
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates. If called from inside the
    /// creator of the same pile with no value to be had:
    /// [`get_or_try_create`](Dogpile::get_or_try_create) returns that as an error.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::{Dogpile, Origin};
    /// let pile = Dogpile::new(Duration::from_secs(60));
    /// assert_eq!(*pile.get_or_create(|| 7), 7);
    /// assert_eq!(pile.get_or_create(|| 8).origin(), Origin::Fresh);
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn get_or_create(&self, create: impl FnOnce() -> T) -> Guard<'_, T> {
        let call = self.call();
        match call.hit(Caller::Thread) {
            Some(guard) => guard,
            None => match call.create_infallibly(create) {
                Ok(guard) => guard,
                Err(error) => cannot_answer("Dogpile", "", &error),
            },
        }
    }

    /// The value, or else the one that `create` makes, if it can.
    ///
    /// As [`get_or_create`](Dogpile::get_or_create), but a failure is the answer: to this caller
    /// and to everybody with the fallible form who was waiting for that very creation. The creator
    /// is not run again for them. Whoever has a stale value to go on with does not notice.
    ///
    /// # Errors
    ///
    /// [`Error::Create`] or [`Error::Failed`] if the creation failed, here or where this call
    /// waited; [`Error::Reentrant`] if called from inside the creator of the same pile with no
    /// value to be had.
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
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
    pub fn get_or_try_create<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().get_or_try_create(create)
    }

    /// The value, or else the one that `create` makes, which may say how long this one lives, how
    /// old it is, or that the previous one is unchanged.
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create); see [`Created`] for what can be said,
    /// and [`Creating`] for what the creator may know.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on, and the next one creates.
    #[inline(always)]
    pub fn get_or_create_with<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().get_or_create_with(create)
    }

    /// The value where it is kept, or else the one that `create` makes and puts there.
    ///
    /// For a value that lives in a memcached, a file, a cache: `get` looks it up there, `create`
    /// makes it and stores it, and the pile sees to it that one creates at a time. It knows when
    /// the last creation was, so a value that `get` finds is fresh, stale or dead by that;
    /// [`Lookup::Aged`] brings an age of its own. What `get` finds on a pile that never created,
    /// and without an age, counts as none; see [`Builder::init`].
    ///
    /// `get` is called once at most: not after a creation, not again after a wait, and not after an
    /// [`invalidate`](Dogpile::invalidate) until something new was created. The pile keeps the
    /// value of its last creation for callers who looked in vain while it was made; see
    /// [`Builder::keep_last`].
    ///
    /// Both functions run one after the other, on this thread: what both need to change, such as a
    /// connection, can be in a `RefCell`.
    ///
    /// This is the original's `dogpile.acquire(creator, value_fn)`, and
    /// [`Lookup::NeedRegeneration`] its `NeedRegenerationException`.
    ///
    /// # Errors
    ///
    /// [`Error::Get`] if `get` fails: that goes to this caller alone and elects nobody. The others
    /// as for [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` or `get` does; the others go on.
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
    pub fn acquire<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<Acquired<'_, T>, Error<E>> {
        self.call().acquire(create, get)
    }

    /// One look: the value, or the lease, or the news that somebody else has it. Neither creates
    /// nor waits.
    ///
    /// For those who embed the election in something of their own, such as a cache that keeps its
    /// values itself. The calls that create and wait are made of the same look.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use dogpile::{Attempt, Dogpile, Outcome};
    ///
    /// let pile = Dogpile::<u32>::new(Duration::from_secs(60));
    /// let value = loop {
    ///     match pile.attempt() {
    ///         Attempt::Hit(guard) => break guard.to_owned(),
    ///         Attempt::Lease(lease) => break lease.publish(7).expect("nobody interferes here"),
    ///         Attempt::Busy(busy) => match busy.into_stale() {
    ///             Ok(stale) => break stale.to_owned(),
    ///             Err(busy) => match busy.wait() {
    ///                 Outcome::Value(guard) => break guard.to_owned(),
    ///                 _ => continue,
    ///             },
    ///         },
    ///         _ => unreachable!(),
    ///     }
    /// };
    /// assert_eq!(*value, 7);
    /// ```
    pub fn attempt(&self) -> Attempt<'_, T> {
        self.call().attempt()
    }

    /// As [`attempt`](Dogpile::attempt), with a lease that holds the pile by its `Arc`, and so can
    /// be sent to where no borrow can go.
    pub fn attempt_owned(self: &Arc<Self>) -> Attempt<'_, T, Lease<'static, T>>
    where
        T: Send + Sync + 'static,
    {
        match self.attempt() {
            Attempt::Hit(guard) => Attempt::Hit(guard),
            Attempt::Busy(busy) => Attempt::Busy(busy),
            Attempt::Lease(lease) => {
                Attempt::Lease(lease.held_by(Anchor::Owned(Arc::<Self>::clone(self))))
            }
        }
    }

    /// Creates now, however fresh the value is, and returns the new one.
    ///
    /// Under the election as any creation: the others go on with the old value meanwhile, and of
    /// several callers at once one creates for all. A creation that runs already began too early to
    /// count: this call waits for it to end.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create`](Dogpile::get_or_try_create).
    ///
    /// # Panics
    ///
    /// If `create` does; the others go on.
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
    pub fn refresh<E: Send + Sync + 'static>(
        &self,
        create: impl FnOnce() -> Result<T, E>,
    ) -> Result<Guard<'_, T>, Error<E>> {
        self.call().accept(Accept::New).get_or_try_create(create)
    }

    /// The value, fresh or stale, without creating or waiting. `None` if there is none, or it is
    /// dead.
    #[inline]
    pub fn peek(&self) -> Option<Guard<'_, T>> {
        self.call().peek()
    }

    /// Makes `value` the current one, fresh from now on.
    ///
    /// With [`acquire`](Dogpile::acquire), put it where it is kept first: what is found there is
    /// what callers get.
    ///
    /// Those who wait get it at once. A creation that runs is superseded: its result goes to its
    /// own caller only and never overwrites this value.
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
    /// As [`set`](Dogpile::set). One that is not to be kept goes to those who wait.
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
        let settings = &self.settings.settings;
        // The pile marks it.
        let (node, kept) = created.into_nodes(settings.time.now(), settings.policy.ttl, 0);
        self.raw().set(node, kept);
    }

    /// Makes the value stale: one caller renews it, the others are served the old one meanwhile.
    ///
    /// What a creation that runs already will publish is stale as well, since it began before: one
    /// more follows. Where no stale value may be served, with
    /// [`stale_while_revalidate`](Builder::stale_while_revalidate) at zero, this is
    /// [`invalidate`](Dogpile::invalidate).
    pub fn expire(&self) {
        self.expire_current(None);
    }

    /// Makes the value stale, as [`expire`](Dogpile::expire) does, if it is still the one that
    /// `guard` shows and was not expired before. Says whether it did.
    ///
    /// For callers who find a fault in what they were given: a hundred who find the same one cause
    /// one renewal. A creation that runs already is not that one, since it began before the fault
    /// was found: one more follows. Who would rather have its result asks for
    /// [`Accept::NewerThan`] alone.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// use dogpile::{Accept, Dogpile, Guard};
    ///
    /// # fn fetch() -> Vec<u32> { vec![1, 2] }
    /// let keys = Dogpile::with_value(Duration::from_secs(60), vec![1]);
    /// let seen = keys.peek().unwrap();
    /// if !seen.contains(&2) {
    ///     // Perhaps the keys were rotated: whoever is first asks, the others wait for what comes.
    ///     keys.expire_if(&seen);
    ///     let newer = keys.call().accept(Accept::NewerThan(Guard::seen(&seen))).get_or_create(fetch).unwrap();
    ///     assert!(newer.contains(&2));
    /// }
    /// ```
    pub fn expire_if(&self, guard: &Guard<'_, T>) -> bool {
        self.expire_current(Some(guard.node()))
    }

    pub(crate) fn expire_node(&self, node: &NodeRef<T>) -> bool {
        self.expire_current(Some(node))
    }

    pub(crate) fn invalidate_node(&self, node: &NodeRef<T>) -> bool {
        self.raw().invalidate(Some(node))
    }

    fn expire_current(&self, only: Option<&NodeRef<T>>) -> bool {
        let settings = &self.settings.settings;
        match settings.policy.stale_while_revalidate {
            Some(Duration::ZERO) => self.raw().invalidate(only),
            _ => self.raw().expire(only, settings.time.now()),
        }
    }

    /// Removes the value: from here on nobody gets it, nor any whose creation began before.
    ///
    /// Guards keep showing it to those who hold them. A creation that runs is superseded: its
    /// result goes to its own caller only, and those who waited for it create anew.
    pub fn invalidate(&self) {
        self.raw().invalidate(None);
    }

    /// Removes the value, as [`invalidate`](Dogpile::invalidate) does, if it is still the one that
    /// `guard` shows. Says whether it did.
    pub fn invalidate_if(&self, guard: &Guard<'_, T>) -> bool {
        self.raw().invalidate(Some(guard.node()))
    }

    /// Whether there is a value, fresh or stale, that a call could be given.
    pub fn has_value(&self) -> bool {
        self.peek().is_some()
    }

    /// Whether there is a fresh value.
    pub fn is_fresh(&self) -> bool {
        self.peek()
            .is_some_and(|guard| guard.origin() == Origin::Fresh)
    }

    /// How old the value is, if there is one that a call could be given.
    pub fn age(&self) -> Option<Duration> {
        self.peek().map(|guard| guard.age())
    }

    /// Whether somebody is creating a value.
    pub fn is_creating(&self) -> bool {
        self.raw().is_leased()
    }

    /// How many callers wait for the value that is being created, or hold a [`Busy`](crate::Busy)
    /// to do so.
    pub fn waiters(&self) -> usize {
        self.raw().waiters()
    }

    /// The value, fresh, stale or dead, for changing it in place. `None` if there is none, or an
    /// [`Owned`](crate::Owned), or perhaps a guard that was forgotten, shares it; or if it is kept
    /// elsewhere.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.pile.get_mut()
    }

    /// The value, fresh, stale or dead, taken out. `None` if there is none, or an
    /// [`Owned`](crate::Owned), or perhaps a guard that was forgotten, shares it, and keeps it.
    pub fn into_inner(self) -> Option<T> {
        self.pile.into_value()
    }

    fn raw(&self) -> &Pile<T> {
        &self.pile
    }

    pub(crate) fn place(&self) -> Site<'_, T> {
        Site {
            settings: &self.settings.settings,
            pile: &self.pile,
        }
    }
}

impl<T> HasSite<T> for Dogpile<T> {
    fn pile(&self) -> Site<'_, T> {
        self.place()
    }

    fn gate(&self) -> Option<&Gate> {
        None
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

impl<T: fmt::Debug> fmt::Debug for Dogpile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.peek();
        f.debug_struct("Dogpile")
            .field("value", &held.as_deref())
            .field("origin", &held.as_ref().map(Guard::origin))
            .field("age", &held.as_ref().map(Guard::age))
            .field("creating", &self.is_creating())
            .field("settings", &self.settings)
            .finish()
    }
}

// A panic leaves no pile in a state that could be seen: the lease of a creator that panics is given
// up.
impl<T: UnwindSafe + RefUnwindSafe> UnwindSafe for Dogpile<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Dogpile<T> {}
