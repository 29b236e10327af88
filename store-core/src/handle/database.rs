use std::fmt;
use std::sync::Arc;

use crate::call::{Call, Operation};
use crate::capability::Capability;
use crate::error::Result;
use crate::handle::Table;
use crate::name::{Name, Namespace};
use crate::store::{Store, StoreAdmin};

/// A database of a store: where tables are found.
///
/// ```
/// # use store_core::Store;
/// # use std::sync::Arc;
/// # fn main() -> store_core::Result<()> {
/// let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let app = store.database("app")?;
/// let users = app.table("users")?;
/// assert_eq!(users.name(), "users");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database {
    store: Arc<dyn Store>,
    name: Name,
}

impl dyn Store {
    /// A handle to a database; nothing is created before the first write.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is none.
    pub fn database(self: &Arc<Self>, name: impl AsRef<str>) -> Result<Database> {
        Database::new(self, name)
    }
}

impl dyn StoreAdmin {
    /// A handle to a database; nothing is created before the first write.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is none.
    pub fn database(self: &Arc<Self>, name: impl AsRef<str>) -> Result<Database> {
        let store: Arc<dyn Store> = Arc::<Self>::clone(self);
        Database::new(&store, name)
    }
}

impl Database {
    /// As [`database`](#method.database) of a store.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that is none.
    pub fn new(store: &Arc<dyn Store>, name: impl AsRef<str>) -> Result<Self> {
        let name = Name::new(name).map_err(|e| e.with_driver(store.driver()))?;
        Ok(Self { store: Arc::clone(store), name })
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The store it is in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// A table of it.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty name, `TooLarge` for a long one.
    pub fn table(&self, name: impl AsRef<str>) -> Result<Table> {
        let ns = Namespace::new(self.name.clone(), name)
            .map_err(|e| e.with_driver(self.store.driver()))?;
        Ok(Table::new(Arc::clone(&self.store), ns))
    }

    /// The table without a name: Go-Micro's table `""`, and the only one in layouts that know no tables.
    pub fn root(&self) -> Table {
        Table::new(Arc::clone(&self.store), Namespace::root(self.name.clone()))
    }

    /// What the store can do in it.
    ///
    /// # Errors
    /// Those of the backend that is asked.
    pub async fn capability(&self) -> Result<Capability> {
        let call = Call::new(Operation::Capability).on(&self.name).repeatable(true);
        self.store
            .capability(&self.name)
            .await
            .map_err(|error| error.in_call(self.store.driver(), &call))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({} {})", self.store.driver(), self.name)
    }
}
