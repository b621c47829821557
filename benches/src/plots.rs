//! The plots, drawn from what this run measured.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::prelude::*;

use crate::growth::{Line, READERS};
use crate::herd::{Served, SIZES};

type Points = Vec<(f64, f64)>;

const COLOURS: [RGBColor; 6] = [
    RGBColor(200, 30, 30),
    RGBColor(30, 90, 180),
    RGBColor(220, 140, 0),
    RGBColor(60, 140, 60),
    RGBColor(120, 70, 160),
    RGBColor(110, 110, 110),
];

/// Nanoseconds a hit against threads.
pub(crate) fn hit(dir: &Path, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let points = |line: &Line| {
        let points = READERS.iter().zip(&line.ns);
        points
            .map(|(&n, ns)| (n as f64, ns.median))
            .collect::<Points>()
    };
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line.name.clone(), points(line)))
        .collect();
    draw(
        &dir.join("hit.svg"),
        [
            "What a hit costs",
            "threads on one object",
            "ns of a core a hit",
        ],
        &lines,
    )
}

/// Microseconds until the last thread is served, against the size of the herd.
pub(crate) fn herd(dir: &Path, served: &[Served]) -> Result<(), Box<dyn Error>> {
    let mut ways: BTreeMap<&str, Points> = BTreeMap::new();
    for served in served {
        let points = ways.entry(served.name).or_default();
        points.push((served.size as f64, served.took.median));
    }
    let mut lines: Vec<_> = ways
        .into_iter()
        .map(|(name, points)| (name.to_owned(), points))
        .collect();
    // Ours in the first colour, as in the other plot.
    lines.sort_by_key(|(name, _)| !name.starts_with("Dogpile"));
    assert!(lines.iter().all(|(_, points)| points.len() == SIZES.len()));
    draw(
        &dir.join("herd.svg"),
        [
            "From the end of the creation to the last caller",
            "threads that wait",
            "us until the last has the value",
        ],
        &lines,
    )
}

/// Both axes logarithmic.
fn draw(
    file: &Path,
    [title, across, up]: [&str; 3],
    lines: &[(String, Points)],
) -> Result<(), Box<dyn Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (x_low, x_high) = range(points().map(|point| point.0));
    let (y_low, y_high) = range(points().map(|point| point.1));
    // From one power of ten to another, with room for the legend above.
    let y_low = 10_f64.powf(y_low.log10().floor());
    let y_high = 10_f64.powf((y_high * 3.0).log10().ceil());

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (800, 480)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (x_low..x_high * 1.02).log_scale().base(2.0),
                (y_low..y_high).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc(across)
            .y_desc(up)
            .label_style(("sans-serif", 14))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .y_labels(4)
            .max_light_lines(0)
            .draw()?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))?
                .label(name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", 14))
            .background_style(WHITE)
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    fs::write(file, svg)?;
    println!("\ndrawn: {}", file.display());
    Ok(())
}

/// The least and the greatest.
fn range(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    figures.fold((f64::INFINITY, 0.0), |(low, high), figure| {
        (low.min(figure), high.max(figure))
    })
}
