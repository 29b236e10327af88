//! Imports of `store` under names of their own: a module of each draft, over bindings of its own.

use provider::Bucket;
use wasmtime::Result;
use wasmtime::component::{Component, Linker, Resource};

use super::Cursor;
use super::generated::named_imports::wasi::keyvalue::store as labelled;
use super::generated::wasi::keyvalue::store::{self, Error, KeyResponse};
use crate::ctx::{Kv, Label};
use crate::{KvCtx, KvView};

/// Lets this component import `store` under labels, each of which leads where [`KvCtx::label`] says and nowhere else. Buckets that
/// are opened so are a type of their own, which the plain imports `atomics` and `batch` do not take. The embedder's engine needs
/// `wasm_component_model_implements`.
///
/// # Errors
/// For a label that this context does not bind, by its name; when the linker has it already.
pub fn add_labels_to_linker<T: KvView>(
    linker: &mut Linker<T>,
    component: &Component,
    kv: &KvCtx,
) -> Result<()> {
    add_labels_to_linker_with(linker, component, kv, T::kv)
}

/// The same for store data that is not yours to implement [`KvView`] for.
///
/// # Errors
/// As [`add_labels_to_linker`].
pub fn add_labels_to_linker_with<T: Send + 'static>(
    linker: &mut Linker<T>,
    component: &Component,
    kv: &KvCtx,
    context: fn(&mut T) -> &mut KvCtx,
) -> Result<()> {
    labelled::add_to_linker::<T, Kv>(linker, component, |label| kv.bound(label), context)
}

impl labelled::Host for KvCtx {
    async fn open(
        &mut self,
        label: Label,
        identifier: String,
    ) -> Result<Result<Resource<Bucket>, Error>> {
        let opened = match self.labelled(&label.0) {
            Ok(buckets) => self.open(&buckets, &identifier).await,
            Err(unbound) => Err(unbound),
        };
        Ok(opened.map_err(Error::from))
    }
}

/// A bucket knows where it is: only opening one goes by the label.
macro_rules! as_without_label {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl labelled::HostBucket for KvCtx {
            $(async fn $name(
                &mut self,
                _: Label,
                bucket: Resource<Bucket>,
                $($argument: $type),*
            ) -> Result<$answer> {
                store::HostBucket::$name(self, bucket, $($argument),*).await
            })*
        }
    };
}

as_without_label! {
    get(key: String) -> Result<Option<Vec<u8>>, Error>;
    set(key: String, value: Vec<u8>) -> Result<(), Error>;
    delete(key: String) -> Result<(), Error>;
    exists(key: String) -> Result<bool, Error>;
    list_keys(cursor: Option<Cursor>) -> Result<KeyResponse, Error>;
    drop() -> ();
}
