//! The conformance suite on NATS JetStream: every layout, on the newest server and on older ones, and the table in `docs/nats.md`
//! of what works where. `STORE_TEST_FULL=1 STORE_TEST_WRITE_README=1 cargo test -p tests --test nats_conformance` writes that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]
#![expect(clippy::print_stdout, reason = "a report is worth seeing, also when it passes")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use store_core::conformance::{Options, Report, Status, capability_table, catalogue, run_blocking};
use store_natsjs::Layout;
use tests::nats::NatsTarget;
use tests::servers::nats::Version;
use tests::{is_full, say};

const BEGIN: &str = "<!-- what works where:begin -->\n";
const END: &str = "<!-- what works where:end -->";

/// The default expiry is the stream's limit of age: it counts from the last write, for all records at once, and has a least value.
const AGE_LIMIT: [&str; 3] =
    ["default-expiry/counters", "default-expiry/update", "default-expiry/below-a-millisecond"];

/// Some tables and keys meet by the nature of Go-Micro's names; a write is then a conflict.
const JOINED: [&str; 2] = ["names/underscore-joins", "micro/bug-collisions"];

/// For a case: some wait for two calls in a row that get no answer.
const DEADLINE: Duration = Duration::from_mins(2);

/// What a layout cannot do by its nature, and has no capability for. These cases must really fail.
fn inherent(layout: Layout) -> Vec<&'static str> {
    match layout {
        Layout::GoMicro | Layout::GoMicroBase32 => [&AGE_LIMIT[..], &JOINED].concat(),
        Layout::Plain => AGE_LIMIT.to_vec(),
        Layout::Native => Vec::new(),
    }
}

/// The suite's report, by one run in this process; `None` where there is no such server.
fn report(layout: Layout, version: Version) -> Option<&'static Report> {
    static REPORTS: [[OnceLock<Option<Report>>; 4]; 4] =
        [const { [const { OnceLock::new() }; 4] }; 4];
    let at = Layout::ALL.iter().position(|one| *one == layout).unwrap();
    let run = || {
        if version != Version::Newest && version.binary().is_none() {
            say(&format!(
                "skipped {layout} on nats-server {version}: none is named in the environment"
            ));
            return None;
        }
        // Client and server share the processors.
        let options = Options::from_env().with_concurrency(16).with_deadline(DEADLINE);
        let report = run_blocking(NatsTarget::start(layout, version), options);
        println!("\n{report}");
        let (passed, all) = (report.count(Status::Passed), report.cases.len());
        say(&format!(
            "{}: {passed} of {all} cases passed, {:.0} s",
            report.name(),
            report.millis as f64 / 1e3
        ));
        Some(report)
    };
    REPORTS[at][version as usize].get_or_init(run).as_ref()
}

fn check(layout: Layout, version: Version) {
    let Some(report) = report(layout, version) else { return };
    let inherent = inherent(layout);
    let failed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| case.status == Status::Failed)
        .map(|case| &*case.id)
        .collect();
    let surprises: Vec<_> = failed.iter().filter(|id| !inherent.contains(id)).collect();
    assert!(surprises.is_empty(), "{}: failed: {surprises:?}", report.name());
    if is_partial() {
        return;
    }
    let missing: Vec<_> = inherent.iter().filter(|id| !failed.contains(id)).collect();
    assert!(missing.is_empty(), "{}: passed after all: {missing:?}", report.name());
    let wrong: Vec<_> = report.features.iter().filter(|feature| !feature.agrees).collect();
    assert!(wrong.is_empty(), "{}: {wrong:?}", report.name());
}

fn is_partial() -> bool {
    !Options::from_env().only.is_empty()
}

#[test]
fn native() {
    check(Layout::Native, Version::Newest);
}

#[test]
fn go_micro() {
    check(Layout::GoMicro, Version::Newest);
}

#[test]
fn plain() {
    check(Layout::Plain, Version::Newest);
}

