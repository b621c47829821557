//! `file_readers_take_no_lock`: a process is killed before each step by which the store changes its
//! directory. Nobody reads anything but the old value or the new, one takes over at once, and nothing
//! is left but what the next creation or the collection removes.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dogpile_fleet::{
    Ask, Depth, FileStore, Found, Grant, Guarded, Key, Owner, Placed, Put, Step, Store, Version,
};
use herd::{Herd, Scratch};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> Key {
    Key::new("killed", "key", 0)
}

fn put(guard: Guarded, bytes: &[u8]) -> Put<'_> {
    Put {
        guard,
        bytes,
        age: Duration::ZERO,
        fresh_for: MINUTE,
        keep_for: MINUTE * 2,
    }
}

fn lead(store: &FileStore) -> Grant {
    let ask = Ask {
        // Also if there is a fresh value.
        floor: Version(u64::MAX - 1),
        ..Ask::lead(Owner::draw(), MINUTE)
    };
    match store.get_or_lease(&key(), &ask).unwrap() {
        Found::Leased { fence, .. } => Grant {
            owner: ask.owner.unwrap(),
            fence,
        },
        other => panic!("no lease: {other:?}"),
    }
}

type Deed = (&'static str, fn(&FileStore));

/// What a process does, in which it is killed. Each begins with the value "old".
const DEEDS: &[Deed] = &[
    ("commit", |store| {
        let grant = lead(store);
        store
            .put(&key(), &put(Guarded::Lease(grant), b"new"))
            .unwrap();
    }),
    ("first", |store| {
        // The directory was removed.
        std::fs::remove_dir_all(store.directory()).unwrap();
        let grant = lead(store);
        store
            .put(&key(), &put(Guarded::Lease(grant), b"new"))
            .unwrap();
    }),
    ("release", |store| {
        let grant = lead(store);
        store.renew(&key(), grant, MINUTE).unwrap();
        store
            .release(&key(), grant, Duration::from_nanos(1))
            .unwrap();
    }),
    ("write", |store| {
        lead(store);
        store.put(&key(), &put(Guarded::Any, b"new")).unwrap();
    }),
    ("refused", |store| {
        store.put(&key(), &put(Guarded::Absent, b"new")).unwrap();
    }),
    ("soft", |store| {
        store
            .invalidate(&key(), Depth::Soft, Version::NONE)
            .unwrap();
    }),
    ("hard", |store| {
        store
            .invalidate(&key(), Depth::Hard, Version::NONE)
            .unwrap();
    }),
    ("all soft", |store| {
        lead(store);
        store.invalidate_all("killed", Depth::Soft).unwrap();
    }),
    ("all hard", |store| {
        store.invalidate_all("killed", Depth::Soft).unwrap();
        store.invalidate_all("killed", Depth::Hard).unwrap();
    }),
    ("collect", |store| {
        store
            .invalidate(&key(), Depth::Hard, Version::NONE)
            .unwrap();
        store.collect().unwrap();
    }),
];

fn open(directory: &Path, hook: impl Fn(Step) + Send + Sync + 'static) -> FileStore {
    let builder = FileStore::builder(directory).durable(true);
    builder.before_each_step(hook).open().unwrap()
}

/// A member of the herd: does its deed, and is dead at the step before which it is to die.
pub(crate) fn dies(member: &herd::Member) {
    let (directory, deed, at) = (
        member.get::<String>("directory"),
        member.get::<String>("deed"),
        member.get::<usize>("at"),
    );
    let steps = AtomicUsize::new(0);
    let store = open(directory.as_ref(), move |_| {
        if steps.fetch_add(1, Ordering::SeqCst) == at {
            // As by `kill -9`: no destructor runs, and the kernel closes what is open.
            std::process::abort();
        }
    });
    member.wait_at_the_gate();
    let (_, deed) = DEEDS.iter().find(|(name, _)| *name == deed).unwrap();
    deed(&store);
}

/// The steps of a deed, in their order.
fn steps_of(deed: fn(&FileStore)) -> Vec<Step> {
    let scratch = prepared();
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let notes = Arc::clone(&steps);
    deed(&open(scratch.path(), move |step| {
        notes.lock().unwrap().push(step)
    }));
    steps.lock().unwrap().clone()
}

fn prepared() -> Scratch {
    let scratch = Scratch::new("dogpile-killed");
    let store = FileStore::open(scratch.path()).unwrap();
    store.put(&key(), &put(Guarded::Any, b"old")).unwrap();
    scratch
}

fn listing(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.path().is_dir() {
            true => names.extend(listing(&entry.path())),
            false => names.push(entry.file_name().into_string().unwrap()),
        }
    }
    names
}

