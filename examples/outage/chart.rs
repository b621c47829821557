//! The drawing: a row for each run, with the load at the source and what callers got.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

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

const INK: RGBColor = RGBColor(40, 40, 40);
const PALE: RGBColor = RGBColor(110, 110, 110);
const GROUND: RGBColor = RGBColor(246, 246, 246);
const DOWN: RGBColor = RGBColor(252, 226, 222);
const LOAD: RGBColor = RGBColor(60, 110, 220);
const FRESH: RGBColor = RGBColor(196, 222, 203);
const OLD: RGBColor = RGBColor(245, 180, 50);
const FAILED: RGBColor = RGBColor(215, 35, 35);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// All runs, one below the other.
pub(crate) fn draw(runs: &[Run]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let bottom = TOP + ROW * runs.len() as i32;
    let area = SVGBackend::with_string(&mut svg, (WIDTH as u32, (bottom + FOOT) as u32));
    let area = area.into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{PROCESSES} processes, one source");
    text(&area, &title, (20, 14), 22, INK, HPos::Left)?;
    let about = format!(
        "The value is fresh for {} minutes. From minute {} to minute {} of the lower four runs the source is down.",
        TTL.as_secs() / 60,
        OUTAGE.start.as_secs() / 60,
        OUTAGE.end.as_secs() / 60,
    );
    text(&area, &about, (20, 44), 13, PALE, HPos::Left)?;
    let load = format!("Requests to the source in a second (the busiest of {BIN})");
    text(&area, &load, (LEFT[0], 74), 14, INK, HPos::Left)?;
    let mut x = LEFT[1];
    for (label, colour, width) in [
        ("Callers that got a fresh value", FRESH, 220),
        ("an old one", OLD, 100),
        ("an error", FAILED, 0),
    ] {
        rectangle(&area, (x, 76), (x + 12, 88), colour)?;
        text(&area, label, (x + 18, 74), 14, INK, HPos::Left)?;
        x += width;
    }
    for (number, run) in runs.iter().enumerate() {
        row(&area, run, TOP + ROW * number as i32)?;
    }
    for left in LEFT {
        let minutes = SPAN.as_secs() as i32 / 60;
        for minute in (0..=minutes).step_by(5) {
            let at = (left + PLOT * minute / minutes, bottom - ROW + HEIGHT + 6);
            text(&area, &minute.to_string(), at, 12, PALE, HPos::Center)?;
        }
        let at = (left + PLOT / 2, bottom - ROW + HEIGHT + 24);
        text(&area, "minutes", at, 12, PALE, HPos::Center)?;
    }
    area.present()?;
    drop(area);
    Ok(svg)
}

fn row(area: &Area<'_>, run: &Run, top: i32) -> Drawn {
    text(area, run.name, (20, top), 14, INK, HPos::Left)?;
    for left in LEFT {
        rectangle(area, (left, top), (left + PLOT, top + HEIGHT), GROUND)?;
        if let Some(outage) = &run.outage {
            let x = |at: std::time::Duration| {
                left + (at.div_duration_f64(SPAN) * f64::from(PLOT)) as i32
            };
            rectangle(
                area,
                (x(outage.start), top),
                (x(outage.end), top + HEIGHT),
                DOWN,
            )?;
        }
    }
    let bins: Vec<&[Second]> = run.seconds.chunks(BIN).collect();

    let loads = bins
        .iter()
        .map(|bin| bin.iter().map(|second| second.requests).max());
    let loads = loads
        .map(|load| f64::from(load.unwrap_or(0)) / MOST)
        .collect::<Vec<_>>();
    hill(area, (LEFT[0], top), &loads, LOAD)?;
    let y = top + HEIGHT - (f64::from(CAPACITY) / MOST * f64::from(HEIGHT)) as i32;
    area.draw(&PathElement::new(
        [(LEFT[0], y), (LEFT[0] + PLOT, y)],
        FAILED,
    ))?;
    let capacity = format!("all it can give: {CAPACITY}");
    text(
        area,
        &capacity,
        (LEFT[0] - 6, y - 7),
        11,
        FAILED,
        HPos::Right,
    )?;

    // Each lies over the one before.
    let share = |part: fn(&Second) -> u32| {
        let of = |bin: &&[Second]| {
            let sum = Second::sum(bin);
            f64::from(part(&sum)) / f64::from(sum.answers().max(1))
        };
        bins.iter().map(of).collect::<Vec<_>>()
    };
    hill(area, (LEFT[1], top), &share(Second::answers), FRESH)?;
    hill(
        area,
        (LEFT[1], top),
        &share(|sum| sum.old + sum.errors),
        OLD,
    )?;
    hill(area, (LEFT[1], top), &share(|sum| sum.errors), FAILED)
}

/// An area whose height follows these shares of a row's.
fn hill(area: &Area<'_>, (left, top): (i32, i32), heights: &[f64], colour: RGBColor) -> Drawn {
    let bottom = top + HEIGHT;
    let x = |bin: usize| left + (PLOT as usize * bin / heights.len()) as i32;
    let mut points = vec![(left, bottom)];
    let mut at = bottom;
    for (bin, height) in heights.iter().enumerate() {
        let y = bottom - (height.min(1.0) * f64::from(HEIGHT)).round() as i32;
        if y != at {
            points.extend([(x(bin), at), (x(bin), y)]);
            at = y;
        }
    }
    points.extend([(left + PLOT, at), (left + PLOT, bottom)]);
    area.draw(&Polygon::new(points, colour.filled()))?;
    Ok(())
}

fn rectangle(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
    area.draw(&Rectangle::new([from, to], colour.filled()))?;
    Ok(())
}

fn text(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: i32,
    colour: RGBColor,
    side: HPos,
) -> Drawn {
    let style = ("sans-serif", size).into_text_style(area).color(&colour);
    let style = style.pos(Pos::new(side, VPos::Top));
    area.draw(&Text::new(text, at, style))?;
    Ok(())
}
