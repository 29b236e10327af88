//! A plot of a suite: one horizontal bar a row, as long as its ratio, with a mark where its bar is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::report::{self, Row};

const WIDTH: f64 = 1020.0;
/// Where the names end and the bars begin.
const LEFT: f64 = 335.0;
/// Where the bars end, so that a figure still fits beside the longest.
const RIGHT: f64 = 870.0;
const TOP: f64 = 84.0;
const LINE: f64 = 22.0;
const THICK: f64 = 14.0;

/// Writes `<dir>/<suite>.svg`.
pub(crate) fn write(dir: &Path, suite: &str, rows: &[Row]) -> Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let file = dir.join(format!("{suite}.svg"));
    fs::write(&file, draw(suite, rows)?)?;
    Ok(file)
}

fn draw(suite: &str, rows: &[Row]) -> std::result::Result<String, std::fmt::Error> {
    let scale = Scale::over(rows);
    let bottom = TOP + LINE * rows.len() as f64;
    let height = bottom + 34.0;
    let (met, bars) = report::bars(rows);
    let mut svg = String::new();
    write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="16" y="26" font-size="17" font-weight="bold">{suite}: ours against its peers, {met} of {bars} bars met</text>
<text x="16" y="46" fill="#555">Bars: how many times better ours is (logarithmic scale). Black mark: what is asked for. Thin line: the range over the rounds.</text>
"##
    )?;
    for tick in scale.ticks() {
        let x = scale.x(tick);
        let (colour, dash) =
            if (tick - 1.0).abs() < f64::EPSILON { ("#777", "none") } else { ("#ddd", "2 3") };
        write!(
            svg,
            r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{bottom:.1}" stroke="{colour}" stroke-dasharray="{dash}"/>
<text x="{x:.1}" y="{:.1}" text-anchor="middle" fill="#555">{tick}</text>
"##,
            TOP - 6.0,
            TOP - 12.0,
        )?;
    }
    for (number, row) in rows.iter().enumerate() {
        bar(&mut svg, &scale, TOP + LINE * number as f64, row)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn bar(svg: &mut String, scale: &Scale, y: f64, row: &Row) -> std::fmt::Result {
    let middle = y + LINE / 2.0;
    let text = middle + 4.0;
    let (one, end) = (scale.x(1.0), scale.x(row.ratio));
    let colour = if row.met() { "#4c9f70" } else { "#d1603d" };
    let mark = scale.x(row.bar);
    let low = row.spread.as_ref().map_or(end, |range| scale.x(*range.start()));
    let high = row.spread.as_ref().map_or(end, |range| scale.x(*range.end()));
    let beside = end.max(one).max(high).max(mark) + 8.0;
    write!(
        svg,
        r##"<text x="{:.1}" y="{text:.1}" text-anchor="end">{} <tspan fill="#777">vs {}</tspan></text>
<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{THICK}" fill="{colour}"/>
<line x1="{low:.1}" y1="{middle:.1}" x2="{high:.1}" y2="{middle:.1}" stroke="#222" stroke-width="1"/>
<rect x="{:.1}" y="{:.1}" width="3" height="{:.1}" fill="#000"/>
<text x="{beside:.1}" y="{text:.1}">{} <tspan fill="#777">of {}</tspan></text>
"##,
        LEFT - 12.0,
        escape(&row.case),
        escape(row.peer_name),
        one.min(end),
        middle - THICK / 2.0,
        (end - one).abs().max(1.0),
        mark - 1.5,
        y + 1.5,
        LINE - 3.0,
        report::short(row.ratio),
        row.bar,
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A logarithmic scale over all ratios and bars.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn over(rows: &[Row]) -> Self {
        let (mut low, mut high) = (1.0f64, 2.0f64);
        for row in rows {
            let range = row.spread.clone().unwrap_or(row.ratio..=row.ratio);
            low = low.min(row.bar).min(*range.start());
            high = high.max(row.bar).max(*range.end());
        }
        Self { low: (low * 0.9).max(0.01), high: high * 1.1 }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        LEFT + part * (RIGHT - LEFT)
    }

    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.high / self.low > 100.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        (-2..7)
            .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }
}
