//! Histories made by hand: each that must be refused stands beside one that differs in as little as
//! possible and is allowed, so that neither a checker that takes everything nor one that takes
//! nothing passes.

use dogpile::Origin::{self, *};

use crate::history::{Answer, Call, History};
use crate::linearize::check;
use crate::program::{Demand, Form, GET, Get, Kind, LooksUp, Makes, Op, Program, Start, Wait};
use crate::spec::{ELSEWHERE, Settings, Time};

const FAILS: Get = Get {
    makes: Makes::Error,
    ..GET
};

fn call(op: Op, id: u64, (start, end): (u64, u64), answer: Answer) -> Call {
    let (seen, looked, creator) = (None, None, None);
    Call {
        op,
        id,
        seen,
        start,
        end,
        looked,
        creator,
        answer,
    }
}

fn get(when: (u64, u64), id: u64, origin: Origin) -> Call {
    call(Op::Get(GET), 0, when, Answer::Value(id, origin))
}

fn creates(id: u64, when: (u64, u64), creator: (u64, u64), origin: Origin) -> Call {
    let creator = Some(creator);
    let answer = Answer::Value(id, origin);
    Call {
        creator,
        ..call(Op::Get(GET), id, when, answer)
    }
}

fn fails(id: u64, when: (u64, u64), creator: (u64, u64)) -> Call {
    let creator = Some(creator);
    Call {
        creator,
        ..call(Op::Get(FAILS), id, when, Answer::Failed(id))
    }
}

fn does(op: Op, id: u64, when: (u64, u64)) -> Call {
    call(op, id, when, Answer::Done)
}

fn verdict(start: Start, history: History) -> Result<(), String> {
    verdict_of(Kind::Plain, start, history)
}

fn verdict_of(kind: Kind, start: Start, history: History) -> Result<(), String> {
    let program = Program {
        kind,
        settings: Settings {
            ttl: Time::MAX,
            stale_while_revalidate: None,
        },
        start,
        threads: Vec::new(),
    };
    check(program.kind, program.spec(), &history)
}

fn allowed(history: History) {
    verdict(Start::Nothing, history).unwrap();
}

fn refused(history: History) {
    let why = verdict(Start::Nothing, history).expect_err("it must be refused");
    assert!(
        why.contains('*'),
        "it says which calls it could not explain: {why}"
    );
}

#[test]
fn an_invalidate_that_was_lost() {
    // The creation of 1 begins before, and is over after.
    let history = |origin, later| {
        vec![
            vec![creates(1, (1, 8), (2, 7), origin)],
            vec![does(Op::Invalidate, 0, (3, 4)), later],
        ]
    };
    let creates_anew = creates(2, (9, 12), (10, 11), CreatedHere);
    allowed(history(Superseded, creates_anew));
    refused(history(CreatedHere, creates_anew));
    refused(history(Superseded, get((9, 12), 1, Fresh)));
    refused(history(CreatedHere, get((9, 12), 1, Fresh)));
    // Not even to one who waits from after it on.
    refused(history(Superseded, get((5, 12), 1, CreatedByAnother)));
}

#[test]
fn two_creators() {
    let history = |second| {
        vec![
            vec![creates(1, (1, 6), (2, 5), Superseded)],
            vec![does(Op::Invalidate, 0, (3, 4)), second],
        ]
    };
    allowed(history(creates(2, (4, 10), (7, 8), CreatedHere)));
    refused(history(creates(2, (4, 10), (4, 8), CreatedHere)));
    // The lease is granted before the creator begins and ends after it.
    allowed(vec![
        vec![creates(1, (1, 9), (2, 5), CreatedHere)],
        vec![
            does(Op::Expire, 0, (1, 10)),
            creates(2, (11, 14), (12, 13), CreatedHere),
        ],
    ]);
    refused(vec![
        vec![creates(1, (1, 9), (2, 5), CreatedHere)],
        vec![creates(2, (3, 8), (4, 7), CreatedHere)],
    ]);
}

