use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::StreamExt as _;

use crate::admin::{DatabaseConfig, DatabaseStatus};
use crate::capability::{Capability, Feature};
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::name::{Key, MAX_KEY_LEN, Name, Namespace};
use crate::options::{
    Condition, Counter, DEFAULT_PAGE, Deleted, Event, Expiry, ListOptions, Op, Order, Page, Put,
    ReadOptions, Remove, Scope, U64Page, WatchOptions, Written,
};
use crate::record::Record;
use crate::store::{EventStream, Immediate, Store, StoreAdmin};

/// A part of a store: the records whose keys begin with a prefix, in every table, seen without it. Nothing else is read, changed or
/// deleted, so that several parts, or an application and its tenants, share the tables of a store.
///
/// * Keys may be as much shorter as the prefix is long; [`Capability::max_key_len`] says so.
/// * `delete_table`, `empty_database` and `list_tables` are about this part only: the first two delete its records one page after
///   the other, not at once.
/// * A database belongs to all its parts: it can be created and looked at, but `update_database` and `delete_database` are
///   [`Unsupported`](crate::ErrorKind::Unsupported), and [`Feature::Databases`] is not declared. Its status has no figures, as they
///   would be about all parts.
/// * A cursor is the driver's own; it names the key where it stands, prefix included, though not in clear.
/// * [`Store::scan_u64`] goes through all keys of a table; a page of it may be empty and yet have a next one.
///
/// Two prefixes of which one begins with the other do not separate: end each with a character that none has inside, such as `/`.
///
/// ```
/// # use std::sync::Arc;
/// # use store_core::layer::{Layers, Prefix};
/// # use store_core::Store;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let part = Layers::new().prefix(Prefix::new("tenant-7/")?).wrap(store.clone());
/// part.database("app")?.table("t")?.write("k", "v").await?;
/// assert_eq!(part.database("app")?.table("t")?.list().await?, ["k"]);
/// assert_eq!(store.database("app")?.table("t")?.list().await?, ["tenant-7/k"]);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Checks a prefix.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty one, `TooLarge` for one that leaves no room for a key.
    pub fn new(prefix: impl AsRef<str>) -> Result<Self> {
        let prefix = prefix.as_ref();
        if prefix.is_empty() {
            return Err(Error::invalid("a key prefix must not be empty"));
        }
        if prefix.len() >= MAX_KEY_LEN {
            return Err(Error::too_large(format!(
                "a key prefix has at most {} bytes, this one has {}",
                MAX_KEY_LEN - 1,
                prefix.len()
            )));
        }
        Ok(Self(prefix.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn add(&self, key: &str) -> String {
        [&self.0, key].concat()
    }

    /// Adds it to a key, which must not become too long.
    fn full(&self, key: Key<'_>) -> Result<String> {
        let full = self.add(key.as_str());
        if full.len() > MAX_KEY_LEN {
            let most = MAX_KEY_LEN - self.0.len();
            let message = format!(
                "a key has at most {most} bytes here, as this store adds a prefix; this one has {}",
                key.as_str().len()
            );
            return Err(Error::too_large(message).with_key(key));
        }
        Ok(full)
    }

    /// The rest of a key of this part. The bare prefix is no key of it: what is left would be empty.
    fn strip<'k>(&self, full: &'k str) -> Option<&'k str> {
        full.strip_prefix(&*self.0).filter(|key| !key.is_empty())
    }

    fn record(&self, record: &Record) -> Option<Record> {
        let key = Key::trusted(self.strip(record.key())?);
        Some(record.to_builder().key(key).build())
    }

    /// An error about a full key, told about the caller's.
    fn error(&self, error: Error) -> Error {
        error.map_key(|full| self.strip(full).unwrap_or(full).to_owned())
    }

    fn event(&self, event: Event) -> Option<Event> {
        match event {
            Event::Put(record) => self.record(&record).map(Event::Put),
            Event::Delete { key, revision, reason } => {
                Some(Event::Delete { key: self.strip(&key)?.to_owned(), revision, reason })
            }
            Event::Synced { .. } | Event::Resync => Some(event),
        }
    }

    fn options(&self, o: &ListOptions) -> ListOptions {
        ListOptions {
            prefix: self.add(&o.prefix),
            // Also without one: leaves out a foreign record whose key is the bare prefix.
            start_after: Some(self.add(o.start_after.as_deref().unwrap_or_default())),
            ..o.clone()
        }
    }

    /// Whether a suffix could match across the seam of prefix and key, where the key alone does not end with it.
    fn meets(&self, suffix: &str) -> bool {
        (1..=suffix.len())
            .any(|end| suffix.is_char_boundary(end) && self.0.ends_with(&suffix[..end]))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prefix({:?})", &*self.0)
    }
}

