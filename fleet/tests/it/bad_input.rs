//! What a store in a directory meets: a path that is none, a directory that goes or turns into
//! something else, values that are too large, files that others put there.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use dogpile_fleet::{
    Ask, FileStore, FleetDogpile, FleetGuard, Key, Owner, Store, StoreErrorKind, Version,
};
use herd::Scratch;

use crate::bench::{SECOND, make, manual_clock, never, wait_until};

type Pile = FleetDogpile<String, FileStore>;

#[test]
fn a_path_that_cannot_be_a_directory_is_an_error() {
    let scratch = Scratch::new("dogpile-bad");
    let file = scratch.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(FileStore::open(&file).is_err());
    assert!(FileStore::open(file.join("below")).is_err());
    // One that is missing is made, however deep.
    FileStore::open(scratch.path().join("a/b/c")).unwrap();
}

#[test]
fn a_directory_that_is_removed_is_made_anew() {
    let scratch = Scratch::new("dogpile-bad");
    let store = Arc::new(FileStore::open(scratch.path().join("store")).unwrap());
    let pile: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60)
        .local_ttl(Duration::ZERO)
        .build();
    for value in ["one", "two"] {
        let made = pile.get_or_try_create(make(value)).unwrap();
        assert_eq!(**made, *value);
        drop(made);
        fs::remove_dir_all(store.directory()).unwrap();
    }
    // In the middle of a creation: what the lease was of is gone, and so is the lease.
    let made = pile.get_or_try_create(|_| {
        fs::remove_dir_all(store.directory()).unwrap();
        Ok::<_, String>("three".to_owned())
    });
    assert_eq!(**made.unwrap(), *"three");
    assert_eq!(**pile.get_or_try_create(make("four")).unwrap(), *"four");
    assert_eq!(pile.stats().superseded, 1);
}

#[test]
fn a_store_that_cannot_be_written_serves_what_there_is() {
    let scratch = Scratch::new("dogpile-bad");
    let clock = manual_clock();
    let builder = FileStore::builder(scratch.path()).clock(clock.clone());
    let store = Arc::new(builder.open().unwrap());
    let pile: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10)
        .clock(clock.clone())
        .build();
    pile.set("old".to_owned()).unwrap();
    // Where the locks are there is a file now.
    let stripes = scratch.path().join("stripes");
    fs::remove_dir_all(&stripes).unwrap();
    fs::write(&stripes, b"").unwrap();
    let error = store.get_or_lease(&Key::new("", "x", 0), &Ask::lead(Owner::draw(), SECOND));
    assert_eq!(error.unwrap_err().kind, StoreErrorKind::Refused);
    // Reading takes no lock: a fresh value is read. A stale one is served.
    let other: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 10)
        .clock(clock.clone())
        .build();
    assert_eq!(**other.get_or_try_create(never).unwrap(), *"old");
    clock.advance(SECOND * 20);
    assert_eq!(**pile.get_or_try_create(never).unwrap(), *"old");
    assert!(pile.stats().store_errors > 0);
    assert!(pile.invalidate().is_err());
    assert_eq!(**pile.get_or_try_create(make("here")).unwrap(), *"here");
    assert_eq!(pile.stats().unstored, 1);
}

#[test]
fn a_value_that_is_too_large_is_its_callers_and_is_not_stored() {
    let scratch = Scratch::new("dogpile-bad");
    let store = FileStore::builder(scratch.path())
        .max_value(1_000)
        .open()
        .unwrap();
    let store = Arc::new(store);
    let build =
        || -> Pile { FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60).build() };
    let (a, b) = (build(), build());
    let large = "x".repeat(2_000);
    let made = a
        .get_or_try_create(|_| Ok::<_, String>(large.clone()))
        .unwrap();
    assert_eq!(
        (made.len(), FleetGuard::version(&made)),
        (2_000, Version::NONE)
    );
    drop(made);
    let stats = a.stats();
    assert_eq!(
        (stats.unstored, stats.stored, stats.store_errors),
        (1, 0, 1)
    );
    assert!(a.set(large).is_err());
    assert!(a.set(String::new()).is_ok());
    assert_eq!(**b.get_or_try_create(never).unwrap(), *"");
    // The lease is given back, though its owner lives.
    let there = build();
    there.invalidate().unwrap();
    wait_until(|| {
        there
            .call()
            .wait(Duration::ZERO)
            .get_or_try_create(make("fits"))
            .is_ok()
    });
}

