//! The embedded store: ordered, expiring, watchable records in memory. No network, no files.
//!
//! [`Memory`] is the default of services and their tests, and the reference of the contract in [`store_core`]: every feature, none
//! refused. It is as durable as the process.
//!
//! A database may be bounded (`max_records`, `max_bytes`). When it is full it refuses what grows, or evicts what was written
//! longest ago (`when_full`); reads do not count, and what is evicted is an event of the watch.

mod builder;
mod core;
mod database;
mod driver;
mod eviction;
mod feed;
mod index;
mod reaper;
mod shard;
mod store;
mod table;
pub mod testkit;
mod watch;

pub use builder::Builder;
pub use driver::driver;
#[doc(hidden)]
pub use store::Bare;
pub use store::Memory;

/// The driver's name in errors and URLs.
pub const DRIVER: &str = "memory";
