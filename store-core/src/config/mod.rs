//! Configuration: a store from a URL, a file, the environment or a builder, whichever driver it is.
//!
//! A [`Registry`] holds the [`Driver`]s that a program was built with. A [`Config`] says which store is wanted and what is put around
//! it; it comes from serde, from [the environment](Config::from_env), or from a [`StoreBuilder`]. Often a URL is enough:
//!
//! ```
//! # use std::sync::Arc;
//! # use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
//! # #[derive(Debug)] struct Memory;
//! # #[store_core::async_trait]
//! # impl Driver for Memory {
//! #     fn name(&self) -> &'static str { "memory" }
//! #     fn schemes(&self) -> &'static [&'static str] { &["memory"] }
//! #     fn options(&self) -> &'static [OptionSpec] { &[] }
//! #     async fn open(&self, _: &StoreUrl, o: &mut Options) -> store_core::Result<Arc<dyn store_core::StoreAdmin>> {
//! #         o.finish()?;
//! #         Ok(Arc::new(store_memory::Memory::new()))
//! #     }
//! # }
//! # let memory = Memory;
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(async {
//! use store_core::config::Registry;
//!
//! let registry = Registry::new().with(memory);
//! let opened = registry.open("memory:///app?timeout=2s&retries=3").await?;
//! opened.handle()?.table("users")?.write("ada", "lovelace").await?;
//!
//! let error = registry.open("memory:///app?timout=2s").await.unwrap_err();
//! assert!(error.message().starts_with("no option `timout`; did you mean `timeout`?"));
//! # Ok::<(), store_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # Common options
//!
//! In the URL of every driver, as fields of a [`Config`], and as variables such as `STORE_TIMEOUT`:
//!
//! | option | value | |
//! |---|---|---|
//! | `database` | name | the database that [`Opened::handle`] is about; in a URL also its path |
//! | `timeout` | duration | the deadline of each attempt of a call, see [`Timeout`](crate::layer::Timeout) |
//! | `retries` | number | how often a call is made again, see [`Retry`](crate::layer::Retry); in a file `retry.attempts`, which counts the first one too |
//! | `trace` | on/off | [`Trace`](crate::layer::Trace) |
//! | `trace_keys` | on/off | with keys |
//! | `metrics` | on/off | [`Metrics`](crate::layer::Metrics), found in [`Opened::metrics`] |
//! | `read_only` | on/off | [`ReadOnly`](crate::layer::ReadOnly) |
//! | `prefix` | text | [`Prefix`](crate::layer::Prefix) |
//! | `max_value_len`, `max_key_len` | size | [`Limits`](crate::layer::Limits); in a file under `limits` |
//! | `max_items`, `max_page`, `max_concurrent_calls`, `max_calls_per_second` | number | the same |
//! | `max_wait` | duration | the same |
//!
//! Durations are humantime text (`250ms`, `1h30m`), sizes may have a unit (`64KiB`, `10MB`). What is unknown, malformed or given
//! twice is an error of kind [`Config`](crate::ErrorKind::Config) before anything is opened; it names the option and shows no value.

pub mod duration;
pub mod size;

mod builder;
mod driver;
mod env;
mod nearest;
mod opened;
mod options;
mod registry;
mod settings;
mod url;

pub use builder::StoreBuilder;
pub use driver::{Driver, OptionSpec};
pub use opened::Opened;
pub use options::Options;
pub use registry::Registry;
pub use settings::{Config, LimitsConfig, RetryConfig};
pub use url::{Host, StoreUrl};
