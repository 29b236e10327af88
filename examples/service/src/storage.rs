use std::time::Duration;

use store_core::config::{Config, Opened, Registry, RetryConfig, StoreBuilder};
use store_core::{Database, Result};

/// Opens the store that the environment names, in memory unless it says otherwise. The one place that knows which drivers are linked:
/// to allow one more, add it to the registry.
pub(crate) async fn open() -> Result<(Opened, Database)> {
    let drivers = Registry::new()
        .with(store_memory::driver())
        .with(store_redis::driver())
        .with(store_natsjs::driver());
    let opened = StoreBuilder::from(Config::from_env("STORE_")?)
        .or(StoreBuilder::new("memory://")
            .timeout(Duration::from_secs(2))
            .retry(RetryConfig::attempts(3))
            .trace(true)
            .metrics(true))
        .open(&drivers)
        .await?;
    let database = match &opened.database {
        Some(name) => opened.store.database(name)?,
        None => opened.store.database("service")?,
    };
    Ok((opened, database))
}