#[test]
fn a_set_that_was_overwritten() {
    let history = |origin, later| {
        vec![
            vec![creates(1, (1, 8), (2, 7), origin)],
            vec![does(Op::Set, 5, (3, 4)), later],
        ]
    };
    allowed(history(Superseded, get((9, 10), 5, Fresh)));
    refused(history(Superseded, get((9, 10), 1, Fresh)));
    refused(history(CreatedHere, get((9, 10), 1, Fresh)));
    // By one that begins later it may be.
    let expired = does(Op::Expire, 0, (5, 6));
    let later = |creation| vec![vec![does(Op::Set, 5, (3, 4)), expired, creation]];
    allowed(later(creates(1, (7, 10), (8, 9), CreatedHere)));
    refused(later(creates(1, (7, 10), (8, 9), Superseded)));
}

#[test]
fn a_value_from_nowhere() {
    let history = |id| {
        vec![
            vec![creates(1, (1, 4), (2, 3), CreatedHere)],
            vec![get((5, 6), id, Fresh)],
        ]
    };
    allowed(history(1));
    refused(history(7));
    // Or from the future.
    refused(vec![
        vec![creates(1, (3, 6), (4, 5), CreatedHere)],
        vec![call(Op::Peek, 0, (1, 2), Answer::Value(1, Fresh))],
    ]);
}

#[test]
fn an_error_that_was_given_twice() {
    let told = |when| Call {
        op: Op::Get(FAILS),
        ..call(Op::Peek, 0, when, Answer::Failed(1))
    };
    let history = |others| vec![vec![fails(1, (1, 6), (2, 5))], others];
    // Whoever waits is told.
    allowed(history(vec![told((3, 7))]));
    // Once; and who comes later elects anew.
    refused(history(vec![told((3, 7)), told((8, 9))]));
    refused(history(vec![told((7, 8))]));
    allowed(history(vec![told((3, 7)), fails(2, (8, 11), (9, 10))]));
    // Who cannot fail is not told.
    let plain = Op::Get(Get {
        form: Form::Plain,
        ..GET
    });
    refused(history(vec![call(plain, 2, (3, 7), Answer::Failed(1))]));
}

#[test]
fn a_creation_for_nothing() {
    let history = |second| vec![vec![creates(1, (1, 4), (2, 3), CreatedHere)], vec![second]];
    allowed(history(get((2, 6), 1, CreatedByAnother)));
    allowed(history(get((2, 6), 1, Fresh)));
    refused(history(creates(2, (2, 8), (6, 7), CreatedHere)));
    refused(history(creates(2, (5, 8), (6, 7), CreatedHere)));
}

#[test]
fn a_stale_value() {
    let history = |second| vec![vec![creates(1, (1, 6), (2, 5), CreatedHere)], vec![second]];
    let while_it_is_created = |second| verdict(Start::Expired, history(second));
    while_it_is_created(get((3, 4), 0, Stale)).unwrap();
    // It may not wait: but that it is told of the new value after it was over is what shows.
    while_it_is_created(get((3, 8), 1, CreatedByAnother)).unwrap_err();
    while_it_is_created(get((3, 4), 0, Fresh)).unwrap_err();
    while_it_is_created(get((7, 8), 0, Stale)).unwrap_err();
    while_it_is_created(get((7, 8), 1, Fresh)).unwrap();
}

#[test]
fn an_expire_that_was_lost() {
    let history = |origin| {
        vec![
            vec![creates(1, (1, 8), (2, 7), CreatedHere)],
            vec![
                does(Op::Expire, 0, (3, 4)),
                call(Op::Peek, 0, (9, 10), Answer::Value(1, origin)),
            ],
        ]
    };
    allowed(history(Stale));
    refused(history(Fresh));
}

#[test]
fn a_wait_that_was_over_too_soon() {
    let history = |wait| {
        let patient = Op::Get(Get { wait, ..GET });
        vec![
            vec![creates(1, (1, 8), (2, 7), CreatedHere)],
            vec![call(patient, 0, (3, 4), Answer::TimedOut)],
        ]
    };
    allowed(history(Wait::NotAtAll));
    refused(history(Wait::ForEver));
    refused(history(Wait::Once));
    let mut moved = history(Wait::Once);
    moved.push(vec![does(Op::Advance, 0, (3, 4))]);
    allowed(moved.clone());
    moved[2][0] = does(Op::Advance, 0, (1, 2));
    refused(moved);
}