#[test]
fn what_others_put_into_the_directory_is_left_alone() {
    let scratch = Scratch::new("dogpile-bad");
    let store = Arc::new(FileStore::open(scratch.path()).unwrap());
    let pile: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60).build();
    pile.set("value".to_owned()).unwrap();
    let shard = store.value_path(pile.key()).parent().unwrap().to_owned();
    for name in ["notes.txt", "no-extension", "zz.val", ".hidden"] {
        fs::write(shard.join(name), b"not ours").unwrap();
    }
    fs::create_dir(shard.join("a-directory")).unwrap();
    let collected = store.collect().unwrap();
    assert_eq!((collected.values, collected.removed), (1, 0));
    assert!(shard.join("notes.txt").exists());
}

#[test]
fn a_limit_makes_room_by_the_oldest() {
    let scratch = Scratch::new("dogpile-bad");
    let clock = manual_clock();
    let builder = FileStore::builder(scratch.path())
        .limit(20_000)
        .clock(clock.clone());
    let store = Arc::new(builder.open().unwrap());
    let build = |number: usize| -> Pile {
        FleetDogpile::builder(Arc::clone(&store), format!("{number}"), SECOND * 600).build()
    };
    for number in 0..40 {
        build(number).set("x".repeat(1_000)).unwrap();
        clock.advance(SECOND);
    }
    let collected = store.collect().unwrap();
    assert!(
        collected.bytes <= 20_000 && collected.values >= 15,
        "{collected:?}"
    );
    assert!(build(39).get_or_try_create(never).is_ok());
    assert_eq!(**build(0).get_or_try_create(make("anew")).unwrap(), *"anew");
    // What is past its end goes without a limit too.
    clock.advance(SECOND * 1_000_000);
    let short = FleetDogpile::<String, _>::builder(Arc::clone(&store), "short", SECOND);
    let short = short.stale_while_revalidate(SECOND).build();
    short.set("soon gone".to_owned()).unwrap();
    let before = store.collect().unwrap().values;
    clock.advance(SECOND * 3);
    assert_eq!(store.collect().unwrap().values, before - 1);
}

/// Of a file that says the generation of a namespace, whatever harm is done to it: what was removed stays
/// so, and what comes after is kept.
#[test]
fn a_generation_that_is_torn_brings_nothing_back() {
    type Harm = fn(&std::path::Path);
    let harms: [Harm; 4] = [
        |path| fs::write(path, b"").unwrap(),
        |path| fs::write(path, [0xff; 32]).unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[8] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |path| fs::write(path, [b'x'; 1_000]).unwrap(),
    ];
    for harm in harms {
        let scratch = Scratch::new("dogpile-bad");
        let store = Arc::new(FileStore::open(scratch.path()).unwrap());
        let pile = |key: &str| -> Pile {
            FleetDogpile::builder(Arc::clone(&store), key, SECOND * 60)
                .local_ttl(Duration::ZERO)
                .build()
        };
        let (first, second) = (pile("first"), pile("second"));
        first.set("removed".to_owned()).unwrap();
        first.invalidate_all().unwrap();
        second.set("later".to_owned()).unwrap();
        // There is one such file.
        let shards = fs::read_dir(scratch.path()).unwrap().flatten();
        let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
        let mut files = files.map(|file| file.path());
        let generation = files.find(|path| path.extension().is_some_and(|end| end == "ns"));
        harm(&generation.unwrap());
        assert_eq!(**first.get_or_try_create(make("new")).unwrap(), *"new");
        assert_eq!(**second.get_or_try_create(make("new")).unwrap(), *"new");
        assert_eq!(**first.get_or_try_create(never).unwrap(), *"new");
        second.expire_all().unwrap();
        assert_eq!(**first.get_or_try_create(make("next")).unwrap(), *"next");
        assert_eq!(**first.get_or_try_create(never).unwrap(), *"next");
    }
}

/// What an invalidation of a namespace has removed takes no room for longer than until the collection.
#[test]
fn what_was_removed_with_its_namespace_is_collected() {
    let scratch = Scratch::new("dogpile-bad");
    let store = Arc::new(FileStore::open(scratch.path()).unwrap());
    let pile = |namespace: &str, key: &str| -> Pile {
        let builder = FleetDogpile::builder(Arc::clone(&store), key, SECOND * 60);
        builder.namespace(namespace).build()
    };
    for namespace in ["a", "b"] {
        for key in ["1", "2", "3"] {
            pile(namespace, key).set("value".to_owned()).unwrap();
        }
    }
    pile("a", "4").expire_all().unwrap();
    assert_eq!(store.collect().unwrap().values, 6, "they are stale");
    pile("a", "4").invalidate_all().unwrap();
    let collected = store.collect().unwrap();
    assert_eq!(collected.values, 3);
    assert!(collected.removed >= 3, "{collected:?}");
    assert_eq!(**pile("b", "1").get_or_try_create(never).unwrap(), *"value");
}
