//! A plot of one quantity over another, as an SVG file.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

pub struct Plot<'a> {
    pub title: &'a str,
    /// What goes to the right, and how its numbers are written.
    pub x: Axis<'a>,
    /// What goes up, from zero, and how its numbers are written.
    pub y: Axis<'a>,
    pub points: &'a [(f64, f64)],
}

pub struct Axis<'a> {
    pub name: &'a str,
    /// Writes one of its numbers.
    pub number: fn(f64) -> String,
}

impl Plot<'_> {
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, self.svg()?)?)
    }

    fn svg(&self) -> Result<String> {
        let greatest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let x_end = greatest(&mut self.points.iter().map(|point| point.0));
        // Some room above, so that a line that rises would be seen to do so.
        let y_end = greatest(&mut self.points.iter().map(|point| point.1)) * 1.25;
        let (first_x, _) = self.points.first().context("nothing to plot")?;
        let right = |x: f64| LEFT + (x - first_x) / (x_end - first_x).max(f64::MIN_POSITIVE) * WIDTH;
        let up = |y: f64| TOP + HEIGHT - y / y_end.max(f64::MIN_POSITIVE) * HEIGHT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 320\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"720\" height=\"320\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            self.title
        );
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let (x, y) = (first_x + share * (x_end - first_x), share * y_end);
            let (across, down) = (right(x), up(y));
            writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{down:.1}\" y2=\"{down:.1}\" stroke=\"#ddd\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
                 <text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                LEFT + WIDTH,
                LEFT - 8.0,
                down + 4.0,
                (self.y.number)(y),
                TOP + HEIGHT + 18.0,
                (self.x.number)(x),
            )?;
        }
        let points: Vec<String> =
            self.points.iter().map(|(x, y)| format!("{:.1},{:.1}", right(*x), up(*y))).collect();
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"40\" fill=\"#666\">{}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{}</text>\n\
             <polyline points=\"{}\" fill=\"none\" stroke=\"#06c\" stroke-width=\"2\"/>\n</svg>",
            self.y.name,
            LEFT + WIDTH,
            TOP + HEIGHT + 36.0,
            self.x.name,
            points.join(" "),
        )?;
        Ok(svg)
    }
}

const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const WIDTH: f64 = 620.0;
const HEIGHT: f64 = 220.0;
const STEPS: u32 = 5;
