//! The drawing: a row for each run, with loads and evictions, and what tenants got.

use std::error::Error;

use shared::drawing::{Area, Drawn, Field, HPos, INK, PALE, RGBColor, legend, sheet, text};
use shared::seconds::sum;

use crate::database::TENANTS;
use crate::service::{Run, SPAN, STALE, Second, TTL};
use crate::{RATE, ROOM, STRANGERS};

const WIDTH: i32 = 1200;
/// Of each of the two columns.
const PLOT: i32 = 470;
const LEFT: [i32; 2] = [170, 700];
const TOP: i32 = 110;
const ROW: i32 = 104;
const HEIGHT: i32 = 82;
const FOOT: i32 = 50;

/// So many seconds are drawn as one.
const BIN: usize = 3;

/// The most that is drawn, in a second.
const MOST: f64 = 800.0;
/// The least share of tenants that is drawn: the rest got fresh settings.
const LEAST: f64 = 0.3;

const AMONG: RGBColor = RGBColor(240, 232, 246);
const LOADS: RGBColor = RGBColor(60, 110, 220);
const EVICTED: RGBColor = RGBColor(20, 45, 100);
const FRESH: RGBColor = RGBColor(196, 222, 203);
const OLD: RGBColor = RGBColor(245, 180, 50);
const FAILED: RGBColor = RGBColor(215, 35, 35);

/// All runs, one below the other.
pub(crate) fn draw(runs: &[Run]) -> Result<String, Box<dyn Error>> {
    let bottom = TOP + ROW * runs.len() as i32;
    sheet((WIDTH, bottom + FOOT), |area| {
        let title = format!("{TENANTS} tenants, room for {ROOM}");
        text(area, &title, (20, 14), 22, INK, HPos::Left)?;
        let about = format!(
            "Settings are fresh for {} s and served for {} s more while they are loaded. From minute {} to \
             minute {} of the lower two runs strangers make names up.",
            TTL.as_secs(),
            STALE.as_secs(),
            STRANGERS.start.as_secs() / 60,
            STRANGERS.end.as_secs() / 60,
        );
        text(area, &about, (20, 44), 13, PALE, HPos::Left)?;
        let left = [("Loads in a second", LOADS, 150), ("evictions", EVICTED, 0)];
        legend(area, (LEFT[0], 74), &left)?;
        let right = [
            ("Tenants that got fresh settings", FRESH, 225),
            ("old ones", OLD, 90),
            ("none", FAILED, 0),
        ];
        legend(area, (LEFT[1], 74), &right)?;
        for (number, run) in runs.iter().enumerate() {
            row(area, run, TOP + ROW * number as i32)?;
        }
        for left in LEFT {
            field(left, bottom - ROW).minutes(area, 1)?;
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
    }
    if let Some(when) = &run.strangers {
        load.shade(area, when.start, when.end, AMONG)?;
    }
    let bins: Vec<Second> = run.seconds.chunks(BIN).map(sum).collect();

    let in_a_second = |of: fn(&Second) -> u32| {
        let height = |bin: &Second| f64::from(of(bin)) / BIN as f64 / MOST;
        bins.iter().map(height).collect::<Vec<_>>()
    };
    load.hill(area, &in_a_second(|bin| bin.loads), LOADS)?;
    load.hill(area, &in_a_second(|bin| bin.evicted), EVICTED)?;
    let rate = f64::from(RATE) / MOST;
    load.level(area, rate, FAILED)?;
    let at = (LEFT[0] - 6, load.y(rate) - 7);
    text(area, &RATE.to_string(), at, 11, FAILED, HPos::Right)?;

    // Each lies over the one before. Most are fresh: only the rest is drawn to scale.
    let share = |part: fn(&Second) -> u32| {
        let of = |bin: &Second| f64::from(part(bin)) / f64::from(bin.answers().max(1)) / LEAST;
        bins.iter().map(of).collect::<Vec<_>>()
    };
    answers.hill(area, &share(Second::answers), FRESH)?;
    answers.hill(area, &share(|bin| bin.old + bin.errors), OLD)?;
    answers.hill(area, &share(|bin| bin.errors), FAILED)?;
    let scale = format!("{} %", (100.0 * LEAST).round());
    let at = (LEFT[1] - 6, top);
    text(area, &scale, at, 11, PALE, HPos::Right)
}
