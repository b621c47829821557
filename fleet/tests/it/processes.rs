//! The promises among real processes, over a directory: released at one instant, killed, stopped and
//! continued. Each has a control that must fail, so that the test is known to see it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dogpile::Origin;
use dogpile_fleet::{FileStore, FleetDogpile, FleetGuard, LeaseLock};
use herd::{Herd, Member, Scratch, Section};

const SECOND: Duration = Duration::from_secs(1);

/// Whether long rounds are to run.
fn long() -> bool {
    std::env::var_os("DOGPILE_FLEET_LONG").is_some()
}

fn pick<T>(short: T, night: T) -> T {
    if long() { night } else { short }
}

fn store(member: &Member) -> Arc<FileStore> {
    Arc::new(FileStore::open(member.get::<String>("directory")).unwrap())
}

fn herd(scratch: &Scratch, role: &str) -> Herd {
    let directory = scratch.path().join("store");
    Herd::of_this_test("herd_member", role)
        .with("directory", directory.display())
        .with("notes", scratch.path().display())
}

fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_micros() as u64
}

// ---- what members do

/// A value that shows whether it is whole: its number, and so many bytes that follow from it.
fn value(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..length).map(|at| (number as usize * 31 + at * 7) as u8));
    bytes
}

fn number_of(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (value(number, bytes.len()) == bytes).then_some(number)
}

/// Creates the next value in a critical section, and notes it.
fn create(section: &Section, notes: &Path, length: usize, takes: Duration) -> Vec<u8> {
    let inside = section.enter();
    let number = micros();
    thread::sleep(takes);
    use std::io::Write;
    let mut open = fs::OpenOptions::new();
    let mut created = open
        .create(true)
        .append(true)
        .open(notes.join("created"))
        .unwrap();
    created.write_all(b"x").unwrap();
    drop(inside);
    value(number, length)
}

/// Asks once, when it is released, and says what came of it.
pub(crate) fn asks_once(member: &Member) {
    let pile: FleetDogpile<Vec<u8>, _> =
        FleetDogpile::builder(store(member), "key", SECOND * 60).build();
    let notes: String = member.get("notes");
    let notes = Path::new(&notes);
    let section = Section::new(notes, "creator");
    member.wait_at_the_gate();
    let guard = pile.get_or_try_create(|_| {
        Ok::<_, String>(create(&section, notes, 64, Duration::from_millis(20)))
    });
    let guard = guard.unwrap();
    member.say(format_args!(
        "value={} creations={}",
        number_of(&guard).unwrap(),
        pile.stats().creations
    ));
}

/// The first creates for ever. Whoever takes over says when.
pub(crate) fn waits(member: &Member) {
    let pile: FleetDogpile<Vec<u8>, _> = FleetDogpile::builder(store(member), "key", SECOND * 60)
        .max_create_time(Duration::from_millis(member.get("lease")))
        .build();
    if member.number() == 0 {
        let guard = pile.get_or_try_create(|_| {
            member.wait_at_the_gate();
            member.say("creating");
            thread::sleep(Duration::from_millis(member.get("takes")));
            Ok::<_, String>(value(0, 64))
        });
        let guard = guard.unwrap();
        let lost = u8::from(FleetGuard::origin(&guard) == Origin::Superseded);
        member.say(format_args!(
            "late={} lost={lost}",
            number_of(&guard).unwrap()
        ));
        return;
    }
    member.wait_at_the_gate();
    member.say("waiting");
    let guard = pile.get_or_try_create(|_| {
        member.say(format_args!("took_over={}", micros()));
        Ok::<_, String>(value(member.number() as u64, 64))
    });
    member.say(format_args!(
        "value={} at={}",
        number_of(&guard.unwrap()).unwrap(),
        micros()
    ));
}

