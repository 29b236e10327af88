//! The layout `table`: records with everything the contract asks for.

mod admin;
mod apply;
mod change;
mod counter;
mod feed;
mod hub;
mod keys;
mod list;
pub(crate) mod meta;
mod put;
mod read;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::Cmd;
use store_core::{Capability, Error, ErrorKind, Feature, Name, Namespace, Result};

use crate::connector::Connector;
use crate::fault::Effect;
use crate::reply;
use crate::script::{OPEN, Script};

pub(crate) use admin::{check_config, escape_glob};
pub(crate) use change::millis;
use hub::Hub;
use keys::Keys;

/// The most changes in one atomic batch, and in one script call.
pub(crate) const MAX_BATCH: usize = 500;
/// The most bytes of values in one atomic batch, and about as many in one script call.
pub(crate) const MAX_BATCH_BYTES: usize = 1024 * 1024;
/// The most records that one call of a script goes through one by one: 2 ms of the server's time or so.
pub(crate) const STEP: usize = 100;
/// Values from here on do not pass through the server's scripts.
pub(crate) const STAGED: usize = 8 * 1024;

/// Records with everything the contract asks for.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) connector: Arc<Connector>,
    owner: u64,
    known: Mutex<HashMap<Namespace, Arc<Table>>>,
    hub: Hub,
    counters: Arc<counter::Counters>,
    /// Tells waiting values apart.
    staged: AtomicU64,
}

/// One table, as far as this process knows it.
#[derive(Debug)]
pub(crate) struct Table {
    ns: Namespace,
    keys: Keys,
    opened: RwLock<Option<Arc<Opened>>>,
    /// Writes with an expiry so far: every so many, what has expired is removed.
    expiring: AtomicU64,
    hub: OnceLock<Hub>,
}

/// What a writer must know of a table's database. Bound to the version of the database's configuration: the counter's name has it,
/// so whoever writes with an old configuration does not find the counter, and learns the new one.
#[derive(Debug)]
struct Opened {
    counter: String,
    default_ttl: Option<Duration>,
    max_value_len: Option<u64>,
    /// The connection over which the counter was seen to be ahead of all revisions ever given out.
    generation: AtomicU64,
}

