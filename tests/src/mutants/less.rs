//! An honest store that lacks a feature: it says so, and refuses.

use std::sync::Arc;

use store_core::{
    Capability, Condition, Consistency, Counter, DatabaseConfig, Deleted, Error, Event,
    EventStream, Expiry, Feature, Key, ListOptions, Metadata, Name, Namespace, Op, Order, Page,
    Put, ReadOptions, Record, Remove, Result, Start, StoreAdmin, U64Page, WatchOptions, Written,
    async_trait,
};

use super::Wrapper;

/// A store without some features of the one it wraps.
#[derive(Debug)]
pub struct Less {
    inner: Arc<dyn StoreAdmin>,
    lacks: Vec<Feature>,
}

impl Less {
    /// Without these.
    pub fn new(inner: Arc<dyn StoreAdmin>, lacks: Vec<Feature>) -> Self {
        Self { inner, lacks }
    }

    fn need(&self, feature: Feature, asked: bool) -> Result<()> {
        if asked && self.lacks.contains(&feature) { Err(Error::lacks(feature)) } else { Ok(()) }
    }

    fn table(&self, ns: &Namespace) -> Result<()> {
        self.need(Feature::Tables, !ns.table().is_empty())
    }

    fn condition(&self, condition: &Condition<'_>) -> Result<()> {
        self.need(Feature::Create, matches!(condition, Condition::Absent))?;
        self.need(Feature::IfRevision, matches!(condition, Condition::Revision(_)))?;
        self.need(Feature::IfValue, matches!(condition, Condition::Value(_)))
    }

    fn expiry(&self, expiry: Expiry) -> Result<()> {
        self.need(Feature::Expiry, matches!(expiry, Expiry::After(_) | Expiry::At(_)))?;
        self.need(Feature::KeepExpiry, expiry == Expiry::Keep)
    }

    fn put(&self, put: &Put<'_>) -> Result<()> {
        self.need(Feature::Metadata, put.metadata != Metadata::new())?;
        self.expiry(put.expiry)?;
        self.condition(&put.condition)
    }

    fn listing(&self, o: &ListOptions) -> Result<()> {
        self.need(Feature::ByteOrder, o.order == Order::Bytes)?;
        self.need(Feature::StrongRead, o.consistency == Consistency::Strong)
    }

    fn config(&self, config: &DatabaseConfig) -> Result<()> {
        self.need(Feature::Databases, true)?;
        self.need(Feature::History, config.history.is_some())?;
        self.need(Feature::DefaultExpiry, config.default_ttl.is_some())
    }

    fn record(&self, record: Record) -> Record {
        if self.lacks.contains(&Feature::Revisions) {
            return record.to_builder().revision(None).build();
        }
        record
    }

    fn written(&self, written: Written) -> Written {
        if self.lacks.contains(&Feature::Revisions) { Written::default() } else { written }
    }
}

#[async_trait]
impl Wrapper for Less {
    fn inner(&self) -> &dyn StoreAdmin {
        &*self.inner
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        let all = self.inner.capability(database).await?;
        Ok(self.lacks.iter().fold(all, |left, feature| left.without(*feature)))
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.table(ns)?;
        self.need(Feature::StrongRead, o.consistency == Consistency::Strong)?;
        self.need(Feature::History, o.revision.is_some())?;
        Ok(self.inner.read(ns, key, o).await?.map(|record| self.record(record)))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.table(ns)?;
        self.put(&put)?;
        Ok(self.written(self.inner.write(ns, put).await?))
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.table(ns)?;
        // Absence is no condition of a delete on any store.
        remove.condition.on_existing()?;
        self.condition(&remove.condition)?;
        self.inner.delete(ns, remove).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        self.need(Feature::SetExpiry, true)?;
        self.table(ns)?;
        if expiry != Expiry::Keep {
            self.expiry(expiry)?;
        }
        condition.on_existing()?;
        self.condition(&condition)?;
        let done = self.inner.set_expiry(ns, key, expiry, condition).await?;
        Ok(done.map(|written| self.written(written)))
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.need(Feature::Increment, true)?;
        self.table(ns)?;
        let mut counter = self.inner.increment(ns, key, delta).await?;
        counter.revision = self.written(Written::new(counter.revision)).revision;
        Ok(counter)
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.need(Feature::AtomicBatch, true)?;
        self.table(ns)?;
        for op in &ops {
            match op {
                Op::Put(put) => self.put(put)?,
                Op::Remove(remove) => {
                    remove.condition.on_existing()?;
                    self.condition(&remove.condition)?;
                }
                other => self.condition(other.condition())?,
            }
        }
        let written = self.inner.atomic(ns, ops).await?;
        Ok(written.into_iter().map(|one| self.written(one)).collect())
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.table(ns)?;
        self.listing(o)?;
        self.inner.list(ns, o).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.table(ns)?;
        self.listing(o)?;
        Ok(self.inner.scan(ns, o).await?.map(|record| self.record(record)))
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.need(Feature::ScanU64, true)?;
        self.table(ns)?;
        self.inner.scan_u64(ns, cursor, limit).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        use futures_util::StreamExt as _;
        self.need(Feature::Watch, true)?;
        self.need(Feature::WatchResume, matches!(o.start, Start::After(_)))?;
        self.table(ns)?;
        let (expiry, revisions) =
            (self.lacks.contains(&Feature::ExpiryEvents), self.lacks.contains(&Feature::Revisions));
        let events = self.inner.watch(ns, o).await?;
        let events = events.filter_map(move |event| {
            let event = match event {
                Ok(Event::Delete { reason: store_core::Gone::Expired, .. }) if expiry => None,
                Ok(Event::Put(record)) if revisions => {
                    Some(Ok(Event::Put(record.to_builder().revision(None).build())))
                }
                other => Some(other),
            };
            async move { event }
        });
        Ok(events.boxed())
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        self.need(Feature::History, true)?;
        self.inner.history(ns, key).await
    }

    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.config(config)?;
        self.inner.create_database(name, config).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.config(config)?;
        self.inner.update_database(name, config).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.table(ns)?;
        self.inner.delete_table(ns).await
    }
}