/// Reads as fast as it can for a while, and creates when it has to.
pub(crate) fn styles(member: &Member) {
    let ttl = Duration::from_millis(member.get("ttl"));
    let takes = Duration::from_millis(member.get("takes"));
    let keys: usize = member.get("keys");
    let local = Duration::from_millis(member.get("local"));
    let store = store(member);
    let notes: String = member.get("notes");
    let notes = Path::new(&notes);
    let piles: Vec<FleetDogpile<Vec<u8>, _>> = (0..keys)
        .map(|key| {
            FleetDogpile::builder(Arc::clone(&store), format!("{key}"), ttl)
                .local_ttl(local)
                .build()
        })
        .collect();
    member.wait_at_the_gate();
    let end = Instant::now() + Duration::from_millis(member.get("millis"));
    thread::scope(|threads| {
        for _ in 0..member.get::<usize>("threads") {
            threads.spawn(|| {
                let (mut operations, mut errors, mut bad, mut back) = (0, 0, 0, 0);
                let mut last = vec![0; keys];
                let (mut versions, mut oldest) = (0, 0);
                // The longest creation, its commit with it, and the longest that any other answer took.
                let (mut creation, mut answer_took) = (0, 0);
                while Instant::now() < end {
                    for (key, pile) in piles.iter().enumerate() {
                        operations += 1;
                        let begun = micros();
                        let mut created = false;
                        let section = Section::new(notes, &format!("creator{key}"));
                        let answer = pile.get_or_try_create(|_| {
                            created = true;
                            Ok::<_, String>(create(&section, notes, 50_000, takes))
                        });
                        let ended = micros();
                        let Ok(guard) = answer else {
                            errors += 1;
                            continue;
                        };
                        // All bytes now and then, and otherwise the number.
                        let number = match operations % 64 {
                            0 => number_of(&guard),
                            _ => guard
                                .get(..8)
                                .map(|n| u64::from_le_bytes(n.try_into().unwrap())),
                        };
                        let Some(number) = number else {
                            bad += 1;
                            continue;
                        };
                        back += u64::from(number < last[key]);
                        versions += u64::from(number > last[key]);
                        last[key] = number.max(last[key]);
                        let age = ended.saturating_sub(number);
                        oldest = oldest.max(age);
                        match created {
                            true => creation = creation.max(age),
                            false => answer_took = answer_took.max(ended.saturating_sub(begun)),
                        }
                    }
                }
                member.say(format_args!(
                    "operations={operations} errors={errors} bad={bad} back={back} \
                     versions={versions} oldest={oldest} creation={creation} \
                     answer_took={answer_took}"
                ));
            });
        }
    });
    let sum = |of: fn(dogpile_fleet::FleetStats) -> u64| -> u64 {
        piles.iter().map(|pile| of(pile.stats())).sum()
    };
    member.say(format_args!(
        "creations={} stored={} verbs={} superseded={} unreadable={} corrupt={}",
        sum(|stats| stats.creations),
        sum(|stats| stats.stored),
        sum(|stats| stats.verbs),
        sum(|stats| stats.superseded),
        sum(|stats| stats.unreadable),
        store.corrupt(),
    ));
}

/// The same without an election: a file that each reads, and writes where it finds it old. The control.
pub(crate) fn naive_styles(member: &Member) {
    let ttl = Duration::from_millis(member.get("ttl"));
    let takes = Duration::from_millis(member.get("takes"));
    let notes: String = member.get("notes");
    let notes = Path::new(&notes);
    let section = Section::new(notes, "creator0");
    let file = notes.join("naive");
    member.wait_at_the_gate();
    let end = Instant::now() + Duration::from_millis(member.get("millis"));
    let mut bad = 0;
    while Instant::now() < end {
        let age = fs::metadata(&file).and_then(|data| data.modified()).ok();
        let age = age.and_then(|at| SystemTime::now().duration_since(at).ok());
        match age {
            Some(age) if age < ttl => {
                let whole = fs::read(&file).ok().and_then(|bytes| number_of(&bytes));
                bad += u64::from(whole.is_none());
            }
            _ => fs::write(&file, create(&section, notes, 50_000, takes)).unwrap(),
        }
    }
    member.say(format_args!("bad={bad}"));
}

