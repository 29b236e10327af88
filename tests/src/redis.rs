//! The Redis driver as a target of the conformance suite.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use store_core::conformance::{Faults, Fixture, Target};
use store_core::{Capability, Feature, Result, StoreAdmin, async_trait};
use store_redis::{Config, Layout, Redis, Template};

use crate::servers::proxy::{Proxy, Way};
use crate::servers::redis::{Server, binary};
use crate::servers::redis_cluster::Cluster;

/// The layout `table` on one server, each case with a connection of its own through a proxy.
#[derive(Debug)]
pub struct RedisTarget {
    server: Server,
}

impl RedisTarget {
    /// On a new server.
    pub fn start() -> Self {
        Self::on(&binary())
    }

    /// On a new server of another kind or version.
    pub fn on(binary: &Path) -> Self {
        Self { server: Server::of(binary, &[]) }
    }
}

/// The server on this port, with the default settings.
pub fn config(port: u16) -> Config {
    Config::new(format!("127.0.0.1:{port}"))
}

#[async_trait]
impl Target for RedisTarget {
    fn name(&self) -> String {
        "redis".into()
    }

    fn layout(&self) -> String {
        "table".into()
    }

    fn capability(&self) -> Capability {
        table_capability()
    }

    async fn open(&self) -> Result<Fixture> {
        let port = self.server.port();
        let proxy = Arc::new(Proxy::to(port));
        let store = Redis::connect(config(proxy.port())).await?;
        let reopen = move || async move {
            let store: Arc<dyn StoreAdmin> = Arc::new(Redis::connect(config(port)).await?);
            Ok(store)
        };
        Ok(Fixture::new(Arc::new(store)).with_reopen(reopen).with_faults(Disturbed(proxy)))
    }
}

/// The layout `table` in a cluster of three primaries.
#[derive(Debug)]
pub struct ClusterTarget(Cluster);

impl ClusterTarget {
    /// On a new cluster.
    pub fn start() -> Self {
        Self::on(&binary())
    }

    /// On a new cluster of servers of another kind or version.
    pub fn on(binary: &Path) -> Self {
        Self(Cluster::of(binary))
    }
}

#[async_trait]
impl Target for ClusterTarget {
    fn name(&self) -> String {
        "redis".into()
    }

    fn layout(&self) -> String {
        "table, cluster".into()
    }

    fn capability(&self) -> Capability {
        table_capability()
    }

    async fn open(&self) -> Result<Fixture> {
        let members = self.0.addresses();
        let store = Redis::connect(Config::cluster(members.clone())).await?;
        let reopen = move || {
            let members = members.clone();
            async move {
                let store: Arc<dyn StoreAdmin> =
                    Arc::new(Redis::connect(Config::cluster(members)).await?);
                Ok(store)
            }
        };
        Ok(Fixture::new(Arc::new(store)).with_reopen(reopen))
    }
}

fn table_capability() -> Capability {
    let mut capability = Capability::all().without(Feature::History);
    capability.max_atomic = Some(500);
    capability.expiry_lateness = Duration::from_millis(1);
    capability
}

/// The layout `plain` with the keys of wasmCloud's plugin, in which a database has no tables.
#[derive(Debug)]
pub struct PlainTarget {
    server: Server,
    expiry_lateness: Duration,
    /// Each case has a database of the server for itself, so that nothing else moves the keys that it scans.
    next: AtomicU32,
}

impl PlainTarget {
    /// On a new server.
    pub fn start() -> Self {
        Self::on(&binary())
    }

    /// On a new server of another kind or version.
    pub fn on(binary: &Path) -> Self {
        Self::telling(binary, "K$gxe", Duration::from_millis(1))
    }

    /// On a new server that tells of no expiry, as wasmCloud's own provider has it.
    pub fn telling_no_expiry() -> Self {
        Self::telling(&binary(), "K$g", Duration::from_millis(100))
    }

    fn telling(binary: &Path, flags: &str, expiry_lateness: Duration) -> Self {
        let options = ["--databases", "4096", "--notify-keyspace-events", flags];
        Self { server: Server::of(binary, &options), expiry_lateness, next: AtomicU32::new(0) }
    }
}

fn plain(port: u16, db: u32) -> Config {
    config(port).with_db(db).with_layout(Layout::Plain(Template::bucket()))
}

#[async_trait]
impl Target for PlainTarget {
    fn name(&self) -> String {
        "redis".into()
    }

    fn layout(&self) -> String {
        "plain {bucket}:{key}".into()
    }

    fn capability(&self) -> Capability {
        let features = [
            Feature::Create,
            Feature::IfValue,
            Feature::StrongRead,
            Feature::Expiry,
            Feature::SetExpiry,
            Feature::KeepExpiry,
            Feature::ScanU64,
            Feature::Watch,
            Feature::ExpiryEvents,
            Feature::Increment,
            Feature::Shared,
        ];
        let mut capability = features.into_iter().fold(Capability::none(), Capability::with);
        capability.expiry_lateness = self.expiry_lateness;
        capability
    }

    async fn open(&self) -> Result<Fixture> {
        let port = self.server.port();
        let db = self.next.fetch_add(1, Ordering::Relaxed);
        let proxy = Arc::new(Proxy::to(port));
        let store = Redis::connect(plain(proxy.port(), db)).await?;
        let reopen = move || async move {
            let store: Arc<dyn StoreAdmin> = Arc::new(Redis::connect(plain(port, db)).await?);
            Ok(store)
        };
        Ok(Fixture::new(Arc::new(store)).with_reopen(reopen).with_faults(Disturbed(proxy)))
    }
}

struct Disturbed(Arc<Proxy>);

#[async_trait]
impl Faults for Disturbed {
    async fn cut(&self) {
        self.0.set(Way::Cut);
    }

    async fn cut_replies(&self) {
        self.0.set(Way::CutReplies);
    }

    async fn heal(&self) {
        self.0.set(Way::Open);
    }
}
