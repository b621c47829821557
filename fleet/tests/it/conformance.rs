//! Every case on every store of the crate, asked by threads and by tasks; and every rule of a store,
//! taken out on purpose, is caught by the cases named beside it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dogpile_fleet::conformance::{self, CASES, Report, Subject};
use dogpile_fleet::{
    Abilities, Answer, Ask, Depth, Described, Found, Grant, Guarded, Hint, Key, Owner, Placed, Put,
    Store, StoreError, Stored, Version, Watch,
};

use crate::bench::{Async, Files, Memory};

fn assert_all(report: &Report, skipped: &[&str]) {
    assert!(report.failed.is_empty(), "{report}");
    let numbers: Vec<_> = report.skipped.iter().map(|name| &name[..2]).collect();
    assert_eq!(numbers, skipped, "{report}");
    assert_eq!(report.passed.len() + skipped.len(), CASES.len());
}

#[test]
fn memory() {
    assert_all(&conformance::run(&Memory::new()), &["38", "56"]);
}

#[test]
fn memory_asked_by_tasks() {
    assert_all(&conformance::run(&Async(Memory::new())), &["38", "56"]);
}

#[test]
fn file() {
    assert_all(&conformance::run(&Files::new()), &["40"]);
}

#[test]
fn file_asked_by_tasks() {
    assert_all(&conformance::run(&Async(Files::new())), &["40"]);
}

#[test]
fn cases_are_numbered_in_order() {
    for (number, case) in CASES.iter().enumerate() {
        assert!(
            case.name.starts_with(&format!("{:02} ", number + 1)),
            "{}",
            case.name
        );
    }
}

/// A store without one of its rules.
struct Without {
    rule: Rule,
    store: Arc<dyn Store>,
    /// What was done, for rules that need to know.
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    granted: Vec<(Key, Grant, Duration)>,
    quiet: Vec<(Key, Duration)>,
    written: Vec<Key>,
}

