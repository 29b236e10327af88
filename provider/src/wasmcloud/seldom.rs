//! What is worth saying, and not a thousand times.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many are let through in a row.
const FEW: u32 = 10;
/// After so long, as many again.
const SPAN: Duration = Duration::from_secs(10);

/// Lets through a few of what comes in masses, and counts the others.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    since: Option<Instant>,
    passed: u32,
    held: u64,
}

impl Seldom {
    /// How many were held back since the last one that passed; `None` holds this one back.
    pub(crate) fn pass(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| since.elapsed() >= SPAN) {
            (state.since, state.passed) = (Some(Instant::now()), 0);
        }
        if state.passed < FEW {
            state.passed += 1;
            return Some(std::mem::take(&mut state.held));
        }
        state.held += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_pass_and_the_rest_is_counted() {
        let seldom = Seldom::default();
        let passed = (0..1000).filter_map(|_| seldom.pass()).collect::<Vec<_>>();
        assert_eq!(passed, [0; 10]);
        tokio::time::advance(SPAN).await;
        assert_eq!((seldom.pass(), seldom.pass()), (Some(990), Some(0)));
    }
}
