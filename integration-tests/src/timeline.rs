//! The plot of what clients saw before, during and after each fault: two strips for a trial, with the share of each status.

use anyhow::{Context, Result};
use plotters::prelude::*;
use serde_json::Value;

use crate::plot::{self, BLUE, Canvas, GREEN, GREY, INK, ORANGE, PURPLE, RED, legend, note, title};

/// Draws these trials, given as their rows and names.
///
/// # Errors
/// If a row has no timeline.
pub fn svg(trials: &[(&str, &Value)]) -> Result<String> {
    let height = TOP + trials.len() as i32 * ROW + BOTTOM;
    let most = |name: &str| trials.iter().filter_map(|(_, trial)| trial[name].as_i64()).max();
    let (clients, longest) = most("clients").zip(most("fault_ms")).context("no trials")?;
    let scale = Scale { end: (longest + AFTER).min(LATEST) / 1000 * 1000 };
    plot::svg((WIDTH as u32, height as u32), "What clients saw, over time", |canvas| {
        canvas.draw(&Text::new("What clients with valid tokens saw", (14, 12), title()))?;
        let explanation = format!(
            "{clients} clients; upper strip: tokens that are new to the gateway; lower strip: cached tokens; between the marks: the fault"
        );
        canvas.draw(&Text::new(explanation, (14, 32), note()))?;
        legend(canvas, (14, 54), &COLOURS.map(|(_, colour, name)| (colour, name)))?;
        for (number, (name, trial)) in trials.iter().enumerate() {
            let top = TOP + number as i32 * ROW;
            canvas.draw(&Text::new(*name, (14, top + 6), note().color(&INK)))?;
            for (strip, tokens) in ["cold", "known"].into_iter().enumerate() {
                draw_strip(canvas, scale, trial, tokens, top + strip as i32 * (STRIP + 1))?;
            }
            let end = trial["fault_ms"].as_i64().context("a trial without a fault")?;
            for mark in [0, end].into_iter().filter(|time| *time <= scale.end).map(|time| scale.place(time)) {
                canvas.draw(&PathElement::new(
                    [(mark, top - 3), (mark, top + 2 * STRIP + 4)],
                    INK.stroke_width(1),
                ))?;
            }
        }
        let axis = TOP + trials.len() as i32 * ROW + 2;
        for second in (FROM / 1000)..=(scale.end / 1000) {
            let text = if second == 0 { "0 s".to_owned() } else { format!("{second}").replace('-', "−") };
            canvas.draw(&Text::new(text, (scale.place(second * 1000) - 4, axis), note()))?;
        }
        Ok(())
    })
}

/// Draws one strip: the statuses in each slice of time, stacked.
fn draw_strip(canvas: &Canvas<'_>, scale: Scale, trial: &Value, tokens: &str, top: i32) -> Result<()> {
    let slices = trial["timeline"].as_array().context("a trial without a timeline")?;
    for slice in slices {
        let from = slice["from_ms"].as_i64().context("a slice without a time")?;
        let until = from + SLICE_MS;
        let counts = |status: &str| slice["seen"][tokens][status].as_u64().unwrap_or_default();
        let all: u64 = COLOURS.iter().map(|(status, ..)| counts(status)).sum();
        if all == 0 || from < FROM || until > scale.end {
            continue;
        }
        let mut below = 0;
        for (status, colour, _) in COLOURS {
            let [start, end] = [below, below + counts(status)]
                .map(|count| top + (count as i64 * i64::from(STRIP) / all as i64) as i32);
            below += counts(status);
            if end > start {
                canvas.draw(&Rectangle::new(
                    [(scale.place(from), start), (scale.place(until), end)],
                    colour.filled(),
                ))?;
            }
        }
    }
    Ok(())
}

/// Maps times, in milliseconds since the fault began, to horizontal positions.
#[derive(Clone, Copy)]
struct Scale {
    end: i64,
}

impl Scale {
    fn place(self, time: i64) -> i32 {
        LEFT + ((time - FROM) * i64::from(WIDTH - LEFT - RIGHT) / (self.end - FROM)) as i32
    }
}

/// The length of a slice of time.
pub const SLICE_MS: i64 = 250;

/// The plot begins this long before a fault, and ends this long after the longest fault, in milliseconds.
const FROM: i64 = -1000;
const AFTER: i64 = 4000;
/// Later times are left out.
const LATEST: i64 = 14000;

const WIDTH: i32 = 880;
const LEFT: i32 = 310;
const RIGHT: i32 = 24;
const TOP: i32 = 92;
const ROW: i32 = 33;
const STRIP: i32 = 11;
const BOTTOM: i32 = 26;

const COLOURS: [(&str, RGBColor, &str); 6] = [
    ("200", GREEN, "200"),
    ("502", PURPLE, "502"),
    ("503", ORANGE, "503, with Retry-After"),
    ("504", RED, "504"),
    ("cut", GREY, "connection closed or refused"),
    ("401", BLUE, "401"),
];
