//! Real servers as child processes.

#![expect(clippy::unwrap_used, reason = "a test cannot go on without its server")]

pub mod nats;
#[cfg(feature = "suites")]
pub mod nats_proxy;
pub mod port;
#[cfg(feature = "suites")]
pub mod proxy;
#[cfg(feature = "suites")]
pub mod redis;
#[cfg(feature = "suites")]
pub mod redis_cluster;
#[cfg(feature = "suites")]
pub mod redis_sentinel;
