//! A little chance, so that those who met do not meet again at once.

use std::hash::{BuildHasher as _, RandomState};

/// A number in 0..1. Every new state hashes differently, from the process's own random seed.
pub(crate) fn chance() -> f64 {
    f64::from(RandomState::new().hash_one(0u8) as u32) / f64::from(u32::MAX)
}