/// After the death: what is read is whole, one takes over at once, and little is left.
fn assert_sound(directory: &Path, what: &str) {
    let store = FileStore::open(directory).unwrap();
    let found = store.get_or_lease(&key(), &Ask::peek()).unwrap();
    let bytes = found.stored().map(|stored| stored.bytes.clone().unwrap());
    let whole = [None, Some(b"old".to_vec()), Some(b"new".to_vec())];
    assert!(whole.contains(&bytes), "{what}: {bytes:?}");
    assert_eq!(store.corrupt(), 0, "{what}");

    let grant = lead(&store);
    let placed = store
        .put(&key(), &put(Guarded::Lease(grant), b"next"))
        .unwrap();
    assert_eq!(placed, Placed::Stored(grant.fence), "{what}");
    let found = store.get_or_lease(&key(), &Ask::peek()).unwrap();
    let Found::Fresh(stored) = found else {
        panic!("{what}: {found:?}")
    };
    assert_eq!(stored.bytes.as_deref(), Some(&b"next"[..]), "{what}");

    // A temporary file is let be for some seconds: here its time is put back.
    for shard in std::fs::read_dir(directory).unwrap().flatten() {
        for file in std::fs::read_dir(shard.path()).unwrap().flatten() {
            let file = std::fs::File::open(file.path()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }
    store.collect().unwrap();
    let ends: BTreeSet<_> = (listing(directory).iter())
        .filter_map(|name| name.split_once('.').map(|(_, end)| end.to_owned()))
        .collect();
    let mut ends: Vec<_> = ends.into_iter().collect();
    // The generation of a namespace is kept.
    ends.retain(|end| end != "ns");
    assert_eq!(ends, ["st", "val"], "{what}");
}

#[test]
fn before_each_step_of_each_deed() {
    for (name, deed) in DEEDS {
        let steps = steps_of(*deed);
        for (at, step) in steps.iter().enumerate() {
            let scratch = prepared();
            let herd = Herd::of_this_test("herd_member", "dies")
                .with("directory", scratch.path().display())
                .with("deed", name)
                .with("at", at);
            let mut running = herd.start();
            running.release();
            let done = running.collect();
            let what = format!("{name}, killed before {step:?}, the {at}th step");
            assert!(!done.members()[0].status.success(), "{what}: it lives");
            std::fs::create_dir_all(scratch.path()).unwrap();
            assert_sound(scratch.path(), &what);
        }
    }
}

#[test]
fn the_deeds_go_through_all_steps() {
    let taken: Vec<_> = DEEDS.iter().flat_map(|(_, deed)| steps_of(*deed)).collect();
    for step in Step::ALL {
        // Never taken where a directory is whole.
        assert!(taken.contains(step), "no deed takes the step {step:?}");
    }
}

/// The list of steps is held against the code: whatever changes the directory stands in an act, and
/// each act is a step of its own.
#[test]
fn nothing_changes_the_directory_outside_a_step() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/file");
    let changes = [
        "fs::rename",
        "fs::remove",
        "fs::create",
        "fs::write",
        "fs::copy",
        "fs::hard_link",
        "fs::set_permissions",
        "OpenOptions",
        "File::create",
        ".write_all(",
        ".write(&",
        ".set_len(",
        "sync_all(",
        "io::copy",
        ".lock()?",
        "truncate(true)",
    ];
    for file in std::fs::read_dir(source).unwrap().flatten() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        // The large files are in a directory of their own, and each is written once.
        if file.file_name() == "large.rs" {
            continue;
        }
        if file.file_name() == "disk.rs" {
            let acts: Vec<_> = text.match_indices("act(Step::").collect();
            let opens = text.matches("self.open(Step::").count();
            let removes = text.matches("self.remove(Step::").count();
            assert_eq!(acts.len() + opens + removes, Step::ALL.len());
            for step in Step::ALL {
                let name = format!("(Step::{step:?},");
                assert_eq!(text.matches(&name).count(), 1, "{name}");
            }
            // Each change stands within the few lines of an act.
            let lines: Vec<_> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let code = line.trim_start();
                let is_change = changes.iter().any(|change| code.contains(change))
                    && !code.starts_with("//")
                    && !code.contains("OpenOptions");
                if is_change {
                    let near = lines[number.saturating_sub(5)..=number].join("\n");
                    assert!(near.contains("act("), "disk.rs:{}: {line}", number + 1);
                }
            }
        } else {
            for (number, line) in text.lines().enumerate() {
                let code = line.trim_start();
                for change in changes {
                    let found = code.contains(change) && !code.starts_with("//");
                    assert!(!found, "{:?}:{}: {line}", file.file_name(), number + 1);
                }
            }
        }
    }
}
