//! Stores that are broken in one way each: what the conformance suite must find.

mod batches;
mod claims;
mod counters;
mod databases;
mod expiry;
mod forward;
mod kinds;
mod less;
mod lists;
mod reads;
mod session;
mod target;
mod values;
mod watches;
mod writes;

pub use forward::{Broken, Wrapper};
pub use kinds::{MUTANTS, Mutant};
pub use less::Less;
pub use session::SharedTarget;
pub use target::MutantTarget;
