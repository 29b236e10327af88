//! Configuration: a store from a URL, a file, the environment or a builder.

pub mod duration;
pub mod size;

mod driver;
mod nearest;
mod opened;
mod options;
mod registry;
mod url;

pub use driver::{Driver, OptionSpec};
pub use opened::Opened;
pub use options::Options;
pub use registry::Registry;
pub use url::{Host, StoreUrl};
