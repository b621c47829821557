//! The forms of a call: the test of a promise goes through all of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use dogpile::{Accept, Builder, Created, Dogpile, Error, Lookup, Origin, SyncReaderDogpile};

use crate::support::Shows as _;

/// The error of the creators that all forms share.
#[derive(Debug, PartialEq)]
pub(crate) struct Down(pub(crate) u32);

/// A pile of either kind.
#[derive(Clone)]
pub(crate) enum AnyPile {
    Plain(Arc<Dogpile<u32>>),
    Reader(Arc<SyncReaderDogpile<u32>>),
}

/// The same with the pile of either kind.
macro_rules! on_pile {
    ($any:expr, |$pile:ident| $body:expr) => {
        match $any {
            AnyPile::Plain($pile) => $body,
            AnyPile::Reader($pile) => $body,
        }
    };
}

impl AnyPile {
    pub(crate) fn waiters(&self) -> usize {
        on_pile!(self, |pile| pile.waiters())
    }

    pub(crate) fn invalidate(&self) {
        on_pile!(self, |pile| pile.invalidate());
    }

    pub(crate) fn expire(&self) {
        on_pile!(self, |pile| pile.expire());
    }

    pub(crate) fn is_creating(&self) -> bool {
        on_pile!(self, |pile| pile.is_creating())
    }

    pub(crate) fn has_value(&self) -> bool {
        on_pile!(self, |pile| pile.has_value())
    }

    pub(crate) fn peek(&self) -> Option<u32> {
        on_pile!(self, |pile| pile.peek().map(|held| *held))
    }
}

/// Who calls, and who creates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    Thread,
    #[cfg(feature = "async")]
    Task,
    /// A thread calls, and a job creates.
    #[cfg(feature = "async")]
    Background,
    /// A task calls, and a job creates.
    #[cfg(feature = "async")]
    BackgroundTask,
}

/// A form of a call on a pile of either kind: the test of a promise goes through all of them.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) pile: AnyPile,
    pub(crate) by: By,
    /// Whether the call looks the value up elsewhere, in vain.
    pub(crate) acquires: bool,
    pub(crate) accept: Accept,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.pile {
            AnyPile::Plain(_) => "plain",
            AnyPile::Reader(_) => "reader",
        };
        write!(f, "{kind} {:?} acquires: {}", self.by, self.acquires)
    }
}

/// Runs `body` once for each form, each with a new pile.
pub(crate) fn each_form(builder: impl Fn() -> Builder<u32>, body: impl Fn(&Form)) {
    let by = [
        By::Thread,
        #[cfg(feature = "async")]
        By::Task,
        #[cfg(feature = "async")]
        By::Background,
        #[cfg(feature = "async")]
        By::BackgroundTask,
    ];
    for by in by {
        for acquires in [false, true] {
            let kinds = [
                AnyPile::Plain(Arc::new(builder().build())),
                AnyPile::Reader(Arc::new(builder().build_sync_reader())),
            ];
            for pile in kinds {
                let form = Form {
                    pile,
                    by,
                    acquires,
                    accept: Accept::Stale,
                };
                let shown = catch_unwind(AssertUnwindSafe(|| body(&form)));
                if let Err(payload) = shown {
                    eprintln!("in the form: {form:?}");
                    resume_unwind(payload);
                }
            }
        }
    }
}

type Told = Result<(u32, Origin), Error<Down>>;

/// What a call with these options answers in the fallible form.
macro_rules! ask {
    (task: $form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => {
                let call = $call.get_or_try_create_with_async(|_| async { $create() });
                crate::tasks::block_on(call).map(|held| (*held, held.origin()))
            }
            true => {
                let look = || async { Ok(Lookup::NeedRegeneration) };
                let call = $call.acquire_with_async(|_| async { $create() }, look);
                crate::tasks::block_on(call).map(|held| (*held, held.origin()))
            }
        }
    };
    ($form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => $call
                .get_or_try_create_with(|_| $create())
                .map(|held| (*held, held.origin())),
            true => $call
                .acquire_with(|_| $create(), || Ok(Lookup::NeedRegeneration))
                .map(|held| (*held, held.origin())),
        }
    };
}

impl Form {
    pub(crate) fn is_in_background(&self) -> bool {
        match self.by {
            By::Thread => false,
            #[cfg(feature = "async")]
            By::Task => false,
            #[cfg(feature = "async")]
            By::Background | By::BackgroundTask => true,
        }
    }

    /// How many wait for a creation that one of these callers was elected for: the elected one too,
    /// if a job creates.
    pub(crate) fn waiting_of(&self, callers: usize) -> usize {
        callers - usize::from(!self.is_in_background())
    }

    /// A call in the fallible form, and how its answer came about.
    pub(crate) fn get(
        &self,
        create: impl FnOnce() -> Result<Created<u32>, Down> + Send + 'static,
    ) -> Told {
        #[cfg(feature = "async")]
        use dogpile::executor::Thread;
        on_pile!(&self.pile, |pile| match self.by {
            By::Thread => ask!(self, pile.call().accept(self.accept), create),
            #[cfg(feature = "async")]
            By::Task => ask!(task: self, pile.call().accept(self.accept), create),
            #[cfg(feature = "async")]
            By::Background => {
                ask!(self, pile.background(&Thread).accept(self.accept), create)
            }
            #[cfg(feature = "async")]
            By::BackgroundTask => {
                ask!(task: self, pile.background(&Thread).accept(self.accept), create)
            }
        })
    }

    /// A call of a value that the pile keeps, with a creator that is told of its creation.
    pub(crate) fn get_telling(
        &self,
        create: impl FnOnce(&dogpile::Creating<'_, u32>) -> Result<Created<u32>, Down> + Send + 'static,
    ) -> Told {
        #[cfg(feature = "async")]
        use {crate::tasks::block_on, dogpile::executor::Thread};
        on_pile!(&self.pile, |pile| match self.by {
            By::Thread => {
                let held = pile
                    .call()
                    .get_or_try_create_with(|creating| create(&creating))?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Task => {
                let call = pile.call();
                let call =
                    call.get_or_try_create_with_async(|creating| async move { create(&creating) });
                let held = block_on(call)?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Background => {
                let call = pile.background(&Thread);
                let held = call.get_or_try_create_with(|creating| create(&creating))?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::BackgroundTask => {
                let call = pile.background(&Thread);
                let call =
                    call.get_or_try_create_with_async(|creating| async move { create(&creating) });
                let held = block_on(call)?;
                Ok((*held, held.origin()))
            }
        })
    }

    /// A call in the infallible form, which `acquire` has not.
    pub(crate) fn get_or_create(
        &self,
        create: impl FnOnce() -> u32 + Send + 'static,
    ) -> Result<(u32, Origin), Error<std::convert::Infallible>> {
        #[cfg(feature = "async")]
        use {crate::tasks::block_on, dogpile::executor::Thread};
        on_pile!(&self.pile, |pile| match self.by {
            By::Thread => {
                let held = pile.call().accept(self.accept).get_or_create(create)?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Task => {
                let call = pile.call().accept(self.accept);
                let held = block_on(call.get_or_create_async(|| async { create() }))?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::Background => {
                let call = pile.background(&Thread).accept(self.accept);
                let held = call.get_or_create(create)?;
                Ok((*held, held.origin()))
            }
            #[cfg(feature = "async")]
            By::BackgroundTask => {
                let call = pile.background(&Thread).accept(self.accept);
                let held = block_on(call.get_or_create_async(|| async { create() }))?;
                Ok((*held, held.origin()))
            }
        })
    }
}