/// Counts once: reads a number, waits, and writes it, incremented.
pub(crate) fn counts(member: &Member) {
    let store = store(member);
    let guarded: bool = member.get("guarded");
    let file = Path::new(&member.get::<String>("notes")).join("counter");
    member.wait_at_the_gate();
    let lock = LeaseLock::new(store, "counter");
    let held = guarded.then(|| lock.lock_for(SECOND * 60).unwrap());
    let count: u64 = fs::read_to_string(&file).unwrap().parse().unwrap();
    thread::sleep(Duration::from_millis(1));
    // In one step, so that nobody reads an empty file: the count alone is unguarded.
    let next = file.with_extension(format!("{}", member.number()));
    fs::write(&next, (count + 1).to_string()).unwrap();
    fs::rename(&next, &file).unwrap();
    let fence = held.as_ref().and_then(|held| held.fence());
    member.say(format_args!("fence={}", fence.map_or(0, |fence| fence.0)));
}

/// Prints what it has until it is told that it was removed, and then once more.
pub(crate) fn prints(member: &Member) {
    let pile: FleetDogpile<String, _> = FleetDogpile::builder(store(member), "data", SECOND * 60)
        .local_ttl(Duration::ZERO)
        .build();
    let removed = Path::new(&member.get::<String>("notes")).join("removed");
    member.wait_at_the_gate();
    let mut prints = 0;
    loop {
        // Looked at before the call: what began after the removal had returned.
        let after = removed.exists();
        let data = pile.get_or_try_create(|_| Err::<String, _>("removed"));
        let had = u8::from(data.is_ok());
        prints += 1;
        if after {
            member.say(format_args!("after={had} prints={prints}"));
            return;
        }
    }
}

// ---- the tests

/// The store's own files aside, what members noted: how often they created.
fn created(scratch: &Scratch) -> u64 {
    fs::metadata(scratch.path().join("created")).map_or(0, |notes| notes.len())
}

fn files(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        match entry.path().is_dir() {
            true => names.extend(files(&entry.path())),
            false => names.push(entry.file_name().into_string().unwrap()),
        }
    }
    names
}

mod fleet_one_creator {
    use super::*;

    #[test]
    fn of_processes_released_at_one_instant_one_creates() {
        for _ in 0..pick(2, 20) {
            let scratch = Scratch::new("dogpile-once");
            let done = herd(&scratch, "asks_once").size(20).run();
            let values = done.numbers("value");
            assert_eq!(
                (values.len(), done.sum("creations"), created(&scratch)),
                (20, 1, 1)
            );
            assert!(values.iter().all(|value| *value == values[0]));
            assert_eq!(Section::new(scratch.path(), "creator").overlaps(), 0);
        }
    }

    /// Twenty wait while the creator is killed: one takes over, in milliseconds.
    #[test]
    fn a_creator_that_is_killed_is_replaced_once() {
        let mut spans = Vec::new();
        let mut last = Vec::new();
        for _ in 0..pick(3, 100) {
            let scratch = Scratch::new("dogpile-kill");
            let mut running = herd(&scratch, "waits")
                .with("lease", 60_000)
                .with("takes", 60_000)
                .size(21)
                .start();
            running.release();
            assert_eq!(running.line_of(0).as_deref(), Some("creating"));
            for number in 1..21 {
                assert_eq!(running.line_of(number).as_deref(), Some("waiting"));
            }
            // Until they sleep.
            thread::sleep(Duration::from_millis(50));
            let killed = micros();
            running.kill(0);
            let done = running.collect();
            let takeovers = done.numbers("took_over");
            assert_eq!(takeovers.len(), 1, "{takeovers:?}");
            let values = done.numbers("value");
            assert_eq!(values.len(), 20);
            assert!(values.iter().all(|value| *value == values[0]));
            spans.push(takeovers[0].saturating_sub(killed));
            last.push(done.max("at") - takeovers[0]);
            let left = files(&scratch.path().join("store"));
            let left = left
                .iter()
                .filter(|name| name.ends_with("own") || name.ends_with("tmp"));
            assert_eq!(left.count(), 0);
        }
        spans.sort();
        last.sort();
        println!("take-over after {spans:?} us, the last one served after another {last:?} us");
        // Long before the lease ends. The figures of a quiet machine are in the notes of the night.
        assert!(spans[spans.len() / 2] < 1_000_000, "{spans:?}");
    }

