//! `store_first`: a write or an invalidation is at the store before the copy of this process changes; what
//! this process read before is then superseded.
//!
//! ```breakages
//! fleet-trusts-a-write-that-overlapped | fleet/src/writes.rs
//! @ pub(crate) fn ends(
//! - let alone = number > now.overlapped;
//! + let alone = true;
//!
//! fleet-forgets-writes-that-ended-before | fleet/src/writes.rs
//! @ pub(crate) fn ends(
//! - let alone = number > now.overlapped;
//! + let alone = number == now.begun && now.begun == now.ended;
//!
//! fleet-lends-over-a-write-that-ran | fleet/src/writes.rs | what_was_read
//! @ pub(crate) fn place_unless_written(
//! - let unwritten = now.begun == now.ended && now.begun + now.ended == so_far;
//! + let unwritten = now.begun == now.ended;
//!
//! fleet-places-two-at-once | fleet/src/writes.rs
//! @ fn place(
//! - now.placing.is_some_and(|other| other != me)
//! + false
//!
//! fleet-changes-the-copy-first | fleet/src/write.rs
//! @ fn invalidate_to(
//! - let write = self.begin_to_invalidate(depth);
//! - let answer = self.shared.store.invalidate(self.key(), depth, only);
//! + drop(self.begin_to_invalidate(depth));
//! + let answer = self.shared.store.invalidate(self.key(), depth, only);
//! + let write = self.begin_write(End::Stale);
//! ```

use loom_tests::thread;
use loom_tests::{Process, model};

#[test]
fn two_writes_of_one_process() {
    model(|| {
        let [process] = Process::several();
        let pile = process.pile("key");
        let other = {
            let pile = pile.clone();
            thread::spawn(move || pile.set(vec![1]).unwrap())
        };
        pile.set(vec![2]).unwrap();
        other.join().unwrap();
        let there = process.stored(pile.key()).map(|(number, _)| number);
        let here = pile.peek().map(|guard| guard[0]);
        assert!(here.is_none() || here == there, "{here:?}, {there:?}");
    });
}

#[test]
fn a_write_and_an_invalidation_of_one_process() {
    model(|| {
        let [process] = Process::several();
        let pile = process.pile("key");
        let other = {
            let pile = pile.clone();
            thread::spawn(move || pile.set(vec![1]).unwrap())
        };
        pile.invalidate().unwrap();
        // What is here from now on was written after it, and so the store has it.
        let here = pile.peek().map(|guard| guard[0]);
        let there = process.stored(pile.key()).map(|(number, _)| number);
        assert!(here.is_none() || here == there, "{here:?}, {there:?}");
        other.join().unwrap();
        let there = process.stored(pile.key()).map(|(number, _)| number);
        let here = pile.peek().map(|guard| guard[0]);
        assert!(here.is_none() || here == there, "{here:?}, {there:?}");
    });
}

/// A process that has no copy lends what the store has, stale, while it creates the next: not over what was
/// written here meanwhile.
#[test]
fn what_was_read_before_a_write_is_not_lent_after_it() {
    model(|| {
        let [here, there] = Process::several();
        let (pile, other) = (here.pile("key"), there.pile("key"));
        other.set(vec![1]).unwrap();
        other.expire().unwrap();
        let writer = {
            let pile = pile.clone();
            thread::spawn(move || {
                pile.set(vec![2]).unwrap();
                assert_ne!(pile.peek().map(|guard| guard[0]), Some(1));
            })
        };
        let made = pile.get_or_create(|_| vec![3]);
        drop(made.unwrap());
        writer.join().unwrap();
        assert_ne!(pile.peek().map(|guard| guard[0]), Some(1));
    });
}
