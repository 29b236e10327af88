use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store_core::layer::{Layers, Retry};
use store_core::{DatabaseConfig, ErrorKind, Name, StoreAdmin, Table};
use tokio::time::Instant;

use crate::{Connection, Limits, Result};

/// How long nobody tries again to create a database after that failed.
const PAUSE: Duration = Duration::from_secs(5);
/// Of how many databases it is remembered whether they are there.
const REMEMBERED: usize = 1024;

/// Whether a database that does not exist is created when a bucket in it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// Never: the bucket does not exist.
    Never,
    /// Yes, with the place's configuration; where that says nothing, with the first write, as the driver does it.
    #[default]
    Missing,
    /// Try to; where that fails, warn and use what there is. (What wasmCloud's own provider does.)
    Try,
}

/// Where records are kept, and by which rules: a store, a database, a table, a key prefix, a time to live, limits.
#[derive(Clone)]
pub struct Place {
    source: Source,
    /// What was seen of databases. A place and the places derived from it share it.
    seen: Arc<Mutex<HashMap<Name, Seen>>>,
    pub(crate) database: Name,
    pub(crate) table: String,
    pub(crate) prefix: Arc<str>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) limits: Limits,
    create: Create,
    config: Arc<DatabaseConfig>,
    retry: Option<Retry>,
}

#[derive(Clone, Copy)]
enum Seen {
    /// It exists.
    There,
    /// It does not, and could not be created then.
    Failed(Instant),
}

#[derive(Clone)]
enum Source {
    Store(Arc<dyn StoreAdmin>),
    Connection(Arc<Connection>),
}

impl Place {
    /// The root table of a database of an open store.
    pub fn new(store: Arc<dyn StoreAdmin>, database: Name) -> Self {
        Self::of(Source::Store(store), database)
    }

    /// The root table of a database behind a shared connection, which may come up later.
    pub fn at(connection: Arc<Connection>, database: Name) -> Self {
        Self::of(Source::Connection(connection), database)
    }

    fn of(source: Source, database: Name) -> Self {
        Self {
            source,
            seen: Arc::default(),
            database,
            table: String::new(),
            prefix: "".into(),
            ttl: None,
            limits: Limits::default(),
            create: Create::default(),
            config: Arc::new(DatabaseConfig::new()),
            retry: None,
        }
    }

    /// In this table.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// In another database of the same store.
    pub fn database(mut self, database: Name) -> Self {
        self.database = database;
        self
    }

    /// Only keys that begin with this, which guests do not see.
    pub fn prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// What is written without a time to live of its own expires after this. Counters follow their database's default instead.
    pub fn ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// Within these limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How a missing database is met.
    pub fn create(mut self, create: Create, config: DatabaseConfig) -> Self {
        self.create = create;
        self.config = Arc::new(config);
        self
    }

    /// Calls that fail for a passing reason, such as a connection that is being made anew, are made again so. Never one that may have
    /// counted or compared already.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The table, in a database that exists.
    pub(crate) async fn open(&self) -> Result<Table> {
        let store = match &self.source {
            Source::Store(store) => Arc::clone(store),
            Source::Connection(connection) => connection.store().await?,
        };
        let store = match &self.retry {
            Some(retry) => Layers::new().retry(retry.clone()).wrap(store),
            None => store,
        };
        self.exists(&*store).await?;
        let database = store.database(&self.database)?;
        Ok(if self.table.is_empty() { database.root() } else { database.table(&self.table)? })
    }

    async fn exists(&self, store: &dyn StoreAdmin) -> Result<()> {
        let seen = self.seen().get(&self.database).copied();
        match seen {
            Some(Seen::There) => return Ok(()),
            Some(Seen::Failed(when)) if when.elapsed() < PAUSE => {
                return Err(crate::Error::NoSuchStore);
            }
            _ => {}
        }
        match store.database_exists(&self.database).await {
            Ok(true) => {}
            Ok(false) => self.missing(store).await?,
            // Credentials may allow the records and not the administration: the call itself will tell. Where a layout knows no
            // databases, the one that there is is always there.
            Err(error)
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            }
            Err(error) => return Err(error.into()),
        }
        self.see(Seen::There);
        Ok(())
    }

    fn see(&self, seen: Seen) {
        let mut all = self.seen();
        if all.len() >= REMEMBERED && !all.contains_key(&self.database) {
            all.clear();
        }
        all.insert(self.database.clone(), seen);
    }

    /// Meets a database that does not exist.
    async fn missing(&self, store: &dyn StoreAdmin) -> Result<()> {
        match self.create {
            Create::Never => return Err(crate::Error::NoSuchStore),
            // The driver's own way: the first write makes it, with the defaults of the connection.
            Create::Missing if *self.config == DatabaseConfig::new() => return Ok(()),
            Create::Missing | Create::Try => {}
        }
        match store.create_database(&self.database, &self.config).await {
            Ok(()) => Ok(()),
            // Somebody else was first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) if self.create == Create::Try => {
                tracing::warn!(database = %self.database, %error, "cannot create the database");
                self.see(Seen::Failed(Instant::now()));
                Err(crate::Error::NoSuchStore)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks again whether the database exists, as somebody may have deleted it.
    pub(crate) fn forget(&self) {
        self.seen().remove(&self.database);
    }

    /// Whether the database was there when it was last looked at.
    #[cfg(feature = "wasmcloud")]
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.seen().get(&self.database), Some(Seen::There))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the backend whether it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<()> {
        match &self.source {
            Source::Store(store) => Ok(store.ping().await?),
            Source::Connection(connection) => connection.ping().await,
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("database", &self.database)
            .field("table", &self.table)
            .field("prefix", &self.prefix)
            .field("create", &self.create)
            .finish_non_exhaustive()
    }
}
