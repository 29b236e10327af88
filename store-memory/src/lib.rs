//! The embedded store: ordered, expiring, watchable records in memory.
