//! Real servers as child processes.

pub mod nats;
pub mod proxy;
