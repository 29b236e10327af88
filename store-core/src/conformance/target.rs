use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::capability::Capability;
use crate::error::Result;
use crate::store::StoreAdmin;

/// A driver in one configuration, as the suite tests it.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// The driver's name, such as `redis`.
    fn name(&self) -> String;

    /// The layout or server, where a driver is tested in several: `plain`, `2.12`.
    fn layout(&self) -> String {
        String::new()
    }

    /// What the driver is expected to declare, written down by hand: so a driver cannot switch cases off by declaring less.
    fn capability(&self) -> Capability;

    /// A store object for one case, which may close it. Several cases run at once, each in databases of its own; where time can be
    /// moved, each needs a clock of its own too.
    async fn open(&self) -> Result<Fixture>;

    /// What to call a database of a case in this layout. The suite's names are unique, at most 60 bytes of `a-z0-9-`; different
    /// names must stay different.
    fn database(&self, unique: &str) -> String {
        unique.to_owned()
    }

    /// Whether a key is within [`Capability::alphabet`]. One that is not must be refused.
    fn accepts_key(&self, key: &str) -> bool {
        let _ = key;
        true
    }

    /// Whether a table name is within [`Capability::alphabet`]. One that is not must be refused.
    fn accepts_table(&self, table: &str) -> bool {
        let _ = table;
        true
    }

    /// The time to live that expiry cases use where time is real: as short as the driver can tell apart under load.
    fn unit(&self) -> Duration {
        Duration::from_millis(600)
    }

    /// How much later than promised an effect may be seen where time is real: scheduling, round trips.
    fn tick(&self) -> Duration {
        Duration::from_millis(250)
    }
}

type Reopen = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn StoreAdmin>>> + Send + Sync;

/// What one case works with.
#[derive(Clone)]
pub struct Fixture {
    pub(super) store: Arc<dyn StoreAdmin>,
    pub(super) time: Arc<dyn Time>,
    pub(super) reopen: Option<Arc<Reopen>>,
    pub(super) faults: Option<Arc<dyn Faults>>,
}

impl Fixture {
    /// A store that lives in real time.
    pub fn new(store: Arc<dyn StoreAdmin>) -> Self {
        Self { store, time: Arc::new(RealTime), reopen: None, faults: None }
    }

    /// With the clock that the store goes by.
    pub fn with_time(mut self, time: impl Time) -> Self {
        self.time = Arc::new(time);
        self
    }

    /// With a way to open another store object on the same data, as after a restart or in another process. Needed for
    /// [`Feature::Shared`](crate::Feature::Shared).
    pub fn with_reopen<F, Fut>(mut self, reopen: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Arc<dyn StoreAdmin>>> + Send + 'static,
    {
        self.reopen = Some(Arc::new(move || Box::pin(reopen())));
        self
    }

    /// With a way to disturb the way between this store object and its backend.
    pub fn with_faults(mut self, faults: impl Faults) -> Self {
        self.faults = Some(Arc::new(faults));
        self
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn StoreAdmin> {
        &self.store
    }

    /// The same fixture around its store: how a layer or a wrapper is tested on any target.
    pub fn map_store(
        mut self,
        wrap: impl Fn(Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> + Send + Sync + Clone + 'static,
    ) -> Self {
        self.store = wrap(self.store);
        if let Some(reopen) = self.reopen.take() {
            self.reopen = Some(Arc::new(move || {
                let (opening, wrap) = (reopen(), wrap.clone());
                Box::pin(async move { Ok(wrap(opening.await?)) })
            }));
        }
        self
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("store", &self.store)
            .field("movable", &self.time.is_movable())
            .field("reopens", &self.reopen.is_some())
            .field("faults", &self.faults.is_some())
            .finish()
    }
}

/// The time that a store lives in.
#[async_trait]
pub trait Time: Send + Sync + 'static {
    /// Whether [`advance`](Self::advance) moves the store's clock without waiting, and nothing else does.
    fn is_movable(&self) -> bool;

    /// The store's present.
    fn now(&self) -> SystemTime;

    /// Lets this much time pass for the store.
    async fn advance(&self, by: Duration);
}

/// Time that has to be waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealTime;

#[async_trait]
impl Time for RealTime {
    fn is_movable(&self) -> bool {
        false
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

/// Disturbs the way between one store object and its backend, for example in a proxy. What is stored stays.
#[async_trait]
pub trait Faults: Send + Sync + 'static {
    /// Nothing gets through from now on: calls reach no backend.
    async fn cut(&self);

    /// Requests get through, answers do not: changes happen and nobody hears of them.
    async fn cut_replies(&self);

    /// All is well again.
    async fn heal(&self);
}
