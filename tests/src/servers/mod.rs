//! Real servers as child processes.

pub mod nats;
