use std::fmt;
use std::sync::Arc;

use crate::layer::{Around, Layered, Limits, Metrics, Prefix, ReadOnly, Retry, Timeout, Trace};
use crate::store::{Store, StoreAdmin};

/// Something that can be put around a store: every [`Around`] that can be cloned, [`Prefix`], [`Layers`] themselves.
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// Around a store.
    fn around_store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store>;

    /// Around a store that can be administered.
    fn around_admin(&self, inner: Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin>;
}

impl<A: Around + Clone> Layer for A {
    fn around_store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Layered::new(self.clone(), inner))
    }

    fn around_admin(&self, inner: Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> {
        Arc::new(Layered::new(self.clone(), inner))
    }
}

/// `Arc<dyn Store>` or `Arc<dyn StoreAdmin>`: what a layer can be put around.
pub trait Wrap: sealed::Sealed + Sized {
    /// Puts a layer around it.
    fn wrap(self, layer: &dyn Layer) -> Self;
}

impl Wrap for Arc<dyn Store> {
    fn wrap(self, layer: &dyn Layer) -> Self {
        layer.around_store(self)
    }
}

impl Wrap for Arc<dyn StoreAdmin> {
    fn wrap(self, layer: &dyn Layer) -> Self {
        layer.around_admin(self)
    }
}

mod sealed {
    use super::{Arc, Store, StoreAdmin};

    pub trait Sealed {}
    impl Sealed for Arc<dyn Store> {}
    impl Sealed for Arc<dyn StoreAdmin> {}
}

/// Layers in the one order that makes sense, however they were named: from the outside,
///
/// 1. [`Trace`] and 2. [`Metrics`] see what the application sees: one call, whatever it took;
/// 3. [`ReadOnly`] refuses before anything is tried;
/// 4. [`Retry`] around 5. [`Timeout`], so that every attempt has its own deadline; the other way around, one deadline would end
///    them all and a hanging attempt would never be repeated;
/// 6. [`Limits`], so that what waits for its turn is under the deadline, and a pause between attempts holds no turn;
/// 7. [`Prefix`], so that limits are about the application's own keys;
/// 8. [`layer`](Self::layer)s of one's own, in the order in which they were named; then the driver.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use store_core::layer::{Layers, Metrics, Retry};
/// use store_core::Store;
///
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let driver: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let metrics = Metrics::new();
/// let store = Layers::new()
///     .timeout(Duration::from_secs(2))
///     .retry(Retry::new().attempts(3))
///     .metrics(metrics.clone())
///     .wrap(driver);
/// store.database("app")?.table("users")?.write("ada", "lovelace").await?;
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Layers {
    trace: Option<Trace>,
    metrics: Option<Metrics>,
    read_only: bool,
    retry: Option<Retry>,
    timeout: Option<Timeout>,
    limits: Option<Limits>,
    prefix: Option<Prefix>,
    own: Vec<Arc<dyn Layer>>,
}

impl Layers {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// With spans and events, without keys.
    pub fn trace(self) -> Self {
        self.trace_with(Trace::new())
    }

    /// With spans and events like this.
    pub fn trace_with(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// With figures; keep a clone to read them.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Refusing every change.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// With repeated attempts.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// With a deadline for every call: a duration, or a [`Timeout`] that knows several.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// With bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// With all keys under a prefix.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// With a layer of one's own, inside all others and outside of those still to be named.
    pub fn layer(self, layer: impl Layer) -> Self {
        self.shared_layer(Arc::new(layer))
    }

    pub(crate) fn shared_layer(mut self, layer: Arc<dyn Layer>) -> Self {
        self.own.push(layer);
        self
    }

    /// Puts them around a store.
    pub fn wrap<W: Wrap>(&self, store: W) -> W {
        self.inside_out().fold(store, W::wrap)
    }

    fn inside_out(&self) -> impl Iterator<Item = &dyn Layer> {
        fn layer<L: Layer>(layer: Option<&L>) -> Option<&dyn Layer> {
            layer.map(|layer| layer as &dyn Layer)
        }
        let ours = [
            layer(self.prefix.as_ref()),
            layer(self.limits.as_ref()),
            layer(self.timeout.as_ref()),
            layer(self.retry.as_ref()),
            self.read_only.then_some(&ReadOnly as &dyn Layer),
            layer(self.metrics.as_ref()),
            layer(self.trace.as_ref()),
        ];
        let own = self.own.iter().rev().map(|layer| &**layer);
        own.chain(ours.into_iter().flatten())
    }
}

impl Layer for Layers {
    fn around_store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        self.wrap(inner)
    }

    fn around_admin(&self, inner: Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> {
        self.wrap(inner)
    }
}
