use std::fmt::{Display, Write as _};

use super::{BOUNDS, Snapshot};
use crate::error::ErrorKind;

/// The text format of Prometheus, version 0.0.4.
pub(super) fn render(snapshot: &Snapshot, labels: &[(&str, &str)]) -> String {
    let mut page = Page {
        text: String::new(),
        common: labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
            .collect(),
    };
    page.head("store_call_seconds", "histogram", "How long calls took.");
    for calls in &snapshot.ended {
        let labels = [("operation", calls.operation.as_str()), ("outcome", outcome(calls.error))];
        let mut seen = 0;
        for (bound, count) in BOUNDS.iter().zip(&calls.latency.buckets) {
            seen += count;
            // Divided as decimals, so that a bound prints as 0.0025 and not as its binary neighbour.
            let le = (*bound as f64 / 1e6).to_string();
            let labels = [labels[0], labels[1], ("le", &*le)];
            page.line("store_call_seconds_bucket", &labels, seen);
        }
        let count = calls.latency.count();
        let labels_inf = [labels[0], labels[1], ("le", "+Inf")];
        page.line("store_call_seconds_bucket", &labels_inf, count);
        let seconds = calls.latency.total.as_secs_f64();
        page.line("store_call_seconds_sum", &labels, seconds);
        page.line("store_call_seconds_count", &labels, count);
    }
    page.head("store_items_total", "counter", "Records that calls were about.");
    for items in &snapshot.items {
        let labels = [("operation", items.operation.as_str()), ("outcome", outcome(items.error))];
        page.line("store_items_total", &labels, items.count);
    }
    page.head("store_reads_total", "counter", "Reads that found a record, or none.");
    for reads in &snapshot.reads {
        for (result, count) in [("hit", reads.hits), ("miss", reads.misses)] {
            let labels = [("operation", reads.operation.as_str()), ("result", result)];
            page.line("store_reads_total", &labels, count);
        }
    }
    page.head("store_calls_given_up_total", "counter", "Calls dropped before they ended.");
    for (operation, count) in &snapshot.given_up {
        let labels = [("operation", operation.as_str())];
        page.line("store_calls_given_up_total", &labels, count);
    }
    page.head("store_calls_under_way", "gauge", "Calls that have not ended.");
    page.line("store_calls_under_way", &[], snapshot.under_way);
    page.head("store_watches_open", "gauge", "Watches that are open.");
    page.line("store_watches_open", &[], snapshot.open_watches);
    page.head("store_watch_events_total", "counter", "Events that watches gave.");
    page.line("store_watch_events_total", &[], snapshot.watch_events);
    page.text
}

fn outcome(error: Option<ErrorKind>) -> &'static str {
    error.map_or("ok", ErrorKind::as_str)
}

fn escape(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

struct Page {
    text: String,
    /// Written labels of the caller's own.
    common: Vec<String>,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let own = labels.iter().map(|(name, value)| format!("{name}=\"{value}\""));
        let labels: Vec<_> = self.common.iter().cloned().chain(own).collect();
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{}}} {value}", labels.join(","))
        };
    }
}