#[test]
fn a_fault_found_twice() {
    let on = |op, seen, when, did| Call {
        seen: Some(seen),
        ..call(op, 0, when, Answer::Did(did))
    };
    for op in [Op::ExpireSeen, Op::InvalidateSeen] {
        let both = |one, other| {
            let history = vec![vec![on(op, 0, (1, 4), one)], vec![on(op, 0, (2, 3), other)]];
            verdict(Start::Fresh, history)
        };
        both(true, false).unwrap();
        both(false, true).unwrap();
        both(true, true).unwrap_err();
        both(false, false).unwrap_err();
    }
}

#[test]
fn an_answer_that_began_too_early() {
    let takes = |takes| Get { takes, ..GET };
    // A creation runs, and the call begins after that.
    let history = |asks, expire| {
        let mut history = vec![
            vec![creates(1, (1, 8), (2, 7), CreatedHere)],
            vec![Call {
                seen: Some(0),
                ..call(Op::Get(asks), 0, (5, 9), Answer::Value(1, CreatedByAnother))
            }],
        ];
        if expire {
            history.push(vec![does(Op::Expire, 0, (3, 4))]);
        }
        verdict(Start::Expired, history)
    };
    history(takes(Demand::Stale), false).unwrap_err(); // It would be given the stale one.
    history(takes(Demand::New), false).unwrap_err();
    for demand in [Demand::Fresh, Demand::NewerThanSeen] {
        history(takes(demand), false).unwrap();
        history(takes(demand), true).unwrap_err();
    }
    // One who creates itself may have waited for that.
    let anew = |asks: Get| {
        let own = Call {
            op: Op::Get(asks),
            ..creates(2, (5, 12), (9, 10), CreatedHere)
        };
        vec![vec![creates(1, (1, 8), (2, 7), CreatedHere)], vec![own]]
    };
    allowed(anew(takes(Demand::New)));
    refused(anew(takes(Demand::Fresh)));
}

#[test]
fn an_acquire_that_made_again_what_was_kept() {
    let asks = |looks| Get { looks, ..GET };
    // One begins its look-up at 2, and another has made and published by 6.
    let history = |asks, second: Call| {
        let second = Call {
            op: Op::Get(asks),
            looked: Some(2),
            ..second
        };
        vec![vec![creates(1, (3, 6), (4, 5), CreatedHere)], vec![second]]
    };
    let in_vain = asks(LooksUp::InVain);
    allowed(history(in_vain, get((1, 8), 1, CreatedByAnother)));
    refused(history(in_vain, creates(2, (1, 10), (8, 9), CreatedHere)));
    refused(history(in_vain, get((1, 8), 1, Fresh)));
    // What begins later is no answer to it.
    let later = |second| vec![vec![creates(1, (1, 4), (2, 3), CreatedHere)], vec![second]];
    let later = |second: Call| {
        later(Call {
            op: Op::Get(in_vain),
            looked: Some(6),
            ..second
        })
    };
    allowed(later(creates(2, (5, 10), (8, 9), CreatedHere)));
    refused(later(get((5, 8), 1, CreatedByAnother)));
    // What it finds is as fresh as the pile's own.
    let finds = |start, origin| {
        let found = Call {
            op: Op::Get(asks(LooksUp::Finds)),
            looked: Some(2),
            ..get((1, 3), ELSEWHERE, origin)
        };
        verdict(start, vec![vec![found]])
    };
    finds(Start::Fresh, Fresh).unwrap();
    finds(Start::Expired, Fresh).unwrap_err();
    finds(Start::Expired, Stale).unwrap_err(); // Nobody creates.
    finds(Start::Nothing, Fresh).unwrap_err();
}

#[test]
fn a_look_up_in_a_pile_that_was_emptied() {
    let history = |looked| {
        let asks = Get {
            looks: LooksUp::InVain,
            ..GET
        };
        let own = Call {
            op: Op::Get(asks),
            looked,
            ..creates(1, (3, 8), (6, 7), CreatedHere)
        };
        verdict(
            Start::Fresh,
            vec![vec![does(Op::Invalidate, 0, (1, 2)), own]],
        )
    };
    history(None).unwrap();
    history(Some(4)).unwrap_err();
}

