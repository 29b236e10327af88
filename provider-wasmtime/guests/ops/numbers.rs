//! What wasi:keyvalue@0.2.0-draft counts with: numbers for cursors, and sums without a sign. Its batches answer as ours do.

use crate::ops::{Found, text};
use crate::wasi::keyvalue::atomics;
use crate::wasi::keyvalue::store::Bucket;

type Page = (Vec<String>, Option<String>);

pub(crate) fn page(bucket: &Bucket, cursor: Option<String>) -> Result<Page, String> {
    let cursor = cursor.map(|cursor| cursor.parse().map_err(|_| "the cursor is no number"));
    let page = bucket.list_keys(cursor.transpose()?).map_err(text)?;
    Ok((page.keys, page.cursor.map(|cursor| cursor.to_string())))
}

pub(crate) fn add(bucket: &Bucket, key: &str, delta: i64) -> Result<String, String> {
    atomics::increment(bucket, key, delta as u64).map(|sum| sum.to_string()).map_err(text)
}

pub(crate) fn found(found: Vec<Found>) -> Vec<Found> {
    found
}
