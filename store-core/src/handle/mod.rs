//! **For applications.** The handles: [`Database`], [`Table`] and, for those who may, [`Admin`].
//!
//! Handles are cheap to clone and safe to share. Each verb of a table returns a builder that does nothing until awaited.

mod admin;
mod batch;
mod database;
mod listing;
mod reply;
mod table;
mod update;
mod verbs;
mod watch;

pub use admin::Admin;
pub use batch::Batch;
pub use database::Database;
pub use listing::{List, Listing, Scan};
pub use reply::Reply;
pub use table::Table;
pub use update::{Change, Updated};
pub use verbs::{Delete, Increment, Read, ReadValue, SetExpiry, Write};
pub use watch::Watch;
