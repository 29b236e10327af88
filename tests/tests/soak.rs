//! The state machine of the suite with seeds that nobody has seen: with `STORE_TEST_FULL=1` for a minute on each driver, else once, and
//! in memory alone. What fails says its seed: `CONFORMANCE_SEED=… CONFORMANCE_ONLY=model` runs it again in the driver's own suite.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use store_core::conformance::{Options, Status, Target, run_blocking};
use store_natsjs::Layout;
use tests::memory::MemoryTarget;
use tests::nats::NatsTarget;
use tests::redis::RedisTarget;
use tests::servers::nats::Version;
use tests::{is_full, say};

const LONG: Duration = Duration::from_mins(1);

/// New sequences on a new target, again and again, as long as it takes.
fn soak<T: Target>(target: impl Fn() -> T, sequences: u32, long: Duration) {
    let begin = Instant::now();
    let mut rounds = 0;
    loop {
        let seed = RandomState::new().hash_one(rounds);
        let options = Options::default().with_only(["model"]).with_sequences(sequences);
        let report = run_blocking(target(), options.with_seed(seed));
        let ran = report.cases.iter().filter(|case| case.status == Status::Passed).count();
        assert!(ran > 0, "no state machine ran: {report}");
        let failed = report.cases.iter().any(|case| case.status == Status::Failed);
        assert!(!failed, "seed {seed}: {report}");
        rounds += 1;
        if begin.elapsed() >= long {
            say(&format!("{rounds} rounds of {sequences} sequences on {}", report.name()));
            return;
        }
    }
}

#[test]
fn in_memory() {
    soak(|| MemoryTarget, 256, if is_full() { LONG } else { Duration::ZERO });
}

#[test]
fn on_redis() {
    if is_full() {
        soak(RedisTarget::start, 64, LONG);
    }
}

#[test]
fn on_nats() {
    if is_full() {
        soak(|| NatsTarget::start(Layout::Native, Version::Newest), 64, LONG);
    }
}
