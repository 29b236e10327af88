//! The store: databases by name, and the driver's traits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use parking_lot::RwLock;
use store_core::{
    Capability, Condition, Counter, Cursor, DatabaseConfig, DatabaseStatus, Deleted, Error,
    ErrorKind, EventStream, Expiry, Feature, Immediate, Key, ListOptions, Name, Namespace, Op,
    Page, Put, ReadOptions, Record, Remove, Result, Store, StoreAdmin, Timestamp, U64Page,
    WatchOptions, Written,
};

use crate::builder::Builder;
use crate::core::Core;
use crate::database::{Database, missing};
use crate::reaper::Reap;
use crate::table::Table;
use crate::watch;

/// A store in the memory of this process. Cheap to clone: clones are the same store.
///
/// ```
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use std::sync::Arc;
/// use store_core::Store;
/// use store_memory::Memory;
///
/// let store: Arc<dyn Store> = Arc::new(Memory::new());
/// let table = store.database("app")?.table("greetings")?;
/// table.write("en", "hello").await?;
/// assert_eq!(table.read("en").await?.unwrap().value(), b"hello");
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

pub(crate) struct Shared {
    core: Arc<Core>,
    databases: RwLock<HashMap<Name, Arc<Database>>>,
    /// How databases are made that a write asks for; `None` if they are not.
    on_demand: Option<DatabaseConfig>,
}

impl Memory {
    /// An empty store with the default settings.
    pub fn new() -> Self {
        Self::build(Builder::default())
    }

    /// Settings for a store.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn build(builder: Builder) -> Self {
        let core = Arc::new(Core::new(builder.clock, builder.watch_buffer));
        let on_demand = builder.auto_create.then_some(builder.defaults);
        let shared =
            Arc::new(Shared { core: Arc::clone(&core), databases: RwLock::default(), on_demand });
        let moved: Weak<Shared> = Arc::downgrade(&shared);
        let by_hand = core.clock().on_move(Box::new(move || {
            if let Some(shared) = moved.upgrade() {
                shared.reap();
            }
        }));
        if !by_hand {
            let reap: Arc<dyn Reap> = Arc::<Shared>::clone(&shared);
            core.alarm.arm(&core, Arc::downgrade(&reap));
        }
        Self(shared)
    }

    /// The structure below a table, for benchmarks of what surrounds it.
    #[doc(hidden)]
    pub fn bare(&self, ns: &Namespace) -> Bare {
        Bare(self.find(ns))
    }

    fn get(&self, name: &Name) -> Option<Arc<Database>> {
        self.0.databases.read().get(name).cloned()
    }

    fn get_or_make(&self, name: &Name) -> Arc<Database> {
        if let Some(database) = self.get(name) {
            return database;
        }
        let mut databases = self.0.databases.write();
        // Names that were only asked for do not pile up.
        if databases.len().is_power_of_two() && databases.len() >= 1024 {
            databases.retain(|_, database| {
                database.prune();
                Arc::strong_count(database) > 1 || !database.is_unused()
            });
        }
        let made = || Arc::new(Database::new());
        Arc::clone(databases.entry(name.clone()).or_insert_with(made))
    }

    /// Calls `f` with the table, without a look-up where the namespace remembers it.
    #[inline]
    fn with<T>(&self, ns: &Namespace, f: impl FnOnce(&Table) -> Result<T>) -> Result<T> {
        self.0.core.open()?;
        let owner = self.0.core.owner;
        match ns.resolved(owner, || self.find(ns)) {
            Some(table) => f(table),
            None => f(&self.find(ns)),
        }
    }

    fn find(&self, ns: &Namespace) -> Arc<Table> {
        self.get_or_make(ns.database()).table(&self.0.core, ns)
    }

    /// Like [`with`](Self::with) for what may write: makes the database when there is none.
    #[inline]
    fn with_database<T>(
        &self,
        ns: &Namespace,
        mut f: impl FnMut(&Table) -> Result<T>,
    ) -> Result<T> {
        self.with(ns, |table| {
            loop {
                if !table.state().exists() {
                    self.create_on_demand(table)?;
                }
                match f(table) {
                    // Deleted in between: again.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    done => return done,
                }
            }
        })
    }

    #[cold]
    fn create_on_demand(&self, table: &Table) -> Result<()> {
        let Some(config) = &self.0.on_demand else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is no such database, and this store does not create one by a write (auto_create)",
            ));
        };
        let created = table.state().create(config, self.0.core.now());
        match created {
            // Somebody else was first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn page<T>(
        ns: &Namespace,
        o: &ListOptions,
        table: &Table,
        item: impl FnMut(Record) -> T,
    ) -> Result<Page<T>> {
        if o.limit == 0 {
            return Ok(Page::default());
        }
        // Both orders are byte order here, so a cursor of one is a cursor of the other.
        let after = match &o.cursor {
            Some(cursor) => Some(cursor.open_key(ns, CURSOR)?),
            None => None,
        };
        let skip = if after.is_some() { 0 } else { o.offset };
        let (records, more) = table.page(o, after.as_deref(), skip, o.limit);
        let next = records.last().filter(|_| more);
        let next = next.map(|last| Cursor::new(ns, CURSOR, last.key_bytes()));
        Ok(Page::new(records.into_iter().map(item).collect(), next))
    }
}

