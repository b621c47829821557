//! How a call comes to the copy of its record in this process: the doors. All else of a call is the same.

use std::borrow::Borrow;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use dogpile::executor::{Executor, Timer};
use dogpile::{Accept, Attempt, Call, Creating, Guard, KeyedAttempt, KeyedCall, KeyedGuard, Lease};

use crate::entry::Entry;
use crate::error::Fail;
use crate::fleet::{FleetDogpile, Given};
use crate::keyed::{FleetKeyed, KeyBytes};
use crate::shared::Shared;
use crate::site::Site;

/// What a call wants of the pile in this process.
#[derive(Clone, Copy)]
pub struct Want<'t> {
    pub(crate) wait: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) accept: Accept,
    pub(crate) timer: Option<&'t dyn Timer>,
}

/// What one look at the pile in this process found.
pub enum Seat<'a, T> {
    Hit(Guard<'a, Entry<T>>),
    Lease(Lease<'a, Entry<T>>),
    /// Another call of this process is at it.
    Busy(Option<Guard<'a, Entry<T>>>),
    NotYet(Duration),
}

/// What the pile in this process answers.
pub(crate) type Here<'a, T> = Result<Guard<'a, Entry<T>>, dogpile::Error<Fail>>;

/// How a call comes to the copy of its record in this process. There are two: a pile of one record, and
/// a key of many.
pub trait Door<'a, T: 'static, S, C>: Copy + sealed::Sealed {
    #[doc(hidden)]
    fn shared(self) -> &'a Arc<Shared<S, C>>;

    /// The record. It is named in the store from here on, and not before: a hit needs no name.
    #[doc(hidden)]
    fn site(self) -> Arc<Site<T, S, C>>;

    /// Whether each call asks the store: it stands in the policy too, where a hit does not look.
    #[doc(hidden)]
    fn always_asks(self) -> bool;

    #[doc(hidden)]
    fn hit(self) -> Option<Guard<'a, Entry<T>>>;

    #[doc(hidden)]
    fn peek(self) -> Option<Guard<'a, Entry<T>>>;

    #[doc(hidden)]
    fn answer(
        self,
        want: Want<'a>,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail>,
    ) -> Here<'a, T>;

    #[doc(hidden)]
    fn start(
        self,
        executor: &dyn Executor,
        accept: Accept,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail> + Send + 'static,
    ) -> Here<'a, T>;

    #[doc(hidden)]
    fn attempt(self, want: Want<'a>) -> Seat<'a, T>;

    /// The value that a look at the store brought last, where no copy is kept.
    #[doc(hidden)]
    fn last_read(self) -> Option<Arc<Entry<T>>>;

    #[doc(hidden)]
    fn note_read(self, entry: &Arc<Entry<T>>);
}

mod sealed {
    pub trait Sealed {}
}

/// A pile of one record.
#[derive(Debug)]
pub struct Alone<'a, T, S, C>(pub(crate) &'a FleetDogpile<T, S, C>);

impl<T, S, C> Clone for Alone<'_, T, S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, S, C> Copy for Alone<'_, T, S, C> {}

impl<T, S, C> sealed::Sealed for Alone<'_, T, S, C> {}

impl<'a, T, S, C> Alone<'a, T, S, C> {
    fn call(self, want: Want<'a>) -> Call<'a, Entry<T>> {
        let mut call = self.0.pile.call().accept(want.accept);
        if let Some(limit) = want.wait {
            call = call.wait(limit);
        }
        if let Some(limit) = want.max_age {
            call = call.max_age(limit);
        }
        match want.timer {
            Some(timer) => call.timer(timer),
            None => call,
        }
    }
}

impl<'a, T: Send + Sync, S, C> Alone<'a, T, S, C> {
    /// Not of the trait: the future of a method of a trait that takes a closure is not known to be `Send`
    /// where it is (rust-lang/rust#100013).
    pub(crate) fn answer_async<F: Future<Output = Result<Given<T>, Fail>>>(
        self,
        want: Want<'a>,
        create: impl FnOnce(Creating<'a, Entry<T>>) -> F,
    ) -> impl Future<Output = Here<'a, T>> {
        self.call(want).get_or_try_create_with_async(create)
    }
}

impl<'a, T: Send + Sync + 'static, S, C> Door<'a, T, S, C> for Alone<'a, T, S, C> {
    #[inline(always)]
    fn shared(self) -> &'a Arc<Shared<S, C>> {
        &self.0.site.shared
    }

    fn site(self) -> Arc<Site<T, S, C>> {
        Arc::clone(&self.0.site)
    }

    #[inline(always)]
    fn always_asks(self) -> bool {
        self.0.always_asks
    }

    #[inline(always)]
    fn hit(self) -> Option<Guard<'a, Entry<T>>> {
        self.0.pile.call().hit()
    }

    fn peek(self) -> Option<Guard<'a, Entry<T>>> {
        self.0.pile.peek()
    }

    fn answer(
        self,
        want: Want<'a>,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail>,
    ) -> Here<'a, T> {
        self.call(want).get_or_try_create_with(create)
    }

    fn start(
        self,
        executor: &dyn Executor,
        accept: Accept,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail> + Send + 'static,
    ) -> Here<'a, T> {
        let call = self.0.pile.background(executor).accept(accept);
        call.get_or_try_create_with(create)
    }

    fn attempt(self, want: Want<'a>) -> Seat<'a, T> {
        match self.call(want).attempt() {
            Attempt::Hit(guard) => Seat::Hit(guard),
            Attempt::Lease(lease) => Seat::Lease(lease),
            Attempt::Busy(busy) => Seat::Busy(busy.into_stale().ok()),
            Attempt::NotYet(not_yet) => Seat::NotYet(not_yet.retry_in),
        }
    }

    fn last_read(self) -> Option<Arc<Entry<T>>> {
        let read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.clone()
    }

    fn note_read(self, entry: &Arc<Entry<T>>) {
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        let before = read.replace(Arc::clone(entry));
        drop(read);
        drop(before);
    }
}

