//! The backends that this program was built with: one line each.

use std::sync::Arc;

use store_core::config::{Driver, OptionSpec, Options, Registry, StoreUrl};
use store_core::{Result, StoreAdmin, async_trait};
use store_memory::Memory;

/// Every driver that is linked.
pub fn drivers() -> Registry {
    Registry::new().with(Embedded)
}

/// The store in this process.
#[derive(Clone, Copy, Debug)]
struct Embedded;

#[async_trait]
impl Driver for Embedded {
    fn name(&self) -> &'static str {
        store_memory::DRIVER
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    async fn open(&self, _: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        options.finish()?;
        Ok(Arc::new(Memory::new()))
    }
}
