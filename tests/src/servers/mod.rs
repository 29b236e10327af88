//! Real servers as child processes.

#![expect(clippy::unwrap_used, reason = "a test cannot go on without its server")]

pub mod nats;
pub mod nats_proxy;
pub mod proxy;
pub mod redis;
pub mod redis_cluster;
pub mod redis_sentinel;
