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

#[path = "../../ops/mod.rs"]
mod ops;

use exports::wasi::keyvalue::watcher;
use ops::text;
use wasi::keyvalue::atomics;
use wasi::keyvalue::store::{self, Bucket};

struct Guest;

fn open(bucket: &str) -> Result<Bucket, String> {
    store::open(bucket).map_err(text)
}

fn page(bucket: &Bucket, cursor: Option<String>) -> Result<(Vec<String>, Option<String>), String> {
    let page = bucket.list_keys(cursor.as_deref()).map_err(text)?;
    Ok((page.keys, page.cursor))
}

fn add(bucket: &Bucket, key: &str, delta: i64) -> Result<String, String> {
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