const CURSOR: u8 = b'k';

/// See [`Memory::bare`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Bare(Arc<Table>);

impl Bare {
    /// A record, with nothing around the look-up.
    #[inline]
    pub fn read(&self, key: Key<'_>) -> Option<Record> {
        self.0.read(key)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} databases)", self.0.databases.read().len())
    }
}

impl Reap for Shared {
    fn reap(&self) -> Option<Timestamp> {
        let now = self.core.now();
        let databases: Vec<_> = self.databases.read().values().cloned().collect();
        let tables = databases.iter().flat_map(|database| database.tables());
        tables.filter_map(|(_, table)| table.reap(now)).min()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.core.alarm.stop();
    }
}

#[async_trait]
impl Store for Memory {
    fn driver(&self) -> &'static str {
        crate::DRIVER
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        self.0.core.open()?;
        let mut capability = Capability::all().without(Feature::Shared);
        let config = match self.get(database).filter(|database| database.state.exists()) {
            Some(database) => Some(database.state.config()),
            None => self.0.on_demand.clone(),
        };
        let max = config.and_then(|config| config.max_value_len);
        capability.max_value_len = max.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        Ok(capability)
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.read_now(ns, key, o)
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.write_now(ns, &put)
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.delete_now(ns, &remove)
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let revision = self.with(ns, |table| table.set_expiry(key, expiry, &condition))?;
        Ok(revision.map(|revision| Written::new(Some(revision))))
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.increment_now(ns, key, delta)
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let writes = ops.iter().any(|op| matches!(op, Op::Put(_)));
        if writes {
            self.with_database(ns, |table| table.atomic(&ops))
        } else {
            self.with(ns, |table| table.atomic(&ops))
        }
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.with(ns, |table| Self::page(ns, o, table, |record| record.key().to_owned()))
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.with(ns, |table| Self::page(ns, o, table, |record| record))
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.with(ns, |table| Ok(table.scan_u64(cursor, limit)))
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.0.core.open()?;
        Ok(watch::watch(self.find(ns), o))
    }

    async fn ping(&self) -> Result<()> {
        self.0.core.open()
    }

    async fn close(&self) -> Result<()> {
        if self.0.core.close() {
            self.0.core.alarm.stop();
            for database in std::mem::take(&mut *self.0.databases.write()).into_values() {
                for (_, table) in database.tables() {
                    table.clear();
                    table.feed.changed().notify_waiters();
                }
            }
        }
        Ok(())
    }

    fn immediate(&self) -> Option<&dyn Immediate> {
        Some(self)
    }

    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        self.with(ns, |table| Ok(table.read(key).is_some()))
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        match self.with(ns, |table| Ok(table.read_many(keys))) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        puts.iter().map(|put| self.write_now(ns, put)).collect()
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        removes.iter().map(|remove| self.delete_now(ns, remove)).collect()
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        self.with(ns, |table| Ok(table.history(key)))
    }
}

