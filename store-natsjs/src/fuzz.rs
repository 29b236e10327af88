//! The decoders of this crate, for fuzz targets. Not part of the interface.

use store_core::Key;

use crate::{base32, envelope, keys};

/// Table and key of a record's tokens in the layout `Native`.
pub fn decode_key(tokens: &str) -> Option<(String, String)> {
    keys::decode(tokens)
}

/// The tokens of a record in the layout `Native`.
pub fn encode_key(table: &str, key: Key<'_>) -> String {
    keys::encode(table, key.as_str())
}

/// The bytes behind a key in base32.
pub fn decode_base32(text: &str) -> Option<Vec<u8>> {
    base32::decode(text)
}

/// Bytes as a key in base32.
pub fn encode_base32(bytes: &[u8]) -> String {
    base32::encode(bytes)
}

/// Reads an envelope of Go-Micro and writes what it held.
pub fn envelope_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let held = envelope::decode(bytes).ok()?;
    let metadata = held.metadata.as_ref().map(|map| map.iter().map(|(name, v)| (&**name, v)));
    Some(envelope::encode(&held.key, held.data.as_deref(), metadata))
}
