//! The drawing: a row for each run, with the load at the source and what callers got.

use std::error::Error;

use shared::drawing::{Area, Drawn, Field, HPos, INK, PALE, RGBColor, legend, sheet, text};
use shared::seconds::sum;

use crate::OUTAGE;
use crate::fleet::{PROCESSES, Run, SPAN, TTL};
use crate::record::Second;
use crate::source::CAPACITY;

const WIDTH: i32 = 1200;
/// Of each of the two columns.
const PLOT: i32 = 470;
const LEFT: [i32; 2] = [170, 700];
const TOP: i32 = 110;
const ROW: i32 = 84;
const HEIGHT: i32 = 62;
const FOOT: i32 = 50;

/// So many seconds are drawn as one.
const BIN: usize = 10;

/// The most that is drawn, in requests per second.
const MOST: f64 = 160.0;

const DOWN: RGBColor = RGBColor(252, 226, 222);
const LOAD: RGBColor = RGBColor(60, 110, 220);
const FRESH: RGBColor = RGBColor(196, 222, 203);
const OLD: RGBColor = RGBColor(245, 180, 50);
const FAILED: RGBColor = RGBColor(215, 35, 35);

/// All runs, one below the other.
pub(crate) fn draw(runs: &[Run]) -> Result<String, Box<dyn Error>> {
    let bottom = TOP + ROW * runs.len() as i32;
    sheet((WIDTH, bottom + FOOT), |area| {
        let title = format!("{PROCESSES} processes, one source");
        text(area, &title, (20, 14), 22, INK, HPos::Left)?;
        let about = format!(
            "The value is fresh for {} minutes. From minute {} to minute {} of the lower four runs the source is down.",
            TTL.as_secs() / 60,
            OUTAGE.start.as_secs() / 60,
            OUTAGE.end.as_secs() / 60,
        );
        text(area, &about, (20, 44), 13, PALE, HPos::Left)?;
        let load = format!("Requests to the source in a second (the busiest of {BIN})");
        text(area, &load, (LEFT[0], 74), 14, INK, HPos::Left)?;
        let labels = [
            ("Callers that got a fresh value", FRESH, 220),
            ("an old one", OLD, 100),
            ("an error", FAILED, 0),
        ];
        legend(area, (LEFT[1], 74), &labels)?;
        for (number, run) in runs.iter().enumerate() {
            row(area, run, TOP + ROW * number as i32)?;
        }
        for left in LEFT {
            field(left, bottom - ROW).minutes(area, 5)?;
        }
        Ok(())
    })
}

fn field(left: i32, top: i32) -> Field {
    Field {
        left,
        top,
        width: PLOT,
        height: HEIGHT,
        span: SPAN,
    }
}

fn row(area: &Area<'_>, run: &Run, top: i32) -> Drawn {
    text(area, run.name, (20, top), 14, INK, HPos::Left)?;
    let [load, answers] = LEFT.map(|left| field(left, top));
    for field in [load, answers] {
        field.ground(area)?;
        if let Some(outage) = &run.outage {
            field.shade(area, outage.start, outage.end, DOWN)?;
        }
    }
    let bins: Vec<&[Second]> = run.seconds.chunks(BIN).collect();

    let loads = bins
        .iter()
        .map(|bin| bin.iter().map(|second| second.requests).max());
    let loads = loads
        .map(|load| f64::from(load.unwrap_or(0)) / MOST)
        .collect::<Vec<_>>();
    load.hill(area, &loads, LOAD)?;
    let most = f64::from(CAPACITY) / MOST;
    load.level(area, most, FAILED)?;
    let capacity = format!("all it can give: {CAPACITY}");
    let at = (LEFT[0] - 6, load.y(most) - 7);
    text(area, &capacity, at, 11, FAILED, HPos::Right)?;

    // Each lies over the one before.
    let share = |part: fn(&Second) -> u32| {
        let of = |bin: &&[Second]| {
            let sum = sum(bin);
            f64::from(part(&sum)) / f64::from(sum.answers().max(1))
        };
        bins.iter().map(of).collect::<Vec<_>>()
    };
    answers.hill(area, &share(Second::answers), FRESH)?;
    answers.hill(area, &share(|sum| sum.old + sum.errors), OLD)?;
    answers.hill(area, &share(|sum| sum.errors), FAILED)
}