/// A key of many.
#[derive(Debug)]
pub struct AtKey<'a, 'q, K, T, S, C, Q: ?Sized> {
    pub(crate) map: &'a FleetKeyed<K, T, S, C>,
    pub(crate) key: &'q Q,
}

impl<K, T, S, C, Q: ?Sized> Clone for AtKey<'_, '_, K, T, S, C, Q> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, T, S, C, Q: ?Sized> Copy for AtKey<'_, '_, K, T, S, C, Q> {}

impl<K, T, S, C, Q: ?Sized> sealed::Sealed for AtKey<'_, '_, K, T, S, C, Q> {}

impl<'a, 'q, K, T, S, C, Q> AtKey<'a, 'q, K, T, S, C, Q>
where
    K: Eq + Hash + Borrow<Q> + Send + Sync,
    T: Send + Sync,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    fn call(self, want: Want<'a>) -> KeyedCall<'a, 'q, K, Entry<T>, std::hash::RandomState, Q> {
        let mut call = self.map.pile.call(self.key).accept(want.accept);
        if let Some(limit) = want.wait {
            call = call.wait(limit);
        }
        if let Some(limit) = want.max_age {
            call = call.max_age(limit);
        }
        match want.timer {
            Some(timer) => call.timer(timer),
            None => call,
        }
    }
}

impl<'a, K, T, S, C, Q> AtKey<'a, '_, K, T, S, C, Q>
where
    K: KeyBytes + Borrow<Q>,
    T: Send + Sync,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    pub(crate) async fn answer_async<F: Future<Output = Result<Given<T>, Fail>>>(
        self,
        want: Want<'a>,
        create: impl FnOnce(Creating<'a, Entry<T>>) -> F,
    ) -> Here<'a, T> {
        let answer = self.call(want).get_or_try_create_with_async(create).await;
        answer.map(KeyedGuard::into_guard)
    }
}

impl<'a, K, T, S, C, Q> Door<'a, T, S, C> for AtKey<'a, '_, K, T, S, C, Q>
where
    K: KeyBytes + Borrow<Q>,
    T: Send + Sync + 'static,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
{
    fn shared(self) -> &'a Arc<Shared<S, C>> {
        &self.map.many.shared
    }

    fn site(self) -> Arc<Site<T, S, C>> {
        self.map.many.site(self.key.to_owned())
    }

    fn always_asks(self) -> bool {
        self.map.reads.is_some()
    }

    fn hit(self) -> Option<Guard<'a, Entry<T>>> {
        self.map
            .pile
            .call(self.key)
            .hit()
            .map(KeyedGuard::into_guard)
    }

    fn peek(self) -> Option<Guard<'a, Entry<T>>> {
        self.map.pile.peek(self.key).map(KeyedGuard::into_guard)
    }

    fn answer(
        self,
        want: Want<'a>,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail>,
    ) -> Here<'a, T> {
        let answer = self.call(want).get_or_try_create_with(create);
        answer.map(KeyedGuard::into_guard)
    }

    fn start(
        self,
        executor: &dyn Executor,
        accept: Accept,
        create: impl FnOnce(Creating<'_, Entry<T>>) -> Result<Given<T>, Fail> + Send + 'static,
    ) -> Here<'a, T> {
        let call = self.map.pile.background(self.key, executor).accept(accept);
        let answer = call.get_or_try_create_with(create);
        answer.map(KeyedGuard::into_guard)
    }

    fn attempt(self, want: Want<'a>) -> Seat<'a, T> {
        match self.call(want).attempt() {
            KeyedAttempt::Hit(guard) => Seat::Hit(KeyedGuard::into_guard(guard)),
            KeyedAttempt::Lease(lease) => Seat::Lease(lease),
            KeyedAttempt::Busy(busy) => {
                Seat::Busy(busy.into_stale().ok().map(KeyedGuard::into_guard))
            }
            KeyedAttempt::NotYet(not_yet) => Seat::NotYet(not_yet.retry_in),
        }
    }

    fn last_read(self) -> Option<Arc<Entry<T>>> {
        let guard = self.map.reads.as_ref()?.peek(self.key)?;
        Some(Arc::clone(&guard))
    }

    fn note_read(self, entry: &Arc<Entry<T>>) {
        if let Some(reads) = &self.map.reads {
            reads.set(self.key.to_owned(), Arc::clone(entry));
        }
    }
}
