//! Plots of quantities as SVG files, drawn with plotters. On dark pages, each color is replaced by its dark counterpart.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use plotters::coord::Shift;
use plotters::prelude::*;

pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub struct Plot<'a> {
    pub title: &'a str,
    /// The horizontal axis.
    pub x: Axis<'a>,
    /// The vertical axis, which starts at zero.
    pub y: Axis<'a>,
    pub lines: &'a [Line],
}

pub struct Axis<'a> {
    pub name: &'a str,
    /// Formats a number of the axis.
    pub number: fn(f64) -> String,
}

pub struct Line {
    /// The name of the line, empty if a plot has only one line.
    pub name: String,
    /// The points from left to right. NaN breaks the line.
    pub points: Vec<(f64, f64)>,
}

impl Plot<'_> {
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, svg((720, 320), self.title, |canvas| self.draw(canvas))?)?)
    }

    /// # Errors
    /// If there is nothing to plot.
    pub fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let first = points().map(|point| point.0).reduce(f64::min).context("nothing to plot")?;
        let last = points().map(|point| point.0).fold(first, f64::max);
        let greatest = points().map(|point| point.1).filter(|y| y.is_finite()).fold(0.0, f64::max);
        // Leaves some room at the top, so that a rising line is visible as such.
        let top = if greatest > 0.0 { greatest * 1.15 } else { 1.0 };

        canvas.draw(&Text::new(self.title, (14, 12), title()))?;
        canvas.draw(&Text::new(self.y.name, (14, 32), note()))?;
        let names: Vec<(RGBColor, &str)> = self
            .lines
            .iter()
            .zip(LINES.iter().cycle())
            .map(|(line, colour)| (*colour, line.name.as_str()))
            .collect();
        let names = if self.lines.len() > 1 { names.as_slice() } else { &[] };
        let bottom = legend(canvas, (14, 52), names)?;

        let mut chart = ChartBuilder::on(canvas)
            .margin_top(bottom + 4)
            .margin_right(22)
            .margin_bottom(10)
            .x_label_area_size(34)
            .y_label_area_size(52)
            .build_cartesian_2d(first..last, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(7)
            .y_labels(5)
            .x_desc(self.x.name)
            .axis_desc_style(note())
            .label_style(note())
            .x_label_formatter(&|x| (self.x.number)(*x))
            .y_label_formatter(&|y| (self.y.number)(*y))
            .draw()?;
        for (line, colour) in self.lines.iter().zip(LINES.iter().cycle()) {
            for run in line.points.split(|point| !point.1.is_finite()) {
                chart.draw_series(LineSeries::new(run.iter().copied(), colour.stroke_width(2)))?;
            }
        }
        Ok(())
    }
}

/// Draws a picture with this many pixels and its own background.
pub fn svg(size: (u32, u32), label: &str, draw: impl FnOnce(&Canvas<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    canvas.fill(&PAPER)?;
    draw(&canvas)?;
    canvas.present()?;
    drop(canvas);
    let mut dark = String::new();
    for (light, twin) in TWINS {
        let RGBColor(red, green, blue) = light;
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        write!(dark, "[fill='{light}']{{fill:{twin}}}[stroke='{light}']{{stroke:{twin}}}")?;
    }
    let style = format!("<style>@media(prefers-color-scheme:dark){{{dark}}}</style>");
    let (head, body) = svg.split_once('>').context("no SVG")?;
    Ok(format!("{head} role=\"img\" aria-label=\"{label}\">\n{style}{body}\n"))
}

/// Draws a legend from this position on, in as many lines as it needs. Returns where the lines end.
pub fn legend(canvas: &Canvas<'_>, (left, top): (i32, i32), names: &[(RGBColor, &str)]) -> Result<i32> {
    let width = canvas.dim_in_pixel().0 as i32;
    let (mut x, mut y) = (left, top);
    for (colour, name) in names {
        let needed = 15 + name.chars().count() as i32 * TWO_LETTERS / 2 + 16;
        if x > left && x + needed > width {
            (x, y) = (left, y + LINE);
        }
        canvas.draw(&Rectangle::new([(x, y + 1), (x + 10, y + 11)], colour.filled()))?;
        canvas.draw(&Text::new(*name, (x + 15, y), note()))?;
        x += needed;
    }
    Ok(if names.is_empty() { y } else { y + LINE })
}

pub fn title() -> TextStyle<'static> {
    FONT.into_font().resize(15.0).style(FontStyle::Bold).color(&INK)
}

pub fn note() -> TextStyle<'static> {
    FONT.into_font().resize(12.0).color(&GREY)
}

const FONT: (&str, i32) = ("system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif", 12);
/// The width of two letters of a note, in pixels.
const TWO_LETTERS: i32 = 13;
const LINE: i32 = 17;

const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
pub const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
pub const GREY: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub const GRID: RGBColor = RGBColor(0xd1, 0xd9, 0xe0);
pub const BLUE: RGBColor = RGBColor(0x09, 0x69, 0xda);
pub const GREEN: RGBColor = RGBColor(0x1a, 0x7f, 0x37);
pub const RED: RGBColor = RGBColor(0xcf, 0x22, 0x2e);
pub const ORANGE: RGBColor = RGBColor(0xe1, 0x6f, 0x24);
pub const PURPLE: RGBColor = RGBColor(0x82, 0x50, 0xdf);
pub const TEAL: RGBColor = RGBColor(0x1b, 0x7c, 0x83);

/// The colors of lines, in order.
const LINES: [RGBColor; 6] = [BLUE, GREEN, ORANGE, RED, PURPLE, TEAL];

const TWINS: [(RGBColor, &str); 10] = [
    (PAPER, "#0d1117"),
    (INK, "#e6edf3"),
    (GREY, "#9198a1"),
    (GRID, "#2a313a"),
    (BLUE, "#4493f8"),
    (GREEN, "#3fb950"),
    (RED, "#f85149"),
    (ORANGE, "#f0883e"),
    (PURPLE, "#ab7df8"),
    (TEAL, "#39c5cf"),
];
