//! Real processes over one file: one creates at a time, a creator that is killed is replaced once, and those
//! that are killed in the middle of a write leave the file whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dogpile_fleet::{FleetDogpile, FleetGuard, Guarded, Key, Store};
use dogpile_sqlite::SqliteStore;
use herd::{Herd, Member, Scratch, Section};
use store_bench::{SECOND, held, killed, put};

pub(crate) fn store(path: &PathBuf) -> Arc<SqliteStore> {
    // Processes that share two processors wait for each other for long.
    let builder = SqliteStore::builder(path).timeout(SECOND * 20);
    Arc::new(builder.open().expect("a store"))
}

fn herd(role: &str, scratch: &Scratch) -> Herd {
    let path = scratch.path().join("fleet.db");
    Herd::of_this_test("herd_member", role)
        .with("path", path.display())
        .with("directory", scratch.path().display())
}

#[test]
fn a_creator_that_is_killed_is_replaced_once_when_its_lease_ends() {
    let scratch = Scratch::new("dogpile-sqlite");
    let look = || store(&scratch.path().join("fleet.db"));
    killed::is_replaced_once(|role| herd(role, &scratch), look);
}

/// Calls again and again, while the value is fresh for a short time only.
pub(crate) fn calls(member: &Member) {
    let store = store(&member.get("path"));
    let pile = FleetDogpile::builder(store, "key", Duration::from_millis(20))
        .namespace("herd")
        .lease(Duration::from_millis(1500))
        .local_ttl(Duration::ZERO)
        .build();
    let section = Section::new(&member.get::<PathBuf>("directory"), "creating");
    member.wait_at_the_gate();
    let (mut last, mut created) = (0, 0);
    for _ in 0..200 {
        let made = pile.get_or_try_create(|creation| {
            created += 1;
            let inside = section.enter();
            std::thread::sleep(Duration::from_millis(2));
            drop(inside);
            Ok::<_, String>(creation.fence().expect("a lease").to_string())
        });
        let guard = made.expect("a value");
        let version = FleetGuard::version(&guard).0;
        assert!(version >= last, "{version} after {last}");
        assert_eq!(*guard, version.to_string());
        last = version;
    }
    member.say(format!(
        "created={created} errors={}",
        pile.stats().store_errors
    ));
}

#[test]
fn of_five_processes_one_creates_at_a_time_and_nothing_goes_back() {
    let scratch = Scratch::new("dogpile-sqlite");
    let done = herd("calls", &scratch).size(5).run();
    assert_eq!(Section::new(scratch.path(), "creating").overlaps(), 0);
    assert_eq!(done.sum("errors"), 0);
    let created = done.sum("created");
    assert!(
        (1..1000).contains(&created),
        "{created} creations for 1000 calls"
    );
}

/// Writes until it is killed.
pub(crate) fn writes(member: &Member) {
    let store = store(&member.get("path"));
    member.wait_at_the_gate();
    for number in 0u64.. {
        let key = Key::new("herd", [member.number() as u8, number as u8 % 8], 0);
        let bytes = number.to_string().repeat(5000);
        store
            .put(&key, &put(Guarded::Any, bytes.as_bytes()))
            .expect("a write");
        member.say(number);
    }
}

#[test]
fn what_was_written_before_a_kill_is_there_and_the_file_is_whole() {
    let scratch = Scratch::new("dogpile-sqlite");
    let path = scratch.path().join("fleet.db");
    for round in 0..10 {
        let mut running = herd("writes", &scratch).size(2).start();
        running.release();
        let mut last: u64 = 0;
        for _ in 0..=round {
            let said = running.line_of(0).expect("it writes");
            last = said.parse().expect("a number");
        }
        running.kill(0);
        running.kill(1);
        for (_, line) in &running.collect().members()[0].lines {
            last = line.parse().unwrap_or(last);
        }
        let key = Key::new("herd", [0, last as u8 % 8], 0);
        let found = held(&*store(&path), &key).expect("it was written");
        // The next one there may be written, of which nothing was said yet.
        let wanted = [last, last + 8].map(|number| number.to_string().repeat(5000));
        assert!(
            wanted.iter().any(|wanted| wanted.as_bytes() == found),
            "after {last}"
        );
        let check: String = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
}
