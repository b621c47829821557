//! White-box model of those who wait for the end of one lease.
//!
//! ```breakages
//! an-outcome-read-before-it-is-there | src/raw/wait/waiters.rs | an_outcome_is_looked_for_while_it_comes
//! - if !self.done.is_set() {
//! + if false {
//! ```

use loom::thread;

use super::explore;
use crate::raw::value::NodeRef;
use crate::raw::wait::{Ending, Waiters, Writers};
use crate::shim::Arc;
use crate::shim::model::Setting;
use crate::time::{Tick, Times};

/// It is there in full, or not at all.
#[test]
fn an_outcome_is_looked_for_while_it_comes() {
    explore(Setting::DEFAULT, 3, || {
        let waiters = Arc::new(Waiters::new(1, false, None));
        let group = Arc::clone(&waiters);
        let other = thread::spawn(move || {
            let node = NodeRef::new(
                7,
                Times::new(
                    Tick::ZERO,
                    Tick::MAX.saturating_since(Tick::ZERO),
                    Tick::MAX.saturating_since(Tick::ZERO),
                ),
                1,
            );
            group.complete(Ending::Value(node, Writers(Some(0))));
        });
        let value = || match waiters.outcome() {
            Some(Ending::Value(node, _)) => node.value().copied(),
            _ => None,
        };
        assert!(matches!(value(), None | Some(7)));
        other.join().unwrap();
        assert_eq!(value(), Some(7));
    });
}
