//! Speaks wasmcloud:keyvalue@0.2.0.

wit_bindgen::generate!({
    path: ["../../wit/wasmcloud.wit", "../wit/async.wit"],
    inline: "
        package guest:wasmcloud;
        world guest {
            include wasmcloud:keyvalue/watch-service@0.2.0;
            export guest:async-ops/async-ops;
        }
    ",
    world: "guest:wasmcloud/guest",
    generate_all,
});

use exports::guest::async_ops::async_ops;
use exports::wasmcloud::keyvalue::watcher;
use wasmcloud::keyvalue::types::{Bucket, Error, SetOptions};
use wasmcloud::keyvalue::{atomics, batch, cas, store};

struct Guest;

fn text(error: Error) -> String {
    match error {
        Error::NoSuchStore => "no-such-store",
        Error::AccessDenied => "access-denied",
        Error::InvalidArgument => "invalid-argument",
        Error::PreconditionFailed => "precondition-failed",
        Error::Timeout => "timeout",
        Error::StoreUnavailable => "store-unavailable",
        Error::QuotaExceeded => "quota-exceeded",
        Error::Other(text) => return text,
    }
    .to_owned()
}

async fn open(bucket: String) -> Result<Bucket, String> {
    store::open(bucket).await.map_err(text)
}

impl async_ops::Guest for Guest {
    async fn get(bucket: String, key: String) -> Result<Option<Vec<u8>>, String> {
        open(bucket).await?.get(key).await.map_err(text)
    }

    async fn set(
        bucket: String,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
        if_not_exists: bool,
    ) -> Result<(), String> {
        let options = SetOptions { ttl_ms, if_not_exists };
        open(bucket).await?.set(key, value, Some(options)).await.map_err(text)
    }

    async fn delete(bucket: String, key: String) -> Result<(), String> {
        open(bucket).await?.delete(key).await.map_err(text)
    }

    async fn exists(bucket: String, key: String) -> Result<bool, String> {
        open(bucket).await?.exists(key).await.map_err(text)
    }

    async fn list_keys(
        bucket: String,
        prefix: Option<String>,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), String> {
        let page = open(bucket).await?.list_keys(prefix, cursor).await.map_err(text)?;
        Ok((page.keys, page.cursor))
    }

    async fn increment(bucket: String, key: String, delta: i64) -> Result<i64, String> {
        atomics::increment(&open(bucket).await?, key, delta).await.map_err(text)
    }

    async fn get_many(
        bucket: String,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, String> {
        batch::get_many(&open(bucket).await?, keys).await.map_err(text)
    }

    async fn set_many(bucket: String, pairs: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        batch::set_many(&open(bucket).await?, pairs).await.map_err(text)
    }

    async fn delete_many(bucket: String, keys: Vec<String>) -> Result<(), String> {
        batch::delete_many(&open(bucket).await?, keys).await.map_err(text)
    }

    async fn current(bucket: String, key: String) -> Result<Option<(Vec<u8>, String)>, String> {
        let current = cas::current(&open(bucket).await?, key).await.map_err(text)?;
        Ok(current.map(|entry| (entry.value, entry.version)))
    }

    async fn swap(
        bucket: String,
        key: String,
        value: Vec<u8>,
        require_version: Option<String>,
        require_value: Option<Vec<u8>>,
    ) -> Result<Option<Option<Vec<u8>>>, String> {
        let options = cas::CasOptions { require_version, require_value };
        let bucket = open(bucket).await?;
        match cas::swap(&bucket, key, value, options).await.map_err(text)? {
            cas::CasResult::Swapped => Ok(None),
            cas::CasResult::Stale(found) => Ok(Some(found.map(|entry| entry.value))),
        }
    }

    async fn leak(bucket: String, times: u32) -> Result<(), String> {
        for _ in 0..times {
            std::mem::forget(open(bucket.clone()).await?);
        }
        Ok(())
    }
}

impl watcher::Guest for Guest {
    async fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        bucket.set(format!("seen:{key}"), value, None).await.unwrap();
    }

    async fn on_delete(bucket: Bucket, key: String) {
        bucket.delete(format!("seen:{key}")).await.unwrap();
    }
}

export!(Guest);
