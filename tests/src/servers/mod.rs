//! Real servers as child processes.

pub mod nats;
pub mod nats_proxy;
