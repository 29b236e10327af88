use std::sync::Arc;

use crate::config::{Registry, StoreUrl};
use crate::error::{Error, Result};
use crate::handle::Database;
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
    /// `Config` for what is wrong with the URL, otherwise why the backend cannot be reached.
    pub async fn open(&self, url: &str) -> Result<Opened> {
        let url: StoreUrl = url.parse()?;
        let driver = self.find(url.scheme())?;
        let mut options = url.options().clone();
        let mut database = options.take_str("database");
        if driver.path_is_database(url.scheme()) {
            let path = url.path().trim_start_matches('/');
            if !path.is_empty() && database.replace(path.to_owned()).is_some() {
                return Err(Error::config(
                    "the database is given twice: in the URL's path and as an option",
                ));
            }
        }
        let database = database
            .map(Name::new)
            .transpose()
            .map_err(|e| Error::config("the database's name is none").with_source(e))?;
        options.check(driver.options().iter().map(|option| option.name))?;
        let store = driver.open(&url, &mut options).await?;
        options.finish()?;
        Ok(Opened { store, database })
    }
}
