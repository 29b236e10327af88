//! The suite on every server that there is, and the table of it in docs/redis.md, which is what the suite finds.
//! `STORE_TEST_WRITE_README=1 cargo test -p tests --test redis_servers` writes the rows of the servers that are here.
//!
//! The server of the other tests is always one of them. `STORE_TEST_REDIS_SERVER_6_2` names one more, and
//! `STORE_TEST_REDIS_SERVERS` any number, with a `:` in between: newer ones, and Valkey.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::collections::BTreeMap;
use std::path::Path;

use store_core::conformance::{Options, Report, Status, run_blocking};
use tests::redis::{ClusterTarget, PlainTarget, RedisTarget};
use tests::servers::redis::{Server, binaries};

const BEGIN: &str = "<!-- servers:begin -->\n";
const END: &str = "<!-- servers:end -->";
const HEAD: &str = "| server | `table` | `plain` | `table` in a cluster |\n|---|---|---|---|\n";

/// Name and version up to the second number: what comes after it changes with the day.
fn version(binary: &Path) -> String {
    let server = Server::of(binary, &[]);
    let info = server.command(&["INFO", "server"]);
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    let (name, version) = match field("valkey_version:") {
        Some(version) => ("Valkey", version),
        None => ("Redis", field("redis_version:").unwrap()),
    };
    let short: Vec<&str> = version.split('.').take(2).collect();
    format!("{name} {}", short.join("."))
}

/// What a report comes to, in words that new cases do not change.
fn words(version: &str, report: &Report) -> &'static str {
    assert!(report.failures().is_empty(), "{version}, {}: {report}", report.name());
    let is_undisturbed = report.cases.iter().any(|case| {
        case.status == Status::NotApplicable && case.why == "the target injects no faults"
    });
    if is_undisturbed { "the suite, without cut connections" } else { "the whole suite" }
}

#[test]
fn conformance_on_every_server_is_what_the_document_shows() {
    let mut rows = BTreeMap::new();
    for binary in binaries() {
        let version = version(&binary);
        let reports = [
            run_blocking(RedisTarget::on(&binary), Options::default()),
            run_blocking(PlainTarget::on(&binary), Options::default()),
            run_blocking(ClusterTarget::on(&binary), Options::default()),
        ];
        for report in &reports {
            println!("{version}: {report}");
        }
        let cells = reports.map(|report| words(&version, &report)).join(" | ");
        rows.insert(version.clone(), format!("| {version} | {cells} |\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/redis.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the mark where the table begins");
    let (table, after) = rest.split_once(END).expect("the mark where the table ends");
    let written: BTreeMap<String, String> = table
        .lines()
        .skip(2)
        .filter_map(|line| Some((line.split('|').nth(1)?.trim().to_owned(), format!("{line}\n"))))
        .collect();
    if std::env::var_os("STORE_TEST_WRITE_README").is_some() {
        let all: String =
            written.into_iter().chain(rows).collect::<BTreeMap<_, _>>().into_values().collect();
        std::fs::write(&path, format!("{before}{BEGIN}{HEAD}{all}{END}{after}")).unwrap();
        return;
    }
    for (version, row) in &rows {
        match written.get(version) {
            Some(held) => assert_eq!(
                held, row,
                "docs/redis.md does not show what the suite finds: STORE_TEST_WRITE_README=1 cargo test -p tests --test redis_servers"
            ),
            None => println!("docs/redis.md does not show {version} yet: {row}"),
        }
    }
}
