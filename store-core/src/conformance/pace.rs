//! How fast a target answers, against how long a case's records live.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where time is real, "the record is there until then" can only be seen while calls take less than the record lives. A case whose
/// calls took longer has shown nothing; it runs again, and its records live longer.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Instant,
    factor: u32,
    /// In nanoseconds: the shortest time to live that the case asked for.
    shortest: AtomicU64,
    /// In nanoseconds: what the case waited for on purpose.
    waited: AtomicU64,
}

impl Pace {
    /// What each run of a case multiplies its times to live with.
    pub(super) const FACTORS: [u32; 3] = [1, 3, 9];

    pub(super) fn new(factor: u32) -> Self {
        Self {
            begun: Instant::now(),
            factor,
            shortest: AtomicU64::new(u64::MAX),
            waited: AtomicU64::new(0),
        }
    }

    /// How long records live in this run that live so long in the first.
    pub(super) fn lives(&self, ttl: Duration) -> Duration {
        let ttl = ttl * self.factor;
        self.shortest.fetch_min(nanos(ttl), Ordering::Relaxed);
        ttl
    }

    /// The case does nothing but wait, for as long as this future takes.
    pub(super) async fn waits<T>(&self, wait: impl Future<Output = T> + Send) -> T {
        let begun = Instant::now();
        let ended = wait.await;
        self.waited.fetch_add(nanos(begun.elapsed()), Ordering::Relaxed);
        ended
    }

    /// Whether the case's calls took longer than its records lived.
    pub(super) fn was_too_slow(&self) -> bool {
        let waited = Duration::from_nanos(self.waited.load(Ordering::Relaxed));
        let calls = self.begun.elapsed().saturating_sub(waited);
        nanos(calls) > self.shortest.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
