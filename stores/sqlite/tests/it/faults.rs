//! A file that is locked, full, removed, replaced, emptied, damaged or read-only: nothing older comes over
//! something newer, nobody with a usable value waits or is told an error, and all is well again afterwards.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dogpile_fleet::{Ask, Found, Guarded, Key, Owner, Placed, Store, StoreErrorKind, Version};
use dogpile_sqlite::SqliteStore;
use herd::{Herd, Member};
use store_bench::{MINUTE, Process, SECOND, TTL, held, lead, put};

use crate::bench::File;

fn key() -> Key {
    Key::new("faults", "key", 0)
}

/// Longer than a breaker leaves a store alone.
const A_WHILE: Duration = Duration::from_secs(30);

/// A process that is stopped in the middle of a write.
pub(crate) fn holds_the_lock(member: &Member) {
    let connection = rusqlite::Connection::open(member.get::<PathBuf>("path")).unwrap();
    member.wait_at_the_gate();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    member.say("it holds the lock");
    thread::sleep(MINUTE);
}

#[test]
fn stopped_in_the_middle_of_a_write() {
    let file = File::new();
    let store = file.builder().timeout(SECOND / 2).open().unwrap();
    let a = Process::new(&file.clock, store.into());
    assert_eq!(a.call(1), 1);
    let herd = Herd::of_this_test("herd_member", "holds the lock");
    let mut herd = herd.with("path", file.path().display()).start();
    herd.release();
    herd.line_of(0).expect("it holds the lock");
    herd.stop(0);
    file.pass(TTL * 2);
    // One of two is elected, and waits for the lock, for the timeout at most. The other one has a usable value
    // meanwhile: were it to wait too, the two would make two calls.
    let calls = AtomicUsize::new(0);
    thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while a.pile.stats().store_errors == 0 {
                    assert_eq!(a.has(), 1);
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let calls = calls.into_inner();
    assert!(calls > 100, "{calls} calls while the elected one waited");
    // Who is cold reads what is kept.
    assert!(
        held(&*file.store(), a.pile.key())
            .unwrap()
            .starts_with(b"1")
    );
    // Its death frees the lock.
    herd.kill(0);
    file.pass(A_WHILE);
    assert_eq!((a.call(2), a.pile.stats().stored), (2, 2));
}

#[test]
fn full() {
    let file = File::new();
    let store = file.builder().max_file(200_000).open().unwrap();
    let key = |number: u32| Key::new("faults", number.to_be_bytes(), 0);
    let bytes = vec![7; 20_000];
    let mut fits = 0;
    let error = loop {
        match store.put(&key(fits), &put(Guarded::Any, &bytes)) {
            Ok(_) => fits += 1,
            Err(error) => break error,
        }
    };
    assert!((3..10).contains(&fits), "{fits} fit");
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.to_string().contains("max_file"), "{error}");
    // Reads go on, and of what was refused nothing is there.
    for number in 0..fits {
        assert_eq!(held(&store, &key(number)).unwrap(), bytes);
    }
    assert_eq!(held(&store, &key(fits)), None);
    // Of many, those that are there are told.
    let long = Key::new("faults", vec![1; 100_000], 0);
    let ask = Ask::lead(Owner::draw(), MINUTE);
    let many = store.get_or_lease_many(&[(key(0), ask), (long, ask)]);
    assert!(
        matches!(&many[..], [Ok(Found::Fresh(_)), Err(_)]),
        "{many:?}"
    );
    // What is over makes room.
    file.pass(MINUTE * 60);
    store.put(&key(fits), &put(Guarded::Any, &bytes)).unwrap();
    assert_eq!(held(&store, &key(fits)).unwrap(), bytes);
}

#[test]
fn removed_while_one_creates() {
    let file = File::new();
    let (a, b) = (file.process(), file.process());
    let made = a.pile.get_or_try_create(|creation| {
        assert!(creation.fence().is_some());
        file.remove();
        file.pass(SECOND);
        // Another process leads, in a new file, and is done first.
        assert_eq!(b.call(2), 2);
        Ok::<_, String>(1)
    });
    // Its own caller has it, and nobody else.
    assert_eq!(*made.expect("a value"), 1);
    assert_eq!((a.has(), b.has()), (2, 2));
    assert_eq!(a.pile.stats().superseded, 1);
}

#[test]
fn removed_and_made_anew() {
    let file = File::new();
    let store = file.store();
    let late = lead(&*store, &key(), MINUTE);
    file.remove();
    file.pass(SECOND);
    let commit = |grant, bytes| {
        store
            .put(&key(), &put(Guarded::Lease(grant), bytes))
            .unwrap()
    };
    assert_eq!(commit(late, b"late"), Placed::Gone);
    let next = lead(&*store, &key(), MINUTE);
    assert!(next.fence > late.fence, "the clock orders them");
    assert_eq!(commit(late, b"late"), Placed::Refused(Version::NONE));
    assert_eq!(commit(next, b"new"), Placed::Stored(next.fence));
    // It is in the file that others see.
    assert_eq!(held(&*file.store(), &key()).unwrap(), b"new");
    // One that is not to make it says that it is missing.
    let strict = file.builder().migrate(false).open().unwrap();
    file.remove();
    let error = strict.get_or_lease(&key(), &Ask::peek()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("fleet.db"), "{error}");
}

