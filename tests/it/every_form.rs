//! The same promise in every form of a call: of either pile, by a thread or a task, with a creator in
//! the call or in a job, of a value that the pile keeps or that is looked up.
//!
//! ```breakages
//! what-is-kept-is-not | src/answer/created.rs | first_call_waits::of_a_value_that_is_kept
//! - true => node.clone(),
//! + true => NodeRef::elsewhere(times, fence),
//!
//! what-was-expired-meanwhile-is-no-answer | src/call/election/told.rs | first_call_waits::of_a_value_that_was_expired_meanwhile
//! - Ending::Value(node, writers) if node.number() > newer_than
//! + Ending::Value(node, writers) if node.number() > newer_than && node.times().expired.is_none()
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;

use dogpile::{Accept, Created, Dogpile, Error, Origin};

use super::forms::{AnyPile, Down, Form, each_form};
use super::kinds::KINDS;
use super::support::{MINUTE, Runs, burst, bursts, until, within};

/// A creator that must not run.
fn never() -> Result<Created<u32>, Down> {
    panic!("a second creator")
}

/// How an answer came about, and how many got such a one.
fn count(origins: &[Origin], origin: Origin) -> usize {
    origins.iter().filter(|&&other| other == origin).count()
}

mod first_call_waits {
    use super::*;

    /// Nine callers at once, and what one of them made.
    fn nine(form: &Form, keep: bool, meanwhile: fn(&dyn AnyPile)) -> Vec<(u32, Origin)> {
        let runs = Arc::new(Runs::default());
        let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(9));
        let create = {
            let runs = Arc::clone(&runs);
            move || {
                runs.run(|| {
                    until(|| pile.waiters() == waiting);
                    meanwhile(&*pile);
                    Ok(Created::new(1).keep(keep))
                })
            }
        };
        let answers = thread::scope(|threads| {
            let ask = |_| {
                let create = create.clone();
                threads.spawn(move || form.get(create).unwrap())
            };
            let callers: Vec<_> = (0..9).map(ask).collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap())
                .collect()
        });
        assert_eq!(runs.count(), 1);
        answers
    }

    fn served_by_one_creation(keep: bool) {
        within(move || {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let answers = nine(form, keep, |_| ());
                    assert!(answers.iter().all(|(value, _)| *value == 1));
                    let origins: Vec<_> = answers.iter().map(|(_, origin)| *origin).collect();
                    assert_eq!(count(&origins, Origin::CreatedHere), 1);
                    assert_eq!(count(&origins, Origin::CreatedByAnother), 8);
                    assert_eq!(form.pile.peek().is_some(), keep);
                    // Of a value that it does not keep, a map knows nothing.
                    let is_known = keep || form.pile.kind() != "keyed";
                    assert_eq!(form.pile.has_value(), is_known);
                },
            );
        });
    }

    #[test]
    fn of_a_value_that_is_kept() {
        served_by_one_creation(true);
    }

    #[test]
    fn of_a_value_that_is_not_kept() {
        served_by_one_creation(false);
    }

    /// Stale as soon as it is there, it is still theirs.
    #[test]
    fn of_a_value_that_was_expired_meanwhile() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let answers = nine(form, true, |pile| pile.expire());
                    let origins: Vec<_> = answers.iter().map(|(_, origin)| *origin).collect();
                    assert_eq!(count(&origins, Origin::CreatedHere), 1);
                    assert_eq!(count(&origins, Origin::CreatedByAnother), 8);
                },
            );
        });
    }
}

mod no_starvation {
    use super::*;

