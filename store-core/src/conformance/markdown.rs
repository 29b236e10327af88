use std::fmt::Write as _;

use super::report::{Limits, Report, Verdict};

/// A Markdown table of what drivers can do, one column per report: what was derived, not what was declared.
pub fn capability_table(reports: &[Report]) -> String {
    let mut out = String::from("| |");
    for report in reports {
        let _ = write!(out, " {} |", report.name());
    }
    out.push_str("\n|---|");
    out.push_str(&":---:|".repeat(reports.len()));
    out.push('\n');
    let features = reports.first().map_or(&[][..], |report| &report.features);
    for (row, feature) in features.iter().enumerate() {
        let _ = write!(out, "| {} |", feature.describe);
        for report in reports {
            let cell = match report.features.get(row).map(|held| (held.derived, held.declared)) {
                Some((Verdict::Has, _)) => "yes",
                // What nobody could try out, for want of what it stands on, and nobody claims.
                Some((Verdict::Lacks, _) | (Verdict::Unknown, false)) => "–",
                Some((Verdict::Broken, _)) => "broken",
                Some((Verdict::Unknown, true)) | None => "?",
            };
            let _ = write!(out, " {cell} |");
        }
        out.push('\n');
    }
    for (title, cell) in LIMITS {
        if reports.iter().any(|report| cell(&report.limits).is_some()) {
            let _ = write!(out, "| {title} |");
            for report in reports {
                let _ = write!(out, " {} |", cell(&report.limits).as_deref().unwrap_or("–"));
            }
            out.push('\n');
        }
    }
    out
}

type Cell = fn(&Limits) -> Option<String>;

const LIMITS: [(&str, Cell); 6] = [
    ("longest key, bytes", |l| Some(l.max_key_len.unwrap_or(crate::MAX_KEY_LEN).to_string())),
    ("largest value, bytes", |l| l.max_value_len.map(|n| n.to_string())),
    ("operations in an atomic batch, at most", |l| l.max_atomic.map(|n| n.to_string())),
    ("shortest time to live, ms", |l| l.min_ttl_ms.map(|n| n.to_string())),
    ("expired records are seen for at most, ms", |l| {
        (l.expiry_lateness_ms > 0).then(|| l.expiry_lateness_ms.to_string())
    }),
    ("keys and tables", |l| l.alphabet.clone()),
];