impl Notes {
    fn grant_of(&self, key: &Key) -> Option<(Grant, Duration)> {
        let mut granted = self.granted.iter().rev();
        granted
            .find(|(of, ..)| of == key)
            .map(|(_, grant, lease)| (*grant, *lease))
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Rule {
    LooksElectNobody,
    LooksSeeLeases,
    OneLeads,
    FenceTold,
    RetryWithinTheLease,
    BusyHasTheStaleValue,
    LeaderHasTheStaleValue,
    QuietHasTheStaleValue,
    BytesWhole,
    LongKeysApart,
    FormatsApart,
    KnownSavesBytes,
    KnownIsThatVersion,
    TimesTold,
    AgeKept,
    OverTold,
    KeepEnds,
    FreshEnds,
    Floor,
    Ahead,
    AheadOnlyOfTheKnown,
    AheadNotForLooks,
    LeaseEnds,
    CommitIsFenced,
    CommitChecksTheOwner,
    CommitChecksTheNumber,
    CommitKeepsItsVersion,
    CommitSentTwice,
    AskSentTwice,
    CommitNeedsARecord,
    AbsentIsChecked,
    AbsentSeesStale,
    VersionIsChecked,
    RefusedNamesWhatIsThere,
    WriteEndsTheLease,
    WriteHasANewNumber,
    RenewSaysLost,
    RenewRenews,
    ReleaseReleases,
    ReleaseChecksTheOwner,
    ReleaseSaysLost,
    SoftKeepsTheValue,
    SoftTakesTheLease,
    SoftIsToldAsExpired,
    HardRemoves,
    OnlyIsChecked,
    OnlySaysSo,
    NumbersGrow,
    FailureIsQuiet,
    FailuresAreCounted,
    SuccessClearsFailures,
    WriteEndsQuiet,
    InvalidationEndsQuiet,
    Interval,
    GivenUpIsNotCounted,
    TooLargeIsRefused,
    CommitsAreHinted,
    InvalidationsAreHinted,
    DepthIsHinted,
    NapEnds,
    AllIsDone,
    AllSoftKeepsTheValues,
    AllHardRemoves,
    AllTakesTheLeases,
    AllEndsQuiet,
    AllIsOfOneNamespace,
    AllIsHinted,
    AllDepthIsHinted,
    ManyAnswersEach,
    ManyKeepsTheOrder,
    ManyStepsInOrder,
    ManyLeads,
    DestroyedIsAMiss,
    DestroyedIsAloneInThat,
}

use Rule::*;

/// Which rule is caught by which cases, one of which has to fail.
const CAUGHT: &[(Rule, &[&str])] = &[
    (LooksElectNobody, &["01", "03"]),
    (LooksSeeLeases, &["03", "09"]),
    (OneLeads, &["02", "33"]),
    (OneLeads, &["57"]),
    (FenceTold, &["02"]),
    (RetryWithinTheLease, &["02"]),
    (BusyHasTheStaleValue, &["09"]),
    (LeaderHasTheStaleValue, &["09", "11"]),
    (QuietHasTheStaleValue, &["43"]),
    (BytesWhole, &["05"]),
    (LongKeysApart, &["06"]),
    (FormatsApart, &["07"]),
    (KnownSavesBytes, &["08"]),
    (KnownIsThatVersion, &["30"]),
    (TimesTold, &["04", "08"]),
    (AgeKept, &["31"]),
    (OverTold, &["09"]),
    (KeepEnds, &["10"]),
    (FreshEnds, &["09"]),
    (Floor, &["29"]),
    (Ahead, &["30"]),
    (AheadOnlyOfTheKnown, &["30"]),
    (AheadNotForLooks, &["30"]),
    (LeaseEnds, &["14"]),
    (CommitIsFenced, &["17"]),
    (CommitChecksTheOwner, &["18"]),
    (CommitChecksTheNumber, &["18"]),
    (CommitKeepsItsVersion, &["03", "04"]),
    (CommitSentTwice, &["20"]),
    (AskSentTwice, &["20"]),
    (CommitNeedsARecord, &["19", "36"]),
    (AbsentIsChecked, &["25"]),
    (AbsentSeesStale, &["26"]),
    (VersionIsChecked, &["27", "34"]),
    (RefusedNamesWhatIsThere, &["25", "27"]),
    (WriteEndsTheLease, &["24"]),
    (WriteHasANewNumber, &["24", "32"]),
    (RenewSaysLost, &["16"]),
    (RenewRenews, &["15"]),
    (ReleaseReleases, &["11"]),
    (ReleaseChecksTheOwner, &["13"]),
    (ReleaseSaysLost, &["12"]),
    (SoftKeepsTheValue, &["21"]),
    (SoftTakesTheLease, &["21"]),
    (SoftIsToldAsExpired, &["21"]),
    (HardRemoves, &["22"]),
    (OnlyIsChecked, &["23"]),
    (OnlySaysSo, &["23"]),
    (NumbersGrow, &["32"]),
    (FailureIsQuiet, &["42"]),
    (FailuresAreCounted, &["42"]),
    (SuccessClearsFailures, &["42"]),
    (WriteEndsQuiet, &["44"]),
    (InvalidationEndsQuiet, &["44"]),
    (Interval, &["45"]),
    (GivenUpIsNotCounted, &["46"]),
    (TooLargeIsRefused, &["39"]),
    (CommitsAreHinted, &["40"]),
    (InvalidationsAreHinted, &["40"]),
    (DepthIsHinted, &["40"]),
    (NapEnds, &["35", "41", "53"]),
    (AllIsDone, &["48"]),
    (AllIsDone, &["49"]),
    (AllIsDone, &["50"]),
    (AllIsDone, &["52"]),
    (AllSoftKeepsTheValues, &["48"]),
    (AllHardRemoves, &["49"]),
    (AllHardRemoves, &["50"]),
    (AllHardRemoves, &["51"]),
    (AllTakesTheLeases, &["48"]),
    (AllTakesTheLeases, &["49"]),
    (AllEndsQuiet, &["51"]),
    (AllIsOfOneNamespace, &["48"]),
    (AllIsHinted, &["53"]),
    (AllDepthIsHinted, &["53"]),
    (ManyAnswersEach, &["54"]),
    (ManyKeepsTheOrder, &["54"]),
    (ManyStepsInOrder, &["55"]),
    (ManyLeads, &["54"]),
    (ManyLeads, &["55"]),
    (ManyLeads, &["57"]),
];

/// The same of rules about records that were destroyed, which takes a store of files.
const CAUGHT_IN_FILES: &[(Rule, &[&str])] = &[
    (DestroyedIsAMiss, &["38"]),
    (DestroyedIsAMiss, &["56"]),
    (DestroyedIsAloneInThat, &["56"]),
];

impl Without {
    fn is(&self, rule: Rule) -> bool {
        self.rule == rule
    }

    fn key(&self, key: &Key) -> Key {
        let name = key.as_bytes();
        match self.rule {
            LongKeysApart => Key::new("cut", &name[..name.len().min(200)], 0),
            FormatsApart => Key::new("cut", &name[..name.len() - 17], 0),
            _ => key.clone(),
        }
    }

    fn told(&self, mut stored: Stored) -> Stored {
        match self.rule {
            BytesWhole => {
                stored.bytes = stored.bytes.map(|mut bytes| {
                    bytes.truncate(1 << 16);
                    bytes
                });
            }
            TimesTold => stored.fresh_for = Duration::MAX,
            OverTold => stored.over_for = Duration::ZERO,
            SoftIsToldAsExpired => stored.expired = false,
            _ => {}
        }
        stored
    }
}

impl Described for Without {
    fn abilities(&self) -> Abilities {
        self.store.abilities()
    }

    fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        struct Deaf(Rule, Weak<dyn Watch>);
        impl Watch for Deaf {
            fn hint(&self, hint: &Hint) {
                let (key, version, depth) = match hint.clone() {
                    Hint::Changed {
                        key,
                        version,
                        depth,
                    } => (key, version, depth),
                    Hint::AllChanged { .. } if self.0 == AllIsHinted => return,
                    Hint::AllChanged { namespace, depth } => {
                        let depth = match self.0 {
                            AllDepthIsHinted => Depth::Soft,
                            _ => depth,
                        };
                        if let Some(watch) = self.1.upgrade() {
                            watch.hint(&Hint::AllChanged { namespace, depth });
                        }
                        return;
                    }
                    _ => return,
                };
                let depth = match self.0 {
                    CommitsAreHinted if depth == Depth::Soft && !version.is_none() => return,
                    InvalidationsAreHinted if version.is_none() => return,
                    DepthIsHinted => Depth::Soft,
                    _ => depth,
                };
                if let Some(watch) = self.1.upgrade() {
                    watch.hint(&Hint::Changed {
                        key,
                        version,
                        depth,
                    });
                }
            }
        }
        // It is kept for ever: this is a test.
        let deaf: Arc<dyn Watch> = Arc::new(Deaf(self.rule, watch));
        let weak = Arc::downgrade(&deaf);
        std::mem::forget(deaf);
        self.store.watch(weak)
    }
}

impl Store for Without {
    fn get_or_lease(&self, key: &Key, ask: &Ask) -> Answer<Found> {
        let (own, mut ask) = (self.key(key), *ask);
        let looks = ask.owner.is_none();
        match self.rule {
            LooksElectNobody => ask.owner = ask.owner.or(Some(Owner::draw())),
            AskSentTwice => ask.owner = ask.owner.map(|_| Owner::draw()),
            KnownSavesBytes => ask.known = Version::NONE,
            Floor => ask.floor = Version::NONE,
            Ahead => ask.ahead = false,
            AheadOnlyOfTheKnown if ask.ahead => ask.floor = Version(u64::MAX),
            AheadNotForLooks if looks && ask.ahead => ask.floor = Version(u64::MAX),
            LeaseEnds => ask.lease = Duration::MAX,
            Interval => ask.interval = Duration::ZERO,
            _ => {}
        }
        if self.is(FailureIsQuiet) && !looks {
            let quiet = std::mem::take(&mut self.notes.lock().unwrap().quiet);
            if quiet.iter().any(|(of, _)| of == key) {
                self.store.invalidate(&own, Depth::Soft, Version::NONE)?;
            }
        }
        let mut found = self.store.get_or_lease(&own, &ask)?;
        if self.is(KnownIsThatVersion)
            && !ask.known.is_none()
            && let Found::Fresh(stored) = &mut found
        {
            stored.version = ask.known;
        }
        let found = match (self.rule, found) {
            (OneLeads, Found::Busy { fence, stale, .. }) if !looks => Found::Leased {
                fence: Version(fence.0 + 1),
                stale,
                failures: 0,
            },
            (LooksSeeLeases, Found::Busy { stale, .. }) if looks => Found::Idle { stale },
            (
                FenceTold,
                Found::Busy {
                    stale, retry_in, ..
                },
            ) => Found::Busy {
                fence: Version(1),
                stale,
                retry_in,
            },
            (RetryWithinTheLease, Found::Busy { fence, stale, .. }) => Found::Busy {
                fence,
                stale,
                retry_in: Duration::MAX,
            },
            (
                BusyHasTheStaleValue,
                Found::Busy {
                    fence, retry_in, ..
                },
            ) => Found::Busy {
                fence,
                stale: None,
                retry_in,
            },
            (
                LeaderHasTheStaleValue,
                Found::Leased {
                    fence, failures, ..
                },
            ) => Found::Leased {
                fence,
                stale: None,
                failures,
            },
            (QuietHasTheStaleValue, Found::Quiet { retry_in, .. }) => Found::Quiet {
                stale: None,
                retry_in,
            },
            (FailuresAreCounted, Found::Leased { fence, stale, .. }) => Found::Leased {
                fence,
                stale,
                failures: 0,
            },
            (
                SuccessClearsFailures,
                Found::Leased {
                    fence,
                    stale,
                    failures,
                },
            ) => {
                let failed = !self.notes.lock().unwrap().quiet.is_empty();
                Found::Leased {
                    fence,
                    stale,
                    failures: failures.max(u32::from(failed)),
                }
            }
            (
                NumbersGrow,
                Found::Leased {
                    fence,
                    stale,
                    failures,
                },
            ) => {
                let fence = Version(u64::MAX - fence.0);
                Found::Leased {
                    fence,
                    stale,
                    failures,
                }
            }
            (DestroyedIsAMiss, Found::Leased { stale: None, .. })
                if self.notes.lock().unwrap().written.contains(key) =>
            {
                return Err(StoreError::protocol("it cannot be read"));
            }
            (_, found) => found,
        };
        if let (Found::Leased { fence, .. }, Some(owner)) = (&found, ask.owner) {
            let grant = Grant {
                owner,
                fence: *fence,
            };
            self.notes
                .lock()
                .unwrap()
                .granted
                .push((key.clone(), grant, ask.lease));
        }
        Ok(match found {
            Found::Fresh(stored) => Found::Fresh(self.told(stored)),
            Found::Leased {
                fence,
                stale,
                failures,
            } => Found::Leased {
                fence,
                stale: stale.map(|s| self.told(s)),
                failures,
            },
            other => other,
        })
    }

