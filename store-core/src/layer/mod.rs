//! Layers: stores around stores that keep the whole contract.
//!
//! | layer | what it does |
//! |---|---|
//! | [`Trace`] | a [`tracing`] span and event for each call |
//! | [`Metrics`] | counters and latencies, to read or for Prometheus |
//! | [`ReadOnly`] | refuses every change |
//! | [`Retry`] | makes calls again that failed for a passing reason, where that is safe |
//! | [`Timeout`] | a deadline for every call |
//! | [`Limits`] | bounds on sizes, calls at a time and calls a second |
//! | [`Prefix`] | shows only the records under a key prefix, without it |
//!
//! [`Layers`] puts them around a store in the right order, `Arc<dyn Store>` and `Arc<dyn StoreAdmin>` alike. All but [`Prefix`] are
//! an [`Around`], which is also how to write one's own.

mod around;
mod layered;
mod layers;
mod limits;
pub mod metrics;
mod pause;
mod prefix;
mod read_only;
mod retry;
mod timeout;
mod trace;

pub use around::{Answer, Around, Items, Payload, Run};
pub use layered::Layered;
pub use layers::{Layer, Layers, Wrap};
pub use limits::Limits;
pub use metrics::Metrics;
pub use prefix::Prefix;
pub use read_only::ReadOnly;
pub use retry::Retry;
pub use timeout::Timeout;
pub use trace::Trace;
