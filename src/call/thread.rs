//! A call made by a thread: it creates, and sleeps, where it stands.

use crate::answer::Guard;
use crate::answer::Lease;
use crate::answer::Lookup;
use crate::answer::{Caller, Door, GateHold};
use crate::answer::{Created, Creating};
use crate::call::Call;
use crate::call::way::{Kept, Report, Source, Step, Stop, Way};
use crate::error::Error;
use crate::shim::Arc;
use crate::time::Tick;

impl<'a, T, D: Door> Call<'a, T, D> {
    /// The long way of a call for a value that the pile keeps.
    #[cold]
    #[inline(never)]
    pub(crate) fn create_or_wait<E: Send + Sync + 'static>(
        self,
        heeds_failures: bool,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> Result<Guard<'a, T, D::Pass>, Error<E>> {
        let way = Way::new(Caller::Thread, heeds_failures, Kept);
        self.drive(way, self.here(create), || {
            unreachable!("it looks nothing up")
        })
    }

    /// Runs the creator of whom the lease was granted to, on this thread.
    pub(crate) fn here<E: Send + Sync + 'static>(
        self,
        create: impl FnOnce(Creating<'_, T>) -> Result<Created<T>, E>,
    ) -> impl FnOnce(Lease<'a, T>, Option<Arc<Report<T>>>) -> Result<Option<Guard<'a, T>>, Error<E>>
    {
        move |lease, _| {
            let _gate_hold = GateHold::new(self.door, lease.fence());
            lease.create(create).map(Some)
        }
    }

    /// Goes the way to its end. `lead` is what the elected call does, `look_up` puts what it finds
    /// into the source.
    pub(crate) fn drive<S: Source<'a, T, D::Pass>, E: Send + Sync + 'static>(
        &self,
        mut way: Way<'a, T, D::Pass, S, S::Found>,
        lead: impl FnOnce(
            Lease<'a, T>,
            Option<Arc<Report<T>>>,
        ) -> Result<Option<Guard<'a, T>>, Error<E>>,
        get: impl FnOnce() -> Result<Lookup<T>, E>,
    ) -> Result<S::Answer, Error<E>> {
        let time = &self.place.settings.time;
        let mut deadline = self.wait.map(|limit| time.now().saturating_add(limit));
        // The limit is one to waiting, and does not count the time of the caller's own functions.
        let prolong = |deadline: &mut Option<Tick>, since: Option<Tick>| {
            if let Some((deadline, since)) = deadline.as_mut().zip(since) {
                *deadline = deadline.saturating_add(time.now().saturating_since(since));
            }
        };
        let (mut lead, mut get) = (Some(lead), Some(get));
        let mut step = way.step(self);
        loop {
            match step {
                Step::Answer(answer) => return Ok(answer),
                Step::Stop(stop) => return Err(stop.into_error()),
                Step::LookUp => {
                    let since = deadline.map(|_| time.now());
                    let get = get.take().expect("looked up once");
                    way.found(self, get().map_err(Error::Get)?);
                    prolong(&mut deadline, since);
                }
                Step::Create(lease) => {
                    let since = deadline.map(|_| time.now());
                    let lead = lead.take().expect("granted once");
                    let made = lead(lease, way.report())?;
                    prolong(&mut deadline, since);
                    if let Some(next) = made.and_then(|guard| way.made(self, guard, true)) {
                        step = next;
                        continue;
                    }
                }
                Step::Wait => {
                    let event = way.event().expect("it waits for something");
                    if !event.wait(time, deadline) {
                        let limit = self.wait.unwrap_or_default();
                        return Err(Stop::TimedOut(limit).into_error());
                    }
                }
            }
            step = way.step(self);
        }
    }
}