#[test]
fn go_micro_base32() {
    if is_full() {
        check(Layout::GoMicroBase32, Version::Newest);
    }
}

#[test]
fn native_on_older_servers() {
    if is_full() {
        for version in Version::OLDER {
            check(Layout::Native, version);
        }
    }
}

#[test]
fn the_other_layouts_are_the_same_on_older_servers() {
    if !is_full() {
        return;
    }
    for layout in [Layout::GoMicro, Layout::GoMicroBase32, Layout::Plain] {
        let newest = report(layout, Version::Newest).unwrap();
        for version in Version::OLDER {
            check(layout, version);
            let Some(older) = report(layout, version) else { continue };
            let derived = |report: &Report| -> Vec<_> {
                report.features.iter().map(|feature| feature.derived).collect()
            };
            assert_eq!(derived(older), derived(newest), "{layout} on {version}");
            let limits = |report: &Report| serde_json::to_value(&report.limits).unwrap();
            assert_eq!(limits(older), limits(newest), "{layout} on {version}");
        }
    }
}

/// The columns of the table.
fn columns() -> Vec<(Layout, Version)> {
    let mut columns = vec![(Layout::Native, Version::Newest)];
    if is_full() {
        columns.extend(Version::OLDER.map(|version| (Layout::Native, version)));
    }
    columns.push((Layout::GoMicro, Version::Newest));
    if is_full() {
        columns.push((Layout::GoMicroBase32, Version::Newest));
    }
    columns.push((Layout::Plain, Version::Newest));
    columns
}

#[test]
fn what_works_where_is_what_the_docs_show() {
    if is_partial() {
        return;
    }
    let reports: Vec<Report> =
        columns().into_iter().filter_map(|(l, v)| report(l, v).cloned()).collect();
    let found = format!("{}\n{}", capability_table(&reports), bends());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nats.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = docs.split_once(BEGIN).expect("the mark where the table begins");
    let (shown, after) = rest.split_once(END).expect("the mark where the table ends");
    if std::env::var_os("STORE_TEST_WRITE_README").is_some() {
        assert_eq!(reports.len(), 7, "only a full run on all versions knows the whole table");
        std::fs::write(&path, format!("{before}{BEGIN}{found}{END}{after}")).unwrap();
        return;
    }
    let shown = cells(shown);
    for (cell, value) in cells(&found) {
        assert_eq!(
            shown.get(&cell),
            Some(&value),
            "{cell:?} is not what the suite finds; the head of this file says how to write it"
        );
    }
}

/// What the layouts cannot keep: the cases that are insisted upon to fail.
fn bends() -> String {
    let mut table = String::from("| what does not hold | layouts | case |\n|---|---|---|\n");
    for (id, title) in catalogue() {
        let layouts: Vec<&str> = Layout::ALL
            .iter()
            .filter(|layout| inherent(**layout).contains(&id))
            .map(|layout| layout.as_str())
            .collect();
        if !layouts.is_empty() {
            let _ = writeln!(table, "| {title} | {} | `{id}` |", layouts.join(", "));
        }
    }
    table
}

/// Column and row of every cell of the tables in a text.
fn cells(text: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let mut head: Vec<String> = Vec::new();
    for line in text.lines() {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        if line.is_empty() {
            head.clear();
        } else if head.is_empty() {
            head = cells;
        } else if !line.starts_with("|--") {
            for (column, cell) in head.iter().zip(&cells).skip(1) {
                found.insert((column.clone(), cells[0].clone()), cell.clone());
            }
        }
    }
    found
}

/// Every bucket has three copies, of which any may answer.
#[test]
fn native_on_three_servers() {
    let options = Options::from_env().with_concurrency(8).with_deadline(DEADLINE);
    let report = run_blocking(NatsTarget::replicated(Layout::Native), options);
    println!("\n{report}");
    assert!(report.is_green(), "{}: see its report above", report.name());
}