    /// cachy's report: several processes on one cache in a directory, whose values are soon stale.
    #[test]
    fn several_processes_on_one_directory() {
        let millis: u64 = pick(2_000, 60_000);
        for local in [0, 50] {
            let scratch = Scratch::new("dogpile-styles");
            let done = herd(&scratch, "styles")
                .with("ttl", 250)
                .with("takes", 10)
                .with("keys", 1)
                .with("threads", 1)
                .with("local", local)
                .with("millis", millis)
                .size(5)
                .run();
            let report = format!("{:?}", done.lines().collect::<Vec<_>>());
            for bad in [
                "errors",
                "bad",
                "back",
                "superseded",
                "unreadable",
                "corrupt",
            ] {
                assert_eq!(done.sum(bad), 0, "{bad}: {report}");
            }
            assert_eq!(
                Section::new(scratch.path(), "creator0").overlaps(),
                0,
                "{report}"
            );
            assert_eq!(done.sum("creations"), created(&scratch), "{report}");
            assert_eq!(done.sum("creations"), done.sum("stored"), "{report}");
            let most = millis / 250 + 1;
            assert!(
                done.sum("creations") <= most && done.sum("creations") > most / 4,
                "{report}"
            );
            assert!(done.sum("operations") > 1_000, "{report}");
            // The ttl counts from the commit, an age from the beginning of the creation. While the next one is
            // created the old value serves, and a process that was told so looks again after as long once more.
            // On a machine with more to do than it has processors, 10 ms of creation are 20 to 60.
            let (oldest, creation) = (done.max("oldest"), done.max("creation"));
            let beyond = oldest.saturating_sub(250_000 + creation);
            println!(
                "local ttl {local} ms: the oldest answer {oldest} us, which is the ttl, the longest creation with \
                 its commit ({creation}), and {beyond}: {report}"
            );
        }
    }

    #[test]
    fn several_threads_and_keys_in_each() {
        let scratch = Scratch::new("dogpile-keys");
        let millis: u64 = pick(2_000, 30_000);
        let (processes, keys) = pick((4, 8), (8, 16));
        let done = herd(&scratch, "styles")
            .with("ttl", 400)
            .with("takes", 5)
            .with("keys", keys)
            .with("threads", 4)
            .with("local", 20)
            .with("millis", millis)
            .size(processes)
            .run();
        let report = format!("{:?}", done.lines().collect::<Vec<_>>());
        for bad in [
            "errors",
            "bad",
            "back",
            "superseded",
            "unreadable",
            "corrupt",
        ] {
            assert_eq!(done.sum(bad), 0, "{bad}: {report}");
        }
        for key in 0..keys {
            assert_eq!(
                Section::new(scratch.path(), &format!("creator{key}")).overlaps(),
                0
            );
        }
        assert_eq!(done.sum("creations"), done.sum("stored"), "{report}");
        assert!(
            done.sum("creations") <= (millis / 400 + 1) * keys as u64,
            "{report}"
        );
    }

    /// The control: without an election the same processes overlap, or create too often, or read what
    /// is not whole.
    #[test]
    fn without_an_election_it_fails() {
        let scratch = Scratch::new("dogpile-naive");
        fs::create_dir_all(scratch.path().join("store")).unwrap();
        let millis: u64 = 2_000;
        let done = herd(&scratch, "naive_styles")
            .with("ttl", 250)
            .with("takes", 10)
            .with("millis", millis)
            .size(5)
            .run();
        let overlaps = Section::new(scratch.path(), "creator0").overlaps();
        let creations = created(&scratch);
        println!(
            "{overlaps} overlaps, {creations} creations, {} bad",
            done.sum("bad")
        );
        assert!(
            overlaps > 0 && creations > millis / 250 + 1,
            "{overlaps} {creations}"
        );
    }
}

mod fenced {
    use super::*;

