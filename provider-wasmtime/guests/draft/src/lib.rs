//! Speaks wasi:keyvalue@0.2.0-draft.

wit_bindgen::generate!({
    path: ["../../wit/draft.wit", "../wit/ops.wit"],
    inline: "
        package guest:draft;
        world guest {
            include wasi:keyvalue/watch-service@0.2.0-draft;
            export guest:ops/ops;
        }
    ",
    world: "guest:draft/guest",
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
    let page = bucket.list_keys(cursor.map(|cursor| cursor.parse().unwrap())).map_err(text)?;
    Ok((page.keys, page.cursor.map(|cursor| cursor.to_string())))
}

fn add(bucket: &Bucket, key: &str, delta: i64) -> Result<String, String> {
    atomics::increment(bucket, key, delta as u64).map(|sum| sum.to_string()).map_err(text)
}

impl watcher::Guest for Guest {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        bucket.set(&format!("seen:{key}"), &value).unwrap();
    }

    fn on_delete(bucket: Bucket, key: String) {
        bucket.delete(&format!("seen:{key}")).unwrap();
    }
}

export!(Guest);
