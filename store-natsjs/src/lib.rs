//! The NATS JetStream driver: a database is a key-value bucket, the stream `KV_<database>`.
//!
//! [`Nats`] implements [`store_core::Store`] and [`StoreAdmin`](store_core::StoreAdmin). Open one by URL through [`driver()`], or
//! with [`Nats::builder`]. [`Layout`] says how records are written: `Native` has every feature; the others share a bucket with
//! Go-Micro's store or with plain key-value clients.
//!
//! What a bucket holds, what works on which server, and every option are in `docs/nats.md`.
//!
//! async-nats carries the connection, requests and subscriptions; the key-value protocol is here:
//!
//! | module | one idea |
//! |---|---|
//! | `wire` | requests over one reply subscription, JetStream's API, stored messages, ordered consumers |
//! | `keys`, `layout`, `envelope` | how a record is written |
//! | `settings`, `server`, `temporary` | what a bucket is like, what a server can do, and where it keeps its data |
//! | `shared`, `table` | buckets as they are known, and one call on one of them |
//! | `names` | the names of large tables, for the next page |
//! | `together` | concurrent reads leave in one request |
//! | `acked` | reading back one's own writes from copies that are behind |
//! | `resume` | whether a watch can go on after a revision |
//! | `publish` | messages that are stored once, whatever happens to their answers |
//! | `write`, `reaper` | writes, deletes and ends that survive a crash |
//! | `bucket` | what a key-value client can do beyond the contract |
//! | `import` | bulk loads |
//! | `list`, `gather`, `any_order` | listings in byte order, what they go through, and those in any order |
//! | `counter`, `many`, `history`, `watch`, `admin` | the other calls that are more than one message |

mod acked;
mod admin;
mod any_order;
mod base32;
mod bucket;
mod builder;
mod counter;
mod credentials;
mod driver;
mod envelope;
#[doc(hidden)]
pub mod fuzz;
mod gather;
mod history;
mod import;
mod keys;
mod layout;
mod list;
mod many;
mod names;
mod publish;
mod reaper;
mod resume;
mod server;
mod settings;
mod shared;
mod store;
mod table;
mod temporary;
mod tls;
mod together;
mod watch;
mod wire;
mod write;

pub use bucket::{
    Access, Bucket, BucketStatus, Change, Compact, Compacted, Entry, Kept, LiveMap, MapOptions,
    Notice, Operation, Origin, Upstream, Watch, Watcher,
};
pub use builder::Builder;
pub use credentials::Credentials;
pub use driver::driver;
pub use import::Imported;
pub use layout::Layout;
pub use store::Nats;

#[doc(no_inline)]
pub use async_nats;

#[doc = include_str!("../OPTIONS.md")]
pub mod options {}

/// The driver's name in errors.
pub const DRIVER: &str = "nats";
