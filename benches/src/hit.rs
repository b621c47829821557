//! The hit: the value is there, and fresh.

use std::time::Duration;

use crate::crew::Crew;
use crate::laps::Row;
use crate::measure::{measure, Effort, Measured};
use crate::options::Options;
use crate::spread::{number, Spread};
use crate::table::Table;
use crate::{floors, handmade, machine, ours, peers};

/// The first is the yardstick.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![handmade::yardstick()];
    rows.extend(ours::hits());
    rows.extend(floors::hits());
    rows.extend(handmade::hits());
    rows.extend(peers::hits());
    rows
}

pub(crate) fn run(crew: &mut Crew, options: &Options) -> Vec<Measured> {
    let threads = machine::up_to_two();
    let effort = Effort {
        rounds: options.rounds(50),
        batch: Duration::from_millis(2),
    };
    let measured = measure(crew, &rows(), threads, &effort);

    let title = "Hit: ns a call of each thread, all on one object, and its ratio to the first row";
    let head = ["", "1 thread", "ratio", "2 threads", "ratio", "2 over 1"];
    let mut table = Table::new(title, head);
    for row in &measured {
        let mut cells = vec![row.name.clone()];
        for at in 0..2 {
            match row.at.get(at) {
                Some(figures) => cells.extend([
                    Spread::of(&figures.ns).to_string(),
                    number(Spread::of(&figures.relative).median),
                ]),
                None => cells.extend([String::new(), String::new()]),
            }
        }
        cells.push(match &row.at[..] {
            [one, two] => number(two.ns_over(one).median),
            _ => String::new(),
        });
        table.add(cells);
    }
    table.print();
    measured
}
