//! The drawings, as SVG: text, boxes, and hills over a run's time.

use std::error::Error;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, Polygon, Rectangle, Text, WHITE};
pub use plotters::prelude::{IntoDrawingArea, PathElement, RGBColor, SVGBackend};
pub use plotters::style::Color;
use plotters::style::IntoTextStyle;
pub use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::{Pos, VPos};

pub const INK: RGBColor = RGBColor(40, 40, 40);
pub const PALE: RGBColor = RGBColor(110, 110, 110);
pub const GROUND: RGBColor = RGBColor(246, 246, 246);

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn Error>>;

/// A white sheet of this size, with what `draw` draws on it.
pub fn sheet(
    size: (i32, i32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    let size = (size.0 as u32, size.1 as u32);
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    draw(&area)?;
    area.present()?;
    drop(area);
    Ok(svg)
}

pub fn rectangle(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
    area.draw(&Rectangle::new([from, to], colour.filled()))?;
    Ok(())
}

pub fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), colour: RGBColor) -> Drawn {
    area.draw(&PathElement::new([from, to], colour))?;
    Ok(())
}

pub fn text(
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

/// What these colours mean, each so wide.
pub fn legend(area: &Area<'_>, at: (i32, i32), labels: &[(&str, RGBColor, i32)]) -> Drawn {
    let (mut x, y) = at;
    for (label, colour, width) in labels {
        rectangle(area, (x, y + 2), (x + 12, y + 14), *colour)?;
        text(area, label, (x + 18, y), 14, INK, HPos::Left)?;
        x += width;
    }
    Ok(())
}

/// A field in which a run is drawn, from its beginning at the left to its end at the right.
#[derive(Clone, Copy)]
pub struct Field {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
    /// How long the run takes.
    pub span: Duration,
}

impl Field {
    pub fn ground(&self, area: &Area<'_>) -> Drawn {
        let to = (self.left + self.width, self.top + self.height);
        rectangle(area, (self.left, self.top), to, GROUND)
    }

    /// A part of the run's time.
    pub fn shade(&self, area: &Area<'_>, from: Duration, to: Duration, colour: RGBColor) -> Drawn {
        let bottom = self.top + self.height;
        rectangle(area, (self.x(from), self.top), (self.x(to), bottom), colour)
    }

    pub fn x(&self, at: Duration) -> i32 {
        self.left + (at.div_duration_f64(self.span) * f64::from(self.width)) as i32
    }

    /// How high this share of the height is.
    pub fn y(&self, share: f64) -> i32 {
        self.top + self.height - (share * f64::from(self.height)) as i32
    }

    /// A line at this share of the height.
    pub fn level(&self, area: &Area<'_>, share: f64, colour: RGBColor) -> Drawn {
        let y = self.y(share);
        line(area, (self.left, y), (self.left + self.width, y), colour)
    }

    /// An area whose height follows these shares of the field's.
    pub fn hill(&self, area: &Area<'_>, heights: &[f64], colour: RGBColor) -> Drawn {
        let bottom = self.top + self.height;
        let x = |bin: usize| self.left + (self.width as usize * bin / heights.len()) as i32;
        let mut points = vec![(self.left, bottom)];
        let mut at = bottom;
        for (bin, height) in heights.iter().enumerate() {
            let y = bottom - (height.min(1.0) * f64::from(self.height)).round() as i32;
            if y != at {
                points.extend([(x(bin), at), (x(bin), y)]);
                at = y;
            }
        }
        let right = self.left + self.width;
        points.extend([(right, at), (right, bottom)]);
        area.draw(&Polygon::new(points, colour.filled()))?;
        Ok(())
    }

    /// The minutes, below it.
    pub fn minutes(&self, area: &Area<'_>, step: usize) -> Drawn {
        self.times(area, Duration::from_secs(60), step, "minutes")
    }

    /// The seconds, below it.
    pub fn seconds(&self, area: &Area<'_>, step: usize) -> Drawn {
        self.times(area, Duration::from_secs(1), step, "seconds")
    }

    fn times(&self, area: &Area<'_>, unit: Duration, step: usize, name: &str) -> Drawn {
        let bottom = self.top + self.height;
        let last = self.span.div_duration_f64(unit) as u32;
        for time in (0..=last).step_by(step) {
            let at = (self.x(unit * time), bottom + 6);
            text(area, &time.to_string(), at, 12, PALE, HPos::Center)?;
        }
        let at = (self.left + self.width / 2, bottom + 24);
        text(area, name, at, 12, PALE, HPos::Center)
    }
}