#[test]
fn what_was_found_before_the_pile_was_emptied() {
    let history = |emptied, own: Call| {
        let asks = Get {
            looks: LooksUp::Finds,
            ..GET
        };
        let own = Call {
            op: Op::Get(asks),
            looked: Some(2),
            ..own
        };
        let others = vec![does(Op::Invalidate, 0, emptied)];
        verdict(Start::Fresh, vec![others, vec![own]])
    };
    let anew = creates(1, (1, 8), (6, 7), CreatedHere);
    history((3, 4), anew).unwrap();
    history((3, 4), get((1, 5), ELSEWHERE, Fresh)).unwrap();
    // There is no reason to create.
    history((9, 10), anew).unwrap_err();
}

#[test]
fn a_value_that_was_not_to_be_kept() {
    let unkept = |id, when, creator| Call {
        op: Op::Get(Get {
            makes: Makes::Unkept,
            ..GET
        }),
        ..creates(id, when, creator, CreatedHere)
    };
    let history = |later| vec![vec![unkept(1, (1, 6), (2, 5))], vec![later]];
    allowed(history(get((3, 7), 1, CreatedByAnother)));
    allowed(history(creates(2, (7, 10), (8, 9), CreatedHere)));
    refused(history(get((7, 8), 1, Fresh)));
    refused(history(call(Op::Peek, 0, (7, 8), Answer::Value(1, Fresh))));
}

#[test]
fn a_creation_in_the_background() {
    let background = Get {
        form: Form::Background,
        ..GET
    };
    let starts = |when, creator, answer| Call {
        creator,
        ..call(Op::Get(background), 1, when, answer)
    };
    let stale = Answer::Value(0, Stale);
    let own = |origin| Answer::Value(1, origin);
    // It takes the stale value, and its creation goes on.
    let expired = |call| verdict(Start::Expired, vec![vec![call]]);
    expired(starts((1, 2), Some((3, 4)), stale)).unwrap();
    expired(starts((1, 2), None, stale)).unwrap_err();
    expired(starts((1, 6), Some((3, 4)), own(CreatedHere))).unwrap_err();
    // Without one it waits.
    let nothing = |call| verdict(Start::Nothing, vec![vec![call]]);
    nothing(starts((1, 6), Some((3, 4)), own(CreatedHere))).unwrap();
    nothing(starts((1, 2), Some((3, 4)), own(CreatedHere))).unwrap_err();
    nothing(starts((1, 6), Some((3, 4)), own(CreatedByAnother))).unwrap_err();
    // No other creates before it has ended.
    let other = |begun| {
        let other = creates(2, (begun - 1, 12), (begun, 11), CreatedHere);
        let expired = does(Op::Expire, 0, (5, 9));
        verdict(
            Start::Expired,
            vec![
                vec![starts((1, 2), Some((3, 7)), stale)],
                vec![expired],
                vec![other],
            ],
        )
    };
    other(10).unwrap();
    other(6).unwrap_err();
}

#[test]
fn a_reader_that_is_shown_what_was_replaced() {
    let history = |answer| {
        let made = Call {
            answer,
            ..creates(1, (1, 8), (2, 3), CreatedHere)
        };
        vec![vec![made], vec![does(Op::Set, 5, (4, 6))]]
    };
    let made = Answer::Value(1, CreatedHere);
    let set = Answer::Value(5, Fresh);
    verdict_of(Kind::Plain, Start::Nothing, history(made)).unwrap();
    verdict_of(Kind::Plain, Start::Nothing, history(set)).unwrap_err();
    verdict_of(Kind::Reader, Start::Nothing, history(set)).unwrap();
    // It may have been inside before.
    verdict_of(Kind::Reader, Start::Nothing, history(made)).unwrap();
    let mut later = history(made);
    later[0][0].creator = Some((2, 7));
    verdict_of(Kind::Reader, Start::Nothing, later).unwrap_err();
}