    /// Stopped past its lease and continued: another has taken over, and the late commit is refused.
    #[test]
    fn who_was_stopped_comes_too_late() {
        for _ in 0..pick(1, 10) {
            let scratch = Scratch::new("dogpile-stop");
            let mut running = herd(&scratch, "waits")
                .with("lease", 2_000)
                // Long enough to be stopped in, on a machine that does much else.
                .with("takes", 1_000)
                .size(6)
                .start();
            running.release();
            assert_eq!(running.line_of(0).as_deref(), Some("creating"));
            running.stop(0);
            for number in 1..6 {
                assert_eq!(running.line_of(number).as_deref(), Some("waiting"));
            }
            // One of them takes over when the lease is over, and all get what it made.
            let mut values = Vec::new();
            for number in 1..6 {
                let mut line = running.line_of(number).unwrap();
                if line.starts_with("took_over") {
                    line = running.line_of(number).unwrap();
                }
                values.push(line.split(' ').next().unwrap().to_owned());
            }
            assert!(
                values
                    .iter()
                    .all(|value| *value == values[0] && value != "value=0"),
                "{values:?}"
            );
            running.go_on(0);
            let done = running.collect();
            assert_eq!(done.numbers("late"), [0]);
            assert_eq!(done.numbers("lost"), [1], "it is told");
            let store = Arc::new(FileStore::open(scratch.path().join("store")).unwrap());
            let pile: FleetDogpile<Vec<u8>, _> =
                FleetDogpile::builder(store, "key", SECOND * 60).build();
            let kept = pile
                .get_or_try_create(|_| Err::<Vec<u8>, _>("gone"))
                .unwrap();
            assert_eq!(format!("value={}", number_of(&kept).unwrap()), values[0]);
        }
    }
}

mod fleet_invalidate_wins {
    use super::*;

    /// A delete is seen at once: after `invalidate` returned, no process prints the data.
    #[test]
    fn after_a_removal_nobody_prints_the_data() {
        for _ in 0..pick(3, 50) {
            let scratch = Scratch::new("dogpile-remove");
            let directory = scratch.path().join("store");
            let store = Arc::new(FileStore::open(directory).unwrap());
            let pile: FleetDogpile<String, _> =
                FleetDogpile::builder(store, "data", SECOND * 60).build();
            pile.set("secret".to_owned()).unwrap();
            prints_until(&scratch, || pile.invalidate().unwrap());
        }
    }

    /// The same of a whole namespace, through the pile of another key.
    #[test]
    fn nor_after_the_removal_of_all() {
        for _ in 0..pick(3, 50) {
            let scratch = Scratch::new("dogpile-remove");
            let directory = scratch.path().join("store");
            let store = Arc::new(FileStore::open(directory).unwrap());
            let pile = |key: &str| -> FleetDogpile<String, _> {
                FleetDogpile::builder(Arc::clone(&store), key, SECOND * 60).build()
            };
            pile("data").set("secret".to_owned()).unwrap();
            let another = pile("another");
            prints_until(&scratch, || another.invalidate_all().unwrap());
        }
    }

    fn prints_until(scratch: &Scratch, removes: impl FnOnce()) {
        let mut running = herd(scratch, "prints").size(2).start();
        running.release();
        thread::sleep(Duration::from_millis(30));
        removes();
        fs::write(scratch.path().join("removed"), b"").unwrap();
        let done = running.collect();
        assert_eq!(done.numbers("after"), [0, 0]);
    }
}

mod lock_is_owned {
    use super::*;

    fn count(size: usize, guarded: bool) -> (u64, Vec<u64>) {
        let scratch = Scratch::new("dogpile-count");
        let counter = scratch.path().join("counter");
        fs::write(&counter, "0").unwrap();
        let done = herd(&scratch, "counts")
            .with("guarded", guarded)
            .size(size)
            .run();
        let counted = fs::read_to_string(&counter).unwrap().parse().unwrap();
        (counted, done.numbers("fence"))
    }

    #[test]
    fn processes_that_count_under_it_lose_nothing() {
        let size = pick(30, 100);
        let (counted, mut fences) = count(size, true);
        assert_eq!(counted, size as u64);
        fences.sort();
        fences.dedup();
        assert_eq!(fences.len(), size, "each has a fence of its own");
    }

