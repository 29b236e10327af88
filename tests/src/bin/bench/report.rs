//! Results: a table for people, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde_json::json;

/// One measured case against one peer.
pub(crate) struct Row {
    /// Such as `read/2-tasks`: what is before the slash shares a bar.
    pub(crate) case: String,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    pub(crate) peer_name: &'static str,
    /// Over 1 means that ours is better.
    pub(crate) ratio: f64,
    /// The range of the ratio over the rounds, where there were several.
    pub(crate) spread: Option<RangeInclusive<f64>>,
    /// Which part of the time other processes had the cores, where it was timed.
    pub(crate) lost: Option<f64>,
    /// What the ratio must reach.
    pub(crate) bar: f64,
    pub(crate) unit: &'static str,
}

impl Row {
    pub(crate) fn met(&self) -> bool {
        self.ratio >= self.bar
    }

    fn bar_name(&self) -> (&str, &str) {
        let family = self.case.split('/').next().unwrap_or(&self.case);
        (family, self.peer_name)
    }
}

/// How many bars are met, of how many. A case that is measured with 1, 2 and 4 tasks has one bar, which its worst row decides.
pub(crate) fn bars(rows: &[Row]) -> (usize, usize) {
    let mut bars = BTreeMap::new();
    for row in rows {
        *bars.entry(row.bar_name()).or_insert(true) &= row.met();
    }
    (bars.values().filter(|met| **met).count(), bars.len())
}

pub(crate) fn json(out: &mut impl Write, suite: &str, rows: &[Row]) -> io::Result<()> {
    for row in rows {
        let line = json!({
            "suite": suite,
            "case": row.case,
            "ours": significant(row.ours),
            "peer": significant(row.peer),
            "peer_name": row.peer_name,
            "ratio": significant(row.ratio),
            "bar": row.bar,
            "unit": row.unit,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

pub(crate) fn table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let width = rows.iter().map(|row| row.case.len()).max().unwrap_or(0);
    writeln!(
        out,
        "{:<width$}  {:<20} {:>8} {:>8}  {:<8} {:>7} {:>15} {:>5} {:>6}",
        "case", "peer", "ours", "peer", "unit", "ratio", "min..max", "lost", "bar",
    )?;
    for row in rows {
        let spread = row.spread.as_ref().map_or(String::new(), |range| {
            format!("{}..{}", short(*range.start()), short(*range.end()))
        });
        let lost = row.lost.map_or(String::new(), |part| format!("{:.0}%", part * 100.0));
        writeln!(
            out,
            "{:<width$}  {:<20} {:>8} {:>8}  {:<8} {:>7} {:>15} {:>5} {:>6}  {}",
            row.case,
            row.peer_name,
            short(row.ours),
            short(row.peer),
            row.unit,
            short(row.ratio),
            spread,
            lost,
            row.bar,
            if row.met() { "met" } else { "MISSED" },
        )?;
    }
    Ok(())
}

/// Three significant digits are all that a noisy machine gives; JSON gets four.
fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10f64.powi(3 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// A number in at most six characters.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1e7 => format!("{:.1}M", value / 1e6),
        v if v >= 1e6 => format!("{:.2}M", value / 1e6),
        v if v >= 1e4 => format!("{:.0}k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
