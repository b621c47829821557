//! The time line: who fetched, who waited, who went on with old keys, and when.

use std::fs;
use std::path::Path;
use std::time::Duration;

use shared::drawing::{
    Area, Color as _, Drawn, HPos, INK, PALE, PathElement, RGBColor, line, rectangle, sheet, text,
};

use crate::herd::Run;
use crate::options::Options;
use crate::origin::DELAY;
use crate::spells::{Doing, Spell};
use crate::{LEAD, TTL};

const WIDTH: i32 = 1200;
const LEFT: i32 = 90;
const RIGHT: i32 = WIDTH - 30;
/// Where the first way begins, below the title and the legend.
const TOP: i32 = 104;
const HEADING: i32 = 58;
const GAP: i32 = 24;
/// Of one way, if it has at most `MOST_ROWS` threads.
const ROW: i32 = 7;
const MOST_ROWS: usize = 32;
const FOOT: i32 = 50;

const WORKING: RGBColor = RGBColor(232, 238, 233);
const ROTATION: RGBColor = RGBColor(110, 30, 140);

fn colour(doing: Doing) -> RGBColor {
    match doing {
        Doing::UsingOldKeys => RGBColor(245, 180, 50),
        Doing::Waiting => RGBColor(60, 110, 220),
        Doing::Fetching => RGBColor(215, 35, 35),
        Doing::Panicking => RGBColor(0, 0, 0),
    }
}

const LEGEND: [(&str, Option<Doing>, i32); 5] = [
    ("works with fresh keys", None, 190),
    ("works with old keys", Some(Doing::UsingOldKeys), 180),
    (
        "stands still: waits for another's fetch",
        Some(Doing::Waiting),
        292,
    ),
    ("stands still: fetches", Some(Doing::Fetching), 182),
    ("fetches, parser panics", Some(Doing::Panicking), 180),
];

/// Finds out now, not after the run, whether the file can be written.
pub(crate) fn try_file(path: &Path) -> Result<(), String> {
    fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .map(drop)
        .map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("cannot write the time line to {}: {error}", path.display())
}

/// Draws all ways, one below the other.
pub(crate) fn draw(runs: &[Run], options: &Options) -> Result<(), String> {
    let lanes = Sheet {
        span: Duration::from_secs(options.seconds),
        threads: options.threads as usize,
    };
    let size = (WIDTH, lanes.bottom(runs) + FOOT);
    let svg = sheet(size, |area| lanes.draw(area, runs))
        .map_err(|error| format!("cannot draw the time line: {error}"))?;
    fs::write(&options.out, svg).map_err(|error| cannot_write(&options.out, &error))
}

/// Where things are on the drawing.
struct Sheet {
    span: Duration,
    threads: usize,
}

impl Sheet {
    fn rows(&self) -> usize {
        self.threads.min(MOST_ROWS)
    }

    fn lanes(&self) -> i32 {
        self.rows() as i32 * ROW
    }

    /// Where a way's rows begin.
    fn top(&self, way: usize) -> i32 {
        TOP + HEADING + way as i32 * (HEADING + self.lanes() + GAP)
    }

    fn x(&self, at: Duration) -> i32 {
        let share = at.min(self.span).div_duration_f64(self.span);
        LEFT + (share * f64::from(RIGHT - LEFT)).round() as i32
    }

    /// Where the last way's rows end.
    fn bottom(&self, runs: &[Run]) -> i32 {
        self.top(runs.len() - 1) + self.lanes()
    }