    /// All who waited when an `invalidate` came, and the creator, get the result, marked.
    #[test]
    fn who_waited_already_gets_what_was_superseded() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let runs = Arc::new(Runs::default());
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(9));
                    let create = {
                        let runs = Arc::clone(&runs);
                        move || {
                            runs.run(|| {
                                until(|| pile.waiters() == waiting);
                                for _ in 0..5 {
                                    pile.invalidate();
                                }
                                Ok(Created::new(1))
                            })
                        }
                    };
                    thread::scope(|threads| {
                        for _ in 0..9 {
                            let create = create.clone();
                            threads.spawn(move || {
                                assert_eq!(form.get(create).unwrap(), (1, Origin::Superseded));
                            });
                        }
                    });
                    assert_eq!(runs.count(), 1);
                    assert!(!form.pile.has_value());
                },
            );
        });
    }

    /// An `invalidate` comes in each creation. Whoever came after the first is answered by the next
    /// creation, though that is superseded too.
    #[test]
    fn who_came_later_outlasts_one_creation_more() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let begun = Arc::new(AtomicUsize::new(0));
                    // The first creation ends, when all have come after its `invalidate`; the second,
                    // when all wait for it.
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(9));
                    let create = {
                        let begun = Arc::clone(&begun);
                        move || {
                            let number = begun.fetch_add(1, Ordering::SeqCst);
                            if number == 0 {
                                pile.invalidate();
                            }
                            // Of ten the creator of the first has left by the second.
                            until(|| pile.waiters() == waiting + usize::from(number == 0));
                            pile.invalidate();
                            Ok(Created::new(number as u32))
                        }
                    };
                    let mut answers = thread::scope(|threads| {
                        let ask = || {
                            let create = create.clone();
                            threads.spawn(move || form.get(create).unwrap())
                        };
                        let first = ask();
                        until(|| begun.load(Ordering::SeqCst) == 1);
                        let later: Vec<_> = (0..9).map(|_| ask()).collect();
                        assert_eq!(first.join().unwrap(), (0, Origin::Superseded));
                        later
                            .into_iter()
                            .map(|caller| caller.join().unwrap())
                            .collect::<Vec<_>>()
                    });
                    answers.dedup();
                    assert_eq!(answers, [(1, Origin::Superseded)]);
                    assert_eq!(begun.load(Ordering::SeqCst), 2);
                },
            );
        });
    }
}

mod panic_hands_over {
    use super::*;

    /// Sixteen callers, one run, and everybody is told once.
    #[test]
    fn one_run_for_all_who_can_be_told() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let runs = Arc::new(Runs::default());
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(17));
                    let create = {
                        let runs = Arc::clone(&runs);
                        move || {
                            runs.run(|| {
                                until(|| pile.waiters() == waiting);
                                burst()
                            })
                        }
                    };
                    let told = AtomicUsize::new(0);
                    let unwound = AtomicUsize::new(0);
                    thread::scope(|threads| {
                        for _ in 0..17 {
                            let create = create.clone();
                            let (told, unwound) = (&told, &unwound);
                            threads.spawn(move || {
                                let own = bursts(|| match form.get(create) {
                                    Err(Error::Panicked(panic)) if panic.text() == "burst" => {
                                        told.fetch_add(1, Ordering::SeqCst);
                                    }
                                    other => panic!("{other:?}"),
                                });
                                unwound.fetch_add(usize::from(own), Ordering::SeqCst);
                            });
                        }
                    });
                    assert_eq!(runs.count(), 1);
                    // The panic unwinds the call that ran the creator, and no other.
                    let own = usize::from(!form.is_in_background());
                    assert_eq!((told.into_inner(), unwound.into_inner()), (17 - own, own));
                    assert!(!form.pile.is_creating());
                    assert_eq!(form.get(|| Ok(Created::new(2))).unwrap().0, 2);
                },
            );
        });
    }

    /// Who cannot be told elects anew: each panic costs one of them, and the first that does not
    /// panic serves the rest.
    #[test]
    fn who_cannot_be_told_elects_anew() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    if form.acquires {
                        return; // It has no infallible form.
                    }
                    let runs = Arc::new(Runs::default());
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(5));
                    let create = {
                        let runs = Arc::clone(&runs);
                        move || {
                            runs.run(|| {
                                if runs.count() == 1 {
                                    until(|| pile.waiters() == waiting);
                                    burst()
                                }
                                7
                            })
                        }
                    };
                    let hurt = AtomicUsize::new(0);
                    thread::scope(|threads| {
                        for _ in 0..5 {
                            let (create, hurt) = (create.clone(), &hurt);
                            threads.spawn(move || {
                                let own = bursts(|| match form.get_or_create(create) {
                                    Ok((value, _)) => assert_eq!(value, 7),
                                    Err(Error::Panicked(_)) => burst(),
                                    Err(other) => panic!("{other:?}"),
                                });
                                hurt.fetch_add(usize::from(own), Ordering::SeqCst);
                            });
                        }
                    });
                    // The caller of the creation that panicked is told, in the background too.
                    assert_eq!((runs.count(), hurt.into_inner()), (2, 1));
                },
            );
        });
    }
}

mod error_reaches_everyone_once {
    use super::*;

