//! A door of a third kind gets every form of a call: here one that lets a few in at a time. The tests
//! of the promises run over it as they run over the two doors that there are.

use std::ops::Deref;
use std::time::Duration;

use crate::answer::{Caller, Door, Entry, Opening, Sealed};
use crate::call::{Attempt, Background, Call};
use crate::error::Error;
use crate::executor;
use crate::pile::Dogpile;
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

    fn writers(self) -> u64 {
        0
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

/// A pile with such a door.
struct FewAtATime {
    pile: Arc<Dogpile<u32>>,
    few: Mutex<(usize, Arc<Event>)>,
}

impl FewAtATime {
    fn new(pile: Dogpile<u32>, few: usize) -> Self {
        Self {
            pile: Arc::new(pile),
            few: Mutex::new((few, Arc::new(Event::new()))),
        }
    }

    fn call(&self) -> Call<'_, u32, Few<'_>> {
        Call::new(self.pile.site(), Few(&self.few))
    }

    fn background<'a, 'e>(
        &'a self,
        executor: &'e dyn executor::Executor,
    ) -> Background<'a, 'e, u32, Few<'a>> {
        self.call().by(self.pile.background(executor).mode)
    }
}

impl Deref for FewAtATime {
    type Target = Dogpile<u32>;

    fn deref(&self) -> &Dogpile<u32> {
        &self.pile
    }
}

#[test]
fn it_keeps_callers_out() {
    let pile = FewAtATime::new(Dogpile::new(Duration::from_secs(60)), 1);
    let call = || pile.call().wait(Duration::ZERO);
    let guard = call().get_or_try_create(|| Ok::<_, u8>(7)).unwrap();
    let timed_out = call().get_or_try_create(|| Ok::<_, u8>(8));
    assert!(matches!(timed_out, Err(Error::TimedOut { .. })));
    assert!(matches!(call().attempt(), Attempt::Busy(_)));
    drop(guard);
    assert_eq!(*call().get_or_try_create(|| Ok::<_, u8>(8)).unwrap(), 7);
}

#[path = "../../tests/it/every_form.rs"]
mod every_form;
#[allow(dead_code)]
#[path = "../../tests/it/forms.rs"]
mod forms;
#[allow(dead_code)]
#[path = "../../tests/it/support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../../tests/it/tasks.rs"]
mod tasks;

mod kinds {
    use super::FewAtATime;
    use super::forms::{AnyPile, Kind, any_pile};
    use crate::shim::Arc;

    pub(crate) const KINDS: [Kind; 1] =
        [|builder| Arc::new(Arc::new(FewAtATime::new(builder.build(), 1)))];

    any_pile!(FewAtATime, "few at a time", true, ask);
}