    /// The control.
    #[test]
    fn without_it_they_do() {
        let size = pick(30, 100);
        let (counted, _) = count(size, false);
        println!("{counted} of {size}");
        assert!(counted < size as u64 / 2, "{counted}");
    }
}

mod file_readers_take_no_lock {
    use super::*;

    /// A process that was stopped within a step holds up no reader.
    #[test]
    fn a_stripe_that_stays_locked_holds_up_no_reader() {
        let scratch = Scratch::new("dogpile-stripe");
        let directory = scratch.path().join("store");
        let builder = FileStore::builder(&directory).patience(Duration::from_millis(50));
        let store = Arc::new(builder.open().unwrap());
        let pile = |ttl: Duration| -> FleetDogpile<String, _> {
            FleetDogpile::builder(Arc::clone(&store), "key", ttl)
                .local_ttl(Duration::ZERO)
                .build()
        };
        let (fresh, stale) = (pile(SECOND * 60), pile(Duration::ZERO));
        fresh.set("value".to_owned()).unwrap();
        let stripes = fs::read_dir(directory.join("stripes")).unwrap();
        let locked: Vec<_> = stripes
            .flatten()
            .map(|entry| {
                let file = fs::File::open(entry.path()).unwrap();
                file.lock().unwrap();
                file
            })
            .collect();
        assert_eq!(locked.len(), 1);
        for _ in 0..100 {
            assert_eq!(&**fresh.get_or_try_create(|_| Err("no")).unwrap(), "value");
        }
        // Whoever has to write is told within its patience.
        assert!(fresh.set("next".to_owned()).is_err());
        drop(locked);
        fresh.set("next".to_owned()).unwrap();
        assert_eq!(&**stale.get_or_try_create(|_| Err("no")).unwrap(), "next");
    }
}

mod bytes_are_checked {
    use super::*;

    /// While others read and create, the files are cut, overwritten and removed.
    #[test]
    fn harm_to_the_files_is_a_miss() {
        let scratch = Scratch::new("dogpile-harm");
        let millis: u64 = pick(2_000, 10_000);
        let mut running = herd(&scratch, "styles")
            .with("ttl", 200)
            .with("takes", 5)
            .with("keys", 1)
            .with("threads", 1)
            .with("local", 5)
            .with("millis", millis)
            .size(4)
            .start();
        running.release();
        let end = Instant::now() + Duration::from_millis(millis.saturating_sub(200));
        let store = scratch.path().join("store");
        let mut harms = 0_u64;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
            harms += 1;
            if harms.is_multiple_of(40) {
                let _ = fs::remove_dir_all(&store);
                continue;
            }
            for shard in fs::read_dir(&store).into_iter().flatten().flatten() {
                if shard.file_name() == "stripes" {
                    continue;
                }
                for file in fs::read_dir(shard.path()).into_iter().flatten().flatten() {
                    let path = file.path();
                    let is = |end| path.extension().is_some_and(|is| is == end);
                    let _ = match harms % 5 {
                        0 if is("val") => fs::write(&path, b""),
                        1 if is("val") => fs::write(&path, vec![b'x'; 50_123]),
                        2 if is("st") => fs::remove_file(&path),
                        3 if is("st") => fs::write(&path, b"garbled"),
                        4 if is("val") => fs::OpenOptions::new()
                            .write(true)
                            .open(&path)
                            .and_then(|file| file.set_len(1_000)),
                        _ => Ok(()),
                    };
                }
            }
        }
        let done = running.collect();
        let report = format!("{:?}", done.lines().collect::<Vec<_>>());
        println!("{harms} harms: {report}");
        assert_eq!((done.sum("errors"), done.sum("bad")), (0, 0), "{report}");
        assert!(done.sum("corrupt") > 0, "{report}");
        assert!(done.sum("operations") > 100, "{report}");
        let whole = done.members().iter().all(|member| member.status.success());
        assert!(whole, "{report}");
    }
}
