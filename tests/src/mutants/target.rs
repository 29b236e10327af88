//! The memory driver, wrapped, with a network that can be cut between the two.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use store_core::conformance::{Faults, Fixture, Target};
use store_core::{
    Capability, Condition, Counter, Deleted, Error, ErrorKind, Expiry, Key, ListOptions, Name,
    Namespace, Op, Page, Put, ReadOptions, Record, Remove, Result, StoreAdmin, Written,
    async_trait,
};

use super::{Broken, Wrapper};
use crate::memory::MemoryTarget;

type Make = dyn Fn(Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> + Send + Sync;

/// A wrapped memory store as a target of the suite.
#[derive(Clone)]
pub struct MutantTarget {
    name: String,
    capability: Capability,
    make: Arc<Make>,
}

impl std::fmt::Debug for MutantTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MutantTarget({})", self.name)
    }
}

impl MutantTarget {
    /// Wraps each store by `make`.
    pub fn new(
        name: &str,
        make: impl Fn(Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.to_owned(), capability: MemoryTarget.capability(), make: Arc::new(make) }
    }

    /// Expected to declare this.
    pub fn with_capability(mut self, capability: Capability) -> Self {
        self.capability = capability;
        self
    }
}

#[async_trait]
impl Target for MutantTarget {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    async fn open(&self) -> Result<Fixture> {
        let make = Arc::clone(&self.make);
        let way = Arc::new(AtomicU8::new(OPEN));
        let cut = Arc::clone(&way);
        let fixture = MemoryTarget.open().await?.map_store(move |inner| {
            make(Arc::new(Broken(Network { inner, way: Arc::clone(&way) })))
        });
        Ok(fixture.with_faults(Scissors(cut)))
    }
}

const OPEN: u8 = 0;
const CUT: u8 = 1;
const NO_REPLIES: u8 = 2;

struct Scissors(Arc<AtomicU8>);

#[async_trait]
impl Faults for Scissors {
    async fn cut(&self) {
        self.0.store(CUT, Ordering::SeqCst);
    }

    async fn cut_replies(&self) {
        self.0.store(NO_REPLIES, Ordering::SeqCst);
    }

    async fn heal(&self) {
        self.0.store(OPEN, Ordering::SeqCst);
    }
}

/// The way to a store, which can be cut.
#[derive(Debug)]
struct Network {
    inner: Arc<dyn StoreAdmin>,
    way: Arc<AtomicU8>,
}

impl Network {
    /// Makes a call, unless the way is cut; forgets its answer, if only requests get through.
    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        if self.way.load(Ordering::SeqCst) == CUT {
            return Err(Error::new(ErrorKind::Unavailable, "the connection was refused"));
        }
        let answer = call.await;
        if self.way.load(Ordering::SeqCst) == NO_REPLIES {
            return Err(
                Error::new(ErrorKind::Unavailable, "the connection was lost").outcome_unknown()
            );
        }
        answer
    }
}

#[async_trait]
impl Wrapper for Network {
    fn inner(&self) -> &dyn StoreAdmin {
        &*self.inner
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.call(self.inner.read(ns, key, o)).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.call(self.inner.write(ns, put)).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.call(self.inner.delete(ns, remove)).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        self.call(self.inner.set_expiry(ns, key, expiry, condition)).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.call(self.inner.increment(ns, key, delta)).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.call(self.inner.atomic(ns, ops)).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.call(self.inner.list(ns, o)).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.call(self.inner.scan(ns, o)).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.call(self.inner.list_tables(name)).await
    }
}
