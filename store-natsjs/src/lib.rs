//! The NATS JetStream driver: a database is a key-value bucket.

mod acked;
mod admin;
mod base32;
mod builder;
mod counter;
mod driver;
mod envelope;
mod keys;
mod layout;
mod list;
mod many;
mod reaper;
mod server;
mod settings;
mod shared;
mod store;
mod table;
mod watch;
mod wire;
mod write;

pub use builder::{Builder, Credentials};
pub use driver::driver;
pub use layout::Layout;
pub use store::Nats;

#[doc(no_inline)]
pub use async_nats;

/// The driver's name in errors.
pub const DRIVER: &str = "nats";
