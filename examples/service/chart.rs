//! The drawing: the run, from left to right.

use std::error::Error;

use shared::drawing::{Area, Drawn, Field, HPos, INK, PALE, RGBColor, legend, sheet, text};

use crate::record::{SLICE, Slice};
use crate::stage::Run;
use crate::{SERVICES, STALE, TTL, Way};

const WIDTH: i32 = 1200;
const LEFT: i32 = 90;
const PLOT: i32 = 1080;
const TOP: i32 = 150;
const ROW: i32 = 130;
const HEIGHT: i32 = 90;
const FOOT: i32 = 20;

const HARM: RGBColor = RGBColor(252, 226, 222);
const PLAIN: RGBColor = RGBColor(190, 190, 190);
const FLEET: RGBColor = RGBColor(60, 110, 220);
const FRESH: RGBColor = RGBColor(196, 222, 203);
const OLD: RGBColor = RGBColor(245, 180, 50);
const FAILED: RGBColor = RGBColor(215, 35, 35);

/// The whole run.
pub(crate) fn draw(run: &Run) -> Result<String, Box<dyn Error>> {
    let [plain, fleet] = Way::ALL.map(|way| &run.slices[way as usize][..]);
    let span = SLICE * plain.len().max(fleet.len()) as u32;
    let field = |number: i32| Field {
        left: LEFT,
        top: TOP + ROW * number,
        width: PLOT,
        height: HEIGHT,
        span,
    };
    sheet((WIDTH, TOP + ROW * 4 + FOOT), |area| {
        let title = format!("{SERVICES} processes of a service, one Redis, one upstream");
        text(area, &title, (20, 14), 22, INK, HPos::Left)?;
        let about = format!(
            "The value is fresh for {:.1} s. The fleet serves it for {:.0} s more while one process fetches the next.",
            TTL.as_secs_f64(),
            STALE.as_secs_f64(),
        );
        text(area, &about, (20, 44), 13, PALE, HPos::Left)?;
        let gap = "A Redis that goes on may grant a lease to a process that has given up: until it ends, callers \
                   of the fleet without a usable value wait.";
        text(area, gap, (20, 60), 13, PALE, HPos::Left)?;
        for number in 0..4 {
            ground(area, run, field(number))?;
        }
        names(area, run, field(0))?;

        let of = |slices: &[Slice], part: fn(&Slice) -> u64| {
            let part = slices.iter().map(|slice| part(slice) as f64);
            part.collect::<Vec<_>>()
        };
        let pair = [("plain", PLAIN, 70), ("fleet", FLEET, 0)];
        for (number, what, part) in [
            (
                0,
                "Fetches from the upstream in a second",
                (|slice| slice.fetches) as fn(&Slice) -> u64,
            ),
            (1, "Answers in a second", |slice| slice.answers),
        ] {
            let (plain, fleet) = (of(plain, part), of(fleet, part));
            let most = plain.iter().chain(&fleet).copied().fold(1.0, f64::max);
            let shares = |counts: &[f64]| counts.iter().map(|count| count / most).collect();
            let (plain, fleet): (Vec<f64>, Vec<f64>) = (shares(&plain), shares(&fleet));
            let field = field(number);
            head(area, field, what, &pair)?;
            // The smaller one in front, where it matters.
            let mut hills = [(&plain, PLAIN), (&fleet, FLEET)];
            hills.rotate_left(number as usize);
            for (heights, colour) in hills {
                field.hill(area, heights, colour)?;
            }
            let most = most / SLICE.as_secs_f64();
            scale(area, field, 1.0, &format!("{most:.0}"), PALE)?;
        }

        let share = |part: fn(&Slice) -> u64| {
            let share = |slice: &Slice| part(slice) as f64 / slice.answers.max(1) as f64;
            fleet.iter().map(share).collect::<Vec<_>>()
        };
        let answers = [
            ("fresh", FRESH, 75),
            ("stale", OLD, 70),
            ("errors", FAILED, 0),
        ];
        head(area, field(2), "What clients of the fleet got", &answers)?;
        field(2).hill(area, &share(|slice| slice.answers), FRESH)?;
        field(2).hill(area, &share(|slice| slice.stale + slice.errors), OLD)?;
        field(2).hill(area, &share(|slice| slice.errors), FAILED)?;

        let most = (TTL + STALE).as_secs_f64() * 1.25;
        let ages = fleet.iter().map(|slice| slice.oldest() / most);
        head(area, field(3), "Oldest answer of the fleet", &[])?;
        field(3).hill(area, &ages.collect::<Vec<_>>(), OLD)?;
        let limit = (TTL + STALE).as_secs_f64();
        field(3).level(area, limit / most, FAILED)?;
        scale(
            area,
            field(3),
            limit / most,
            &format!("{limit:.1} s"),
            FAILED,
        )?;
        field(3).seconds(area, 1)
    })
}

fn ground(area: &Area<'_>, run: &Run, field: Field) -> Drawn {
    field.ground(area)?;
    for part in run.parts.iter().filter(|part| part.harm) {
        let end = part.end.min(field.span);
        field.shade(area, part.begin, end, HARM)?;
    }
    Ok(())
}

/// What happens to the Redis.
fn names(area: &Area<'_>, run: &Run, field: Field) -> Drawn {
    text(area, "The Redis", (20, 92), 13, INK, HPos::Left)?;
    for part in &run.parts {
        let middle = (part.begin + part.end.min(field.span)) / 2;
        let colour = if part.harm { FAILED } else { PALE };
        let at = (field.x(middle), 92);
        text(area, part.name, at, 13, colour, HPos::Center)?;
    }
    Ok(())
}

fn head(area: &Area<'_>, field: Field, what: &str, labels: &[(&str, RGBColor, i32)]) -> Drawn {
    let top = field.top - 24;
    text(area, what, (field.left, top), 14, INK, HPos::Left)?;
    legend(area, (field.left + 330, top), labels)
}

fn scale(area: &Area<'_>, field: Field, share: f64, what: &str, colour: RGBColor) -> Drawn {
    let at = (field.left - 6, field.y(share) - 6);
    text(area, what, at, 11, colour, HPos::Right)
}