impl Layer for Prefix {
    fn around_store(&self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Part { prefix: self.clone(), inner })
    }

    fn around_admin(&self, inner: Arc<dyn StoreAdmin>) -> Arc<dyn StoreAdmin> {
        Arc::new(Part { prefix: self.clone(), inner })
    }
}

/// What is listed: keys or records.
trait Listed: Send {
    fn stripped(self, prefix: &Prefix) -> Option<Self>
    where
        Self: Sized;

    fn key(&self) -> &str;
}

impl Listed for String {
    fn stripped(self, prefix: &Prefix) -> Option<Self> {
        prefix.strip(&self).map(str::to_owned)
    }

    fn key(&self) -> &str {
        self
    }
}

impl Listed for Record {
    fn stripped(self, prefix: &Prefix) -> Option<Self> {
        prefix.record(&self)
    }

    fn key(&self) -> &str {
        Self::key(self)
    }
}

/// The part of a store that is under a prefix.
struct Part<S: ?Sized> {
    prefix: Prefix,
    inner: Arc<S>,
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for Part<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} around {:?}", self.prefix, &*self.inner)
    }
}

/// How many pages of foreign keys only a `scan_u64` goes through before it answers with an empty page, so that every call ends.
const FOREIGN_PAGES: usize = 64;

/// How many records of a part are deleted in one batch.
const DELETED_AT_ONCE: usize = 500;

