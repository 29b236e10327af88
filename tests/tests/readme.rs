//! The README's table of what each driver can do is what the suite finds. `STORE_TEST_WRITE_README=1 cargo test -p tests --test readme`
//! writes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::path::Path;

use store_core::conformance::{Options, capability_table, run_blocking};
use tests::memory::MemoryTarget;

const BEGIN: &str = "<!-- capabilities:begin -->\n";
const END: &str = "<!-- capabilities:end -->";

#[test]
fn the_readme_shows_what_the_suite_finds() {
    let reports = [run_blocking(MemoryTarget, Options::default())];
    for report in &reports {
        assert!(report.is_green(), "{report}");
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
        "the table is not what the suite finds: STORE_TEST_WRITE_README=1 cargo test -p tests --test readme writes it"
    );
}
