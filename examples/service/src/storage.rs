use std::sync::Arc;

use store_core::{Error, Result, Store};
use store_memory::Memory;

/// The store of a URL: the one place that knows which drivers are linked.
pub(crate) fn open(url: &str) -> Result<Arc<dyn Store>> {
    match url {
        "memory://" => Ok(Arc::new(Memory::new())),
        _ => Err(Error::config("unknown STORE_URL; known: memory://")),
    }
}
