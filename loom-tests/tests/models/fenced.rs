//! `fenced`: of two processes, the one that comes too late overwrites nothing. It is told, and its value
//! goes to its own caller alone.
//!
//! ```breakages
//! fleet-commits-without-its-lease | fleet/src/thread.rs
//! @ pub(crate) fn commit(
//! - let put = self.put(Guarded::Lease(grant), bytes);
//! + let put = self.put(Guarded::Any, bytes);
//!
//! fleet-publishes-what-was-refused | fleet/src/site.rs
//! @ Fate::Superseded(fence) => {
//! - entry.created(Duration::ZERO, Duration::ZERO).superseded()
//! + entry.created(Duration::ZERO, policy.local)
//!
//! fleet-store-forgets-the-owner | fleet/src/record.rs
//! @ pub fn holds(
//! - self.owner != 0 && self.owner == grant.owner.0 && self.generation == grant.fence.0
//! + self.owner == 0 || self.owner == grant.owner.0
//! ```

use dogpile::Origin;
use dogpile_fleet::FleetGuard;
use loom_tests::thread;
use loom_tests::{Process, model};

#[test]
fn a_commit_against_the_write_of_another_process() {
    model(|| {
        let [here, there] = Process::several();
        let (pile, other) = (here.pile("key"), there.pile("key"));
        let mut writer = None;
        let made = pile.get_or_create(|_| {
            let other = other.clone();
            writer = Some(thread::spawn(move || other.set(vec![2]).unwrap()));
            vec![1]
        });
        let made = made.unwrap();
        let told = FleetGuard::origin(&made);
        assert_eq!(*made, [1], "its own caller has it");
        drop(made);
        let version = writer.expect("it was elected").join().unwrap();
        // The lease began before the write, so whichever verb was first: the write is what is left.
        assert_eq!(here.stored(pile.key()), Some((2, version)));
        let kept = pile.peek().map(|guard| guard[0]);
        match told {
            // It was stored first, and is a copy as any other.
            Origin::CreatedHere => assert_eq!(kept, Some(1)),
            Origin::Superseded => assert_eq!(kept, None),
            other => panic!("{other:?}"),
        }
        let next = pile.get_or_create(|_| unreachable!("there is a value"));
        let next = next.unwrap();
        assert_eq!(next[0], if told == Origin::Superseded { 2 } else { 1 });
    });
}

#[test]
fn a_commit_against_the_invalidation_of_a_namespace() {
    model(|| {
        let [here, there] = Process::several();
        let (pile, other) = (here.pile("key"), there.pile("another"));
        let mut remover = None;
        let made = pile.get_or_create(|_| {
            let other = other.clone();
            remover = Some(thread::spawn(move || other.invalidate_all().unwrap()));
            vec![1]
        });
        let told = FleetGuard::origin(&made.unwrap());
        remover.expect("it was elected").join().unwrap();
        assert_eq!(here.stored(pile.key()), None);
        assert_eq!(pile.peek().is_none(), told == Origin::Superseded);
    });
}
