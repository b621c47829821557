//! `fleet_invalidate_wins`: after `invalidate` returned, no call of this process yields what began before.
//! The same of a whole namespace, whichever pile of it was told.
//!
//! ```breakages
//! fleet-invalidation-stays-at-the-store | fleet/src/shared.rs
//! @ pub(crate) fn change(
//! - Depth::Hard => self.pile.invalidate(),
//! + Depth::Hard => {}
//!
//! fleet-tells-no-sibling | fleet/src/write.rs | of_a_namespace
//! @ fn begin_to_invalidate_all(
//! - shared.key.namespace()
//! + "another"
//!
//! fleet-invalidates-siblings-first | fleet/src/write.rs | of_a_namespace
//! @ fn invalidate_all_to(
//! - let _here = self.begin_to_invalidate_all(depth);
//! + drop(self.begin_to_invalidate_all(depth));
//! ```

use loom_tests::thread;
use loom_tests::{Process, model};

#[test]
fn over_a_creation_that_runs() {
    model(|| {
        let [process] = Process::several();
        let pile = process.pile("key");
        let mut remover = None;
        let made = pile.get_or_create(|_| {
            let pile = pile.clone();
            remover = Some(thread::spawn(move || {
                pile.invalidate().unwrap();
                assert!(pile.peek().is_none());
            }));
            vec![1]
        });
        drop(made.unwrap());
        remover.expect("it was elected").join().unwrap();
        assert!(pile.peek().is_none());
        assert_eq!(process.stored(pile.key()), None);
    });
}

#[test]
fn of_a_namespace_over_a_creation_of_another_key() {
    model(|| {
        let [process] = Process::several();
        let (pile, another) = (process.pile("key"), process.pile("another"));
        let mut remover = None;
        let made = pile.get_or_create(|_| {
            let (pile, another) = (pile.clone(), another.clone());
            remover = Some(thread::spawn(move || {
                another.invalidate_all().unwrap();
                assert!(pile.peek().is_none());
            }));
            vec![1]
        });
        drop(made.unwrap());
        remover.expect("it was elected").join().unwrap();
        assert!(pile.peek().is_none());
        assert_eq!(process.stored(pile.key()), None);
    });
}
