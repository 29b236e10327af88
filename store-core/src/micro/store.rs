use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::call::{Call, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Admin, Database, Table};
use crate::micro::gather::gather;
use crate::micro::options::{Address, Selection};
use crate::micro::{
    DEFAULT_DATABASE, DeleteOption, ListOption, Options, ReadOption, Record, StoreOption,
    WriteOption,
};
use crate::options::Expiry;
use crate::store::StoreAdmin;

/// Go-Micro's `store.Store`; see the [module](crate::micro). Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    store: Arc<dyn crate::Store>,
    /// What may destroy databases.
    admin: Option<Arc<dyn StoreAdmin>>,
    options: RwLock<Options>,
    /// Database and table are fixed.
    scope: bool,
    closed: AtomicBool,
}

impl Store {
    /// A store over this backend.
    pub fn new(
        backend: Arc<dyn StoreAdmin>,
        options: impl IntoIterator<Item = StoreOption>,
    ) -> Self {
        let store: Arc<dyn crate::Store> = Arc::<dyn StoreAdmin>::clone(&backend);
        Self::make(store, Some(backend), options)
    }

    /// A store over a backend that cannot destroy databases: [`delete_bucket`](crate::micro::delete_bucket) is refused.
    pub fn without_admin(
        backend: Arc<dyn crate::Store>,
        options: impl IntoIterator<Item = StoreOption>,
    ) -> Self {
        Self::make(backend, None, options)
    }

    fn make(
        store: Arc<dyn crate::Store>,
        admin: Option<Arc<dyn StoreAdmin>>,
        options: impl IntoIterator<Item = StoreOption>,
    ) -> Self {
        let mut set = Options::default();
        options.into_iter().for_each(|option| set.apply(option));
        Self(Arc::new(Inner {
            store,
            admin,
            options: RwLock::new(set),
            scope: false,
            closed: AtomicBool::new(false),
        }))
    }

    /// `Scope`: a store that works in this database and table only; `""` is this store's own default, as it is now.
    ///
    /// Other than in Go it is a boundary: a call on it may name no other database or table, nor may a scope of it; it has no options
    /// of its own and destroys no database; and closing it closes nothing but it.
    ///
    /// ```
    /// # use store_core::{ErrorKind, StoreAdmin, micro};
    /// # use std::sync::Arc;
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let backend: Arc<dyn StoreAdmin> = Arc::new(store_memory::Memory::new());
    /// let store = micro::Store::new(backend, []);
    /// let one = store.scope("agent", "one")?;
    /// one.write(&micro::Record::new("k", "v"), []).await?;
    /// assert_eq!(store.list([micro::list_from("agent", "one")]).await?, ["k"]);
    /// let error = one.list([micro::list_from("agent", "two")]).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is none, and on a scope for another one than its own.
    pub fn scope(&self, database: impl Into<String>, table: impl Into<String>) -> Result<Self> {
        let from = Address { database: database.into(), table: table.into() };
        let table = self.open().and_then(|()| self.locate(&from));
        let table = table.map_err(|error| error.with_driver(self.string()))?;
        Ok(Self(Arc::new(Inner {
            store: Arc::clone(&self.0.store),
            admin: None,
            options: RwLock::new(Options {
                nodes: self.options().nodes,
                database: table.namespace().database().to_string(),
                table: table.name().to_owned(),
            }),
            scope: true,
            closed: AtomicBool::new(false),
        })))
    }

    /// `Init`: sets these options, keeps the others, and asks the backend whether it serves. Need not be called; can be again.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is none, and on a scope for any option: then nothing is set. Otherwise those of the
    /// backend.
    pub async fn init(&self, options: impl IntoIterator<Item = StoreOption> + Send) -> Result<()> {
        const OP: Operation = Operation::Ping;
        self.open().map_err(|error| self.blame(OP, error))?;
        let mut set = self.options();
        for option in options {
            if self.0.scope {
                let message = "a scope has no options of its own; set them on its store";
                return Err(self.blame(OP, Error::invalid(message)));
            }
            set.apply(option);
        }
        self.resolve(&set.database, &set.table).map_err(|error| self.blame(OP, error))?;
        *self.0.options.write().unwrap_or_else(PoisonError::into_inner) = set;
        self.0.store.ping().await.map_err(|error| self.blame(OP, error))
    }

