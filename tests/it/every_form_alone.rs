//! Promises to a caller that come true without others who wait, in every form of a call of every kind of
//! pile.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use dogpile::{Accept, Created, Dogpile, Origin};

use super::forms::{Down, Form, each_form};
use super::support::{MINUTE, Runs, manual, until, within};

fn never() -> Result<Created<u32>, Down> {
    panic!("a second creator")
}

/// While this form's creator runs, `meanwhile` is done by another thread. Then the answer of its call, and
/// nobody creates any more.
fn while_creating(form: &Form, value: u32, meanwhile: impl FnOnce()) -> (u32, Origin) {
    let (begun, has_begun) = sync_channel(1);
    let (go, goes) = sync_channel(1);
    let create = move || {
        begun.send(()).unwrap();
        goes.recv().unwrap();
        Ok(Created::new(value))
    };
    let answer = thread::scope(|threads| {
        let caller = threads.spawn(|| form.get(create).unwrap());
        has_begun.recv().unwrap();
        meanwhile();
        go.send(()).unwrap();
        caller.join().unwrap()
    });
    until(|| !form.pile.is_creating());
    answer
}

/// Callers who come and go, and changes in between: two creators are never at it.
#[test]
fn one_creator() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                let (runs, start) = (Arc::new(Runs::default()), Barrier::new(4));
                thread::scope(|threads| {
                    for thread in 0..4 {
                        let (runs, start) = (&runs, &start);
                        threads.spawn(move || {
                            start.wait();
                            for step in 0..25 {
                                let runs = Arc::clone(runs);
                                match (thread + step) % 5 {
                                    0 => form.pile.invalidate(),
                                    1 => form.pile.expire(),
                                    2 => form.pile.set(1),
                                    3 => drop(form.get(move || runs.run(|| Err(Down(1))))),
                                    _ => drop(form.get(move || runs.run(|| Ok(Created::new(1))))),
                                }
                            }
                        });
                    }
                });
                until(|| !form.pile.is_creating());
            },
        );
    });
}

/// What is fresh is given out, what is stale too while another creates; and no creator runs for that.
#[test]
fn stale_never_blocks() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                if form.acquires {
                    return; // It looks in vain, and has nothing stale.
                }
                form.pile.set(1);
                assert_eq!(form.get(never).unwrap(), (1, Origin::Fresh));
                form.pile.expire();
                let (value, origin) = while_creating(form, 2, || {
                    assert_eq!(form.get(never).unwrap(), (1, Origin::Stale));
                });
                let started = (1, Origin::Stale);
                let created = (2, Origin::CreatedHere);
                let expected = if form.is_in_background() {
                    started
                } else {
                    created
                };
                assert_eq!((value, origin), expected);
                assert_eq!(form.get(never).unwrap(), (2, Origin::Fresh));
            },
        );
    });
}

/// A caller who comes after `invalidate` gets nothing that was begun before it.
#[test]
fn invalidate_wins() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                form.pile.set(0);
                form.pile.invalidate();
                let (value, origin) = while_creating(form, 1, || {
                    form.pile.invalidate();
                    assert_eq!(form.pile.peek(), None);
                });
                assert_eq!((value, origin), (1, Origin::Superseded));
                assert_eq!(form.pile.peek(), None);
                let anew = form.get(|| Ok(Created::new(2))).unwrap();
                assert_eq!(anew, (2, Origin::CreatedHere));
            },
        );
    });
}

/// A creation that began before a `set` does not overwrite what was set.
#[test]
fn set_wins() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                let (value, origin) = while_creating(form, 1, || form.pile.set(2));
                // Who waits for a job is one who waits: it has what was set at once.
                match form.is_in_background() {
                    true => assert_eq!(value, 2),
                    false => assert_eq!((value, origin), (1, Origin::Superseded)),
                }
                assert_eq!(form.pile.peek(), Some(2));
                form.pile.expire();
                drop(form.get(|| Err(Down(1))));
                until(|| !form.pile.is_creating());
                assert_eq!(form.pile.peek(), Some(2));
            },
        );
    });
}

