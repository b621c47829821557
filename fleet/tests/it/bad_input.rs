//! What a store in a directory meets: a path that is none, a directory that goes or turns into
//! something else, values that are too large, files that others put there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use dogpile_fleet::{
    Ask, FileStore, FleetDogpile, FleetGuard, Guarded, Key, MemoryStore, Owner, Put, Store,
    StoreError, StoreErrorKind, Version, WriteError,
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
    type Harm = fn(&Path);
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

/// A small file system of its own. It takes a root that may mount; else the test says that it is skipped.
struct Mounted(Scratch);

impl Mounted {
    fn of(options: &str) -> Option<Self> {
        let scratch = Scratch::new("dogpile-mount");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        let output = mount.arg(scratch.path()).output();
        if output.as_ref().is_ok_and(|output| output.status.success()) {
            return Some(Self(scratch));
        }
        println!("skipped: nothing can be mounted here: {output:?}");
        None
    }

    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]);
        assert!(mount.arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a test that failed may have files open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn listing(directory: &Path) -> Vec<String> {
    let shards = fs::read_dir(directory).unwrap().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    files
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_directory_that_turns_read_only_is_read_on() {
    let Some(mounted) = Mounted::of("size=1m") else {
        return;
    };
    let directory = mounted.0.path().join("store");
    let clock = manual_clock();
    let builder = FileStore::builder(&directory).clock(clock.clone());
    let store = Arc::new(builder.open().unwrap());
    let pile = |key: &str| -> Pile {
        let builder = FleetDogpile::builder(Arc::clone(&store), key, SECOND * 10);
        builder.clock(clock.clone()).build()
    };
    pile("key").set("old".to_owned()).unwrap();
    mounted.remount("ro");
    // A program that begins now reads what is fresh. Nothing can be made where nothing is.
    let again = FileStore::builder(&directory).clock(clock.clone()).open();
    let again = Arc::new(again.unwrap());
    let read: Pile = FleetDogpile::builder(again, "key", SECOND * 10)
        .clock(clock.clone())
        .build();
    assert_eq!(**read.get_or_try_create(never).unwrap(), *"old");
    assert!(FileStore::open(mounted.0.path().join("missing")).is_err());
    // What is stale serves, and what there is not each process makes for itself.
    clock.advance(SECOND * 20);
    assert_eq!(**read.get_or_try_create(never).unwrap(), *"old");
    let absent = pile("absent");
    assert_eq!(**absent.get_or_try_create(make("own")).unwrap(), *"own");
    assert_eq!((absent.stats().unstored, absent.stats().stored), (1, 0));
    let refused = |error: StoreError| {
        assert_eq!(error.kind, StoreErrorKind::Refused);
        assert!(error.to_string().contains("Read-only"), "{error}");
    };
    refused(pile("key").invalidate().unwrap_err());
    refused(pile("key").expire_all().unwrap_err());
    match pile("key").set("new".to_owned()).unwrap_err() {
        WriteError::Store(error) => refused(error),
        other => panic!("{other}"),
    }
    // It is as before when it can be written again.
    mounted.remount("rw");
    clock.advance(SECOND * 60);
    assert_eq!(**absent.get_or_try_create(make("all's")).unwrap(), *"all's");
    assert_eq!(absent.stats().stored, 1);
}

/// Values are put until there is no room. Those that are there stay whole, nothing is left of the others,
/// and whoever creates has his value.
fn fill(directory: &Path) {
    let store = Arc::new(FileStore::open(directory).unwrap());
    let pile = |number: usize| -> Pile {
        FleetDogpile::builder(Arc::clone(&store), number.to_string(), SECOND * 600).build()
    };
    let value = |number: usize| format!("{number}").repeat(5_000);
    let (full, error) = (0..1_000)
        .find_map(|number| Some((number, pile(number).set(value(number)).err()?)))
        .expect("there is an end to the room");
    let WriteError::Store(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    assert!(full > 0, "not at once");
    for number in 0..full {
        let read = pile(number);
        assert!(**read.get_or_try_create(never).unwrap() == value(number));
    }
    let refused = pile(full);
    let made = refused.get_or_try_create(make(&value(full))).unwrap();
    assert!(**made == value(full));
    assert_eq!((refused.stats().unstored, refused.stats().stored), (1, 0));
    assert_eq!(store.corrupt(), 0);
    let left = listing(directory);
    assert!(!left.iter().any(|name| name.ends_with("tmp")), "{left:?}");
    // When there is room again, it is stored.
    for number in 0..full {
        pile(number).invalidate().unwrap();
    }
    wait_until(|| pile(full).set("small".to_owned()).is_ok());
    assert_eq!(**pile(full).get_or_try_create(never).unwrap(), *"small");
}

#[test]
fn a_directory_that_is_full_keeps_what_it_has() {
    if let Some(mounted) = Mounted::of("size=512k") {
        fill(mounted.0.path());
    }
}

/// The same where no file may be longer than so much, as by a quota: in a child, since the limit is one of
/// a process. It needs no root.
#[test]
fn a_file_that_may_not_grow_is_refused() {
    const DIRECTORY: &str = "DOGPILE_FLEET_FILES_ARE_LIMITED";
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        let store = Arc::new(FileStore::open(&directory).unwrap());
        let pile: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60).build();
        pile.set("old".to_owned()).unwrap();
        let WriteError::Store(error) = pile.set("x".repeat(1 << 20)).unwrap_err() else {
            panic!("it is the store's")
        };
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
        let other: Pile = FleetDogpile::builder(Arc::clone(&store), "key", SECOND * 60).build();
        assert_eq!(**other.get_or_try_create(never).unwrap(), *"old");
        assert_eq!(store.corrupt(), 0);
        let left = listing(directory.as_ref());
        assert!(!left.iter().any(|name| name.ends_with("tmp")), "{left:?}");
        return;
    }
    let scratch = Scratch::new("dogpile-bad");
    // A process whose file would grow beyond the limit is killed, unless it ignores that.
    let script = "trap '' XFSZ && ulimit -f 128 && exec \"$0\" \"$@\"";
    let mut child = Command::new("sh");
    child
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap());
    child.args(["--exact", "bad_input::a_file_that_may_not_grow_is_refused"]);
    let output = child.env(DIRECTORY, scratch.path()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("skipped: there is no shell here: {error}"),
    };
    assert!(output.status.success(), "{output:?}");
    assert!(!listing(scratch.path()).is_empty(), "the child did run");
}

