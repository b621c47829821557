//! Which values a call takes, and what a value is good for to that call.

use crate::policy::{Freshness, Use};

/// Which values a call takes; see [`Call::accept`](crate::Call::accept).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Accept {
    /// A fresh value, or a stale one while another caller is creating the next. The default.
    #[default]
    Stale,
    /// A fresh value only. While another caller is creating one, the call waits for it.
    Fresh,
    /// A value that is newer than the one seen, and was not expired since.
    ///
    /// For a caller that found a fault in the value it was given. While there is no newer value, the
    /// call creates one or waits for one.
    NewerThan(Seen),
    /// A value whose creation begins after this call.
    New,
}

/// The number of a value: a small token that stands for "what I saw".
///
/// [`Guard::seen`](crate::Guard::seen) and its likes give it. It goes to [`Accept::NewerThan`], and to
/// [`Dogpile::expire_if`](crate::Dogpile::expire_if), `invalidate_if` and `set_if`, of the pile whose
/// value was seen. Of two values of one pile the newer one has the higher number.
///
/// # Panics
///
/// In builds with debug assertions, the methods named above panic if the value was seen in another
/// pile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seen {
    pub(crate) number: u64,
    /// Zero where it is not known.
    #[cfg(debug_assertions)]
    pile: u64,
}

impl Seen {
    /// The value with this number, of the pile that is known by `pile` in debug builds.
    #[inline]
    pub(crate) fn new(number: u64, pile: u64) -> Self {
        let _ = pile;
        Self {
            number,
            #[cfg(debug_assertions)]
            pile,
        }
    }

    /// # Panics
    ///
    /// In debug builds, if it was seen in another pile than `pile`.
    #[track_caller]
    #[inline]
    pub(crate) fn assert_of(self, pile: u64) {
        #[cfg(debug_assertions)]
        assert!(
            self.pile == pile || self.pile == 0 || pile == 0,
            "a value was named as seen that belongs to another pile; name what was seen in this one"
        );
        let _ = pile;
    }
}

/// What has happened to a pile, for calls that do not take every value.
#[derive(Clone, Copy)]
pub(crate) struct Marks {
    /// The number of the last event. A creation with a higher number begins from now on.
    pub(crate) last: u64,
    /// The number of the last `expire`. A creation with a higher number began after it.
    pub(crate) expiry: u64,
}

impl Accept {
    /// The number that a value must exceed to answer a call that found the pile with these marks.
    pub(crate) fn newer_than(self, marks: Marks) -> u64 {
        match self {
            Accept::Stale => 0,
            Accept::Fresh => marks.expiry,
            Accept::NewerThan(seen) => seen.number.max(marks.expiry),
            Accept::New => marks.last,
        }
    }

    /// What a value with this number and freshness is good for.
    pub(crate) fn judge(self, newer_than: u64, number: u64, freshness: Freshness) -> Use {
        let new_enough = match self {
            Accept::Stale | Accept::Fresh => true,
            Accept::NewerThan(_) | Accept::New => number > newer_than,
        };
        match freshness {
            Freshness::Fresh if new_enough => Use::Now,
            Freshness::Due if new_enough => Use::Due,
            Freshness::Stale if new_enough && self != Accept::Fresh => Use::IfLeased,
            Freshness::Fallback if self == Accept::Stale => Use::Fallback,
            Freshness::Fresh
            | Freshness::Due
            | Freshness::Stale
            | Freshness::Fallback
            | Freshness::Gone => Use::No,
        }
    }
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    /// What values of all degrees of freshness are good for, that are as new as was asked for or older.
    #[test]
    fn a_value_is_judged_by_its_freshness_and_its_number() {
        let seen = Seen::new(7, 0);
        let judge = |accept: Accept, number| {
            [
                Freshness::Fresh,
                Freshness::Due,
                Freshness::Stale,
                Freshness::Fallback,
                Freshness::Gone,
            ]
            .map(|freshness| accept.judge(7, number, freshness))
        };
        for number in [7, 8] {
            let stale = [Use::Now, Use::Due, Use::IfLeased, Use::Fallback, Use::No];
            assert_eq!(judge(Accept::Stale, number), stale);
            let fresh = [Use::Now, Use::Due, Use::No, Use::No, Use::No];
            assert_eq!(judge(Accept::Fresh, number), fresh);
        }
        for accept in [Accept::NewerThan(seen), Accept::New] {
            assert_eq!(judge(accept, 7), [Use::No; 5]);
            let newer = [Use::Now, Use::Due, Use::IfLeased, Use::No, Use::No];
            assert_eq!(judge(accept, 8), newer);
        }
    }
}
