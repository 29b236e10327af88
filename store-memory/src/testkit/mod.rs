//! For tests of code that uses a store: time that moves when told, and calls that go wrong as told.

mod clock;
mod faults;

pub use clock::ManualClock;
pub use faults::{Fault, Faults};