    fn get_or_lease_many(&self, asks: &[(Key, Ask)]) -> Vec<Answer<Found>> {
        let one = |(key, ask): &(Key, Ask)| self.get_or_lease(key, ask);
        match self.rule {
            ManyAnswersEach => asks.iter().skip(1).map(one).collect(),
            ManyKeepsTheOrder => asks.iter().rev().map(one).collect(),
            ManyStepsInOrder => {
                let mut answers: Vec<_> = asks.iter().rev().map(one).collect();
                answers.reverse();
                answers
            }
            ManyLeads => {
                let look = |(key, ask): &(Key, Ask)| {
                    let ask = Ask {
                        owner: None,
                        ..*ask
                    };
                    self.get_or_lease(key, &ask)
                };
                asks.iter().map(look).collect()
            }
            DestroyedIsAloneInThat => {
                let answers: Vec<_> = asks.iter().map(one).collect();
                let missing = |answer| matches!(answer, &Ok(Found::Leased { stale: None, .. }));
                match answers.iter().any(missing) {
                    true => (asks.iter())
                        .map(|_| Err(StoreError::protocol("one cannot be read")))
                        .collect(),
                    false => answers,
                }
            }
            _ => asks.iter().map(one).collect(),
        }
    }

    #[expect(clippy::collapsible_match, reason = "a row for each rule")]
    fn put(&self, key: &Key, put: &Put<'_>) -> Answer<Placed> {
        let (own, mut put) = (self.key(key), *put);
        self.notes.lock().unwrap().written.push(key.clone());
        let granted = self.notes.lock().unwrap().grant_of(key);
        let peeked = |store: &dyn Store| store.get_or_lease(&own, &Ask::peek());
        match (self.rule, put.guard) {
            (CommitIsFenced, Guarded::Lease(_)) => put.guard = Guarded::Any,
            (CommitChecksTheOwner, Guarded::Lease(grant)) => {
                if let Some((held, _)) = granted {
                    put.guard = Guarded::Lease(Grant {
                        owner: held.owner,
                        ..grant
                    });
                }
            }
            (CommitChecksTheNumber, Guarded::Lease(grant)) => {
                if let Some((held, _)) = granted.filter(|(held, _)| held.owner == grant.owner) {
                    put.guard = Guarded::Lease(held);
                }
            }
            (CommitKeepsItsVersion, Guarded::Lease(grant)) => {
                // A new number after the right check.
                if self.store.renew(&own, grant, Duration::from_secs(60))? {
                    put.guard = Guarded::Any;
                }
            }
            (CommitSentTwice, Guarded::Lease(_)) if peeked(&*self.store)?.stored().is_some() => {
                return Ok(Placed::Refused(Version::NONE));
            }
            (CommitNeedsARecord, Guarded::Lease(_)) => {
                if let Found::Idle { stale: None } = peeked(&*self.store)? {
                    put.guard = Guarded::Absent;
                }
            }
            // As if the store did not know that the lease is lost.
            (AllTakesTheLeases, Guarded::Lease(_)) => put.guard = Guarded::Any,
            (AbsentIsChecked, Guarded::Absent) => put.guard = Guarded::Any,
            (AbsentSeesStale, Guarded::Absent) => {
                if !matches!(peeked(&*self.store)?, Found::Fresh(_)) {
                    put.guard = Guarded::Any;
                }
            }
            (VersionIsChecked, Guarded::Version(_)) => put.guard = Guarded::Any,
            (NumbersGrow, Guarded::Lease(grant)) => {
                let fence = Version(u64::MAX - grant.fence.0);
                put.guard = Guarded::Lease(Grant { fence, ..grant });
            }
            (WriteEndsTheLease | WriteHasANewNumber, Guarded::Any) => {
                if let (Some((grant, _)), true) =
                    (granted, matches!(peeked(&*self.store)?, Found::Busy { .. }))
                {
                    put.guard = Guarded::Lease(grant);
                }
            }
            (WriteEndsQuiet, guard) if !matches!(guard, Guarded::Lease(_)) => {
                if let Found::Quiet { .. } = peeked(&*self.store)? {
                    return Ok(Placed::Stored(Version(1)));
                }
            }
            (AgeKept, _) => put.age = Duration::ZERO,
            (KeepEnds, _) => put.keep_for = Duration::MAX,
            (FreshEnds, _) => put.fresh_for = Duration::MAX,
            (TooLargeIsRefused, _) if put.bytes.len() as u64 > self.abilities().max_value => {
                return Ok(Placed::Stored(Version(1)));
            }
            _ => {}
        }
        Ok(match (self.rule, self.store.put(&own, &put)?) {
            (RefusedNamesWhatIsThere, Placed::Refused(_)) => Placed::Refused(Version::NONE),
            (_, placed) => placed,
        })
    }

