//! The plot of what each variant adds: a bar for each destination, with whiskers from quartile to quartile. The SVG has its own background,
//! and another for dark pages.

use anyhow::Result;

use super::findings::{Findings, series};
use super::statistics::Summary;
use super::variants::{Destination, Variant};

/// Draws the results with one worker as SVG.
pub fn svg(all: &[Findings]) -> Result<String> {
    let destinations = [series(all, 1, Destination::Direct)?, series(all, 1, Destination::Upstream)?];
    let mut rows = Vec::new();
    for variant in Variant::ALL.into_iter().filter(|variant| *variant != Variant::Plain) {
        let [direct, upstream] = destinations.map(|findings| findings.finding(variant).map(|one| one.added));
        rows.push(Row { variant, bars: [("direct", direct?), ("upstream", upstream?)] });
    }
    let greatest = rows.iter().flat_map(|row| row.bars.map(|(_, added)| added.upper_quartile));
    let scale = Scale::up_to(greatest.fold(1.0, f64::max));
    let height = TOP + rows.len() as f64 * ROW + BOTTOM;
    let body: String = rows.iter().enumerate().map(|(place, row)| row.draw(place, &scale)).collect();
    Ok(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Added CPU time per request">
<style>{STYLE}</style>
<rect class="background" width="{WIDTH}" height="{height}" rx="8"/>
<text class="title" x="20" y="32">Added CPU time per request, µs</text>
<text class="note" x="20" y="52">above plain Envoy, one worker; medians, whiskers from quartile to quartile; less is better; direct: Envoy answers itself</text>
{legend}{axis}{body}</svg>
"#,
        legend = legend(),
        axis = scale.draw(height - BOTTOM),
    ))
}

struct Row {
    variant: Variant,
    bars: [(&'static str, Summary); 2],
}

impl Row {
    fn draw(&self, place: usize, scale: &Scale) -> String {
        let top = TOP + place as f64 * ROW;
        let who = if self.variant.artefact().is_some() { "ours" } else { "theirs" };
        let mut text = format!(
            "<text class=\"label {who}\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{title}</text>\n",
            x = LEFT - 10.0,
            y = top + ROW / 2.0 + 4.0,
            title = self.variant.title(),
        );
        for (number, (destination, added)) in self.bars.iter().enumerate() {
            let y = top + 5.0 + number as f64 * (BAR + 2.0);
            let middle = y + BAR / 2.0;
            let end = scale.place(added.median);
            let (low, high) = (scale.place(added.lower_quartile), scale.place(added.upper_quartile));
            text += &format!(
                "<rect class=\"{who} {destination}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>\
                 <path class=\"whisker\" d=\"M{low:.1} {middle}H{high:.1}\"/>\
                 <text class=\"figure\" x=\"{x:.1}\" y=\"{baseline}\">{figure}</text>\n",
                width = (end - LEFT).max(0.5),
                x = high.max(end) + 5.0,
                baseline = middle + 3.5,
                figure = format!("{:.1}", added.median).replace('-', "−"),
            );
        }
        text
    }
}

/// Maps microseconds to horizontal positions.
struct Scale {
    step: f64,
    end: f64,
}

impl Scale {
    /// Creates a scale with four to eight lines at round numbers.
    fn up_to(greatest: f64) -> Self {
        let magnitude = 10_f64.powf(greatest.log10().floor());
        let steps = [0.1, 0.2, 0.25, 0.5, 1.0, 2.0].map(|share| share * magnitude);
        let step = steps.into_iter().find(|step| greatest / step <= 8.0).unwrap_or(2.0 * magnitude);
        Self { step, end: (greatest / step).ceil() * step }
    }

    /// Returns the position of a value. Negative values are drawn at zero.
    fn place(&self, microseconds: f64) -> f64 {
        LEFT + microseconds.max(0.0) / self.end * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, bottom: f64) -> String {
        let lines = (self.end / self.step).round() as usize;
        let line = |number: usize| {
            let microseconds = number as f64 * self.step;
            let x = self.place(microseconds);
            format!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>\
                 <text class=\"note\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{microseconds}</text>\n",
                y = bottom + 18.0,
            )
        };
        (0..=lines).map(line).collect()
    }
}

fn legend() -> String {
    let entry = |(place, (class, text)): (usize, (&str, &str))| {
        let x = 20.0 + place as f64 * 215.0;
        format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"66\" width=\"12\" height=\"12\"/>\
             <text class=\"note\" x=\"{text_x}\" y=\"76\">{text}</text>\n",
            text_x = x + 18.0,
        )
    };
    let entries = [
        ("ours direct", "phantom-token, direct"),
        ("ours upstream", "phantom-token, with upstream"),
        ("theirs direct", "others, direct"),
        ("theirs upstream", "others, with upstream"),
    ];
    entries.into_iter().enumerate().map(entry).collect()
}

const WIDTH: f64 = 880.0;
const LEFT: f64 = 320.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 34.0;
const ROW: f64 = 36.0;
const BAR: f64 = 12.0;

const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328; }
.background { fill: #ffffff; stroke: #d1d9e0; }
.title { font-size: 16px; font-weight: 600; }
.note { font-size: 11.5px; fill: #59636e; }
.label { font-size: 12.5px; }
text.ours { font-weight: 600; }
.figure { font-size: 11px; }
.grid { stroke: #d1d9e0; }
.whisker { stroke: #1f2328; stroke-width: 1.5; }
rect.ours.direct { fill: #0969da; } rect.ours.upstream { fill: #80b8f2; }
rect.theirs.direct { fill: #818b98; } rect.theirs.upstream { fill: #c5ccd3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .background { fill: #0d1117; stroke: #3d444d; }
  .note { fill: #9198a1; }
  .grid { stroke: #2a313a; }
  .whisker { stroke: #e6edf3; }
  rect.ours.direct { fill: #4493f8; } rect.ours.upstream { fill: #1f4f8f; }
  rect.theirs.direct { fill: #7d8590; } rect.theirs.upstream { fill: #454c55; }
}
";