    /// `Options`: what the store is set to.
    pub fn options(&self) -> Options {
        self.0.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `Read`: the record of a key, or those that match it.
    ///
    /// # Errors
    /// `NotFound` when there is no record of an exact key; no match of a prefix or suffix is an empty list.
    pub async fn read(
        &self,
        key: &str,
        options: impl IntoIterator<Item = ReadOption> + Send,
    ) -> Result<Vec<Record>> {
        const OP: Operation = Operation::Read;
        let selection = Selection::read(key, options);
        let table = self.table(OP, &selection.from)?;
        if selection.prefix.is_some() || selection.suffix.is_some() {
            let found = gather(&table, &selection, || table.scan()).await?;
            return Ok(found.into_iter().map(Record::from).collect());
        }
        match table.read(key).await? {
            Some(_) if selection.offset > 0 => Ok(Vec::new()),
            Some(record) => Ok(vec![record.into()]),
            None => {
                let call = Call::new(OP).at(table.namespace()).key(key).repeatable(true);
                let error = Error::new(ErrorKind::NotFound, "there is no such record");
                Err(error.in_call(self.0.store.driver(), &call))
            }
        }
    }

    /// `Write`: writes a record, whatever was there.
    ///
    /// # Errors
    /// Those of [`Table::write`], save that a past expiry is none.
    pub async fn write(
        &self,
        record: &Record,
        options: impl IntoIterator<Item = WriteOption> + Send,
    ) -> Result<()> {
        const OP: Operation = Operation::Write;
        let (mut from, mut ttl, mut at) = (Address::default(), None, None);
        for option in options {
            match option {
                WriteOption::To { database, table } => from = Address { database, table },
                WriteOption::Ttl(duration) => ttl = Some(duration),
                WriteOption::Expiry(instant) => at = Some(instant),
            }
        }
        let live = |duration: Option<_>| {
            duration.filter(|d: &std::time::Duration| !d.is_zero()).map(Expiry::After)
        };
        let expiry = live(ttl)
            .or(at.map(Expiry::At))
            .or(live(Some(record.expiry)))
            .unwrap_or(Expiry::Database);
        let metadata = record
            .stored_metadata()
            .map_err(|error| self.blame(OP, error.with_key(&record.key)))?;

        let table = self.table(OP, &from)?;
        let write = table.write(&record.key, &record.value).metadata(metadata).expiry(expiry);
        match write.await {
            // Only the store's own clock knows whether an instant is past.
            Err(error) if error.is_past_expiry() => table.delete(&record.key).await.map(drop),
            done => done.map(drop),
        }
    }

    /// `Delete`: deletes a record; fine when there is none.
    ///
    /// # Errors
    /// With [`delete_bucket`](crate::micro::delete_bucket): `InvalidArgument` together with
    /// [`delete_from`](crate::micro::delete_from), `PermissionDenied` on a scope and on a store without the right to it.
    pub async fn delete(
        &self,
        key: &str,
        options: impl IntoIterator<Item = DeleteOption> + Send,
    ) -> Result<()> {
        let (mut from, mut bucket) = (None, false);
        for option in options {
            match option {
                DeleteOption::From { database, table } => from = Some(Address { database, table }),
                DeleteOption::Bucket => bucket = true,
            }
        }
        if bucket {
            return self.delete_database(key, from.is_some()).await;
        }
        let table = self.table(Operation::Delete, &from.unwrap_or_default())?;
        table.delete(key).await.map(drop)
    }

    async fn delete_database(&self, name: &str, from: bool) -> Result<()> {
        const OP: Operation = Operation::DeleteDatabase;
        self.open().map_err(|error| self.blame(OP, error))?;
        if from {
            let message =
                "DeleteBucket takes its database from the key: not together with DeleteFrom";
            return Err(self.blame(OP, Error::invalid(message)));
        }
        let Some(admin) = &self.0.admin else {
            let message = "this store was not given the right to destroy databases";
            return Err(self.blame(OP, Error::new(ErrorKind::PermissionDenied, message)));
        };
        Admin::new(Arc::clone(admin)).delete(name).await
    }

    /// `List`: the keys of a table, in order.
    ///
    /// # Errors
    /// Those of the backend; no match is an empty list.
    pub async fn list(
        &self,
        options: impl IntoIterator<Item = ListOption> + Send,
    ) -> Result<Vec<String>> {
        let selection = Selection::list(options);
        let table = self.table(Operation::List, &selection.from)?;
        gather(&table, &selection, || table.list()).await
    }

    /// `Close`: closes the backend; of a [scope](Self::scope), only the scope. Idempotent.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::SeqCst);
        if self.0.scope {
            return Ok(());
        }
        self.0.store.close().await.map_err(|error| self.blame(Operation::Close, error))
    }

    /// `String`: the driver's name.
    pub fn string(&self) -> &'static str {
        self.0.store.driver()
    }

    #[cold]
    fn blame(&self, operation: Operation, error: Error) -> Error {
        let repeatable = !operation.is_mutation();
        error.in_call(self.0.store.driver(), &Call::new(operation).repeatable(repeatable))
    }

    fn open(&self) -> Result<()> {
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    /// The table of a call.
    fn table(&self, operation: Operation, from: &Address) -> Result<Table> {
        let table = self.open().and_then(|()| self.locate(from));
        table.map_err(|error| self.blame(operation, error))
    }

    fn locate(&self, from: &Address) -> Result<Table> {
        let options = self.0.options.read().unwrap_or_else(PoisonError::into_inner);
        let pick = |asked: &str, own: &str| {
            if self.0.scope && !asked.is_empty() && asked != own {
                return Err(Error::invalid("a scope cannot leave its database and table"));
            }
            Ok(if asked.is_empty() { own.to_owned() } else { asked.to_owned() })
        };
        let database = pick(&from.database, &options.database)?;
        self.resolve(&database, &pick(&from.table, &options.table)?)
    }

    fn resolve(&self, database: &str, table: &str) -> Result<Table> {
        let database = if database.is_empty() { DEFAULT_DATABASE } else { database };
        let database = Database::new(&self.0.store, database)?;
        match table {
            "" => Ok(database.root()),
            table => database.table(table),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.string())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("driver", &self.string())
            .field("options", &self.options())
            .field("scope", &self.0.scope)
            .finish_non_exhaustive()
    }
}
