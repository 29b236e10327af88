use std::fmt;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Operation;
use crate::error::Result;
use crate::handle::{self, Table};
use crate::options::{Condition, Consistency, Deleted, Expiry, Written};
use crate::record::Metadata;
use crate::revision::Revision;
use crate::typed::key::{KeyOf, PrefixOf, TableKey, encode_prefix};
use crate::typed::{Codec, Entry, EventStream, TypedTable};

/// A read of one record; see [`TypedTable::read`].
#[must_use = "nothing happens until it is awaited"]
pub struct Read<'a, K, V, C> {
    table: &'a TypedTable<K, V, C>,
    key: Result<String>,
    consistency: Consistency,
    revision: Option<Revision>,
}

impl<'a, K, V, C> Read<'a, K, V, C> {
    pub(super) fn new(table: &'a TypedTable<K, V, C>, key: Result<String>) -> Self {
        Self { table, key, consistency: Consistency::Driver, revision: None }
    }

    /// As of the leader or primary: sees what other writers on other nodes have written.
    pub fn strong(self) -> Self {
        self.consistency(Consistency::Strong)
    }

    /// How fresh.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// A past version, in databases that keep a history.
    pub fn at_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }
}

impl<'a, K, V, C> IntoFuture for Read<'a, K, V, C>
where
    K: TableKey,
    V: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    type Output = Result<Option<Entry<K, V>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.key?;
            let mut read = self.table.table().read(&key).consistency(self.consistency);
            if let Some(revision) = self.revision {
                read = read.at_revision(revision);
            }
            let record = read.await?;
            record.map(|record| self.table.entry(Operation::Read, record)).transpose()
        })
    }
}

impl<K, V, C> fmt::Debug for Read<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("table", self.table.table())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A write of one record; see [`TypedTable::write`].
#[must_use = "nothing happens until it is awaited"]
pub struct Write<'a> {
    table: &'a Table,
    record: Result<(String, Vec<u8>)>,
    metadata: Metadata,
    expiry: Expiry,
    condition: Condition<'static>,
}

impl<'a> Write<'a> {
    pub(super) fn new(table: &'a Table, record: Result<(String, Vec<u8>)>) -> Self {
        Self {
            table,
            record,
            metadata: Metadata::new(),
            expiry: Expiry::Database,
            condition: Condition::Any,
        }
    }

    /// Expires so long from now. Zero is an error.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.expiry(Expiry::After(ttl))
    }

    /// Expires at this instant. A past one is an error.
    pub fn expires_at(self, at: SystemTime) -> Self {
        self.expiry(Expiry::At(at))
    }

    /// When it expires; without this, by the database's default.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// With this metadata; without this, none.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Only if there is no such record; else `Conflict`.
    pub fn if_absent(mut self) -> Self {
        self.condition = Condition::Absent;
        self
    }

    /// Only if the record has this revision; else `Conflict`.
    pub fn if_revision(mut self, revision: Revision) -> Self {
        self.condition = Condition::Revision(revision);
        self
    }
}

impl<'a> IntoFuture for Write<'a> {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (key, value) = self.record?;
            self.table
                .write(&key, value)
                .metadata(self.metadata)
                .expiry(self.expiry)
                .condition(self.condition)
                .await
        })
    }
}

impl fmt::Debug for Write<'_> {
    /// Never shows the value: values do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("table", self.table)
            .field("key", &self.record.as_ref().map(|(key, _)| key))
            .field("expiry", &self.expiry)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

/// A delete of one record; see [`TypedTable::delete`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Delete<'a> {
    table: &'a Table,
    key: Result<String>,
    condition: Condition<'static>,
}

impl<'a> Delete<'a> {
    pub(super) fn new(table: &'a Table, key: Result<String>) -> Self {
        Self { table, key, condition: Condition::Any }
    }

    /// Only if the record has this revision; else `Conflict`.
    pub fn if_revision(mut self, revision: Revision) -> Self {
        self.condition = Condition::Revision(revision);
        self
    }
}

impl<'a> IntoFuture for Delete<'a> {
    type Output = Result<Deleted>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.key?;
            self.table.delete(&key).condition(self.condition).await
        })
    }
}

/// A watch of a table, a prefix or a key; see [`TypedTable::watch`]. By default: the whole table, with the present records first.
///
/// ```
/// # use store_core::{Store, typed::Event};
/// # use futures_util::StreamExt;
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let seats = store.database("app")?.table("seats")?.typed::<bool>().with_keys::<(u8, char)>();
/// let mut row = seats.watch().under(&(7,)).changes_only().await?;
/// seats.write(&(8, 'a'), &true).await?;
/// seats.write(&(7, 'b'), &true).await?;
/// assert!(matches!(row.next().await.unwrap()?, Event::Put(e) if (e.key, e.value) == ((7, 'b'), true)));
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing happens until it is awaited"]
pub struct Watch<'a, K, V, C> {
    table: &'a TypedTable<K, V, C>,
    watch: Result<handle::Watch<'a>>,
}

impl<'a, K, V, C> Watch<'a, K, V, C>
where
    K: TableKey,
    V: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    pub(super) fn new(table: &'a TypedTable<K, V, C>) -> Self {
        Self { table, watch: Ok(table.table().watch()) }
    }

    /// Only keys that begin with these components.
    pub fn under<P: PrefixOf<K> + ?Sized>(mut self, prefix: &P) -> Self {
        let prefix =
            encode_prefix(prefix).map_err(|error| self.table.blame(Operation::Watch, error));
        self.watch = self.watch.and_then(|watch| Ok(watch.prefix(prefix?)));
        self
    }

    /// Only this key.
    pub fn key<Q: KeyOf<K> + ?Sized>(mut self, key: &Q) -> Self {
        let key = self.table.key_text(Operation::Watch, key);
        self.watch = self.watch.and_then(|watch| Ok(watch.key(key?)));
        self
    }

    /// Only changes from now on.
    pub fn changes_only(mut self) -> Self {
        self.watch = self.watch.map(handle::Watch::changes_only);
        self
    }

    /// Changes after this revision.
    pub fn after(mut self, revision: Revision) -> Self {
        self.watch = self.watch.map(|watch| watch.after(revision));
        self
    }
}

impl<'a, K, V, C> IntoFuture for Watch<'a, K, V, C>
where
    K: TableKey,
    V: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    type Output = Result<EventStream<K, V>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.table.events(self.watch?.await?)) })
    }
}

impl<K, V, C> fmt::Debug for Watch<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.watch).finish()
    }
}
