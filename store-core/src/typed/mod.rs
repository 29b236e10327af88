//! Typed tables: serde values through a codec, and keys that sort like the values they stand for.
