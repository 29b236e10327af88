//! Runs the conformance suite on every driver and prints what each can do, as the README's table. `python3 scripts/readme.py` puts it
//! there, and the test command finds out when it is no longer true.

use std::io::Write as _;
use std::process::ExitCode;

use store_core::conformance::{Options, capability_table, run_blocking};
use tests::memory::MemoryTarget;

fn main() -> ExitCode {
    let reports = [run_blocking(MemoryTarget, Options::default())];
    for report in reports.iter().filter(|report| !report.is_green()) {
        let _ = write!(std::io::stderr().lock(), "{report}");
        return ExitCode::FAILURE;
    }
    match write!(std::io::stdout().lock(), "{}", capability_table(&reports)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