/// Nothing here ever waits.
impl Immediate for Memory {
    #[inline]
    fn read_now(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.with(ns, |table| {
            Ok(match o.revision {
                None => table.read(key),
                Some(revision) => table.read_version(key, revision),
            })
        })
    }

    #[inline]
    fn write_now(&self, ns: &Namespace, put: &Put<'_>) -> Result<Written> {
        let revision = self.with_database(ns, |table| table.write(put))?;
        Ok(Written::new(Some(revision)))
    }

    #[inline]
    fn delete_now(&self, ns: &Namespace, remove: &Remove<'_>) -> Result<Deleted> {
        self.with(ns, |table| table.delete(remove))
    }

    #[inline]
    fn increment_now(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.with_database(ns, |table| table.increment(key, delta))
    }
}

#[async_trait]
impl StoreAdmin for Memory {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.core.open()?;
        self.get_or_make(name).state.create(config, self.0.core.now())
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.core.open()?;
        let database = self.get(name).ok_or_else(missing)?;
        database.state.update(config, self.0.core.now())?;
        if database.state.is_bounded() {
            database.tables().iter().for_each(|(_, table)| table.count());
        }
        if database.state.evicts() {
            let entries = database.tables().iter().flat_map(|(_, table)| table.entries()).collect();
            database.state.queue.rebuild(&database.state, entries);
        }
        Ok(())
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        self.0.core.open()?;
        let Some(database) = self.get(name) else {
            return Ok(());
        };
        database.state.delete();
        for (_, table) in database.tables() {
            table.clear();
        }
        database.prune();
        drop(database);
        let mut databases = self.0.databases.write();
        let unused =
            |database: &Arc<Database>| Arc::strong_count(database) == 1 && database.is_unused();
        if databases.get(name).is_some_and(unused) {
            databases.remove(name);
        }
        Ok(())
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        self.0.core.open()?;
        if let Some(database) = self.get(name) {
            for (_, table) in database.tables() {
                table.clear();
            }
            database.prune();
        }
        Ok(())
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        self.0.core.open()?;
        let databases = self.0.databases.read();
        let existing = databases.iter().filter(|(_, database)| database.state.exists());
        let mut names: Vec<Name> = existing.map(|(name, _)| name.clone()).collect();
        names.sort();
        Ok(names)
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        self.0.core.open()?;
        let database = self.get(name).filter(|database| database.state.exists());
        let database = database.ok_or_else(missing)?;
        self.0.reap();
        let state = &database.state;
        let mut status = DatabaseStatus::new(name, state.config());
        let tables = database.tables();
        let sizes = tables.iter().map(|(_, table)| table.size());
        let (records, bytes) =
            sizes.fold((0, 0), |sum, size| (sum.0 + size.records, sum.1 + size.bytes));
        status.records = Some(records);
        status.bytes = Some(bytes);
        status.created = state.created();
        Ok(status)
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.0.core.open()?;
        Ok(self.get(name).is_some_and(|database| database.state.exists()))
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.0.core.open()?;
        let Some(database) = self.get(name) else {
            return Ok(Vec::new());
        };
        self.0.reap();
        let tables = database.tables().into_iter().filter(|(_, table)| !table.is_empty());
        let mut names: Vec<String> = tables.map(|(name, _)| name.into()).collect();
        names.sort();
        Ok(names)
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.0.core.open()?;
        if let Some(database) = self.get(ns.database()) {
            if let Some(table) = database.get(ns) {
                table.clear();
            }
            database.prune();
        }
        Ok(())
    }
}
