//! The writer: a value is replaced by a new one, with and without a reader beside it.

use std::hint::black_box;
use std::sync::{Arc, Barrier, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::crew::Crew;
use crate::handmade::{rwlock_hit, shared, std_rwlock_hit, swap, swap_hit};
use crate::laps::Row;
use crate::measure::{measure, Effort, Measured};
use crate::options::Options;
use crate::spread::{number, Spread};
use crate::table::Table;
use crate::value::{leak, Value, TTL};
use crate::{machine, ours};

/// The first thread replaces the value; the second, if there is one, reads all the while.
fn rows(membarrier: bool) -> Vec<Row> {
    let new = || (Value::new(7), Instant::now() + TTL);
    let mut rows = Vec::new();

    let swapped = leak(swap());
    rows.push(
        Row::new("arc_swap store", move || swapped.store(Arc::new(new())))
            .beside(move || swap_hit(swapped)),
    );
    let swapped = leak(swap());
    rows.push(
        Row::prepared(
            "arc_swap store, a guard on an old value held",
            move |laps| {
                let old = swapped.load();
                laps.repeat(&|| swapped.store(Arc::new(new())));
                drop(old);
            },
        )
        .beside(move || swap_hit(swapped)),
    );

    let pile = ours::pile();
    rows.push(
        Row::new("Dogpile set", move || pile.set(Value::new(7))).beside(move || ours::hit(pile)),
    );
    let pile = ours::pile();
    rows.push(
        Row::prepared("... a guard on an old value held", move |laps| {
            let old = pile.peek();
            laps.repeat(&|| pile.set(Value::new(7)));
            drop(old);
        })
        .beside(move || ours::hit(pile)),
    );
    let pile = ours::pile();
    rows.push(
        Row::prepared("... 1,000 guards on old values held", move |laps| {
            let old: Vec<_> = (0..1000)
                .map(|_| {
                    pile.set(Value::new(7));
                    pile.peek()
                })
                .collect();
            laps.repeat(&|| pile.set(Value::new(7)));
            drop(old);
        })
        .beside(move || ours::hit(pile)),
    );

    let locked = leak(RwLock::new(shared()));
    rows.push(
        Row::new("std RwLock of Arc and Instant, write", move || {
            let new = shared();
            // Freed where no reader has to wait for it.
            let old = std::mem::replace(&mut *locked.write().expect("no panics"), new);
            drop(old);
        })
        .beside(move || std_rwlock_hit(locked)),
    );
    let locked = leak(parking_lot::RwLock::new(shared()));
    rows.push(
        Row::new("parking_lot RwLock of Arc and Instant, write", move || {
            let new = shared();
            let old = std::mem::replace(&mut *locked.write(), new);
            drop(old);
        })
        .beside(move || rwlock_hit(locked)),
    );

    rows.push(Row::new(
        "floor: the value allocated and freed",
        move || {
            black_box(Arc::new(new()));
        },
    ));
    if membarrier {
        let spin = || {
            black_box(0);
        };
        rows.push(Row::new("membarrier(2) alone", machine::heavy_barrier).beside(spin));
    }
    rows
}

pub(crate) fn run(crew: &mut Crew, options: &Options, membarrier: bool) {
    readers(crew, options, membarrier);
    idlers(crew, options);
}

fn readers(crew: &mut Crew, options: &Options, membarrier: bool) {
    let threads: &[usize] = machine::up_to_two();
    let effort = Effort {
        rounds: options.rounds(30),
        batch: Duration::from_millis(2),
    };
    let measured = measure(crew, &rows(membarrier), threads, &effort);

    let title = "Writer: ns to replace the value, and its ratio to the first row";
    table(title, "its hit meanwhile", &measured).print();
}

/// What a writer takes, alone and beside a reader, and what that one takes meanwhile.
pub(crate) fn table(title: &str, meanwhile: &str, measured: &[Measured]) -> Table {
    let heads = ["nobody reads", "one reads all the while", meanwhile];
    table_under(title, heads, measured)
}

/// What the first thread takes, alone and beside a second one, and what that one takes meanwhile.
pub(crate) fn table_under(title: &str, heads: [&str; 3], measured: &[Measured]) -> Table {
    let [alone, beside, meanwhile] = heads;
    let head = ["", alone, "ratio", beside, "ratio", meanwhile];
    let mut table = Table::new(title, head);
    for Measured { name, at } in measured {
        let mut cells = vec![name.clone()];
        for figures in at {
            cells.push(Spread::of(&figures.ns).to_string());
            cells.push(number(Spread::of(&figures.relative).median));
        }
        match at.last().map(|figures| &figures.beside[..]) {
            None | Some([]) => cells.push(String::new()),
            Some(beside) => cells.push(Spread::of(beside).to_string()),
        }
        cells.resize(head.len(), String::new());
        table.add(cells);
    }
    table
}

const IDLERS: [usize; 5] = [0, 4, 16, 64, 256];

/// A writer may have to look at what every thread left that has ever read: before other groups
/// start theirs.
fn idlers(crew: &mut Crew, options: &Options) {
    let pile = ours::pile();
    let swapped = leak(swap());
    let rows = [
        Row::new("arc_swap store", move || {
            swapped.store(Arc::new((Value::new(7), Instant::now() + TTL)));
        }),
        Row::new("Dogpile set", move || pile.set(Value::new(7))),
    ];
    let effort = Effort {
        rounds: options.rounds(30),
        batch: Duration::from_millis(2),
    };
    let title = "Writer: ns to replace the value, by the number of idle threads that have read it";
    let mut table = Table::new(title, ["threads", &rows[0].name, &rows[1].name]);
    for size in IDLERS {
        let meet = Barrier::new(size + 1);
        let measured = thread::scope(|threads| {
            for _ in 0..size {
                threads.spawn(|| {
                    ours::hit(pile);
                    swap_hit(swapped);
                    meet.wait();
                    meet.wait();
                });
            }
            meet.wait();
            let measured = measure(crew, &rows, &[1], &effort);
            meet.wait();
            measured
        });
        let figures = measured.iter().map(|row| &row.at[0].ns);
        let mut cells = vec![size.to_string()];
        cells.extend(figures.map(|ns| Spread::of(ns).to_string()));
        table.add(cells);
    }
    table.print();
}
