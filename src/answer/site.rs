//! A pile with its settings, and the ways to hold one.

use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::answer::Settings;
#[cfg(feature = "async")]
use crate::executor::JobId;
use crate::raw::{Gate, Pile};
#[cfg(feature = "async")]
use crate::reentrancy::Creation;
#[cfg(feature = "async")]
use crate::shim::ArcWeak;
use crate::shim::{Arc, process_seed};

/// A borrowed pile, of whatever kind: what calls and leases work on.
pub(crate) struct Site<'a, T> {
    pub(crate) settings: &'a Settings,
    pub(crate) pile: &'a Pile<T>,
    /// The gate of its readers, if it has one.
    pub(crate) gate: Option<&'a Gate>,
}

impl<T> Clone for Site<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Site<'_, T> {}

impl<T> Site<'_, T> {
    /// What the draws of the pile follow from. Unless it was said, no two piles have the same, nor has
    /// one pile in two processes.
    pub(crate) fn seed(&self) -> u64 {
        let address: *const Pile<T> = self.pile;
        let own = || process_seed() ^ address.addr() as u64;
        self.settings.policy.seed.unwrap_or_else(own)
    }
}

// As for the pile itself.
impl<T: RefUnwindSafe> UnwindSafe for Site<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Site<'_, T> {}

/// What has a site: a kind of pile.
pub(crate) trait HasSite<T> {
    fn site(&self) -> Site<'_, T>;

    /// The job that this creation is a part of, if there is one for several.
    #[cfg(feature = "async")]
    fn job_of(&self, creation: Creation) -> Option<JobId> {
        let _ = creation;
        None
    }
}

/// How a lease holds its pile: borrowed, or by an `Arc` of whatever kind of pile it is.
pub(crate) enum Anchor<'a, T> {
    Borrowed(Site<'a, T>),
    Owned(Arc<dyn HasSite<T> + Send + Sync + 'a>),
}

impl<T> Anchor<'_, T> {
    pub(crate) fn site(&self) -> Site<'_, T> {
        match self {
            Anchor::Borrowed(site) => *site,
            Anchor::Owned(pile) => pile.site(),
        }
    }
}

impl<T> Clone for Anchor<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Anchor::Borrowed(site) => Anchor::Borrowed(*site),
            Anchor::Owned(pile) => Anchor::Owned(Arc::clone(pile)),
        }
    }
}

/// How a pile is held by what must not keep it alive.
#[cfg(feature = "async")]
pub(crate) enum WeakAnchor<T: 'static> {
    Static(Site<'static, T>),
    Shared(ArcWeak<dyn HasSite<T> + Send + Sync>),
}

#[cfg(feature = "async")]
impl<T> WeakAnchor<T> {
    /// The pile, unless it is gone.
    pub(crate) fn upgrade(&self) -> Option<Anchor<'static, T>> {
        match self {
            WeakAnchor::Static(site) => Some(Anchor::Borrowed(*site)),
            WeakAnchor::Shared(pile) => pile.upgrade().map(Anchor::Owned),
        }
    }
}

// As for the pile itself.
impl<T: RefUnwindSafe> UnwindSafe for Anchor<'_, T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Anchor<'_, T> {}
