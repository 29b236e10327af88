//! Pauses between tries.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// The pauses between tries of what goes on until it succeeds: each twice as long as the one before, up to 5 s.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// It has succeeded: the next pause is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits. A pause that is not waited for to its end counts.
    pub(crate) async fn pause(&mut self) {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::new();
        let mut waited = Vec::new();
        for round in 0..10 {
            let since = tokio::time::Instant::now();
            backoff.pause().await;
            waited.push(since.elapsed().as_millis());
            if round == 8 {
                backoff.reset();
            }
        }
        assert_eq!(waited, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 50]);
    }
}
