//! Results: a table for people, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde_json::json;

use crate::measure::{Duel, Round};

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
    /// Operations a second of both sides.
    pub(crate) fn rates(
        case: impl Into<String>,
        peer_name: &'static str,
        duel: &Duel,
        bar: f64,
    ) -> Self {
        let (ratio, spread) = duel.figure(Round::ratio);
        Self {
            case: case.into(),
            ours: duel.median(|round| round.ours.rate),
            peer: duel.median(|round| round.peer.rate),
            peer_name,
            ratio,
            spread: Some(spread),
            lost: Some(duel.median(Round::lost)),
            bar,
            unit: "op/s",
        }
    }

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

/// Where the rows of a suite go: printed as soon as they are measured, and kept.
pub(crate) struct Report<'a> {
    suite: &'a str,
    json: bool,
    out: &'a mut dyn Write,
    rows: Vec<Row>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(suite: &'a str, json: bool, out: &'a mut dyn Write) -> Self {
        Self { suite, json, out, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row) -> io::Result<()> {
        if self.json {
            json(self.out, self.suite, &row)?;
        } else {
            if self.rows.is_empty() {
                heading(self.out)?;
            }
            line(self.out, &row)?;
        }
        self.rows.push(row);
        self.out.flush()
    }

    pub(crate) fn rows(self) -> Vec<Row> {
        self.rows
    }
}

fn json(out: &mut dyn Write, suite: &str, row: &Row) -> io::Result<()> {
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
    writeln!(out, "{line}")
}

fn heading(out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<26} {:<17} {:>7} {:>7}  {:<8} {:>6} {:>14} {:>5} {:>5}",
        "case", "peer", "ours", "peer", "unit", "ratio", "min..max", "lost", "bar",
    )
}

fn line(out: &mut dyn Write, row: &Row) -> io::Result<()> {
    let spread = row.spread.as_ref().map_or(String::new(), |range| {
        format!("{}..{}", short(*range.start()), short(*range.end()))
    });
    let lost = row.lost.map_or(String::new(), |part| format!("{:.0}%", part * 100.0));
    writeln!(
        out,
        "{:<26} {:<17} {:>7} {:>7}  {:<8} {:>6} {spread:>14} {lost:>5} {:>5}  {}",
        row.case,
        row.peer_name,
        short(row.ours),
        short(row.peer),
        row.unit,
        short(row.ratio),
        row.bar,
        if row.met() { "met" } else { "MISSED" },
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, peer_name: &'static str, ratio: f64) -> Row {
        Row {
            case: case.into(),
            ours: 1234.5678,
            peer: 1.0,
            peer_name,
            ratio,
            spread: None,
            lost: None,
            bar: 1.2,
            unit: "op/s",
        }
    }

    #[test]
    fn the_worst_row_decides_a_bar() {
        let rows = [
            row("read/1-task", "a", 3.0),
            row("read/2-tasks", "a", 1.1),
            row("read/1-task", "b", 1.2),
            row("write", "a", 1.2),
        ];
        assert_eq!(bars(&rows), (2, 3));
    }

    #[test]
    fn a_line_of_json_has_just_the_documented_fields() {
        let mut out = Vec::new();
        Report::new("memory", true, &mut out).add(row("read/1-task", "a", 0.123_456)).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({
            "suite": "memory", "case": "read/1-task", "ours": 1235.0, "peer": 1.0,
            "peer_name": "a", "ratio": 0.1235, "bar": 1.2, "unit": "op/s",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn figures_stay_short() {
        for (value, text) in
            [(0.0, "0.00"), (25.94, "25.9"), (848.2, "848"), (22_400.0, "22k"), (3.25e6, "3.25M")]
        {
            assert_eq!(short(value), text);
        }
    }
}