    fn draw(&self, area: &Area<'_>, runs: &[Run]) -> Drawn {
        let title = "Three ways to share keys that expire: what each thread did";
        text(area, title, (LEFT, 16), 22, INK, HPos::Left)?;
        let rows = if self.threads > self.rows() {
            format!("{} threads check tokens, several to a row", self.threads)
        } else {
            format!(
                "A row for each of {} threads that check tokens",
                self.threads
            )
        };
        let explained = format!(
            "{rows}. The keys live {} ms; fetching them \
             takes {} ms. Red and blue threads stand still, and the tokens that wait for them too.",
            TTL.as_millis(),
            DELAY.as_millis(),
        );
        text(area, &explained, (LEFT, 46), 13, PALE, HPos::Left)?;
        let mut x = LEFT;
        for (label, doing, width) in LEGEND {
            let box_colour = doing.map_or(WORKING, colour);
            rectangle(area, (x, 73), (x + 14, 87), box_colour)?;
            text(area, label, (x + 20, 73), 13, INK, HPos::Left)?;
            x += width;
        }
        for (way, run) in runs.iter().enumerate() {
            self.way(area, run, self.top(way))?;
        }
        self.axis(area, self.bottom(runs))
    }

    fn way(&self, area: &Area<'_>, run: &Run, top: i32) -> Drawn {
        let bottom = top + self.lanes();
        let heading = format!("{}: {}", run.name, run.about);
        text(area, &heading, (LEFT, top - 52), 16, INK, HPos::Left)?;
        let figures = format!(
            "{} requests, at most {} at once; 99 of 100 tokens answered within {:.1} ms",
            run.requests,
            run.most_at_once,
            run.tally.latency(99.0).as_secs_f64() * 1e3
        );
        text(area, &figures, (LEFT, top - 30), 13, PALE, HPos::Left)?;
        rectangle(area, (LEFT, top), (RIGHT, bottom), WORKING)?;
        for (thread, label) in [
            (1, "thread 1".into()),
            (self.threads, self.threads.to_string()),
        ] {
            let middle = top + self.row(thread - 1) * ROW - ROW / 2;
            text(area, &label, (LEFT - 8, middle), 12, PALE, HPos::Right)?;
        }
        // What matters more is drawn later, over the rest.
        let mut spells: Vec<(usize, &Spell)> = run
            .rows
            .iter()
            .enumerate()
            .flat_map(|(thread, spells)| spells.iter().map(move |spell| (thread, spell)))
            .collect();
        spells.sort_by_key(|(_, spell)| spell.doing);
        for (thread, spell) in spells {
            let y = top + self.row(thread) * ROW;
            let from = self.x(spell.from);
            let to = self.x(spell.to).max(from + 1);
            rectangle(area, (from, y), (to, y + ROW - 1), colour(spell.doing))?;
        }
        if let Some(rotated) = run.rotated {
            // Away from each other: on a long run the lines are close.
            self.mark(area, rotated, top, "keys rotated", HPos::Right)?;
            self.mark(area, rotated + LEAD, top, "new key in use", HPos::Left)?;
        }
        Ok(())
    }

    /// Several threads share a row if there are too many.
    fn row(&self, thread: usize) -> i32 {
        (thread * self.rows() / self.threads) as i32
    }

    fn mark(&self, area: &Area<'_>, at: Duration, top: i32, label: &str, side: HPos) -> Drawn {
        if at > self.span {
            return Ok(());
        }
        let x = self.x(at);
        let line = [(x, top - 6), (x, top + self.lanes())];
        area.draw(&PathElement::new(line, ROTATION.stroke_width(2)))?;
        text(area, label, (x, top - 20), 12, ROTATION, side)
    }

    fn axis(&self, area: &Area<'_>, y: i32) -> Drawn {
        let halves = self.span.as_secs() as u32 * 2;
        // Not more than a dozen or so.
        let step = halves.div_ceil(16);
        for half in (0..=halves).step_by(step as usize) {
            let at = Duration::from_millis(500) * half;
            let x = self.x(at);
            line(area, (x, y), (x, y + 5), INK)?;
            let label = format!("{:.1} s", at.as_secs_f64());
            text(area, &label, (x, y + 9), 12, INK, HPos::Center)?;
        }
        let label = "time since the start of each run";
        let middle = (LEFT + RIGHT) / 2;
        text(area, label, (middle, y + 27), 13, INK, HPos::Center)
    }
}