/// The store has forgotten what came after the copy: this is what no store can hold against.
#[test]
fn replaced_by_an_older_copy() {
    let file = File::new();
    let store = file.store();
    let stored = |placed| match placed {
        Ok(Placed::Stored(version)) => version,
        other => panic!("{other:?}"),
    };
    stored(store.put(&key(), &put(Guarded::Any, b"old")));
    let late = lead(&*store, &Key::new("faults", "led", 0), SECOND * 10);
    let copy = file.scratch.path().join("copy.db");
    file.sql(&format!("VACUUM INTO '{}'", copy.display()));
    file.pass(SECOND);
    let newer = stored(store.put(&key(), &put(Guarded::Any, b"newer")));
    file.pass(SECOND * 20);
    file.remove();
    std::fs::rename(copy, file.path()).unwrap();
    // The store that was open sees it, as others do.
    assert_eq!(held(&*store, &key()).unwrap(), b"old");
    assert_eq!(held(&*file.store(), &key()).unwrap(), b"old");
    // Whoever comes next leads, and the lease of then is refused.
    let next = lead(&*store, &Key::new("faults", "led", 0), SECOND * 10);
    assert!(next.fence > late.fence);
    let commit = put(Guarded::Lease(late), b"late");
    let placed = store.put(&Key::new("faults", "led", 0), &commit).unwrap();
    assert_eq!(placed, Placed::Refused(Version::NONE));
    // What comes now has a number above all that was forgotten.
    assert!(stored(store.put(&key(), &put(Guarded::Any, b"now"))) > newer);
}

#[test]
fn the_generation_of_a_namespace_garbled_is_an_invalidation() {
    let file = File::new();
    let store = file.store();
    for harm in [
        "generation = 'foreign'",
        "removed = -1",
        "generation = NULL",
    ] {
        file.pass(SECOND);
        store.put(&key(), &put(Guarded::Any, b"old")).unwrap();
        let running = Key::new("faults", "running", 0);
        store
            .invalidate_all("faults", dogpile_fleet::Depth::Soft)
            .unwrap();
        let late = lead(&*store, &running, MINUTE);
        let done = file
            .operator()
            .execute(&format!("UPDATE dogpile_spaces SET {harm}"), []);
        if harm.contains("NULL") {
            // The table does not take it.
            done.unwrap_err();
            file.sql("DELETE FROM dogpile_spaces");
        } else {
            done.unwrap();
        }
        // What was removed does not come back, and who led has lost.
        assert_eq!(held(&*store, &key()), None, "{harm}");
        let commit = put(Guarded::Lease(late), b"late");
        assert!(!matches!(
            store.put(&running, &commit),
            Ok(Placed::Stored(_))
        ));
        let next = lead(&*store, &running, MINUTE);
        assert!(next.fence > late.fence);
        assert_eq!(held(&*store, &key()), None, "{harm}");
        let commit = put(Guarded::Lease(next), b"new");
        assert_eq!(
            store.put(&running, &commit).unwrap(),
            Placed::Stored(next.fence)
        );
        store
            .invalidate(&running, dogpile_fleet::Depth::Hard, Version::NONE)
            .unwrap();
    }
}

/// Says what it finds in a file that it may not write: run by a user who may not.
#[test]
fn reads_only() {
    let Some(path) = std::env::var_os("DOGPILE_SQLITE_READ_ONLY") else {
        return;
    };
    let store = SqliteStore::open(path).expect("it may be read");
    assert_eq!(held(&store, &key()).unwrap(), b"kept");
    let ask = Ask::lead(Owner::draw(), MINUTE);
    assert!(matches!(
        store.get_or_lease(&key(), &ask),
        Ok(Found::Fresh(_))
    ));
    for error in [
        store.put(&key(), &put(Guarded::Any, b"x")).unwrap_err(),
        store
            .get_or_lease(&Key::new("faults", "none", 0), &ask)
            .unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::Refused);
        assert!(error.to_string().contains("may be read only"), "{error}");
    }
    println!("it read");
}

#[test]
fn a_file_that_may_only_be_read_is_read_and_writes_are_refused() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let file = File::new();
    let store = SqliteStore::open(file.path()).unwrap();
    store.put(&key(), &put(Guarded::Any, b"kept")).unwrap();
    for path in file.files() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(&program);
    if std::fs::metadata(file.path()).unwrap().uid() == 0 {
        // Root may write everything, so another user reads.
        let copy = file.scratch.path().join("program");
        std::fs::copy(program, &copy).unwrap();
        command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(copy);
    }
    let done = command
        .args(["faults::reads_only", "--exact", "--nocapture"])
        .env("DOGPILE_SQLITE_READ_ONLY", file.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("it read"),
        "{said} {}",
        String::from_utf8_lossy(&done.stderr)
    );
}
