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

#[path = "../../ops/numbers.rs"]
mod numbers;
#[path = "../../ops/mod.rs"]
mod ops;

use exports::wasi::keyvalue::watcher;
use numbers::{add, found, page};
use ops::text;
use wasi::keyvalue::store::{self, Bucket};

struct Guest;

fn open(bucket: &str) -> Result<Bucket, String> {
    store::open(bucket).map_err(text)
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
