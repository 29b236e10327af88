//! The conformance suite on a real Redis or Valkey server.

store_core::conformance_suite!(tests::redis::RedisTarget::start());
