//! A database: its configuration, what it holds in all, and its tables.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use store_core::{
    DatabaseConfig, Error, ErrorKind, Expiry, Namespace, Result, Storage, Timestamp, WhenFull,
};

use crate::core::Core;
use crate::eviction::Queue;
use crate::shard::Size;
use crate::table::Table;

const NONE: u64 = u64::MAX;

/// A database that exists or once did: handles to its tables stay valid when it is deleted and created again.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) state: Arc<State>,
    tables: RwLock<HashMap<Box<str>, Arc<Table>>>,
}

/// What every table of a database looks at.
#[derive(Debug)]
pub(crate) struct State {
    exists: AtomicBool,
    config: RwLock<Setting>,
    /// The configuration again, for hot paths; [`NONE`] where there is no limit.
    default_ttl_ms: AtomicU64,
    max_records: AtomicU64,
    max_bytes: AtomicU64,
    max_value_len: AtomicU64,
    history: AtomicU64,
    /// Whether there is a limit to records or bytes: only then are there totals, which all writers meet at.
    bounded: AtomicBool,
    records: AtomicU64,
    bytes: AtomicU64,
    /// In databases that evict: what was written when.
    pub(crate) queue: Queue,
    evicts: AtomicBool,
}

#[derive(Debug, Default)]
struct Setting {
    config: DatabaseConfig,
    created: Option<SystemTime>,
}

impl Database {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::new(State {
                exists: AtomicBool::new(false),
                config: RwLock::default(),
                default_ttl_ms: AtomicU64::new(NONE),
                max_records: AtomicU64::new(NONE),
                max_bytes: AtomicU64::new(NONE),
                max_value_len: AtomicU64::new(NONE),
                history: AtomicU64::new(1),
                bounded: AtomicBool::new(false),
                records: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                queue: Queue::default(),
                evicts: AtomicBool::new(false),
            }),
            tables: RwLock::default(),
        }
    }

    /// The table of a name, made when there is none: an empty one costs its name.
    pub(crate) fn table(&self, core: &Arc<Core>, ns: &Namespace) -> Arc<Table> {
        if let Some(table) = self.tables.read().get(ns.table()) {
            return Arc::clone(table);
        }
        let mut tables = self.tables.write();
        // Names that were only asked for do not pile up.
        if tables.len().is_power_of_two() && tables.len() >= 1024 {
            tables.retain(|_, table| Arc::strong_count(table) > 1 || !table.is_empty());
        }
        let made = || Table::new(Arc::clone(core), Arc::clone(&self.state));
        Arc::clone(tables.entry(ns.table().into()).or_insert_with(made))
    }

    pub(crate) fn tables(&self) -> Vec<(Box<str>, Arc<Table>)> {
        let tables = self.tables.read();
        tables.iter().map(|(name, table)| (name.clone(), Arc::clone(table))).collect()
    }

    pub(crate) fn get(&self, ns: &Namespace) -> Option<Arc<Table>> {
        self.tables.read().get(ns.table()).cloned()
    }

    /// Lets go of tables that nobody holds and that hold nothing.
    pub(crate) fn prune(&self) {
        self.tables.write().retain(|_, table| Arc::strong_count(table) > 1 || !table.is_empty());
    }

    /// Whether nobody would notice if it were forgotten.
    pub(crate) fn is_unused(&self) -> bool {
        !self.state.exists() && self.tables.read().is_empty()
    }
}

impl State {
    #[inline]
    pub(crate) fn exists(&self) -> bool {
        self.exists.load(Ordering::Acquire)
    }

    pub(crate) fn config(&self) -> DatabaseConfig {
        self.config.read().config.clone()
    }

    pub(crate) fn created(&self) -> Option<SystemTime> {
        self.config.read().created
    }

