//! `fleet_invalidate_wins`: after `invalidate` returned, no call of this process yields what began before.
//! The same of a whole namespace, whichever pile of it was told.
//!
//! ```breakages
//! fleet-invalidation-stays-at-the-store | fleet/src/site.rs
//! @ pub(crate) fn change(
//! - Depth::Hard => self.place.invalidate(),
//! + Depth::Hard => {}
//!
//! fleet-tells-no-sibling | fleet/src/write.rs | of_a_namespace
//! @ fn begin_to_invalidate_all(
//! - &self.namespace
//! + "another"
//!
//! fleet-invalidates-siblings-first | fleet/src/write.rs | of_a_namespace
//! @ pub(crate) fn invalidate_all(
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

#[test]
fn of_a_namespace_over_a_look_at_the_store() {
    model(|| {
        let [here, there] = Process::several();
        there.pile("key").set(vec![1]).unwrap();
        let (pile, another) = (here.pile("key"), here.pile("another"));
        let reader = {
            let pile = pile.clone();
            thread::spawn(move || drop(pile.get_or_create(|_| vec![2]).unwrap()))
        };
        another.invalidate_all().unwrap();
        assert_ne!(pile.peek().map(|guard| guard[0]), Some(1));
        reader.join().unwrap();
        assert_ne!(pile.peek().map(|guard| guard[0]), Some(1));
    });
}
