//! A component of a wasmCloud 1 lattice: it says for each call which of its links it means, and writes down what a watched bucket
//! tells it. Buckets are named `link/identifier`.

wit_bindgen::generate!({
    path: ["../wit/bus.wit", "../../wit/draft.wit", "../wit/ops.wit"],
    inline: "
        package guest:lattice;
        world guest {
            import wasmcloud:bus/lattice@2.0.0;
            include wasi:keyvalue/watch-service@0.2.0-draft;
            export guest:ops/ops;
        }
    ",
    world: "guest:lattice/guest",
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
use wasmcloud::bus::lattice::{CallTargetInterface, set_link_name};

struct Guest;

/// Says the link in every call, also the default one: hosts keep what the last call said.
fn open(bucket: &str) -> Result<Bucket, String> {
    let (link, identifier) = bucket.split_once('/').ok_or("no link is named")?;
    let target = |interface| CallTargetInterface::new("wasi", "keyvalue", interface);
    set_link_name(link, vec![target("store"), target("atomics"), target("batch")])?;
    store::open(identifier).map_err(text)
}

/// Where it writes down what it was told.
const NOTES: &str = "default/default";

impl watcher::Guest for Guest {
    fn on_set(bucket: Bucket, key: String, value: Vec<u8>) {
        // Nothing is behind the handle that a wasmCloud 1 host gives: dropping it traps.
        std::mem::forget(bucket);
        open(NOTES).unwrap().set(&format!("seen:{key}"), &value).unwrap();
    }

    fn on_delete(bucket: Bucket, key: String) {
        std::mem::forget(bucket);
        open(NOTES).unwrap().delete(&format!("seen:{key}")).unwrap();
    }
}

export!(Guest);