    fn renew(&self, key: &Key, grant: Grant, lease: Duration) -> Answer<bool> {
        let own = self.key(key);
        match self.rule {
            RenewSaysLost => self.store.renew(&own, grant, lease).map(|_| true),
            RenewRenews => Ok(true),
            NumbersGrow => {
                let fence = Version(u64::MAX - grant.fence.0);
                self.store.renew(&own, Grant { fence, ..grant }, lease)
            }
            _ => self.store.renew(&own, grant, lease),
        }
    }

    fn release(&self, key: &Key, mut grant: Grant, quiet: Duration) -> Answer<bool> {
        let own = self.key(key);
        let mut notes = self.notes.lock().unwrap();
        if !quiet.is_zero() {
            notes.quiet.push((key.clone(), quiet));
        }
        let held = notes.grant_of(key).map(|(held, _)| held);
        drop(notes);
        match self.rule {
            ReleaseReleases => return Ok(true),
            ReleaseSaysLost => return self.store.release(&own, grant, quiet).map(|_| true),
            ReleaseChecksTheOwner => grant = held.unwrap_or(grant),
            NumbersGrow => grant.fence = Version(u64::MAX - grant.fence.0),
            GivenUpIsNotCounted if quiet.is_zero() => {
                return self.store.release(&own, grant, Duration::from_nanos(1));
            }
            _ => {}
        }
        self.store.release(&own, grant, quiet)
    }

