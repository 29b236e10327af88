//! Speaks wasi:keyvalue@0.2.0-draft2 in Spin's form.

wit_bindgen::generate!({
    path: ["../../wit/spin.wit", "../wit/ops.wit"],
    inline: "
        package guest:spin;
        world guest {
            include wasi:keyvalue/watch-service@0.2.0-draft2;
            export guest:ops/ops;
            export guest:ops/cas-ops;
            export guest:ops/spin-ops;
        }
    ",
    world: "guest:spin/guest",
    generate_all,
});

#[path = "../../ops/mod.rs"]
mod ops;
#[path = "../../ops/second.rs"]
mod second;

use exports::guest::ops::spin_ops;
use ops::{Found, text};
use second::{add, open, page};
use wasi::keyvalue::batch;

struct Guest;

fn found(found: Vec<(String, Option<Vec<u8>>)>) -> Vec<Found> {
    found.into_iter().map(|(key, value)| value.map(|value| (key, value))).collect()
}

impl spin_ops::Guest for Guest {
    fn get_many(
        bucket: String,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, String> {
        batch::get_many(&open(&bucket)?, &keys).map_err(text)
    }
}

export!(Guest);
