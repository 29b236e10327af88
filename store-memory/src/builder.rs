use std::fmt;
use std::sync::Arc;

use store_core::{Clock, DatabaseConfig, SystemClock};

use crate::Memory;

/// Settings for a [`Memory`] store.
///
/// ```
/// use std::time::Duration;
/// use store_core::DatabaseConfig;
/// use store_memory::Memory;
///
/// let store = Memory::builder()
///     .defaults(DatabaseConfig::new().with_default_ttl(Duration::from_secs(3600)))
///     .watch_buffer(1000)
///     .build();
/// ```
#[must_use]
#[derive(Clone)]
pub struct Builder {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) defaults: DatabaseConfig,
    pub(crate) auto_create: bool,
    pub(crate) watch_buffer: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            defaults: DatabaseConfig::new(),
            auto_create: true,
            watch_buffer: 16 * 1024,
        }
    }
}

impl Builder {
    /// Where the store reads the time; see [`testkit::ManualClock`](crate::testkit::ManualClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How databases are configured that appear with a first write.
    pub fn defaults(mut self, defaults: DatabaseConfig) -> Self {
        self.defaults = defaults;
        self
    }

    /// Whether a write to a database that does not exist creates it (the default) or is `NotFound`.
    pub fn auto_create(mut self, auto_create: bool) -> Self {
        self.auto_create = auto_create;
        self
    }

    /// How many changes of a watched table are kept for watchers that lag or resume, 16384 unless said. One that falls further
    /// behind is told to resync.
    pub fn watch_buffer(mut self, changes: usize) -> Self {
        self.watch_buffer = changes.max(1);
        self
    }

    /// The store.
    pub fn build(self) -> Memory {
        Memory::build(self)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("defaults", &self.defaults)
            .field("auto_create", &self.auto_create)
            .field("watch_buffer", &self.watch_buffer)
            .finish_non_exhaustive()
    }
}
