//! Real processes over one file: one creates at a time, a creator that is killed is replaced once, and those
//! that are killed in the middle of a write leave the file whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dogpile_fleet::{Ask, FleetDogpile, FleetGuard, Found, Guarded, Key, Store};
use dogpile_sqlite::SqliteStore;
use herd::{Herd, Member, Scratch, Section};

use crate::bench::{MINUTE, SECOND, held, put};

const LEASE: Duration = Duration::from_millis(1500);

fn store(path: &PathBuf) -> Arc<SqliteStore> {
    // Processes that share two processors wait for each other for long.
    let builder = SqliteStore::builder(path).timeout(SECOND * 20);
    Arc::new(builder.open().expect("a store"))
}

fn pile(member: &Member, ttl: Duration) -> FleetDogpile<String, SqliteStore> {
    let path: PathBuf = member.get("path");
    let builder = FleetDogpile::builder(store(&path), "key", ttl).namespace("herd");
    builder.lease(LEASE).local_ttl(Duration::ZERO).build()
}

fn herd(role: &str, scratch: &Scratch) -> Herd {
    let path = scratch.path().join("fleet.db");
    Herd::of_this_test("herd_member", role)
        .with("path", path.display())
        .with("directory", scratch.path().display())
}

/// Leads until it is killed.
pub(crate) fn leads(member: &Member) {
    let pile = pile(member, MINUTE);
    member.wait_at_the_gate();
    let made = pile.get_or_try_create(|creation| {
        member.say(creation.fence().expect("a lease"));
        std::thread::sleep(MINUTE);
        Ok::<_, String>("late".to_owned())
    });
    panic!("it was to be killed: {made:?}");
}

/// Calls once, and says whether it created.
pub(crate) fn waits(member: &Member) {
    let pile = pile(member, MINUTE);
    member.wait_at_the_gate();
    let mut created = 0;
    let made = pile.get_or_try_create(|_| {
        created += 1;
        Ok::<_, String>("next".to_owned())
    });
    let guard = made.expect("a value");
    assert_eq!(*guard, "next");
    let version = FleetGuard::version(&guard);
    member.say(format!("created={created} version={version}"));
}

#[test]
fn a_creator_that_is_killed_is_replaced_once_when_its_lease_ends() {
    let scratch = Scratch::new("dogpile-sqlite");
    let mut leader = herd("leads", &scratch).start();
    leader.release();
    let fence: u64 = (leader.line_of(0).expect("it leads"))
        .parse()
        .expect("a number");
    leader.kill(0);
    // Nobody renews the lease from now on. The store says when it ends.
    let look = store(&scratch.path().join("fleet.db"));
    let builder = FleetDogpile::<String, _>::builder(Arc::clone(&look), "key", MINUTE);
    let key = builder.namespace("herd").build().key().clone();
    let Ok(Found::Busy { retry_in, .. }) = look.get_or_lease(&key, &Ask::peek()) else {
        panic!("it is led")
    };
    let begun = Instant::now();
    let done = herd("waits", &scratch).size(8).run();
    assert_eq!(done.sum("created"), 1);
    let versions = done.numbers("version");
    assert!(
        versions.iter().all(|version| *version == versions[0]),
        "{versions:?}"
    );
    assert!(versions[0] > fence);
    // They were let go before the lease was over, as far as the clocks agree: so they waited for that.
    assert!(begun.elapsed() + Duration::from_millis(50) > retry_in);
}

/// Calls again and again, while the value is fresh for a short time only.
pub(crate) fn calls(member: &Member) {
    let pile = pile(member, Duration::from_millis(20));
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