impl<S: Store + ?Sized> Part<S> {
    fn told<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| self.prefix.error(error))
    }

    /// The full keys of the items that have one, and the errors of the others in their places.
    fn full_keys<'k, T>(
        &self,
        keys: impl Iterator<Item = Key<'k>>,
    ) -> (Vec<Option<String>>, Vec<Option<Result<T>>>) {
        keys.map(|key| match self.prefix.full(key) {
            Ok(full) => (Some(full), None),
            Err(error) => (None, Some(Err(error))),
        })
        .unzip()
    }

    /// Fills the open places with the answers of the inner store.
    fn fill<T>(&self, answers: Vec<Option<Result<T>>>, given: Vec<Result<T>>) -> Vec<Result<T>> {
        let mut given = given.into_iter();
        answers
            .into_iter()
            .map_while(|answer| answer.or_else(|| given.next().map(|given| self.told(given))))
            .collect()
    }

    /// One page. Where the inner store could match the suffix across the seam of prefix and key, it must not count the offset:
    /// what is to be left out is then read, filtered and dropped here.
    async fn listing<'a, T: Listed>(
        &self,
        o: &ListOptions,
        fetch: impl Fn(ListOptions) -> BoxFuture<'a, Result<Page<T>>> + Send + Sync,
    ) -> Result<Page<T>> {
        let mut inner = self.prefix.options(o);
        let mut faults = Vec::new();
        if self.prefix.meets(&o.suffix) && o.cursor.is_none() {
            let mut leave_out = std::mem::take(&mut inner.offset);
            while leave_out > 0 {
                inner.limit = leave_out.min(DEFAULT_PAGE);
                let page = self.part_of(fetch(inner.clone()).await, o)?;
                leave_out = leave_out.saturating_sub(page.items.len());
                faults.extend(page.faults);
                inner.cursor = page.next;
                if inner.cursor.is_none() {
                    return Ok(Page { faults, ..Page::default() });
                }
            }
            inner.limit = o.limit;
        }
        let mut page = self.part_of(fetch(inner).await, o)?;
        faults.append(&mut page.faults);
        page.faults = faults;
        Ok(page)
    }

    /// What of a page is in this part and ends as asked, once it is stripped.
    fn part_of<T: Listed>(&self, page: Result<Page<T>>, o: &ListOptions) -> Result<Page<T>> {
        let page = self.told(page)?;
        let items = page.items.into_iter();
        let mut ours = Page::new(
            items
                .filter_map(|item| item.stripped(&self.prefix))
                .filter(|item| item.key().ends_with(&*o.suffix))
                .collect(),
            page.next,
        );
        let faults = page.faults.into_iter();
        ours.faults = faults.map(|fault| self.prefix.error(fault)).collect();
        Ok(ours)
    }

    /// Deletes the part's records of a table.
    async fn clear(&self, ns: &Namespace) -> Result<()> {
        let mut o =
            ListOptions { limit: DELETED_AT_ONCE, order: Order::Any, ..ListOptions::default() };
        loop {
            let page = self.list(ns, &o).await?;
            let removes = page.items.iter().map(|key| Remove::new(Key::trusted(key)));
            for answer in self.delete_many(ns, removes.collect()).await {
                answer?;
            }
            match page.next {
                Some(next) => o.cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Whether the part has a record in a table.
    async fn is_in(&self, ns: &Namespace) -> Result<bool> {
        let mut o = ListOptions { limit: 1, order: Order::Any, ..ListOptions::default() };
        loop {
            let page = self.list(ns, &o).await?;
            match page.next {
                _ if !page.items.is_empty() => return Ok(true),
                Some(next) => o.cursor = Some(next),
                None => return Ok(false),
            }
        }
    }
}

fn condition_on<'a>(op: Op<'a>, key: Key<'a>) -> Op<'a> {
    match op {
        Op::Check { condition, .. } => Op::Check { key, condition },
        Op::Put(put) => Op::Put(Put { key, ..put }),
        Op::Remove(remove) => Op::Remove(Remove { key, ..remove }),
    }
}

/// These items with their full keys.
fn with_keys<'a, I>(
    items: impl IntoIterator<Item = I>,
    keys: &'a [Option<String>],
    with: impl Fn(I, Key<'a>) -> I,
) -> Vec<I> {
    items
        .into_iter()
        .zip(keys)
        .filter_map(|(item, key)| Some(with(item, Key::trusted(key.as_deref()?))))
        .collect()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store + ?Sized> Store for Part<S> {
    fn driver(&self) -> &'static str {
        self.inner.driver()
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        let mut capability = self.inner.capability(database).await?;
        let most = capability.max_key_len.unwrap_or(MAX_KEY_LEN);
        capability.max_key_len = Some(most.saturating_sub(self.prefix.0.len()));
        Ok(capability.without(Feature::Databases))
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let full = self.prefix.full(key)?;
        let record = self.told(self.inner.read(ns, Key::trusted(&full), o).await)?;
        Ok(record.map(|record| record.to_builder().key(key).build()))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let full = self.prefix.full(put.key)?;
        let key = Key::trusted(&full);
        self.told(self.inner.write(ns, Put { key, ..put }).await)
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let full = self.prefix.full(remove.key)?;
        let key = Key::trusted(&full);
        self.told(self.inner.delete(ns, Remove { key, ..remove }).await)
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let full = self.prefix.full(key)?;
        let key = Key::trusted(&full);
        self.told(self.inner.set_expiry(ns, key, expiry, condition).await)
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        let full = self.prefix.full(key)?;
        self.told(self.inner.increment(ns, Key::trusted(&full), delta).await)
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let keys: Vec<_> =
            ops.iter().map(|op| self.prefix.full(op.key()).map(Some)).collect::<Result<_>>()?;
        let ops = with_keys(ops, &keys, condition_on);
        self.told(self.inner.atomic(ns, ops).await)
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.listing(o, |o| Box::pin(async move { self.inner.list(ns, &o).await })).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.listing(o, |o| Box::pin(async move { self.inner.scan(ns, &o).await })).await
    }

    async fn scan_u64(&self, ns: &Namespace, mut cursor: u64, limit: usize) -> Result<U64Page> {
        for _ in 1..FOREIGN_PAGES {
            let page = self.part_of_scan(ns, cursor, limit).await?;
            match page.next {
                Some(next) if page.keys.is_empty() && limit > 0 => cursor = next,
                _ => return Ok(page),
            }
        }
        self.part_of_scan(ns, cursor, limit).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let scope = match &o.scope {
            Scope::Table => Scope::Prefix(self.prefix.as_str().to_owned()),
            Scope::Prefix(prefix) => Scope::Prefix(self.prefix.add(prefix)),
            Scope::Key(key) => Scope::Key(self.prefix.full(Key::new(key)?)?),
        };
        let events = self.told(self.inner.watch(ns, WatchOptions { scope, ..o }).await)?;
        let prefix = self.prefix.clone();
        let stripped = move |event: Result<Event>| match event {
            Ok(event) => prefix.event(event).map(Ok),
            Err(error) => Some(Err(prefix.error(error))),
        };
        Ok(events.filter_map(move |event| std::future::ready(stripped(event))).boxed())
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }

    fn immediate(&self) -> Option<&dyn Immediate> {
        None
    }

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        let full = self.prefix.full(key)?;
        self.told(self.inner.read_value(ns, Key::trusted(&full), o).await)
    }

    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        let full = self.prefix.full(key)?;
        self.told(self.inner.exists(ns, Key::trusted(&full)).await)
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        let (full, answers) = self.full_keys(keys.iter().copied());
        let keys = with_keys(keys.iter().copied(), &full, |_, key| key);
        let records = self.inner.read_many(ns, &keys).await.into_iter();
        let stripped =
            |record: Option<Record>| record.and_then(|record| self.prefix.record(&record));
        self.fill(answers, records.map(|answer| answer.map(stripped)).collect())
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        let (full, answers) = self.full_keys(keys.iter().copied());
        let keys = with_keys(keys.iter().copied(), &full, |_, key| key);
        self.fill(answers, self.inner.read_values(ns, &keys).await)
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let (full, answers) = self.full_keys(puts.iter().map(|put| put.key));
        let puts = with_keys(puts, &full, |put, key| Put { key, ..put });
        self.fill(answers, self.inner.write_many(ns, puts).await)
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        let (full, answers) = self.full_keys(removes.iter().map(|remove| remove.key));
        let removes = with_keys(removes, &full, |remove, key| Remove { key, ..remove });
        self.fill(answers, self.inner.delete_many(ns, removes).await)
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        let full = self.prefix.full(key)?;
        let records = self.told(self.inner.history(ns, Key::trusted(&full)).await)?;
        let stripped = |record: &Record| record.to_builder().key(key).build();
        Ok(records.iter().map(stripped).collect())
    }
}

