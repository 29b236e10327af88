//! The memory driver as a target of the conformance suite, with a clock that moves when told.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use store_core::conformance::{Fixture, Target, Time};
use store_core::{Capability, Feature, Result, async_trait};
use store_memory::Memory;
use store_memory::testkit::ManualClock;

/// A fresh store and clock for each case.
#[derive(Clone, Copy, Debug)]
pub struct MemoryTarget;

#[async_trait]
impl Target for MemoryTarget {
    fn name(&self) -> String {
        "memory".into()
    }

    fn capability(&self) -> Capability {
        Capability::all().without(Feature::Shared)
    }

    async fn open(&self) -> Result<Fixture> {
        let clock = ManualClock::new();
        let store = Memory::builder().clock(clock.clone()).build();
        Ok(Fixture::new(Arc::new(store)).with_time(Moved(clock)))
    }
}

struct Moved(ManualClock);

#[async_trait]
impl Time for Moved {
    fn is_movable(&self) -> bool {
        true
    }

    fn now(&self) -> SystemTime {
        self.0.system_time()
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by);
    }
}

/// The memory driver by the system's clock, where time has to be waited for.
#[derive(Clone, Copy, Debug)]
pub struct RealTimeMemory;

#[async_trait]
impl Target for RealTimeMemory {
    fn name(&self) -> String {
        "memory".into()
    }

    fn layout(&self) -> String {
        "real time".into()
    }

    fn capability(&self) -> Capability {
        MemoryTarget.capability()
    }

    async fn open(&self) -> Result<Fixture> {
        Ok(Fixture::new(Arc::new(Memory::new())))
    }
}
