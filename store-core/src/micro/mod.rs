//! Go-Micro's store calls, one for one, over any store: for code ported from Go.
//!
//! The calls, the options and the meaning are those of Go-Micro's `store` package; its drivers' bugs are not. New code is better off
//! with a [`Table`](crate::Table): it has revisions, conditions, watches and no copies.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use store_core::micro::{self, list_prefix, read_from, read_limit, read_prefix, write_to, write_ttl};
//! use store_core::{ErrorKind, StoreAdmin};
//!
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let backend: Arc<dyn StoreAdmin> = Arc::new(store_memory::Memory::new());
//! let store = micro::Store::new(backend, [micro::table("users")]);
//! store.init([]).await?;
//!
//! // store.Write(&store.Record{Key: "ada", Value: []byte("1")})
//! store.write(&micro::Record::new("ada", "1"), []).await?;
//! // store.Write(record, store.WriteTo("app", "sessions"), store.WriteTTL(time.Minute))
//! let session = micro::Record::encode("s/1", &("ada", 7))?;
//! store.write(&session, [write_to("app", "sessions"), write_ttl(Duration::from_secs(60))]).await?;
//!
//! // store.Read("s/", store.ReadFrom("app", "sessions"), store.ReadPrefix(), store.ReadLimit(5))
//! let found = store.read("s/", [read_from("app", "sessions"), read_prefix(), read_limit(5)]).await?;
//! assert_eq!(found[0].decode::<(String, u32)>()?, ("ada".to_string(), 7));
//! assert!(found[0].expiry > Duration::from_secs(50), "what is left of it");
//!
//! assert_eq!(store.list([list_prefix("a")]).await?, ["ada"]);
//! store.delete("ada", []).await?;
//! assert_eq!(store.read("ada", []).await.unwrap_err().kind(), ErrorKind::NotFound);
//! # Ok::<(), store_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What the calls mean
//!
//! * **Read** of an exact key returns one record, or [`NotFound`](crate::ErrorKind::NotFound). With [`read_prefix`] or
//!   [`read_suffix`] the key is the pattern, with both it is both (and they may overlap); no match is an empty list. Records come in
//!   the order of their keys. Filters apply first, then the offset, then the limit; a limit of 0 is none, an offset past the end
//!   leaves nothing, of an exact read too. A record that the driver cannot decode is left out, with a warning in the log.
//! * **Write** replaces the record. Its life is that of [`write_ttl`], else of [`write_expiry`], else [`Record::expiry`], else the
//!   database's default. 0 is not set. An instant that has passed means expired at once: the record is then absent, as if it had
//!   expired. A store has no expired records, so it is made so by deleting it; watchers see a delete.
//! * **Delete** of what is absent is fine. With [`delete_bucket`] the key names a database, which is destroyed; see there.
//! * **Database and table**: what a call says, or where it says `""` the store's default; where that is `""` too, the database
//!   [`DEFAULT_DATABASE`] and the database's root table. Databases appear with the first write.
//! * **`Record.expiry`** is, on read, what is left of its life; 0 is for ever.
//! * **Init** adds options to those that the store has and asks the backend whether it serves. It need not be called, and can be
//!   called again. **Close** closes the backend; then every call fails with [`Closed`](crate::ErrorKind::Closed).
//! * **[Scope](Store::scope)** is a store that cannot leave its database and table.
//!
//! A decision for each row of Go-Micro's own tests is in `docs/micro.md` of the repository; the rows that apply run on every driver,
//! as part of the conformance suite.

// The code in the page is tested here; the page itself is not part of the package.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/micro.md")]
struct Page;

#[cfg(feature = "conformance")]
pub mod conformance;
mod gather;
mod options;
mod record;
mod store;

pub use options::{
    DeleteOption, ListOption, Options, ReadOption, StoreOption, WriteOption, database,
    delete_bucket, delete_from, list_from, list_limit, list_offset, list_prefix, list_suffix,
    nodes, read_from, read_limit, read_offset, read_prefix, read_suffix, table, write_expiry,
    write_to, write_ttl,
};
pub use record::Record;
pub use store::Store;

/// The database of a store that was given none: that of Go-Micro's NATS store.
pub const DEFAULT_DATABASE: &str = "default";
