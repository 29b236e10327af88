use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds; a last one has no bound.
pub const BOUNDS: [u64; 20] = [
    1, 3, 10, 30, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// How long calls took, in buckets.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < nanos);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Latency {
        Latency {
            buckets: std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed)),
            total: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)),
        }
    }
}

/// How long calls took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// How many calls ended within each of [`BOUNDS`] and not within the one before; the last is for the rest.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All together.
    pub total: Duration,
}

impl Latency {
    /// How many calls.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The upper bound of the bucket in which this share of the calls had ended, such as 0.99; `None` without calls, and where it is
    /// past the last bound.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        BOUNDS.get(bucket).copied().map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_their_buckets() {
        let histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 900, 1_000, 20_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let latency = histogram.read();
        assert_eq!(latency.count(), 7);
        assert_eq!(latency.buckets[..3], [2, 2, 0]);
        assert_eq!(latency.buckets[7], 2, "a bound is within its bucket");
        assert_eq!(latency.buckets[BOUNDS.len()], 1);
        assert_eq!(latency.total, Duration::from_micros(20_001_906));
        assert_eq!(latency.quantile(0.5), Some(Duration::from_micros(3)));
        assert_eq!(latency.quantile(1.0), None);
        assert_eq!(Histogram::default().read().quantile(0.5), None);
    }
}
