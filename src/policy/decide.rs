//! Who is answered, who creates, who waits: one decision for all calls.

use std::time::Duration;

/// What the current value is good for to one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// It is the answer, whoever holds the lease.
    Now,
    /// It is fresh, and to be renewed by whoever can have the lease.
    Due,
    /// It is stale: the answer while the lease cannot be had.
    IfLeased,
    /// It is the answer instead of a failure.
    Fallback,
    /// It is no answer, or there is no value.
    No,
}

impl Use {
    /// Whether the call would take it now, were it not for the renewal.
    pub(crate) fn is_usable(self) -> bool {
        match self {
            Use::Now | Use::Due | Use::IfLeased => true,
            Use::Fallback | Use::No => false,
        }
    }
}

/// Whether the lease can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Availability {
    Free,
    /// Somebody holds it.
    Held,
    /// Nobody does, and none may be granted for so long: the pile backs off, or keeps its interval.
    NotYet(Duration),
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// It gets the value at once.
    Answer,
    /// It gets the lease.
    Elect,
    /// It waits for the end of the lease.
    Wait,
    /// It gets what stands in for a new value, or else is told to come back.
    BackOff(Duration),
}

/// The rows of the contract's table. `decisions.txt` beside this file shows them as a user sees them,
/// and a test holds the two against each other.
pub(crate) fn decide(usable: Use, lease: Availability) -> Decision {
    match (usable, lease) {
        (Use::Now, _) => Decision::Answer,
        (_, Availability::Free) => Decision::Elect,
        (Use::Due | Use::IfLeased, _) => Decision::Answer,
        (Use::Fallback | Use::No, Availability::Held) => Decision::Wait,
        (Use::Fallback | Use::No, Availability::NotYet(retry_in)) => Decision::BackOff(retry_in),
    }
}
