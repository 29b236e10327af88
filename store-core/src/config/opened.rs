use std::sync::Arc;

use crate::config::{Registry, StoreBuilder};
use crate::error::{Error, Result};
use crate::handle::Database;
use crate::layer::Metrics;
use crate::name::Name;
use crate::store::StoreAdmin;

/// A store as its configuration asked for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opened {
    /// The store, in its layers.
    pub store: Arc<dyn StoreAdmin>,
    /// The database that the URL or the configuration names.
    pub database: Option<Name>,
    /// The figures, if they were asked for.
    pub metrics: Option<Metrics>,
}

impl Opened {
    /// A handle to the database that the configuration names.
    ///
    /// # Errors
    /// `Config` when it names none.
    pub fn handle(&self) -> Result<Database> {
        match &self.database {
            Some(name) => self.store.database(name),
            None => Err(Error::config(
                "no database is named: add one to the URL's path, or set `database`",
            )),
        }
    }
}

impl Registry {
    /// Opens a store by its URL.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`].
    pub async fn open(&self, url: &str) -> Result<Opened> {
        StoreBuilder::new(url).open(self).await
    }
}
