//! The NATS JetStream driver as a target of the conformance suite: every layout on every version.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use store_core::conformance::{Fixture, Target};
use store_core::{Capability, DatabaseConfig, Feature, Result, StoreAdmin, async_trait};
use store_natsjs::{Layout, Nats};

use crate::servers::nats::{Cluster, Server, Setup, Version};
use crate::servers::nats_proxy::Proxy;

/// A layout on servers of its own, each case with a connection of its own through a proxy.
pub struct NatsTarget {
    layout: Layout,
    version: Version,
    servers: Arc<Servers>,
}

enum Servers {
    One(Server),
    /// On which every bucket is replicated.
    Three(Cluster),
}

impl Servers {
    /// The port of one, and how many there are.
    fn port(&self) -> (u16, u32) {
        match self {
            Self::One(server) => (server.port(), 1),
            Self::Three(cluster) => (cluster.nodes[0].port(), 3),
        }
    }
}

impl NatsTarget {
    /// On a new server.
    pub fn start(layout: Layout, version: Version) -> Self {
        let server = Server::with(&Setup::default().version(version));
        Self { layout, version, servers: Arc::new(Servers::One(server)) }
    }

    /// On three new servers.
    pub fn replicated(layout: Layout) -> Self {
        let servers = Arc::new(Servers::Three(Cluster::start()));
        Self { layout, version: Version::Newest, servers }
    }
}

impl fmt::Debug for NatsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatsTarget({} on {:?})", self.layout, self.version)
    }
}

/// What a layout other than `Native` cannot do.
const NATIVE_ONLY: [Feature; 6] = [
    Feature::Expiry,
    Feature::SetExpiry,
    Feature::KeepExpiry,
    Feature::OutliveDefault,
    Feature::ExpiryEvents,
    Feature::AtomicBatch,
];

#[async_trait]
impl Target for NatsTarget {
    fn name(&self) -> String {
        "nats".into()
    }

    fn layout(&self) -> String {
        match self.version {
            Version::Newest if matches!(*self.servers, Servers::Three(_)) => {
                format!("{} on three servers", self.layout)
            }
            Version::Newest => self.layout.as_str().into(),
            older => format!("{} on {older}", self.layout),
        }
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::all();
        if self.layout == Layout::Native {
            capability.max_value_len = Some((1 << 20) - (32 << 10));
            capability.max_atomic = Some(1000);
            if matches!(self.version, Version::V2_10 | Version::V2_11) {
                capability = capability.without(Feature::AtomicBatch);
                capability.max_atomic = None;
            }
            return capability;
        }
        for feature in NATIVE_ONLY {
            capability = capability.without(feature);
        }
        capability.alphabet = match self.layout {
            Layout::GoMicroBase32 => None,
            _ => Some(
                "A-Z a-z 0-9 - / _ = . in keys and tables, no dot at either end of the whole, no two dots in a row, not \
                 beginning with _kv",
            ),
        };
        capability.max_value_len = Some(((1 << 20) - (32 << 10)) / 4 * 3);
        if self.layout == Layout::Plain {
            capability = capability.without(Feature::Tables).without(Feature::Metadata);
            capability.max_value_len = Some((1 << 20) - 1024);
        }
        capability
    }

    async fn open(&self) -> Result<Fixture> {
        let (port, replicas) = self.servers.port();
        let proxy = Proxy::start(port).await;
        let layout = self.layout;
        let builder = move |url: String| {
            Nats::builder()
                .servers([url])
                .layout(layout)
                .defaults(DatabaseConfig::new().with_replicas(replicas))
                .ignore_discovered_servers(true)
        };
        let store = builder(proxy.url())
            .timeout(Duration::from_secs(12))
            .attempt_timeout(Duration::from_secs(3))
            .connect()
            .await?;
        // Held by what may open another store.
        let servers = Arc::clone(&self.servers);
        let reopen = move || {
            let builder = builder(format!("nats://127.0.0.1:{}", servers.port().0));
            async move {
                let store: Arc<dyn StoreAdmin> = Arc::new(builder.connect().await?);
                Ok(store)
            }
        };
        Ok(Fixture::new(Arc::new(store)).with_reopen(reopen).with_faults(proxy))
    }

    fn accepts_key(&self, key: &str) -> bool {
        match self.layout {
            // Behind a table's name, these are in the middle.
            Layout::GoMicro => is_sound(&format!("t_{key}")),
            Layout::Plain => is_sound(key),
            _ => true,
        }
    }

    fn accepts_table(&self, table: &str) -> bool {
        match self.layout {
            Layout::GoMicro => is_sound(table),
            Layout::Plain => false,
            _ => true,
        }
    }

    /// Client and server share the processors with whatever else runs here: longer than a call takes on a bad day.
    fn unit(&self) -> Duration {
        Duration::from_millis(2500)
    }

    fn tick(&self) -> Duration {
        Duration::from_millis(500)
    }
}

fn is_sound(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/_=.".contains(&b))
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.starts_with("_kv")
}
