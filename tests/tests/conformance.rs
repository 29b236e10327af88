//! The conformance suite on the drivers, and the README's table of what each can do, which is what the suite finds.
//! `STORE_TEST_WRITE_README=1 cargo test -p tests --test conformance` writes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::path::Path;
use std::time::Duration;

use store_core::conformance::{Options, capability_table, run_blocking};
use store_natsjs::Layout;
use tests::memory::MemoryTarget;
use tests::nats::NatsTarget;
use tests::redis::{PlainTarget, RedisTarget};
use tests::servers::nats::Version;

const BEGIN: &str = "<!-- capabilities:begin -->\n";
const END: &str = "<!-- capabilities:end -->";

#[test]
fn redis_need_not_tell_what_expires() {
    let report = run_blocking(PlainTarget::telling_no_expiry(), Options::default());
    println!("{report}");
    assert!(report.is_green(), "{} is not green: see its report above", report.name());
}

#[test]
fn conformance_of_the_drivers_is_what_the_readme_shows() {
    let reports = [
        run_blocking(MemoryTarget, Options::default()),
        run_blocking(RedisTarget::start(), Options::default()),
        run_blocking(PlainTarget::start(), Options::default()),
        // What its other layouts and older servers can do is in docs/nats.md.
        run_blocking(
            NatsTarget::start(Layout::Native, Version::Newest),
            Options::default().with_concurrency(16).with_deadline(Duration::from_mins(2)),
        ),
    ];
    for report in &reports {
        println!("{report}");
    }
    for report in &reports {
        assert!(report.is_green(), "{} is not green: see its report above", report.name());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("the mark where the table ends");
    let found = format!("{before}{BEGIN}{}{END}{after}", capability_table(&reports));
    if std::env::var_os("STORE_TEST_WRITE_README").is_some() {
        std::fs::write(&path, found).unwrap();
        return;
    }
    assert!(
        readme == found,
        "the table is not what the suite finds: STORE_TEST_WRITE_README=1 cargo test -p tests --test conformance writes it"
    );
}
