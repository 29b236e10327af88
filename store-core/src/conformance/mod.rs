//! The conformance suite: the contract of [`Store`](crate::Store) as cases that run against any driver.
//!
//! A driver's test is a [`Target`] and one line:
//!
//! ```no_run
//! use std::sync::Arc;
//! use store_core::conformance::{Fixture, Target};
//! use store_core::{Capability, Result, async_trait};
//!
//! struct Mine;
//!
//! #[async_trait]
//! impl Target for Mine {
//!     fn name(&self) -> String {
//!         "mine".into()
//!     }
//!     fn capability(&self) -> Capability {
//!         Capability::all()
//!     }
//!     async fn open(&self) -> Result<Fixture> {
//!         Ok(Fixture::new(Arc::new(store_memory::Memory::new())))
//!     }
//! }
//!
//! store_core::conformance_suite!(Mine);
//! # fn main() {}
//! ```
//!
//! # What it does
//!
//! Every case has a stable id such as `expiry/after-a-duration-it-is-gone`, runs in a database of its own, has a deadline (a hang is a
//! failure of that case) and may panic without harm to the others. Cases state the [`Feature`](crate::Feature)s that they need.
//!
//! Some cases *prove* a feature. They run on every driver, so that what a driver can do is derived from what it does, and compared
//! with what it declares, both ways: declared but not proven fails, and so does proven but not declared. A driver that lacks a
//! feature must refuse it with [`Unsupported`](crate::ErrorKind::Unsupported) and change nothing: that has cases of its own.
//!
//! Where time is real, a case that fails after calls that took longer than its records live has shown nothing: it runs again, up to
//! two times, with records that live longer, and the report says so ([`CaseReport::slow`]).
//!
//! `CONFORMANCE_ONLY=expiry,cas/` in the environment runs the cases whose ids begin so; `CONFORMANCE_SEED` repeats a run of the
//! state machine.

#[macro_use]
mod case;
mod cases;
mod cx;
mod derive;
mod markdown;
mod model;
mod options;
mod pace;
mod report;
mod rewriting;
mod runner;
mod target;
mod watcher;

pub use markdown::capability_table;
pub use options::Options;
pub use report::{CaseReport, FeatureReport, Limits, Report, Status, Verdict};
pub use runner::{check, run, run_blocking};
pub use target::{Faults, Fixture, RealTime, Target, Time};

/// The ids and titles of all cases, in the order in which reports show them.
pub fn catalogue() -> Vec<(&'static str, &'static str)> {
    let all = cases::all();
    all.iter().map(|case| (case.id, case.title)).collect()
}

/// Makes the test `conformance` that runs the whole suite on a [`Target`](crate::conformance::Target), prints its report and
/// fails with it. A second argument gives other [`Options`](crate::conformance::Options).
#[macro_export]
macro_rules! conformance_suite {
    ($target:expr) => {
        $crate::conformance_suite!($target, $crate::conformance::Options::from_env());
    };
    ($target:expr, $options:expr) => {
        #[test]
        fn conformance() {
            $crate::conformance::check($target, $options);
        }
    };
}
