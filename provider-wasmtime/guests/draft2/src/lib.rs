//! Speaks wasi:keyvalue@0.2.0-draft2.

wit_bindgen::generate!({
    path: ["../../wit/draft2.wit", "../wit/ops.wit"],
    inline: "
        package guest:draft2;
        world guest {
            include wasi:keyvalue/watch-service@0.2.0-draft2;
            export guest:ops/ops;
            export guest:ops/cas-ops;
        }
    ",
    world: "guest:draft2/guest",
    generate_all,
});

use exports::guest::ops::ops;
use exports::wasi::keyvalue::watcher;
use wasi::keyvalue::store::{self, Bucket, Error};
use wasi::keyvalue::{atomics, batch};

struct Guest;

fn text(error: Error) -> String {
    match error {
        Error::NoSuchStore => "no-such-store".to_owned(),
        Error::AccessDenied => "access-denied".to_owned(),
        Error::Other(text) => text,
    }
}

fn open(bucket: &str) -> Result<Bucket, String> {
    store::open(bucket).map_err(text)
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
        let page = open(&bucket)?.list_keys(cursor.as_deref()).map_err(text)?;
        Ok((page.keys, page.cursor))
    }

    fn increment(bucket: String, key: String, delta: i64) -> Result<String, String> {
        let sum = atomics::increment(&open(&bucket)?, &key, delta).map_err(text)?;
        Ok(sum.to_string())
    }

    fn get_many(
        bucket: String,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, String> {
        batch::get_many(&open(&bucket)?, &keys).map_err(text)
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

impl watcher::Guest for Guest {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        bucket.set(&format!("seen:{key}"), &value).unwrap();
    }

    fn on_delete(bucket: Bucket, key: String) {
        bucket.delete(&format!("seen:{key}")).unwrap();
    }
}

impl exports::guest::ops::cas_ops::Guest for Guest {
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

export!(Guest);
