use std::fmt;
use std::sync::Arc;

use crate::admin::{DatabaseConfig, DatabaseStatus};
use crate::call::{Call, Operation};
use crate::error::{Error, Result};
use crate::name::{Name, Namespace};
use crate::store::StoreAdmin;

/// Creates, changes, lists and destroys databases and tables.
///
/// ```
/// # use store_core::{Admin, DatabaseConfig, StoreAdmin};
/// # use std::{sync::Arc, time::Duration};
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let store: Arc<dyn StoreAdmin> = Arc::new(store_memory::Memory::new());
/// let admin = Admin::new(Arc::clone(&store));
/// admin.create("sessions", &DatabaseConfig::new().with_default_ttl(Duration::from_secs(60))).await?;
/// store.database("sessions")?.table("web")?.write("id", "x").await?;
/// assert_eq!(admin.tables("sessions").await?, ["web"]);
/// assert_eq!(admin.status("sessions").await?.records, Some(1));
/// admin.delete("sessions").await?;
/// assert!(admin.list().await?.is_empty());
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Admin(Arc<dyn StoreAdmin>);

impl Admin {
    /// An admin of this store.
    pub fn new(store: Arc<dyn StoreAdmin>) -> Self {
        Self(store)
    }

    fn name(&self, operation: Operation, name: impl AsRef<str>) -> Result<Name> {
        Name::new(name).map_err(|e| e.in_call(self.0.driver(), &Call::new(operation)))
    }

    fn blame(&self, operation: Operation, name: &Name, error: Error) -> Error {
        let call = Call::new(operation).on(name).repeatable(true);
        error.in_call(self.0.driver(), &call)
    }

    /// Creates a database; `Ok` when it exists with just this configuration.
    ///
    /// # Errors
    /// As [`StoreAdmin::create_database`].
    pub async fn create(
        &self,
        name: impl AsRef<str> + Send,
        config: &DatabaseConfig,
    ) -> Result<()> {
        const OP: Operation = Operation::CreateDatabase;
        let name = self.name(OP, name)?;
        self.0.create_database(&name, config).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// Changes a database's configuration to this one.
    ///
    /// # Errors
    /// As [`StoreAdmin::update_database`].
    pub async fn update(
        &self,
        name: impl AsRef<str> + Send,
        config: &DatabaseConfig,
    ) -> Result<()> {
        const OP: Operation = Operation::UpdateDatabase;
        let name = self.name(OP, name)?;
        self.0.update_database(&name, config).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// Destroys a database and all in it; `Ok` when there is none.
    ///
    /// # Errors
    /// As [`StoreAdmin::delete_database`].
    pub async fn delete(&self, name: impl AsRef<str> + Send) -> Result<()> {
        const OP: Operation = Operation::DeleteDatabase;
        let name = self.name(OP, name)?;
        self.0.delete_database(&name).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// Deletes all records of a database and keeps the database.
    ///
    /// # Errors
    /// As [`StoreAdmin::empty_database`].
    pub async fn empty(&self, name: impl AsRef<str> + Send) -> Result<()> {
        const OP: Operation = Operation::EmptyDatabase;
        let name = self.name(OP, name)?;
        self.0.empty_database(&name).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// The databases, sorted.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn list(&self) -> Result<Vec<Name>> {
        let call = Call::new(Operation::ListDatabases).repeatable(true);
        self.0.list_databases().await.map_err(|e| e.in_call(self.0.driver(), &call))
    }

    /// What a database is like, fresh.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn status(&self, name: impl AsRef<str> + Send) -> Result<DatabaseStatus> {
        const OP: Operation = Operation::DatabaseStatus;
        let name = self.name(OP, name)?;
        self.0.database_status(&name).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// Whether there is a database, which costs less than its [`status`](Self::status).
    ///
    /// # Errors
    /// As [`StoreAdmin::database_exists`].
    pub async fn exists(&self, name: impl AsRef<str> + Send) -> Result<bool> {
        const OP: Operation = Operation::DatabaseStatus;
        let name = self.name(OP, name)?;
        self.0.database_exists(&name).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// The tables of a database that hold a record, sorted; the root table is the empty name.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn tables(&self, name: impl AsRef<str> + Send) -> Result<Vec<String>> {
        const OP: Operation = Operation::ListTables;
        let name = self.name(OP, name)?;
        self.0.list_tables(&name).await.map_err(|e| self.blame(OP, &name, e))
    }

    /// Deletes all records of a table; an empty `table` is the root table.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn delete_table(
        &self,
        database: impl AsRef<str> + Send,
        table: impl AsRef<str> + Send,
    ) -> Result<()> {
        const OP: Operation = Operation::DeleteTable;
        let name = self.name(OP, database)?;
        let ns = match table.as_ref() {
            "" => Namespace::root(name.clone()),
            table => Namespace::new(name.clone(), table).map_err(|e| self.blame(OP, &name, e))?,
        };
        self.0.delete_table(&ns).await.map_err(|e| self.blame(OP, &name, e))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admin({})", self.0.driver())
    }
}
