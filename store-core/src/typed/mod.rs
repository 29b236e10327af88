//! Typed tables: serde values through a codec, and keys that sort like the values they stand for.
//!
//! A [`TypedTable`] is a view of a [`Table`](crate::Table): the same records, the same verbs, the same errors. It adds two steps:
//! a [`Codec`] between values and bytes ([`Json`], or `Bincode` with the crate's feature of that name), and a [`TableKey`] between
//! keys and text. Neither leaves a mark in the store: what a typed table wrote, an untyped one and other clients read.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use serde::{Deserialize, Serialize};
//! use store_core::Store;
//! use store_core::typed::Change;
//!
//! #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! struct Profile { name: String, visits: u32 }
//!
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
//! let profiles = store.database("app")?.table("profiles")?.typed::<Profile>().with_keys::<(u32, String)>();
//!
//! let ada = Profile { name: "Ada".into(), visits: 1 };
//! profiles.write(&(7, "ada"), &ada).ttl(Duration::from_secs(60)).if_absent().await?;
//! profiles.update(&(7, "ada"), |old| match old {
//!     Some(profile) => Change::write(Profile { visits: profile.visits + 1, ..profile.clone() }),
//!     None => Change::Nothing,
//! }).await?;
//!
//! let entry = profiles.read(&(7, "ada")).await?.expect("just written");
//! assert_eq!(entry.value.visits, 2);
//! assert!(entry.ttl().is_some(), "an update keeps the expiry");
//!
//! // The keys of one group, in order; on every driver without looking at the others where it can.
//! assert_eq!(profiles.list_under(&(7,)).await?, [(7, "ada".to_string())]);
//! assert_eq!(profiles.table().list().await?, ["0000000007.ada"]);
//! # Ok::<(), store_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Keys
//!
//! A key is the text of its components, joined by dots. It sorts, by bytes, like the tuple of values; two keys never have the same
//! text; and only the text that a key has is read back, anything else is [`Corrupt`](crate::ErrorKind::Corrupt).
//!
//! | component | text | example |
//! |---|---|---|
//! | `String`, `char` | itself | `ada` |
//! | `u8` to `u128` | decimal, padded with zeros to the width of the type's maximum: 3, 5, 10, 20, 39 digits | 7 as `u32`: `0000000007` |
//! | `i8` to `i128`, 0 and more | the same, of 3, 5, 10, 19, 39 digits | 42 as `i32`: `0000000042` |
//! | `i8` to `i128`, below 0 | `-`, then each digit subtracted from 9 | -1 as `i32`: `-9999999998` |
//! | `bool` | `false`, `true` | `true` |
//! | [`Timestamp`](crate::Timestamp) | RFC 3339 in UTC with milliseconds | `2026-11-20T12:00:00.123Z` |
//! | [`SystemTime`](std::time::SystemTime), 1970 to 9999 | the same with nanoseconds | `2026-11-20T12:00:00.123000400Z` |
//!
//! The last component is written as it is, so a key that is only a `String` is just that string. In each component before it, the
//! characters below `0` (controls, space and `!"#$%&'()*+,-./`) become `/` and two hexadecimal digits:
//!
//! | key | text |
//! |---|---|
//! | `(7u32, "ada")` | `0000000007.ada` |
//! | `("a-b", "c-d.e")` | `a/2Db.c-d.e` |
//! | `("a.b/c", 1u8, "\0 é", 2u8)` | `a/2Eb/2Fc.001./00/20é.002` |
//! | `(-1i8, true, 'x')` | `/2D998.true.x` |
//! | `("", "")` | `.` |
//!
//! Because each component ends in a dot and every other byte of it is greater, [`under`](Listing::under) a shorter tuple lists just
//! its keys, and the NATS driver, whose server splits keys at dots, has the server filter them. There is no text for `usize` and
//! `isize`, whose width differs between machines. A change of a component's type changes its text: `u32` to `u64` is a new table.

mod batch;
#[cfg(feature = "bincode")]
mod bincode;
mod codec;
mod entry;
mod key;
mod listing;
mod table;
mod update;
mod verbs;

pub use batch::Batch;
#[cfg(feature = "bincode")]
pub use bincode::Bincode;
pub use codec::{Codec, Json};
pub use entry::{Entry, Event, EventStream};
pub use key::{KeyOf, KeyPart, PrefixOf, TableKey};
pub use listing::{List, Listing, Scan};
pub use table::TypedTable;
pub use update::Change;
pub use verbs::{Delete, Read, Watch, Write};
