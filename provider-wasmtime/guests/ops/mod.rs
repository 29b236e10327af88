//! Every operation, for the guests of all drafts: their bindings have the same names, and what differs is theirs to say.

use crate::exports::guest::ops::ops;
use crate::wasi::keyvalue::batch;
use crate::wasi::keyvalue::store::Error;
use crate::{Guest, add, found, open, page};

/// What there is of a key, with the key.
pub(crate) type Found = Option<(String, Vec<u8>)>;

pub(crate) fn text(error: Error) -> String {
    match error {
        Error::NoSuchStore => "no-such-store".to_owned(),
        Error::AccessDenied => "access-denied".to_owned(),
        Error::Other(text) => text,
    }
}

impl ops::Guest for Guest {
    fn get(bucket: String, key: String) -> Result<Option<Vec<u8>>, String> {
        open(&bucket)?.get(&key).map_err(text)
    }

    fn set(bucket: String, key: String, value: Vec<u8>) -> Result<(), String> {
        open(&bucket)?.set(&key, &value).map_err(text)
    }

    fn delete(bucket: String, key: String) -> Result<(), String> {
        open(&bucket)?.delete(&key).map_err(text)
    }

    fn exists(bucket: String, key: String) -> Result<bool, String> {
        open(&bucket)?.exists(&key).map_err(text)
    }

    fn list_keys(
        bucket: String,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), String> {
        page(&open(&bucket)?, cursor)
    }

    fn increment(bucket: String, key: String, delta: i64) -> Result<String, String> {
        add(&open(&bucket)?, &key, delta)
    }

    fn get_many(
        bucket: String,
        keys: Vec<String>,
    ) -> Result<Vec<Found>, String> {
        batch::get_many(&open(&bucket)?, &keys).map(found).map_err(text)
    }

    fn set_many(bucket: String, pairs: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        batch::set_many(&open(&bucket)?, &pairs).map_err(text)
    }

    fn delete_many(bucket: String, keys: Vec<String>) -> Result<(), String> {
        batch::delete_many(&open(&bucket)?, &keys).map_err(text)
    }

    fn leak(bucket: String, times: u32) -> Result<(), String> {
        for _ in 0..times {
            std::mem::forget(open(&bucket)?);
        }
        Ok(())
    }

    fn spin(bucket: String, key: String, times: u32) -> Result<(), String> {
        let bucket = open(&bucket)?;
        for _ in 0..times {
            bucket.get(&key).map_err(text)?;
        }
        Ok(())
    }
}
