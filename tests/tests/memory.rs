//! The conformance suite on the memory driver: by a clock that is moved, and by the system's.

store_core::conformance_suite!(tests::memory::MemoryTarget);

mod in_real_time {
    store_core::conformance_suite!(tests::memory::RealTimeMemory);
}