impl Tables {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        Self {
            owner: Namespace::unique_owner(),
            known: Mutex::default(),
            hub: Hub::new(Arc::clone(&connector)),
            counters: Arc::default(),
            staged: AtomicU64::new(unique()),
            connector,
        }
    }

    pub(crate) async fn capability(&self, database: &Name) -> Result<Capability> {
        let config = match self.stored(database).await? {
            Some(stored) => stored.config,
            None => self.connector.config().defaults.clone(),
        };
        let mut capability = Capability::all().without(Feature::History);
        if self.connector.is_replica().await? {
            capability = capability.without(Feature::StrongRead);
        }
        capability.max_atomic = Some(MAX_BATCH);
        capability.expiry_lateness = Duration::from_millis(1);
        capability.max_value_len =
            config.max_value_len.map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        Ok(capability)
    }

    /// What this process knows of a table.
    #[inline]
    fn table(&self, ns: &Namespace) -> Arc<Table> {
        // The namespace keeps an `Arc` of the `Arc`, so that a call can hold it over its awaits.
        match ns.resolved(self.owner, || Arc::new(self.find(ns))) {
            Some(table) => Arc::clone(table),
            None => self.find(ns),
        }
    }

    fn find(&self, ns: &Namespace) -> Arc<Table> {
        let mut tables = self.known.lock();
        if let Some(table) = tables.get(ns) {
            return Arc::clone(table);
        }
        // Names that were only asked for do not pile up.
        if tables.len() >= 1024 && tables.len().is_power_of_two() {
            tables.retain(|_, table| Arc::strong_count(table) > 1);
        }
        // A namespace of its own, which does not keep the caller's state alive.
        let own = match ns.table() {
            "" => Namespace::root(ns.database().clone()),
            name => Namespace::new(ns.database().clone(), name)
                .unwrap_or_else(|_| Namespace::root(ns.database().clone())),
        };
        let table = Arc::new(Table {
            keys: Keys::new(&self.connector.config().key_prefix, ns),
            ns: own.clone(),
            opened: RwLock::new(None),
            expiring: AtomicU64::new(0),
            hub: OnceLock::new(),
        });
        tables.insert(own, Arc::clone(&table));
        table
    }

    /// Opens a table for writing. `None` where its database does not exist and is not to be made.
    async fn open(&self, table: &Table, create: bool) -> Result<Option<Arc<Opened>>> {
        if let Some(opened) = &*table.opened.read() {
            return Ok(Some(Arc::clone(opened)));
        }
        let database = table.ns.database();
        for _ in 0..16 {
            let stored = match self.stored(database).await? {
                Some(stored) => stored,
                None if create => self.create_on_demand(database).await?,
                None => return Ok(None),
            };
            // Before, so that no table is ever open and unknown; and after, in case that the database was deleted in between.
            self.register(table).await?;
            let open = self.open_call(table, &stored).await?;
            let done = self.connector.script(&OPEN, &open, Effect::Change).await?;
            if reply::int(&done)? == 0 {
                continue;
            }
            self.register(table).await?;
            if self.stored(database).await?.is_none_or(|now| now.version != stored.version) {
                continue;
            }
            let opened = Arc::new(Opened {
                counter: table.keys.counter(stored.version),
                default_ttl: stored.config.default_ttl,
                max_value_len: stored.config.max_value_len,
                generation: AtomicU64::new(0),
            });
            *table.opened.write() = Some(Arc::clone(&opened));
            return Ok(Some(opened));
        }
        Err(Error::new(ErrorKind::Unavailable, "the database is being changed all the time"))
    }

    /// Puts a table among those of its database. Looks first: a server whose memory is full takes no new member, not even one that
    /// it has, and what is known can be deleted from all the same.
    async fn register(&self, table: &Table) -> Result<()> {
        let tables = keys::tables(&self.connector.config().key_prefix, table.ns.database());
        let command = |name| {
            let mut command = redis::cmd(name);
            command.arg(&tables).arg(table.ns.table());
            command
        };
        let known = self.connector.command(&command("SISMEMBER"), Effect::Read).await?;
        if reply::int(&known)? == 0 {
            self.connector.command(&command("SADD"), Effect::Change).await?;
        }
        Ok(())
    }

    /// The call of the script that opens a table.
    async fn open_call(&self, table: &Table, stored: &admin::Stored) -> Result<Cmd> {
        let link = self.connector.link(&table.keys.tag).await?;
        let keys = &table.keys;
        let mut open = eval(&OPEN, [&*keys.version, &*keys.log, &*keys.head]);
        open.arg(&keys.tag).arg(stored.version).arg(&link.run);
        Ok(open)
    }

    async fn create_on_demand(&self, database: &Name) -> Result<admin::Stored> {
        let config = self.connector.config();
        if !config.auto_create {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is no such database, and this store does not create one by a write (auto_create)",
            ));
        }
        Ok(self.create_or_find(database, &config.defaults).await?.0)
    }

    /// Where a large value waits for the script that takes it.
    fn stage_key(&self, table: &Table) -> String {
        let n = self.staged.fetch_add(1, Ordering::Relaxed);
        format!("{}~{n:x}", table.keys.tag)
    }

    /// What watches a table: one for all tables of a server. In a cluster one for each table, as a server can be asked to wait for
    /// one slot only.
    fn hub<'a>(&'a self, table: &'a Table) -> &'a Hub {
        if !self.connector.is_cluster() {
            return &self.hub;
        }
        table.hub.get_or_init(|| Hub::new(Arc::clone(&self.connector)))
    }

    pub(crate) async fn close(&self) {
        self.hub.close();
        for table in self.known.lock().values() {
            if let Some(hub) = table.hub.get() {
                hub.close();
            }
        }
        self.connector.close().await;
    }
}

impl Table {
    /// What was known of it turned out to be old.
    fn forget(&self, old: &Arc<Opened>) {
        let mut opened = self.opened.write();
        if opened.as_ref().is_some_and(|held| Arc::ptr_eq(held, old)) {
            *opened = None;
        }
    }
}

/// For fuzz targets.
pub(crate) fn fuzz_change(id: &[u8], fields: &[&[u8]]) -> Result<()> {
    use redis::Value;
    let text = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
    let fields = fields.iter().map(|field| text(field)).collect();
    let entry = Value::Array(vec![text(id), Value::Array(fields)]);
    feed::Entry::parse_all(Value::Array(vec![entry])).map(drop)
}

/// For fuzz targets.
pub(crate) fn fuzz_database(entry: &[u8]) -> Result<u64> {
    admin::Stored::parse(entry).map(|stored| stored.version)
}

/// The database does not exist.
#[cold]
pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such database")
}

/// The call of a script with these keys; its arguments follow.
fn eval<'a>(script: &Script, keys: impl AsRef<[&'a str]>) -> Cmd {
    let keys = keys.as_ref();
    let mut command = redis::cmd("EVALSHA");
    command.arg(&script.sha).arg(keys.len()).arg(keys);
    command
}

/// A number that no other process begins with.
fn unique() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()) << 20
}
