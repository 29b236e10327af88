//! Any store inside any wasmtime host: `wasi:keyvalue` and `wasmcloud:keyvalue` for guests, over [`provider`]'s buckets.

mod ctx;
pub mod draft;
pub mod draft2;
pub mod spin;
pub mod wasmcloud;

pub use ctx::{KvCtx, KvView};
pub use provider;
