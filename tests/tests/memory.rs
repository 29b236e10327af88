//! The conformance suite on the memory driver.

store_core::conformance_suite!(tests::memory::MemoryTarget);
