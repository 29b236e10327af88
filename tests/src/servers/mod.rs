//! Real servers as child processes.

#![expect(clippy::unwrap_used, reason = "a test cannot go on without its server")]

pub mod proxy;
pub mod redis;
