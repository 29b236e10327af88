//! What both forms of wasi:keyvalue@0.2.0-draft2 have beyond the first draft: text for cursors, signed sums, a compare-and-swap; and
//! the watcher.

use crate::Guest;
use crate::exports::guest::ops::cas_ops;
use crate::exports::wasi::keyvalue::watcher;
use crate::ops::text;
use crate::wasi::keyvalue::atomics;
use crate::wasi::keyvalue::store::{self, Bucket};

pub(crate) fn open(bucket: &str) -> Result<Bucket, String> {
    store::open(bucket).map_err(text)
}

pub(crate) fn page(bucket: &Bucket, cursor: Option<String>) -> Result<(Vec<String>, Option<String>), String> {
    let page = bucket.list_keys(cursor.as_deref()).map_err(text)?;
    Ok((page.keys, page.cursor))
}

pub(crate) fn add(bucket: &Bucket, key: &str, delta: i64) -> Result<String, String> {
    atomics::increment(bucket, key, delta).map(|sum| sum.to_string()).map_err(text)
}

impl watcher::Guest for Guest {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        bucket.set(&format!("seen:{key}"), &value).unwrap();
    }

    fn on_delete(bucket: Bucket, key: String) {
        bucket.delete(&format!("seen:{key}")).unwrap();
    }
}

impl cas_ops::Guest for Guest {
    fn race(
        bucket: String,
        key: String,
        between: Vec<u8>,
        value: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, String> {
        let bucket = open(&bucket)?;
        let cas = atomics::Cas::new(&bucket, &key).map_err(text)?;
        bucket.set(&key, &between).map_err(text)?;
        match atomics::swap(cas, &value) {
            Ok(()) => Err("the swap did not notice".to_owned()),
            Err(atomics::CasError::StoreError(error)) => Err(text(error)),
            Err(atomics::CasError::CasFailed(fresh)) => {
                let found = fresh.current().map_err(text)?;
                atomics::swap(fresh, &value).map_err(|_| "the fresh one failed too".to_owned())?;
                Ok(found)
            }
        }
    }
}
