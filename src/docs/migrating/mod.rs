//! From what you have now: before, what was wrong, after.
//!
//! | I have | page |
//! |---|---|
//! | Python's dogpile.core or dogpile.cache | [`python`] |
//! | moka's `get_with` or `try_get_with` | [`moka`] |
//! | a `Mutex<Option<(T, Instant)>>`, or an `ArcSwap` with a flag | [`by_hand`] |
//!
//! Every program on these pages is compiled and run as a test.

pub mod by_hand;
pub mod moka;
pub mod python;
