//! One key-value store with database / table / record semantics over NATS JetStream, Redis and memory.
//!
//! A store holds databases, a database holds tables, a table holds records: a key, a value, and perhaps metadata and an expiry. Every
//! driver keeps the contract that [`Store`] writes down, or says in its [`Capability`] what it cannot do and refuses it.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use store_core::{Change, ErrorKind, Store};
//!
//! # #[tokio::main]
//! # async fn main() -> store_core::Result<()> {
//! let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new()); // or any other driver
//! let users = store.database("app")?.table("users")?;
//!
//! let first = users.write("ada", "Ada").ttl(Duration::from_secs(3600)).if_absent().await?;
//! users.update("ada", |_| Change::write("Ada Lovelace")).await?;
//! let stale = users.delete("ada").if_revision(first.revision.unwrap()).await.unwrap_err();
//! assert_eq!(stale.kind(), ErrorKind::Conflict);
//! assert_eq!(users.list().prefix("a").await?, ["ada"]);
//! assert_eq!(users.increment("visits", 1).await?.value, 1);
//! # Ok(())
//! # }
//! ```
//!
//! | module | for |
//! |---|---|
//! | [`handle`] | applications: [`Database`] and [`Table`], one builder for each verb |
//! | [`typed`] | applications: tables of serde types, keys that keep their order |
//! | [`config`] | opening a store by URL, environment or configuration file |
//! | [`layer`] | what goes around any store: timeout, retry, tracing, metrics, limits, prefix, read-only |
//! | [`micro`] | code that comes from Go-Micro: its calls, one for one |
//! | [`store`], [`options`], [`record`], [`error`] | drivers: the contract and what passes through it |
//! | `conformance` | drivers: the suite that proves it, behind the feature of that name |
//!
//! Features: `bincode` (the codec `typed::Bincode`), `conformance`. There is no network client below this crate.

pub mod admin;
pub mod call;
pub mod capability;
mod chance;
pub mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod cursor;
pub mod error;
pub mod handle;
pub mod layer;
pub mod micro;
pub mod name;
pub mod options;
pub mod record;
pub mod revision;
mod shown;
pub mod store;
pub mod time;
pub mod typed;

pub use admin::{DatabaseConfig, DatabaseStatus, Storage, WhenFull};
pub use call::{Call, Operation};
pub use capability::{Capability, Feature};
pub use cursor::{Cursor, stable_hash};
pub use error::{Error, ErrorKind, Outcome, Result};
pub use handle::{Admin, Change, Database, Table, Updated};
pub use name::{Key, MAX_DATABASE_LEN, MAX_KEY_LEN, MAX_TABLE_LEN, Name, Namespace};
pub use options::{
    Condition, Consistency, Counter, Deleted, Event, Expiry, Gone, ListOptions, Op, Order, Page,
    Put, ReadOptions, Remove, Scope, Start, U64Page, WatchOptions, Written,
};
pub use record::{MAX_METADATA_LEN, Metadata, Record, RecordBuilder, Value};
pub use revision::Revision;
pub use shown::Shown;
pub use store::{EventStream, Immediate, Store, StoreAdmin};
pub use time::{Clock, SystemClock, Timestamp};
pub use typed::TypedTable;

#[doc(no_inline)]
pub use async_trait::async_trait;
#[doc(no_inline)]
pub use bytes::Bytes;
