//! A door of a third kind gets every form of a call: here one that lets a few in at a time.

use std::time::Duration;

use futures::executor::block_on;

use crate::answer::Lookup;
use crate::answer::{Caller, Door, Entry, Opening, Sealed};
use crate::call::Attempt;
use crate::call::Call;
use crate::error::Error;
use crate::executor;
use crate::pile::Dogpile;
use crate::policy::Accept;
use crate::raw::Event;
use crate::shim::{Arc, Mutex};

/// How many may come in yet, and what is set when one has left.
#[derive(Clone, Copy)]
struct Few<'a>(&'a Mutex<(usize, Arc<Event>)>);

struct Ticket<'a>(Few<'a>);

impl Sealed for Few<'_> {}

impl<'a> Door for Few<'a> {
    type Pass = Ticket<'a>;
    const GATED: bool = true;

    fn try_enter(self, caller: Caller) -> Option<Ticket<'a>> {
        match self.enter(caller) {
            Entry::In(ticket) => Some(ticket),
            _ => None,
        }
    }

    fn enter(self, _caller: Caller) -> Entry<Ticket<'a>> {
        let mut few = self.0.lock();
        if few.0 == 0 {
            return Entry::Closed(Opening(Arc::clone(&few.1)));
        }
        few.0 -= 1;
        Entry::In(Ticket(self))
    }

    fn holds_pass(self, _caller: Caller) -> bool {
        false
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut few = self.0.0.lock();
        few.0 += 1;
        let opening = std::mem::replace(&mut few.1, Arc::new(Event::new()));
        drop(few);
        opening.set();
    }
}

struct Never;

impl executor::Timer for Never {
    fn sleep(&self, _: Duration) -> Option<executor::Sleep> {
        Some(Box::pin(std::future::pending()))
    }
}

#[test]
fn it_has_all_forms() {
    let few = Mutex::new((1, Arc::new(Event::new())));
    let pile = Arc::new(Dogpile::new(Duration::from_secs(60)));
    let call = || Call::new(pile.site(), Few(&few)).wait(Duration::ZERO);
    let hit = || Ok::<_, u8>(Lookup::Here(9));
    let timed_out = |error: Error<_>| matches!(error, Error::<u8>::TimedOut { .. });

    let guard = call().get_or_try_create(|| Ok::<_, u8>(7)).unwrap();
    assert!(call().get_or_try_create(|| Ok(8)).is_err_and(timed_out));
    assert!(call().acquire(|| Ok(8), hit).is_err_and(timed_out));
    let task = call()
        .timer(&Never)
        .get_or_try_create_async(|| async { Ok(8) });
    assert!(block_on(task).is_err_and(timed_out));
    assert!(matches!(call().attempt(), Attempt::Busy(_)));
    drop(guard);

    assert_eq!(*call().acquire(|| Ok(8), hit).unwrap(), 9);
    let task = call().acquire_async(|| async { Ok(8) }, || async { hit() });
    assert_eq!(*block_on(task).unwrap(), 9);
    let background = || {
        let call = call().accept(Accept::New).wait(Duration::MAX);
        call.by(pile.background(&executor::Thread).mode)
    };
    assert_eq!(*background().get_or_create(|| 8).unwrap(), 8);
    let task = background().get_or_create_async(|| async { 10 });
    assert!(matches!(block_on(task), Err(Error::NoTimer)));
    assert!(background().renew(|| Ok::<_, u8>(11)).unwrap());
}