impl<S: Store + ?Sized> Part<S> {
    async fn part_of_scan(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        let page = self.told(self.inner.scan_u64(ns, cursor, limit).await)?;
        let keys = page.keys.iter().filter_map(|full| self.prefix.strip(full));
        Ok(U64Page::new(keys.map(str::to_owned).collect(), page.next))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: StoreAdmin + ?Sized> StoreAdmin for Part<S> {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.inner.create_database(name, config).await
    }

    async fn update_database(&self, _: &Name, _: &DatabaseConfig) -> Result<()> {
        Err(Error::unsupported(
            "a part of a store under a key prefix cannot change a database: others may have records in it",
        ))
    }

    async fn delete_database(&self, _: &Name) -> Result<()> {
        Err(Error::unsupported(
            "a part of a store under a key prefix cannot delete a database: others may have records in it; \
             empty it instead",
        ))
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        for table in self.inner.list_tables(name).await? {
            self.delete_table(&in_database(name, &table)?).await?;
        }
        Ok(())
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        self.inner.list_databases().await
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        let mut status = self.inner.database_status(name).await?;
        (status.records, status.bytes) = (None, None);
        Ok(status)
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.inner.database_exists(name).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        let mut ours = Vec::new();
        for table in self.inner.list_tables(name).await? {
            if self.is_in(&in_database(name, &table)?).await? {
                ours.push(table);
            }
        }
        Ok(ours)
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        // When it fails half way, some records are gone.
        self.clear(ns).await.map_err(Error::outcome_unknown)
    }
}

fn in_database(name: &Name, table: &str) -> Result<Namespace> {
    match table {
        "" => Ok(Namespace::root(name.clone())),
        _ => Namespace::new(name.clone(), table),
    }
}
