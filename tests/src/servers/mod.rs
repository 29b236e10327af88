//! Real servers as child processes.

pub mod proxy;
pub mod redis;
