//! The state machine: proptest makes sequences of operations, which run on the driver and on a model side by side.

mod ops;
mod reference;
mod replay;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::case::{Check, Failure};
use super::cx::Cx;

/// What a state machine mostly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    Records,
    Expiry,
    Batches,
}

/// Runs sequences until one shows a difference; then finds the shortest that does.
pub(super) async fn explore(cx: Cx, focus: Focus) -> Check {
    let runtime = tokio::runtime::Handle::current();
    // Proptest is synchronous: it gets a thread of its own, from which it drives the store.
    let search = tokio::task::spawn_blocking(move || {
        let options = cx.options().clone();
        let sequences =
            if cx.is_movable() { options.sequences } else { options.sequences.div_ceil(4) };
        let config = Config {
            cases: sequences,
            failure_persistence: None,
            max_shrink_iters: 4000,
            max_shrink_time: 15_000,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed(options.seed, focus));
        let round = Arc::new(AtomicU32::new(0));
        let strategy = ops::sequence(&cx, focus, options.steps);
        TestRunner::new_with_rng(config, rng)
            .run(&strategy, |steps| {
                let database = format!("m{}", round.fetch_add(1, Ordering::Relaxed));
                runtime
                    .block_on(replay::replay(&cx, &database, &steps))
                    .map_err(|failure| TestCaseError::fail(format!("{failure:?}")))
            })
            .map_err(|error| match error {
                TestError::Fail(why, steps) => Failure::new(format!(
                    "{why}\nwith seed {}, after the shortest sequence found:\n{}",
                    options.seed,
                    steps.iter().map(|step| format!("  {step:?}")).collect::<Vec<_>>().join("\n"),
                )),
                TestError::Abort(why) => Failure::new(why.to_string()),
            })
    });
    search.await.map_err(|died| Failure::new(format!("the search died: {died}")))?
}

fn seed(seed: u64, focus: Focus) -> [u8; 32] {
    let mut bytes = [focus as u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