/// `expire` brings nothing back.
#[test]
fn no_resurrection() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                drop(form.get(|| Ok(Created::new(1))));
                form.pile.invalidate();
                form.pile.expire();
                assert_eq!(form.pile.peek(), None);
                assert_eq!(
                    form.get(|| Err(Down(1))).unwrap_err().created(),
                    Some(&Down(1))
                );
                assert_eq!(form.get(|| Ok(Created::new(2))).unwrap().0, 2);
            },
        );
    });
}

/// The clock moves on in the creator, and the value is fresh from its end on for all of its time.
#[test]
fn ttl_from_completion() {
    within(|| {
        let (clock, _) = manual::<u32>(MINUTE);
        each_form(
            || Dogpile::builder(MINUTE).clock(clock.clone()),
            |form| {
                if form.acquires {
                    return; // It looks in vain, and creates each time.
                }
                let moved = Arc::clone(&clock);
                let create = move || {
                    moved.advance(MINUTE * 3);
                    Ok(Created::new(1))
                };
                assert_eq!(form.get(create).unwrap().0, 1);
                clock.advance(MINUTE - Duration::from_nanos(1));
                assert_eq!(form.get(never).unwrap(), (1, Origin::Fresh));
                clock.advance(Duration::from_secs(1));
                drop(form.get(|| Ok(Created::new(2))));
                until(|| !form.pile.is_creating());
                assert_eq!(form.pile.peek(), Some(2));
            },
        );
    });
}

/// A creator gives its value a time to live, an age, and limits.
#[test]
fn per_value_limits() {
    within(|| {
        let (clock, _) = manual::<u32>(MINUTE);
        each_form(
            || Dogpile::builder(MINUTE).clock(clock.clone()),
            |form| {
                if form.acquires {
                    return; // It looks in vain, and creates each time.
                }
                let second = Duration::from_secs(1);
                let create = move || {
                    let limited = Created::new(1).ttl(second * 10).age(second * 4);
                    Ok(limited
                        .stale_while_revalidate(second * 5)
                        .stale_if_error(second * 20))
                };
                assert_eq!(form.get(create).unwrap().0, 1);
                clock.advance(second * 6);
                assert_eq!(form.get(never).unwrap(), (1, Origin::Fresh));
                clock.advance(second * 5);
                // Stale: one renews, and its failure condemns nothing.
                drop(form.get(|| Err(Down(1))));
                until(|| !form.pile.is_creating());
                assert_eq!(form.pile.peek(), Some(1));
                clock.advance(second);
                assert_eq!(form.pile.peek(), None);
                let fallback = form.get(|| Err(Down(1))).unwrap();
                assert_eq!(fallback, (1, Origin::Fallback));
                clock.advance(second * 30);
                assert!(form.get(|| Err(Down(1))).is_err());
                assert_eq!(form.get(|| Ok(Created::new(2))).unwrap().0, 2);
            },
        );
    });
}

/// A call from inside the creator of the same value has an answer at once.
#[test]
fn reentrancy_is_an_error() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                let again = form.clone();
                let made = form.get(move || {
                    assert!(again.get(never).unwrap_err().is_reentrant());
                    Ok(Created::new(1))
                });
                assert_eq!(made.unwrap().0, 1);
            },
        );
    });
}

/// A call that asks for a new value is not answered by one that is there, and brings no other caller's
/// creation into danger.
#[test]
fn accepts_nothing_but_what_is_new() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE),
            |form| {
                form.pile.set(1);
                let strict = Form {
                    accept: Accept::New,
                    ..form.clone()
                };
                let made = strict.get(|| Ok(Created::new(2))).unwrap();
                assert_eq!(made, (2, Origin::CreatedHere));
                assert!(strict.get(|| Err(Down(1))).is_err());
                assert_eq!(form.pile.peek(), Some(2));
            },
        );
    });
}
