//! Any [`Store`](store_core::Store) as `wasi:keyvalue`: what WebAssembly guests call a bucket, without any WebAssembly in it.
//!
//! [`Buckets`] decides what a guest may open: granted, not granted, or missing. [`Bucket`] does what the interfaces in the field ask
//! for, in plain Rust: values, batches, both kinds of cursor, counters within what the wire can carry, compare-and-swap, watching.
//! [`Pool`] shares connections and keeps trying where a backend is away. The faces on top are thin: the wasmCloud provider in this
//! crate (feature `wasmcloud`) and the wasmtime host in `provider-wasmtime`.
//!
//! ```
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! use provider::{Buckets, Error, Place};
//!
//! let buckets = Buckets::tables(Place::new(std::sync::Arc::new(store_memory::Memory::new()), store_core::Name::new("app")?)).grant(["default", "cache"]);
//! let cache = buckets.open("cache").await?;
//! cache.set("k", "v").await?;
//! assert_eq!(cache.get("k").await?.unwrap(), "v");
//! assert_eq!(buckets.open("default").await?.get("k").await?, None, "another bucket");
//! assert_eq!(buckets.open("secrets").await.unwrap_err(), Error::AccessDenied);
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```

mod backoff;
mod bucket;
mod buckets;
mod error;
mod limits;
mod place;
mod pool;
mod swap;
#[cfg(feature = "wasmcloud")]
pub mod wasmcloud;
mod watch;

pub use bucket::{Bucket, SetOptions};
pub use buckets::Buckets;
pub use error::{Error, Result};
pub use limits::Limits;
pub use place::{Create, Place};
pub use pool::{Connection, Pool};
pub use swap::{Cas, Entry, Expect, Swap};
pub use watch::{Change, Filter, Watching};
