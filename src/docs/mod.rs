//! The handbook. These are pages of documentation: they hold no code.
//!
//! | page | what it is for |
//! |---|---|
//! | [`recipes`] | a task, and a program that does it: copy it and change the names |
//! | [`pitfalls`] | what goes wrong, and how to avoid it |
//! | [`migrating`] | from Python's dogpile, from moka, from a lock and a time stamp |
//! | [`performance`] | what a hit, a wait and a creation cost |
//! | [`promises`] | what holds whatever happens: each promise has a name, and tests under that name |
//!
//! The [front page](crate) says which call to use. The type pages say what each call does.

// Some pages link to what only some features bring. Without those features such a link is plain text.
#![cfg_attr(
    not(all(
        feature = "async",
        feature = "tokio",
        feature = "smol",
        feature = "rayon",
        feature = "tracing"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

pub mod migrating;
pub mod performance;
pub mod pitfalls;
pub mod promises;
pub mod recipes;
