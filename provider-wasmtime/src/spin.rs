//! `wasi:keyvalue@0.2.0-draft2` as Spin has it: [`draft2`], but for a batch that answers every key it was asked for.
//!
//! Both go by one name, so a linker has one or the other.
//!
//! ```
//! use provider_wasmtime::{KvCtx, KvView, draft2, spin};
//! use wasmtime::component::Linker;
//!
//! struct Host { kv: KvCtx }
//! impl KvView for Host { fn kv(&mut self) -> &mut KvCtx { &mut self.kv } }
//!
//! let mut linker = Linker::<Host>::new(&wasmtime::Engine::default());
//! spin::add_to_linker(&mut linker)?;
//! assert!(draft2::add_to_linker(&mut linker).is_err());
//! # Ok::<(), wasmtime::Error>(())
//! ```

use bytes::Bytes;
use wasmtime::Result;
use wasmtime::component::Linker;

use crate::ctx::Kv;
use crate::{KvCtx, KvView, draft2};

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit/spin.wit",
        world: "imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store": crate::draft2::generated::wasi::keyvalue::store,
            "wasi:keyvalue/atomics": crate::draft2::generated::wasi::keyvalue::atomics,
        },
    });
}

#[path = "batch.rs"]
#[expect(clippy::duplicate_mod, reason = "each draft has it over bindings of its own")]
mod batch;
pub use draft2::{Watcher, add_labels_to_linker, add_labels_to_linker_with};

/// Lets guests import `store`, `atomics` and `batch`.
///
/// # Errors
/// When the linker has them already.
pub fn add_to_linker<T: KvView>(linker: &mut Linker<T>) -> Result<()> {
    add_to_linker_with(linker, T::kv)
}

/// The same for store data that is not yours to implement [`KvView`] for.
///
/// # Errors
/// When the linker has them already.
pub fn add_to_linker_with<T: Send + 'static>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut KvCtx,
) -> Result<()> {
    draft2::add_store_and_atomics(linker, context)?;
    generated::wasi::keyvalue::batch::add_to_linker::<T, Kv>(linker, context)
}

/// What a batch answers for a key: the key, with what is there.
type Found = (String, Option<Vec<u8>>);

fn found(keys: Vec<String>, values: Vec<Option<Bytes>>) -> Vec<Found> {
    keys.into_iter().zip(values.into_iter().map(|value| value.map(Into::into))).collect()
}