    fn invalidate(&self, key: &Key, mut depth: Depth, mut only: Version) -> Answer<bool> {
        let own = self.key(key);
        match self.rule {
            SoftKeepsTheValue => depth = Depth::Hard,
            HardRemoves => depth = Depth::Soft,
            OnlyIsChecked => only = Version::NONE,
            OnlySaysSo => return self.store.invalidate(&own, depth, only).map(|_| true),
            SoftTakesTheLease if depth == Depth::Soft => {
                if let Found::Busy { .. } = self.store.get_or_lease(&own, &Ask::peek())? {
                    return Ok(true);
                }
            }
            InvalidationEndsQuiet => {
                if let Found::Quiet { .. } = self.store.get_or_lease(&own, &Ask::peek())? {
                    return Ok(true);
                }
            }
            _ => {}
        }
        self.store.invalidate(&own, depth, only)
    }

    fn invalidate_all(&self, namespace: &str, depth: Depth) -> Answer<()> {
        let all = |namespace: &str, depth| self.store.invalidate_all(namespace, depth);
        match self.rule {
            AllIsDone => Ok(()),
            AllSoftKeepsTheValues => all(namespace, Depth::Hard),
            AllHardRemoves => all(namespace, Depth::Soft),
            AllIsOfOneNamespace => {
                all(&format!("{namespace}x"), depth)?;
                all(namespace, depth)
            }
            AllEndsQuiet if !self.notes.lock().unwrap().quiet.is_empty() => Ok(()),
            _ => all(namespace, depth),
        }
    }

