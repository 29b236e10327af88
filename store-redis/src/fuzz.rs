//! The decoders of this crate, for fuzz targets. Not part of the interface.

use store_core::{Key, Record, Result};

use crate::table::meta;

/// A record from its entry in the layout `table`.
///
/// # Errors
/// `Corrupt` for an entry that this layout does not write.
pub fn record(key: Key<'_>, value: &[u8], entry: &[u8]) -> Result<Record> {
    meta::record(key, value.to_vec(), Some(entry))
}