    #[test]
    fn the_same_to_all_who_waited() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let runs = Arc::new(Runs::default());
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(5));
                    let create = {
                        let runs = Arc::clone(&runs);
                        move || {
                            runs.run(|| {
                                until(|| pile.waiters() == waiting);
                                Err(Down(1))
                            })
                        }
                    };
                    let errors = Mutex::new(Vec::new());
                    thread::scope(|threads| {
                        for _ in 0..5 {
                            let (create, errors) = (create.clone(), &errors);
                            threads.spawn(move || match form.get(create) {
                                Err(Error::Create(error)) => errors.lock().unwrap().push(error),
                                other => panic!("{other:?}"),
                            });
                        }
                    });
                    let errors = errors.into_inner().unwrap();
                    assert_eq!((runs.count(), errors.len()), (1, 5));
                    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
                },
            );
        });
    }
}

mod expire_keeps_serving {
    use super::*;

    /// While one renews what was expired, the others are served, also where nothing stale may be; a
    /// failure condemns nothing.
    #[test]
    fn until_the_end_that_it_had() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE).stale_while_revalidate(std::time::Duration::ZERO),
                |form| {
                    if form.acquires {
                        return; // It looks in vain, and has nothing stale.
                    }
                    drop(form.get(|| Ok(Created::new(1))));
                    form.pile.expire();
                    let (begun, has_begun) = sync_channel(1);
                    let (go, goes) = sync_channel(0);
                    let create = move || {
                        begun.send(()).unwrap();
                        goes.recv().unwrap();
                        Err(Down(1))
                    };
                    thread::scope(|threads| {
                        let caller = threads.spawn(|| form.get(create));
                        has_begun.recv().unwrap();
                        assert_eq!(form.get(never).unwrap(), (1, Origin::Stale));
                        go.send(()).unwrap();
                        match caller.join().unwrap() {
                            // Started and left.
                            Ok(answer) => {
                                assert!(form.is_in_background());
                                assert_eq!(answer, (1, Origin::Stale));
                            }
                            Err(error) => assert_eq!(error.created(), Some(&Down(1))),
                        }
                    });
                    until(|| !form.pile.is_creating());
                    assert_eq!(form.pile.peek(), Some(1));
                },
            );
        });
    }
}

mod accepts {
    use super::*;

    /// A creation that began too early to count is outlasted, in every form.
    #[test]
    fn who_asks_for_a_new_one_waits_for_the_next() {
        within(|| {
            each_form(
                || Dogpile::builder(MINUTE),
                |form| {
                    let strict = Form {
                        accept: Accept::New,
                        ..form.clone()
                    };
                    let runs = Arc::new(Runs::default());
                    let (pile, waiting) = (Arc::clone(&form.pile), form.waiting_of(2));
                    let (begun, has_begun) = sync_channel(1);
                    let first = {
                        let runs = Arc::clone(&runs);
                        move || {
                            runs.run(|| {
                                begun.send(()).unwrap();
                                until(|| pile.waiters() == waiting);
                                Ok(Created::new(1))
                            })
                        }
                    };
                    let second = {
                        let runs = Arc::clone(&runs);
                        move || runs.run(|| Ok(Created::new(2)))
                    };
                    thread::scope(|threads| {
                        let early = threads.spawn(|| form.get(first).unwrap());
                        has_begun.recv().unwrap();
                        let late = threads.spawn(|| strict.get(second).unwrap());
                        assert_eq!(late.join().unwrap(), (2, Origin::CreatedHere));
                        let (early, _) = early.join().unwrap();
                        // A reader gets no value that was replaced before it is inside.
                        assert!(early == 1 || (form.pile.is_gated() && early == 2));
                    });
                    assert_eq!(runs.count(), 2);
                },
            );
        });
    }
}

/// Else a form could be left out of all of this unseen.
#[test]
fn the_forms_are_all_there() {
    let forms = Mutex::new(Vec::new());
    each_form(
        || Dogpile::builder(MINUTE),
        |form| {
            let shown = format!("{form:?}");
            assert_eq!(form.get(|| Ok(Created::new(1))).unwrap().0, 1);
            forms.lock().unwrap().push(shown);
        },
    );
    let mut forms = forms.into_inner().unwrap();
    let all = forms.len();
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), all);
    let per_kind = if cfg!(feature = "async") { 8 } else { 2 };
    let of_kinds = KINDS
        .iter()
        .map(|kind| match kind(Dogpile::builder(MINUTE)).looks_up() {
            true => per_kind,
            false => per_kind / 2,
        });
    assert_eq!(all, of_kinds.sum::<usize>());
}
