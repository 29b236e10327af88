//! Several store objects on one memory store, as several processes have on one server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store_core::conformance::{Fixture, Target};
use store_core::{
    Capability, Condition, Counter, Deleted, Error, ErrorKind, EventStream, Expiry, Feature, Key,
    ListOptions, Name, Namespace, Op, Page, Put, ReadOptions, Record, Remove, Result, StoreAdmin,
    U64Page, WatchOptions, Written, async_trait,
};

use super::{Broken, Wrapper};
use crate::memory::MemoryTarget;

/// Stores that share their data, or only say so.
#[derive(Clone, Copy, Debug)]
pub struct SharedTarget {
    /// Whether a second store object finds what the first one wrote.
    pub honest: bool,
}

#[async_trait]
impl Target for SharedTarget {
    fn name(&self) -> String {
        "shared".into()
    }

    fn capability(&self) -> Capability {
        MemoryTarget.capability().with(Feature::Shared)
    }

    async fn open(&self) -> Result<Fixture> {
        let honest = self.honest;
        let fixture = MemoryTarget.open().await?;
        let backend = Arc::clone(fixture.store());
        let fixture = fixture.map_store(Session::open);
        Ok(fixture.with_reopen(move || {
            let backend = Arc::clone(&backend);
            async move {
                if honest {
                    return Ok(Session::open(backend));
                }
                Ok(Session::open(Arc::clone(MemoryTarget.open().await?.store())))
            }
        }))
    }
}

/// One process's store object: closing it leaves the backend open.
#[derive(Debug)]
struct Session {
    inner: Arc<dyn StoreAdmin>,
    closed: AtomicBool,
}

impl Session {
    fn open(inner: Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> {
        Arc::new(Broken(Self { inner, closed: AtomicBool::new(false) }))
    }

    fn open_still(&self) -> Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "this store object was closed"));
        }
        Ok(())
    }
}

#[async_trait]
impl Wrapper for Session {
    fn inner(&self) -> &dyn StoreAdmin {
        &*self.inner
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        Ok(self.inner.capability(database).await?.with(Feature::Shared))
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.open_still()?;
        self.inner.read(ns, key, o).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.open_still()?;
        self.inner.write(ns, put).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.open_still()?;
        self.inner.delete(ns, remove).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        self.open_still()?;
        self.inner.set_expiry(ns, key, expiry, condition).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.open_still()?;
        self.inner.increment(ns, key, delta).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.open_still()?;
        self.inner.atomic(ns, ops).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.open_still()?;
        self.inner.list(ns, o).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.open_still()?;
        self.inner.scan(ns, o).await
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.open_still()?;
        self.inner.scan_u64(ns, cursor, limit).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.open_still()?;
        self.inner.watch(ns, o).await
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }
}
