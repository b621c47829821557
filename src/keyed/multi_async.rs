//! Calls for several keys at once, for tasks.

// An `async fn` holds its arguments twice, as such and as locals; a block does not.
#![allow(clippy::manual_async_fn)]

use std::borrow::Borrow;
use std::convert::Infallible;
use std::future::Future;
use std::hash::{BuildHasher, Hash};

use crate::answer::{Caller, Created};
use crate::call::election::{Election, Failures, Role};
use crate::call::task::Limit;
use crate::error::Error;
use crate::keyed::call::Asked;
use crate::keyed::multi::{Keys, Several};
use crate::keyed::{KeyedDogpile, KeyedGuard};
use crate::reentrancy::InsideAll;

/// # Several keys, async
impl<K, T, S> KeyedDogpile<K, T, S>
where
    K: Eq + Hash + Send + Sync,
    T: Send + Sync,
    S: BuildHasher,
{
    /// As [`get_or_create_multi`](KeyedDogpile::get_or_create_multi), for tasks.
    ///
    /// # Panics
    ///
    /// As [`get_or_create_multi`](KeyedDogpile::get_or_create_multi).
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any await point. The leases that it holds are given up. What was published
    /// stays.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use dogpile::KeyedDogpile;
    /// # futures::executor::block_on(async {
    /// let squares = KeyedDogpile::new(Duration::from_secs(60));
    /// let answers = squares.get_or_create_multi_async(&[1, 2], |wanted: Vec<&u32>| async move {
    ///     wanted.into_iter().map(|root| (*root, root * root))
    /// });
    /// assert_eq!(**answers.await[1].as_ref().unwrap(), 4);
    /// # });
    /// ```
    pub fn get_or_create_multi_async<'a, 'k, Q, V, I, F>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        mut create: impl FnMut(Vec<&'k Q>) -> F,
    ) -> impl Future<Output = Vec<Option<KeyedGuard<'a, K, T>>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        I: IntoIterator<Item = (K, V)>,
        F: Future<Output = I>,
    {
        let create = move |wanted| {
            let created = create(wanted);
            async {
                let created = created.await.into_iter();
                Ok::<_, Infallible>(created.map(|(key, value)| (key, Ok(value))))
            }
        };
        async move {
            let answer = |answer: Result<_, Error<Infallible>>| match answer {
                Ok(guard) => Some(guard),
                Err(Error::Missing) => None,
                Err(error) => panic!(
                    "KeyedDogpile::get_or_create_multi_async: {error} \
                     (get_or_try_create_multi_async returns this as an error)"
                ),
            };
            let answers = self.multi_async(keys, Failures::Pressed, create).await;
            answers.into_iter().map(answer).collect()
        }
    }

    /// As [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi), for tasks.
    ///
    /// # Errors
    ///
    /// As [`get_or_try_create_multi`](KeyedDogpile::get_or_try_create_multi).
    ///
    /// # Panics
    ///
    /// If `create` does.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_create_multi_async`](KeyedDogpile::get_or_create_multi_async).
    pub fn get_or_try_create_multi_async<'a, 'k, Q, V, E, I, F>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        create: impl FnMut(Vec<&'k Q>) -> F,
    ) -> impl Future<Output = Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
        F: Future<Output = Result<I, E>>,
    {
        self.multi_async(keys, Failures::Taken, create)
    }

    fn multi_async<'a, 'k, Q, V, E, I, F>(
        &'a self,
        keys: impl IntoIterator<Item = &'k Q>,
        failures: Failures,
        mut create: impl FnMut(Vec<&'k Q>) -> F,
    ) -> impl Future<Output = Vec<Result<KeyedGuard<'a, K, T>, Error<E>>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized + 'k,
        V: Into<Created<T>>,
        E: Send + Sync + 'static,
        I: IntoIterator<Item = (K, Result<V, E>)>,
        F: Future<Output = Result<I, E>>,
    {
        async move {
            let time = &self.shared.settings().time;
            let mut keys = Keys::of(keys);
            let open = keys.take_hits(|key| self.call(key).hit());
            let visits = self.visit_several(&open);
            let turn = self.shared.turn();
            let election = |source| Election::new(Caller::Task, Role::Creates, failures, source);
            let mut all = Several::new(&visits, Asked::DEFAULT, turn, election);
            loop {
                let leases = all.step();
                if !leases.is_empty() {
                    let wanted: Vec<_> = leases.iter().map(|(at, _)| open[*at]).collect();
                    let inside = all.creations(&leases);
                    let creation = InsideAll::new(inside, || create(wanted.clone()));
                    let created = match creation {
                        Ok(creation) => creation.await,
                        Err(panic) => Err(panic),
                    };
                    all.publish(leases, &wanted, created);
                    continue;
                }
                let Some(awaited) = all.awaited() else {
                    break;
                };
                let mut limit = Limit::new(None, None);
                limit.set_overdue(all.overdue_from().filter(|_| time.wakes()));
                let waited = limit.wait(time, awaited.event).await;
                debug_assert!(waited.is_ok(), "without a limit it needs no timer");
            }
            keys.answers(all.end())
        }
    }
}
