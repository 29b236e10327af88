//! Waiting, with a little chance in it.

use std::time::Duration;

use crate::chance::chance;

/// Waits so long on Tokio's timer; `false` at once where there is none.
pub(super) async fn pause(duration: Duration) -> bool {
    if tokio::runtime::Handle::try_current().is_err() {
        return false;
    }
    tokio::time::sleep(duration).await;
    true
}

/// Between half of it and all of it, so that those who failed together do not come back together.
pub(super) fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.5 + chance() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_half_and_varies() {
        let all: Vec<_> = (0..64).map(|_| jittered(Duration::from_secs(2))).collect();
        assert!(all.iter().all(|d| (1.0..=2.0).contains(&d.as_secs_f64())));
        assert!(all.iter().any(|d| d != &all[0]));
    }
}
