//! The store: one connection, one layout, and the driver's traits.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use store_core::{
    Capability, Condition, Counter, DatabaseConfig, DatabaseStatus, Deleted, Error, EventStream,
    Expiry, Feature, Key, ListOptions, Name, Namespace, Op, Page, Put, ReadOptions, Record, Remove,
    Result, Store, StoreAdmin, U64Page, WatchOptions, Written,
};

use crate::config::{Config, Layout};
use crate::connector::Connector;
use crate::fault::Effect;
use crate::plain::Plain;
use crate::table::Tables;

/// A store on a Redis or Valkey server. Cheap to clone: clones are the same store, and share its one connection.
///
/// ```no_run
/// # async fn f() -> store_core::Result<()> {
/// use std::sync::Arc;
/// use store_core::Store;
/// use store_redis::{Config, Redis};
///
/// let store: Arc<dyn Store> = Arc::new(Redis::connect(Config::new("127.0.0.1:6379")).await?);
/// let table = store.database("app")?.table("greetings")?;
/// table.write("en", "hello").await?;
/// assert_eq!(table.read("en").await?.unwrap().value(), b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Redis(Inner);

#[derive(Clone)]
enum Inner {
    Table(Arc<Tables>),
    Plain(Arc<Plain>),
}

impl Redis {
    /// A store on a server that is there.
    ///
    /// # Errors
    /// `Config` for settings that cannot work, otherwise why the server cannot be reached.
    pub async fn connect(config: Config) -> Result<Self> {
        let store = Self::lazy(config)?;
        store.connector().link("").await.map_err(|error| error.with_driver(crate::DRIVER))?;
        Ok(store)
    }

    /// A store that connects with its first call.
    ///
    /// # Errors
    /// `Config` for settings that cannot work.
    pub fn lazy(config: Config) -> Result<Self> {
        let layout = config.layout.clone();
        let connector = Arc::new(Connector::new(config)?);
        Ok(Self(match layout {
            Layout::Table => Inner::Table(Arc::new(Tables::new(connector))),
            Layout::Plain(template) => Inner::Plain(Arc::new(Plain::new(connector, template))),
        }))
    }

    fn connector(&self) -> &Connector {
        match &self.0 {
            Inner::Table(tables) => &tables.connector,
            Inner::Plain(plain) => &plain.connector,
        }
    }

    /// What about the server's settings endangers data, as far as it let us look when the connection was made; logged too.
    pub fn warnings(&self) -> Vec<String> {
        self.connector().warnings()
    }

    /// Takes values that others wrote at a table's keys, with `SET` for example, into the table: until then they can be read but
    /// are not listed and have no revision. Returns how many there were. Looks at every key of the server, in steps.
    ///
    /// # Errors
    /// `Unsupported` in the layout `plain`, which has no index.
    pub async fn reindex(&self, ns: &Namespace) -> Result<u64> {
        match &self.0 {
            Inner::Table(tables) => tables.reindex(ns).await,
            Inner::Plain(_) => {
                Err(Error::unsupported("the layout `plain` has no index to bring up to date"))
            }
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({:?})", self.connector().config())
    }
}

/// Calls either layout.
macro_rules! either {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match &$self.0 {
            Inner::Table(tables) => tables.$call($($argument),*).await,
            Inner::Plain(plain) => plain.$call($($argument),*).await,
        }
    };
}

#[async_trait]
impl Store for Redis {
    fn driver(&self) -> &'static str {
        crate::DRIVER
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        self.connector().open()?;
        match &self.0 {
            Inner::Table(tables) => tables.capability(database).await,
            Inner::Plain(plain) => plain.capability().await,
        }
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        either!(self.read(ns, key, o))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        either!(self.write(ns, put))
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        either!(self.delete(ns, remove))
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        either!(self.set_expiry(ns, key, expiry, condition))
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        either!(self.increment(ns, key, delta))
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        match &self.0 {
            Inner::Table(tables) => tables.atomic(ns, ops).await,
            Inner::Plain(plain) => plain.lacks(Feature::AtomicBatch),
        }
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        either!(self.list(ns, o))
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        either!(self.scan(ns, o))
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        either!(self.scan_u64(ns, cursor, limit))
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        either!(self.watch(ns, o))
    }

    async fn ping(&self) -> Result<()> {
        self.connector().command(&redis::cmd("PING"), Effect::Read).await.map(drop)
    }

    async fn close(&self) -> Result<()> {
        match &self.0 {
            Inner::Table(tables) => tables.close().await,
            Inner::Plain(plain) => plain.connector.close().await,
        }
        Ok(())
    }

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        either!(self.read_value(ns, key, o))
    }

    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        either!(self.exists(ns, key))
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        either!(self.read_many(ns, keys))
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        either!(self.read_values(ns, keys))
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        either!(self.write_many(ns, puts))
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        either!(self.delete_many(ns, removes))
    }
}

/// Calls the layout `table`; the other one manages no databases.
macro_rules! managed {
    ($self:ident.$call:ident($($argument:expr),*)) => {
        match &$self.0 {
            Inner::Table(tables) => tables.$call($($argument),*).await,
            Inner::Plain(plain) => plain.lacks(Feature::Databases),
        }
    };
}

#[async_trait]
impl StoreAdmin for Redis {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        managed!(self.create_database(name, config))
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        managed!(self.update_database(name, config))
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        managed!(self.delete_database(name))
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        either!(self.empty_database(name))
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        managed!(self.list_databases())
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        managed!(self.database_status(name))
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        managed!(self.database_exists(name))
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        either!(self.list_tables(name))
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        either!(self.delete_table(ns))
    }
}
