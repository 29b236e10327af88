//! The backends that this program was built with: one line each.

use store_core::config::Registry;

/// Every driver that is linked.
pub fn drivers() -> Registry {
    Registry::new()
        .with(store_memory::driver())
        .with(store_natsjs::driver())
        .with(store_redis::driver())
}
