use std::fmt;
use std::sync::Arc;

use crate::config::{Driver, nearest};
use crate::error::{Error, Result};

/// The drivers that URLs may name: registered by hand, so that what is linked is what is written.
///
/// ```
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use store_core::config::Registry;
///
/// let registry = Registry::new();
/// let error = registry.open("redis://localhost").await.unwrap_err();
/// assert_eq!(error.message(), "no driver for `redis://`; there are none");
/// # });
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    drivers: Vec<Arc<dyn Driver>>,
}

impl Registry {
    /// No drivers.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a driver; of two for one scheme, the later one opens it.
    pub fn with(mut self, driver: impl Driver) -> Self {
        self.drivers.push(Arc::new(driver));
        self
    }

    /// The drivers, in the order they were registered.
    pub fn drivers(&self) -> impl Iterator<Item = &dyn Driver> {
        self.drivers.iter().map(|driver| &**driver)
    }

    /// The schemes that can be opened, sorted.
    pub fn schemes(&self) -> Vec<&'static str> {
        let mut schemes: Vec<_> =
            self.drivers().flat_map(|driver| driver.schemes().iter().copied()).collect();
        schemes.sort_unstable();
        schemes.dedup();
        schemes
    }

    /// The driver of a scheme.
    pub(crate) fn find(&self, scheme: &str) -> Result<&dyn Driver> {
        self.drivers
            .iter()
            .rev()
            .find(|driver| driver.schemes().contains(&scheme))
            .map(|driver| &**driver)
            .ok_or_else(|| {
                let hint = nearest::hint("", scheme, &self.schemes());
                Error::config(format!("no driver for `{scheme}://`{hint}"))
            })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registry").field(&self.schemes()).finish()
    }
}
