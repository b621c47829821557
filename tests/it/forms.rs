//! The forms of a call: the test of a promise goes through all of them.
//!
//! They are forms of [`KINDS`] of piles, which stand beside this module: those that the crate has, or
//! one more, of which its own tests show that it could have it.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use dogpile::observe::Stats;
use dogpile::{Accept, Builder, Created, Creating, Error, Origin};

use super::kinds::KINDS;

/// The error of the creators that all forms share.
#[derive(Debug, PartialEq)]
pub(crate) struct Down(pub(crate) u32);

/// A pile of some kind, and each of its forms of a call.
pub(crate) trait AnyPile: Send + Sync {
    fn kind(&self) -> &'static str;
    /// Whether its answers hold something that others may have to wait for.
    fn is_gated(&self) -> bool;
    /// Whether it can look values up that are kept elsewhere.
    fn looks_up(&self) -> bool;
    fn waiters(&self) -> usize;
    fn stats(&self) -> Stats;
    fn invalidate(&self);
    fn expire(&self);
    fn is_creating(&self) -> bool;
    fn has_value(&self) -> bool;
    fn peek(&self) -> Option<u32>;
    fn set(&self, value: u32);
    fn get(&self, form: &Form, create: Creator) -> Told;
    fn get_or_create(&self, form: &Form, create: Box<dyn FnOnce() -> u32 + Send>) -> Got;
}

/// Makes a pile of one kind.
pub(crate) type Kind = fn(Builder<u32>) -> Arc<dyn AnyPile>;

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

/// A form of a call on a pile of some kind: the test of a promise goes through all of them.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) pile: Arc<dyn AnyPile>,
    pub(crate) by: By,
    /// Whether the call looks the value up elsewhere, in vain.
    pub(crate) acquires: bool,
    pub(crate) accept: Accept,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, by, acquires) = (self.pile.kind(), self.by, self.acquires);
        write!(f, "{kind} {by:?} acquires: {acquires}")
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
            for of_kind in KINDS {
                let pile = of_kind(builder());
                if acquires && !pile.looks_up() {
                    continue;
                }
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

pub(crate) type Made = Result<Created<u32>, Down>;
pub(crate) type Creator = Box<dyn FnOnce(&Creating<'_, u32>) -> Made + Send>;
pub(crate) type Told = Result<(u32, Origin), Error<Down>>;
pub(crate) type Got = Result<(u32, Origin), Error<Infallible>>;

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
    pub(crate) fn get(&self, create: impl FnOnce() -> Made + Send + 'static) -> Told {
        self.get_telling(|_| create())
    }

    /// The same, with a creator that is told of its creation.
    pub(crate) fn get_telling(
        &self,
        create: impl FnOnce(&Creating<'_, u32>) -> Made + Send + 'static,
    ) -> Told {
        self.pile.get(self, Box::new(create))
    }

    /// A call in the infallible form, which `acquire` has not.
    pub(crate) fn get_or_create(&self, create: impl FnOnce() -> u32 + Send + 'static) -> Got {
        self.pile.get_or_create(self, Box::new(create))
    }
}

/// What a call with these options answers in the fallible form, of a kind that looks nothing up.
macro_rules! ask_kept {
    (task: $form:expr, $call:expr, $create:expr) => {{
        let call = $call.get_or_try_create_with_async(|creating| async move { $create(&creating) });
        block_on(call).map(|held| (*held, held.origin()))
    }};
    ($form:expr, $call:expr, $create:expr) => {
        $call
            .get_or_try_create_with(|creating| $create(&creating))
            .map(|held| (*held, held.origin()))
    };
}
#[allow(unused_imports)]
pub(crate) use ask_kept;

/// The same, of a kind that looks values up.
macro_rules! ask {
    (task: $form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => ask_kept!(task: $form, $call, $create),
            true => {
                let look = || async { Ok(Lookup::NeedRegeneration) };
                let call =
                    $call.acquire_with_async(|creating| async move { $create(&creating) }, look);
                block_on(call).map(|held| (*held, held.origin()))
            }
        }
    };
    ($form:expr, $call:expr, $create:expr) => {
        match $form.acquires {
            false => ask_kept!($form, $call, $create),
            true => $call
                .acquire_with(
                    |creating| $create(&creating),
                    || Ok(Lookup::NeedRegeneration),
                )
                .map(|held| (*held, held.origin())),
        }
    };
}
pub(crate) use ask;

/// The forms of a kind of pile, which has `call` and `background` and what is asked of any.
macro_rules! any_pile {
    ($pile:ty, $kind:literal, $is_gated:literal, $ask:ident) => {
        const _: () = {
            #[allow(unused_imports)]
            use super::forms::{By, Creator, Form, Got, Told, ask, ask_kept};
            use super::support::Shows as _;
            #[cfg(feature = "async")]
            use super::tasks::block_on;
            #[allow(unused_imports)]
            use dogpile::Lookup;
            #[cfg(feature = "async")]
            use dogpile::executor::Thread;

            impl AnyPile for Arc<$pile> {
                fn kind(&self) -> &'static str {
                    $kind
                }

                fn is_gated(&self) -> bool {
                    $is_gated
                }

                fn looks_up(&self) -> bool {
                    stringify!($ask) == "ask"
                }

                fn waiters(&self) -> usize {
                    (**self).waiters()
                }

                fn stats(&self) -> dogpile::observe::Stats {
                    (**self).stats()
                }

                fn invalidate(&self) {
                    (**self).invalidate();
                }

                fn expire(&self) {
                    (**self).expire();
                }

                fn is_creating(&self) -> bool {
                    (**self).is_creating()
                }

                fn has_value(&self) -> bool {
                    (**self).has_value()
                }

                fn peek(&self) -> Option<u32> {
                    (**self).peek().map(|held| *held)
                }

                fn set(&self, value: u32) {
                    (**self).set(value);
                }

                fn get(&self, form: &Form, create: Creator) -> Told {
                    match form.by {
                        By::Thread => $ask!(form, self.call().accept(form.accept), create),
                        #[cfg(feature = "async")]
                        By::Task => $ask!(task: form, self.call().accept(form.accept), create),
                        #[cfg(feature = "async")]
                        By::Background => {
                            $ask!(form, self.background(&Thread).accept(form.accept), create)
                        }
                        #[cfg(feature = "async")]
                        By::BackgroundTask => {
                            $ask!(task: form, self.background(&Thread).accept(form.accept), create)
                        }
                    }
                }

                fn get_or_create(
                    &self,
                    form: &Form,
                    create: Box<dyn FnOnce() -> u32 + Send>,
                ) -> Got {
                    let held = match form.by {
                        By::Thread => self.call().accept(form.accept).get_or_create(create),
                        #[cfg(feature = "async")]
                        By::Task => {
                            let call = self.call().accept(form.accept);
                            block_on(call.get_or_create_async(|| async { create() }))
                        }
                        #[cfg(feature = "async")]
                        By::Background => {
                            let call = self.background(&Thread).accept(form.accept);
                            call.get_or_create(create)
                        }
                        #[cfg(feature = "async")]
                        By::BackgroundTask => {
                            let call = self.background(&Thread).accept(form.accept);
                            block_on(call.get_or_create_async(|| async { create() }))
                        }
                    };
                    held.map(|held| (*held, held.origin()))
                }
            }
        };
    };
}
pub(crate) use any_pile;