    fn nap(&self, key: &Key, fence: Version, poll: Duration, until: Duration) {
        match self.rule {
            // For longer than any case allows, and no longer than a test may take.
            NapEnds => std::thread::sleep(until.min(Duration::from_millis(700))),
            _ => self.store.nap(&self.key(key), fence, poll, until),
        }
    }
}

struct Mutant<S>(Rule, S);

impl<S: Subject> Subject for Mutant<S> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Without {
            rule: self.0,
            store: self.1.store(),
            notes: Mutex::default(),
        })
    }

    fn pass(&self, span: Duration) {
        self.1.pass(span);
    }

    fn forget(&self, store: &dyn Store, key: &Key) -> bool {
        self.1.forget(store, key)
    }

    fn garble(&self, store: &dyn Store, key: &Key, number: usize) -> bool {
        self.1.garble(store, key, number)
    }

    fn slack(&self) -> Duration {
        Duration::from_millis(500)
    }
}

fn assert_caught<S: Subject>(rules: &[(Rule, &[&str])], subject: impl Fn() -> S) {
    for (rule, cases) in rules {
        let of_the_rule = |name: &str| cases.contains(&&name[..2]);
        let report = conformance::run_if(&Mutant(*rule, subject()), |case| of_the_rule(case.name));
        assert!(
            !report.failed.is_empty(),
            "without {rule:?} no case of {cases:?} fails"
        );
    }
}

#[test]
fn each_rule_taken_out_is_caught() {
    assert_caught(CAUGHT, Memory::new);
    assert_caught(CAUGHT_IN_FILES, Files::new);
}

/// The control of those of files: without a rule that has nothing to do with it, the cases hold.
#[test]
fn what_is_destroyed_is_caught_for_its_rules_alone() {
    let mutant = Mutant(Interval, Files::new());
    let report = conformance::run_if(&mutant, |case| ["38", "56"].contains(&&case.name[..2]));
    assert!(report.failed.is_empty(), "{report}");
    assert_eq!(report.passed.len(), 2);
}