/// A value of no byte is one. One of a GiB is refused unless the store is told to take it, and the error
/// says what the limit is and what to do.
#[test]
fn a_gibibyte_is_refused_with_the_limit_and_the_remedy() {
    let scratch = Scratch::new("dogpile-bad");
    let stores: [(Arc<dyn Store>, &str); 2] = [
        (
            Arc::new(FileStore::open(scratch.path()).unwrap()),
            "FileStoreBuilder::max_value",
        ),
        (Arc::new(MemoryStore::new()), "MemoryStore::max_value"),
    ];
    // Nobody touches it, so it takes no memory.
    let large = vec![0; 1 << 30];
    for (store, remedy) in stores {
        let key = Key::new("bad", "large", 0);
        let put = |bytes| Put {
            guard: Guarded::Any,
            bytes,
            age: Duration::ZERO,
            fresh_for: SECOND * 60,
            keep_for: SECOND * 60,
        };
        store.put(&key, &put(b"")).unwrap();
        let error = store.put(&key, &put(&large)).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Refused);
        let text = error.to_string();
        for part in ["1073741824", "268435456", remedy] {
            assert!(text.contains(part), "{text} does not say {part}");
        }
        let found = store.get_or_lease(&key, &Ask::peek()).unwrap();
        let bytes = found.stored().unwrap().bytes.as_deref();
        assert_eq!(bytes, Some(&b""[..]), "what was there stays");
    }
}

#[test]
fn keys_and_namespaces_of_any_bytes_and_length_are_apart() {
    let scratch = Scratch::new("dogpile-bad");
    let store = Arc::new(FileStore::open(scratch.path()).unwrap());
    let long = vec![b'k'; 1 << 20];
    let longer = [&long[..], b"k"].concat();
    let keys: [&[u8]; 9] = [
        b"", b"\0", b"/", b"../..", b"a\nb", b"#", b"0:", &long, &longer,
    ];
    let spaces = ["", ":", "1:", "a/../b", "\u{1f980}", "\0"];
    let pile = |space: &str, key: &[u8]| -> Pile {
        let builder = FleetDogpile::builder(Arc::clone(&store), key, SECOND * 60);
        builder.namespace(space).build()
    };
    let value = |space: &str, number: usize| format!("{space:?} {number}");
    for space in spaces {
        for (number, key) in keys.iter().enumerate() {
            pile(space, key).set(value(space, number)).unwrap();
        }
    }
    for space in spaces {
        for (number, key) in keys.iter().enumerate() {
            let read = pile(space, key);
            assert_eq!(read.key().namespace(), space);
            let read = read.get_or_try_create(never).unwrap();
            assert_eq!(**read, *value(space, number));
        }
    }
    // One namespace as a whole, and no other.
    pile(":", b"").invalidate_all().unwrap();
    for space in spaces {
        let pile = pile(space, b"/");
        let gone = pile.get_or_try_create(|_| Err::<String, _>("gone"));
        assert_eq!(gone.is_err(), space == ":", "{space:?}");
    }
}
