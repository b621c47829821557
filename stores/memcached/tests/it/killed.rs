//!
pub(crate) fn dies(_: &herd::Member) {}
pub(crate) fn waits(_: &herd::Member) {}
