//! `wasi:keyvalue@0.2.0-draft2`: the proposal's current text, with string cursors, signed counters and a compare-and-swap resource.

use provider::{Bucket, Cas};
use wasmtime::Result;
use wasmtime::component::Resource;

use crate::KvCtx;
use crate::ctx::{Found, found};

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
pub(crate) mod generated {
    wasmtime::component::bindgen!({
        path: "wit/draft2.wit",
        world: "watch-service",
        imports: { default: async | trappable },
        exports: { default: async },
        named_imports: { "wasi:keyvalue/store": crate::ctx::Label },
        with: {
            "wasi:keyvalue/store.bucket": provider::Bucket,
            "wasi:keyvalue/atomics.cas": provider::Cas,
        },
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
pub(crate) use both::add_store_and_atomics;
pub use both::{Watcher, add_to_linker, add_to_linker_with};
pub use labels::{add_labels_to_linker, add_labels_to_linker_with};

use generated::wasi::keyvalue::atomics::{self, CasError};
use generated::wasi::keyvalue::store::Error;

/// Where a page of a listing begins.
type Cursor = String;

async fn page(
    bucket: &Bucket,
    cursor: Option<Cursor>,
) -> provider::Result<(Vec<String>, Option<Cursor>)> {
    bucket.list(None, cursor.as_deref()).await
}

impl atomics::Host for KvCtx {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<Result<i64, Error>> {
        Ok(self.bucket(&bucket)?.increment(&key, delta).await.map_err(Error::from))
    }

    async fn swap(&mut self, cas: Resource<Cas>, value: Vec<u8>) -> Result<Result<(), CasError>> {
        Ok(match self.take_cas(cas)?.swap(value).await {
            Ok(None) => Ok(()),
            Ok(Some(fresh)) => Err(match self.push_cas(fresh) {
                Ok(fresh) => CasError::CasFailed(fresh),
                Err(error) => CasError::StoreError(error.into()),
            }),
            Err(error) => Err(CasError::StoreError(error.into())),
        })
    }
}

impl atomics::HostCas for KvCtx {
    async fn new(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Resource<Cas>, Error>> {
        let cas = self.bucket(&bucket)?.cas(&key).await;
        Ok(cas.and_then(|cas| self.push_cas(cas)).map_err(Error::from))
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.get(&cas)?.current().map(Into::into)))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.take_cas(cas).map(drop)
    }
}
