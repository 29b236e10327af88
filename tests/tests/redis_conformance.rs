//! The conformance suite on a real Redis or Valkey server, in both layouts.

mod table {
    store_core::conformance_suite!(tests::redis::RedisTarget::start());
}

mod plain {
    store_core::conformance_suite!(tests::redis::PlainTarget::start());
}
