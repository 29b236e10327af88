use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use provider::{Bucket, Buckets, Error};
use wasmtime::component::{HasData, Resource, ResourceTable};

/// What one guest may open, and the handles it holds. One per guest, in the data of its [`Store`](wasmtime::Store).
pub struct KvCtx {
    buckets: Arc<Buckets>,
    /// Our own, so that a guest that leaks handles meets our limit and nobody else's.
    table: ResourceTable,
}

/// Data of a [`Store`](wasmtime::Store) that a guest's key-value calls find their context in.
pub trait KvView: Send + 'static {
    /// The context.
    fn kv(&mut self) -> &mut KvCtx;
}

/// How many handles a guest may hold at a time unless said otherwise.
const HANDLES: usize = 1024;

impl KvCtx {
    /// A guest that may open these.
    pub fn new(buckets: impl Into<Arc<Buckets>>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        Self { buckets: buckets.into(), table }
    }

    /// So many handles at a time, 1024 unless said. One more is an error that the guest can handle.
    pub fn max_handles(mut self, handles: usize) -> Self {
        self.table.set_max_capacity(handles);
        self
    }

    pub(crate) fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.buckets)
    }

    pub(crate) fn push<T: Send + 'static>(&mut self, handle: T) -> provider::Result<Resource<T>> {
        self.table.push(handle).map_err(|_| {
            Error::QuotaExceeded("too many open buckets: drop some handles first".to_owned())
        })
    }

    pub(crate) fn bucket(&self, handle: &Resource<Bucket>) -> wasmtime::Result<Bucket> {
        Ok(self.table.get(handle)?.clone())
    }

    pub(crate) fn get<T: Clone + 'static>(&self, handle: &Resource<T>) -> wasmtime::Result<T> {
        Ok(self.table.get(handle)?.clone())
    }

    pub(crate) fn take<T: 'static>(&mut self, handle: Resource<T>) -> wasmtime::Result<T> {
        Ok(self.table.delete(handle)?)
    }
}

impl fmt::Debug for KvCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvCtx").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}

/// Tells wasmtime that the context is what its calls are made on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kv;

impl HasData for Kv {
    type Data<'a> = &'a mut KvCtx;
}

/// What most batches answer for a key: what is there, with its key.
pub(crate) type Found = Option<(String, Vec<u8>)>;

/// What a batch found, in the order asked.
pub(crate) fn found(keys: Vec<String>, values: Vec<Option<Bytes>>) -> Vec<Found> {
    keys.into_iter()
        .zip(values)
        .map(|(key, value)| value.map(|value| (key, value.into())))
        .collect()
}

/// The items of a batch, without copying them.
pub(crate) fn items(pairs: Vec<(String, Vec<u8>)>) -> Vec<(String, Bytes)> {
    pairs.into_iter().map(|(key, value)| (key, value.into())).collect()
}
