//! `wasi:keyvalue@0.2.0-draft`: what wasmCloud 1 and 2 and wasmtime speak.

use provider::Bucket;
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::KvCtx;
use crate::ctx::{Found, found};

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit/draft.wit",
        world: "watch-service",
        imports: { default: async | trappable },
        exports: { default: async },
        named_imports: { "wasi:keyvalue/store": crate::ctx::Label },
        with: { "wasi:keyvalue/store.bucket": provider::Bucket },
    });
}

#[path = "batch.rs"]
#[expect(clippy::duplicate_mod, reason = "each draft has it over bindings of its own")]
mod batch;
#[path = "both.rs"]
#[expect(clippy::duplicate_mod, reason = "each draft has it over bindings of its own")]
mod both;
#[path = "labels.rs"]
#[expect(clippy::duplicate_mod, reason = "each draft has it over bindings of its own")]
mod labels;
pub use both::{Watcher, add_to_linker, add_to_linker_with};
pub use labels::{add_labels_to_linker, add_labels_to_linker_with};

use generated::wasi::keyvalue::atomics;
use generated::wasi::keyvalue::store::Error;

/// Where a page of a listing begins.
type Cursor = u64;

async fn page(
    bucket: &Bucket,
    cursor: Option<Cursor>,
) -> provider::Result<(Vec<String>, Option<Cursor>)> {
    bucket.keys_u64(cursor).await
}

impl atomics::Host for KvCtx {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Result<Result<u64, Error>> {
        Ok(self.bucket(&bucket)?.increment_u64(&key, delta).await.map_err(Error::from))
    }
}
