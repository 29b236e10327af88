//! For tests of code that uses a store: time that moves when told.

mod clock;

pub use clock::ManualClock;
