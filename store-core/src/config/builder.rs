use std::sync::Arc;
use std::time::Duration;

use crate::admin::DatabaseConfig;
use crate::config::{Config, LimitsConfig, Opened, Registry, RetryConfig};
use crate::error::{Error, Result};
use crate::handle::Admin;
use crate::layer::{Layer, Metrics};
use crate::name::Name;
use crate::store::StoreAdmin;

/// Opens a store as a program says, on top of a [`Config`] or of nothing.
///
/// ```no_run
/// # async fn example() -> store_core::Result<()> {
/// use std::time::Duration;
/// use store_core::config::{Config, Registry, RetryConfig, StoreBuilder};
/// use store_core::DatabaseConfig;
///
/// let registry = Registry::new(); // .with(store_memory::driver()) and others
/// let opened = StoreBuilder::from(Config::from_env("STORE_")?)
///     .or(StoreBuilder::new("memory:///app").timeout(Duration::from_secs(2)))
///     .retry(RetryConfig::attempts(3))
///     .create("app", DatabaseConfig::new().with_history(5))
///     .open(&registry)
///     .await?;
/// let users = opened.handle()?.table("users")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is opened before `open`"]
pub struct StoreBuilder {
    config: Config,
    defaults: Config,
    own: Vec<Arc<dyn Layer>>,
}

impl From<Config> for StoreBuilder {
    fn from(config: Config) -> Self {
        Self { config, ..Self::default() }
    }
}

impl StoreBuilder {
    /// From this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Config { url: Some(url.into()), ..Config::default() }.into()
    }

    /// What holds where neither this nor the URL says anything: an application's own defaults below what its environment sets. The
    /// driver's [options](Self::option) go with the URL: those of the defaults count only if their URL does. Own
    /// [layers](Self::layer) are added.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// use std::time::Duration;
    /// use store_core::config::{Config, Registry, StoreBuilder};
    ///
    /// let environment = [("STORE_URL", "memory:///app?timeout=1s")];
    /// let opened = StoreBuilder::from(Config::from_vars("STORE_", environment)?)
    ///     .or(StoreBuilder::new("redis://localhost").timeout(Duration::from_secs(2)))
    ///     .open(&Registry::new().with(store_memory::driver()))
    ///     .await?;
    /// assert_eq!(opened.store.driver(), "memory");
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn or(mut self, defaults: impl Into<Self>) -> Self {
        let defaults = defaults.into();
        self.defaults = self.defaults.or(defaults.config).or(defaults.defaults);
        self.own.extend(defaults.own);
        self
    }

    /// Sets [`Config::database`].
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.config.database = Some(database.into());
        self
    }

    /// Sets an option of the driver.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.options.insert(name.into(), value.into());
        self
    }

    /// Sets [`Config::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = Some(timeout);
        self
    }

    /// Sets [`Config::retry`].
    pub fn retry(mut self, retry: RetryConfig) -> Self {
        self.config.retry = Some(retry);
        self
    }

    /// Sets [`Config::trace`].
    pub fn trace(mut self, on: bool) -> Self {
        self.config.trace = Some(on);
        self
    }

    /// Sets [`Config::metrics`].
    pub fn metrics(mut self, on: bool) -> Self {
        self.config.metrics = Some(on);
        self
    }

    /// Sets [`Config::read_only`].
    pub fn read_only(mut self, on: bool) -> Self {
        self.config.read_only = Some(on);
        self
    }

    /// Sets [`Config::prefix`].
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.config.prefix = Some(prefix.into());
        self
    }

    /// Sets [`Config::limits`].
    pub fn limits(mut self, limits: LimitsConfig) -> Self {
        self.config.limits = Some(limits);
        self
    }

    /// Adds a database to create if it does not exist.
    pub fn create(mut self, name: impl Into<String>, config: DatabaseConfig) -> Self {
        self.config.databases.insert(name.into(), config);
        self
    }

    /// Adds a layer of one's own, where [`Layers::layer`](crate::layer::Layers::layer) puts it.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.own.push(Arc::new(layer));
        self
    }

    /// Opens the store, puts the layers around it, and creates the databases.
    ///
    /// # Errors
    /// `Config` for what is wrong with the configuration, before anything is opened; otherwise why the backend cannot be reached
    /// or does not create a database: then the store is closed again.
    pub async fn open(self, registry: &Registry) -> Result<Opened> {
        let Self { mut config, defaults, own } = self;
        config.or_url(&defaults);
        let url = config.url.as_deref().ok_or_else(|| Error::config("no URL is set"))?;
        let url: crate::config::StoreUrl = url.parse()?;
        let driver = registry.find(url.scheme())?;
        let mut options = url.options().clone();
        for (name, value) in std::mem::take(&mut config.options) {
            options.insert(name, value)?;
        }
        config.take_common(&mut options)?;
        if driver.path_is_database(url.scheme()) {
            config.take_path(url.path())?;
        }
        let mut config = config.or(defaults);
        options.check(driver.options().iter().map(|option| option.name))?;
        let mut layers = config.layers()?;
        for layer in own {
            layers = layers.shared_layer(layer);
        }
        let metrics = (config.metrics == Some(true)).then(Metrics::new);
        if let Some(metrics) = &metrics {
            layers = layers.metrics(metrics.clone());
        }
        let database = config.database.as_ref().map(|name| database_name(name)).transpose()?;
        let create = config.take_databases()?;
        let store = layers.wrap(driver.open(&url, &mut options).await?);
        let made = match options.finish() {
            Ok(()) => create_all(&store, &create).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => Ok(Opened { store, database, metrics }),
            Err(error) => {
                // What is wrong is worth more than how the closing went.
                let _ = store.close().await;
                Err(error)
            }
        }
    }
}

async fn create_all(store: &Arc<dyn StoreAdmin>, all: &[(Name, DatabaseConfig)]) -> Result<()> {
    let admin = Admin::new(Arc::clone(store));
    for (name, config) in all {
        admin.create(name, config).await?;
    }
    Ok(())
}

fn database_name(name: &str) -> Result<Name> {
    Name::new(name).map_err(|e| Error::config(e.message().to_owned()))
}

impl Config {
    /// Opens it as it is; [`StoreBuilder`] can add to it.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`].
    pub async fn open(self, registry: &Registry) -> Result<Opened> {
        StoreBuilder::from(self).open(registry).await
    }

    /// The database that a URL's path names.
    fn take_path(&mut self, path: &str) -> Result<()> {
        let name = path.strip_prefix('/').unwrap_or(path);
        if name.is_empty() {
            return Ok(());
        }
        if self.database.replace(name.to_owned()).is_some() {
            return Err(Error::config(
                "`database` is given twice: in the URL's path and beside it",
            ));
        }
        Ok(())
    }

    fn take_databases(&mut self) -> Result<Vec<(Name, DatabaseConfig)>> {
        if self.read_only == Some(true) && !self.databases.is_empty() {
            return Err(Error::config("`databases` cannot be created with `read_only`"));
        }
        std::mem::take(&mut self.databases)
            .into_iter()
            .map(|(name, config)| Ok((database_name(&name)?, config)))
            .collect()
    }
}
