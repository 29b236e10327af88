//! One key-value store with database / table / record semantics over NATS JetStream, Redis and memory.

pub mod admin;
pub mod call;
pub mod capability;
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
pub use store::{EventStream, Immediate, Store, StoreAdmin};
pub use time::{Clock, SystemClock, Timestamp};
pub use typed::TypedTable;

#[doc(no_inline)]
pub use async_trait::async_trait;
#[doc(no_inline)]
pub use bytes::Bytes;
