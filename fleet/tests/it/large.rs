//! Values that are files: opened by each process and not copied, checked, and collected.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dogpile_fleet::{FileStore, Files, FleetDogpile, StoredFile};
use herd::Scratch;

type Pile = FleetDogpile<StoredFile, FileStore, Files>;

struct Fleet {
    scratch: Scratch,
    files: Files,
}

impl Fleet {
    fn new() -> Self {
        let scratch = Scratch::new("dogpile-large");
        let files = Files::open(scratch.path().join("files")).unwrap();
        let files = files.keep(Duration::from_secs(3600));
        Self { scratch, files }
    }

    fn process(&self) -> Pile {
        let store = FileStore::open(self.scratch.path().join("store")).unwrap();
        FleetDogpile::builder(Arc::new(store), "index", Duration::from_secs(60))
            .codec(self.files.clone())
            .build()
    }

    fn make(&self, text: &str) -> std::io::Result<StoredFile> {
        let mut new = self.files.create()?;
        new.write_all(text.as_bytes())?;
        new.finish()
    }

    fn names(&self) -> usize {
        fs::read_dir(self.scratch.path().join("files"))
            .unwrap()
            .count()
    }
}

fn never(_: dogpile_fleet::Creation<'_, StoredFile>) -> std::io::Result<StoredFile> {
    panic!("this creator is not to run")
}

#[test]
fn each_process_opens_the_same_file() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process(), fleet.process());
    let made = a.get_or_try_create(|_| fleet.make("an index")).unwrap();
    let read = b.get_or_try_create(never).unwrap();
    assert_eq!((made.path(), made.len()), (read.path(), read.len()));
    assert_eq!(fs::read_to_string(read.path()).unwrap(), "an index");
    assert_eq!(fleet.names(), 1);
}

#[test]
fn one_that_is_harmed_or_missing_is_a_miss() {
    let harms: [fn(&std::path::Path); 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, b"").unwrap(),
        |path| fs::write(path, b"an INDEX").unwrap(),
        |path| fs::write(path, b"an index, and more").unwrap(),
    ];
    for harm in harms {
        let fleet = Fleet::new();
        let made = fleet
            .process()
            .get_or_try_create(|_| fleet.make("an index"))
            .unwrap()
            .path()
            .to_owned();
        harm(&made);
        let b = fleet.process();
        let anew = b.get_or_try_create(|_| fleet.make("another")).unwrap();
        assert_ne!(anew.path(), made);
        assert_eq!(b.stats().unreadable, 1);
    }
}

#[test]
fn an_old_one_goes_unless_somebody_has_it_open() {
    let fleet = Fleet::new();
    let (a, b) = (fleet.process(), fleet.process());
    a.set(fleet.make("first").unwrap()).unwrap();
    let first = a.get_or_try_create(never).unwrap();
    let old = fs::File::open(first.path()).unwrap();
    old.set_modified(UNIX_EPOCH).unwrap();
    b.set(fleet.make("second").unwrap()).unwrap();
    assert_eq!(fleet.names(), 2, "it is open");
    assert_eq!(fs::read_to_string(first.path()).unwrap(), "first");
    drop(first);
    a.invalidate().unwrap();
    assert_eq!(fleet.files.collect().unwrap(), 1);
    assert_eq!(fleet.names(), 1, "the second is not old");
    // One that was not finished leaves nothing.
    drop(fleet.files.create().unwrap());
    assert_eq!(fleet.names(), 1);
}
