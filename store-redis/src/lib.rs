//! Ordered, revisioned, watchable records on Redis and Valkey, and plain layouts that other programs read.
//!
//! [`Redis`] keeps the contract of [`store_core`] on a Redis (6.2 or newer) or Valkey server. What is promised beyond what the
//! server itself keeps, which options there are, and how records lie in the server is in the project's `docs/redis.md`.
//!
//! Two layouts:
//!
//! * [`Layout::Table`], the default: each record's value is a plain string, and beside the records of a table lie an ordered index,
//!   metadata and revisions, expiries, and a log of changes while somebody watches. One script does each change, so all of these
//!   agree.
//! * [`Layout::Plain`]: nothing but the values, at keys made from a [`Template`]. Other programs read and write them: Go-Micro's
//!   Redis store, wasmCloud's key-value providers, `redis-cli`. What needs more than a value is declared absent and refused.

mod client;
mod cluster;
mod config;
mod connector;
mod driver;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod io;
mod link;
mod node;
mod outcome;
mod plain;
mod reply;
mod script;
mod sentinel;
mod store;
mod table;
mod template;
mod value;

pub use config::{Config, Deployment, Layout};
pub use driver::{RedisDriver, driver};
pub use store::Redis;
pub use template::Template;

/// The driver's name in errors and URLs.
pub const DRIVER: &str = "redis";
