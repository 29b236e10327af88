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
#[path = "../../ops/second.rs"]
mod second;

use ops::Found;
use second::{add, open, page};

struct Guest;

fn found(found: Vec<Found>) -> Vec<Found> {
    found
}

export!(Guest);
