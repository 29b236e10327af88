//! What the suites and benchmarks of this crate share.

pub mod servers;
