use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use store_core::{Clock, SystemClock, Timestamp};

/// A clock that stands still until it is moved: tests of expiry take no time. Begins at the present instant; clones are the same
/// clock.
///
/// ```
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use std::{sync::Arc, time::Duration};
/// use store_core::Store;
/// use store_memory::{Memory, testkit::ManualClock};
///
/// let clock = ManualClock::new();
/// let store: Arc<dyn Store> = Arc::new(Memory::builder().clock(clock.clone()).build());
/// let table = store.database("app")?.table("sessions")?;
/// table.write("s", "x").ttl(Duration::from_secs(3600)).await?;
///
/// clock.advance(Duration::from_millis(3_599_999));
/// assert!(table.exists("s").await?);
/// clock.advance(Duration::from_millis(1));
/// assert!(!table.exists("s").await?);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Inner>);

struct Inner {
    now_ms: AtomicU64,
    moved: Mutex<Vec<Arc<dyn Fn() + Send + Sync>>>,
}

impl ManualClock {
    /// A clock that stands at the present instant.
    pub fn new() -> Self {
        let now_ms = AtomicU64::new(SystemClock.now().as_millis());
        Self(Arc::new(Inner { now_ms, moved: Mutex::default() }))
    }

    /// Moves time forward, whole milliseconds; what expires meanwhile has expired, with its events, when this returns.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        let last = Timestamp::MAX.as_millis();
        let step = |now: u64| Some(now.saturating_add(by).min(last));
        let _ = self.0.now_ms.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        let moved = self.0.moved.lock().clone();
        for tell in moved {
            tell();
        }
    }

    /// The instant at which it stands, for absolute expiries.
    pub fn system_time(&self) -> SystemTime {
        self.now().to_system()
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now_ms.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    fn on_move(&self, moved: Box<dyn Fn() + Send + Sync>) -> bool {
        self.0.moved.lock().push(moved.into());
        true
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({:?})", self.now())
    }
}
