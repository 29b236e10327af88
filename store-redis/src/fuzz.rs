//! The decoders of this crate, for fuzz targets. Not part of the interface.

use store_core::{Key, Record, Result};

use crate::table::meta;
use crate::{plain, table};

/// A record from its entry in the layout `table`.
///
/// # Errors
/// `Corrupt` for an entry that this layout does not write.
pub fn record(key: Key<'_>, value: &[u8], entry: &[u8]) -> Result<Record> {
    meta::record(key, value.to_vec(), Some(entry))
}

/// An entry of a changelog in the layout `table`, from its number and its fields: whether it was understood.
///
/// # Errors
/// `Corrupt` for what this layout does not write.
pub fn change(id: &[u8], fields: &[&[u8]]) -> Result<()> {
    table::fuzz_change(id, fields)
}

/// A database's version from its entry in the layout `table`.
///
/// # Errors
/// `Corrupt` for an entry that this layout does not write.
pub fn database(entry: &[u8]) -> Result<u64> {
    table::fuzz_database(entry)
}

/// Where a listing of the layout `plain` goes on, from what its cursor holds to what it is written as.
///
/// # Errors
/// `InvalidArgument` for what is no such place.
pub fn place(bytes: &[u8]) -> Result<Vec<u8>> {
    plain::fuzz_place(bytes)
}