    /// Creates it, unless it exists.
    pub(crate) fn create(&self, config: &DatabaseConfig, now: Timestamp) -> Result<()> {
        let mut setting = self.config.write();
        if self.exists() {
            if setting.config == *config {
                return Ok(());
            }
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "the database exists with another configuration; update it instead",
            ));
        }
        check(config, now)?;
        self.set(&mut setting, config);
        setting.created = Some(now.to_system());
        self.exists.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn update(&self, config: &DatabaseConfig, now: Timestamp) -> Result<()> {
        let mut setting = self.config.write();
        if !self.exists() {
            return Err(missing());
        }
        check(config, now)?;
        self.set(&mut setting, config);
        Ok(())
    }

    /// From now on it does not exist; the caller then empties its tables.
    pub(crate) fn delete(&self) {
        let mut setting = self.config.write();
        self.exists.store(false, Ordering::Release);
        self.set(&mut setting, &DatabaseConfig::default());
        setting.created = None;
    }

    fn set(&self, setting: &mut Setting, config: &DatabaseConfig) {
        let store = |to: &AtomicU64, value: Option<u64>| {
            to.store(value.unwrap_or(NONE), Ordering::Relaxed);
        };
        // Rounded up, as every expiry is: the shortest default is a millisecond, not nothing.
        let ttl = config.default_ttl.map(|ttl| ttl.as_nanos().div_ceil(1_000_000));
        let ttl = ttl.map(|ms| u64::try_from(ms).unwrap_or(NONE - 1));
        store(&self.default_ttl_ms, ttl);
        store(&self.max_records, config.max_records);
        store(&self.max_bytes, config.max_bytes);
        store(&self.max_value_len, config.max_value_len);
        self.history.store(config.history.unwrap_or(1).into(), Ordering::Relaxed);
        let bounded = config.max_records.is_some() || config.max_bytes.is_some();
        self.bounded.store(bounded, Ordering::Relaxed);
        let evicts = bounded && config.when_full == Some(WhenFull::Evict);
        self.evicts.store(evicts, Ordering::Relaxed);
        setting.config = config.clone();
    }

    #[inline]
    pub(crate) fn default_ttl(&self) -> Option<Duration> {
        match self.default_ttl_ms.load(Ordering::Relaxed) {
            NONE => None,
            ms => Some(Duration::from_millis(ms)),
        }
    }

    #[inline]
    pub(crate) fn max_value_len(&self) -> u64 {
        self.max_value_len.load(Ordering::Relaxed)
    }

    /// How many versions of a record are kept, the present one included.
    #[inline]
    pub(crate) fn history(&self) -> usize {
        self.history.load(Ordering::Relaxed) as usize
    }

    #[inline]
    pub(crate) fn evicts(&self) -> bool {
        self.evicts.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        self.bounded.load(Ordering::Relaxed)
    }

    /// The total of a bounded database.
    pub(crate) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Whether it holds more than it may.
    pub(crate) fn is_over(&self) -> bool {
        self.records() > self.max_records.load(Ordering::Relaxed)
            || self.bytes.load(Ordering::Relaxed) > self.max_bytes.load(Ordering::Relaxed)
    }

    /// Takes room for so much more in a bounded database, of which so much is about to be given back.
    ///
    /// # Errors
    /// `Full` where the database refuses what it has no room for, `TooLarge` for what never fits.
    pub(crate) fn grow(&self, by: Size, back: Size) -> Result<()> {
        let records = self.records.fetch_add(by.records, Ordering::Relaxed) + by.records;
        let bytes = self.bytes.fetch_add(by.bytes, Ordering::Relaxed) + by.bytes;
        let max_records = self.max_records.load(Ordering::Relaxed);
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        let records = records.saturating_sub(back.records);
        let bytes = bytes.saturating_sub(back.bytes);
        let fits = records <= max_records && bytes <= max_bytes;
        let can_fit = by.bytes <= max_bytes && by.records <= max_records;
        if fits || (self.evicts() && can_fit) {
            return Ok(());
        }
        self.shrink(by);
        Err(if by.bytes > max_bytes {
            Error::too_large("larger than the whole database may be (max_bytes)")
        } else {
            let limit = if bytes > max_bytes { "max_bytes" } else { "max_records" };
            Error::new(
                ErrorKind::Full,
                format!("the database is full ({limit}): delete something or raise the limit"),
            )
        })
    }

    /// Gives room back in a bounded database.
    pub(crate) fn shrink(&self, by: Size) {
        self.records.fetch_sub(by.records, Ordering::Relaxed);
        self.bytes.fetch_sub(by.bytes, Ordering::Relaxed);
    }

    /// Counts what came without asking whether it fits.
    pub(crate) fn count(&self, came: Size) {
        self.records.fetch_add(came.records, Ordering::Relaxed);
        self.bytes.fetch_add(came.bytes, Ordering::Relaxed);
    }
}

pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such database")
}

/// Refuses what a store in memory cannot honour.
fn check(config: &DatabaseConfig, now: Timestamp) -> Result<()> {
    if config.storage == Some(Storage::File) {
        return Err(Error::unsupported("this driver keeps everything in memory (storage)"));
    }
    if config.replicas.is_some_and(|n| n != 1) {
        return Err(Error::unsupported("this driver has one copy of everything (replicas)"));
    }
    if let Some(name) = config.driver.keys().next() {
        return Err(Error::unsupported(format!("this driver has no setting `{name}`")));
    }
    Expiry::Database.resolve(now, config.default_ttl)?;
    if config.history == Some(0) {
        return Err(Error::invalid("history counts the present version: at least 1"));
    }
    Ok(())
}
