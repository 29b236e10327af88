//! Configuration: durations, URLs, the registry of drivers, the environment.

pub mod duration;
