//! `wasmcloud:keyvalue@0.2.0`: asynchronous, with time to live, create, compare-and-swap by version, listing by prefix and typed
//! errors. The embedder's engine needs `wasm_component_model_async`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use provider::{Bucket, Buckets, Change, Expect, Filter, SetOptions, Swap};
use wasmtime::component::{Accessor, Component, Instance, Linker, Resource};
use wasmtime::{Result, Store};

use crate::ctx::{Found, Kv, Label, found, items};
use crate::{KvCtx, KvView};

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit/wasmcloud.wit",
        world: "watch-service",
        imports: { default: async | store | trappable },
        exports: { default: async | store },
        with: { "wasmcloud:keyvalue/types.bucket": provider::Bucket },
        named_imports: { "wasmcloud:keyvalue/store": crate::ctx::Label },
    });
}

use generated::exports::wasmcloud::keyvalue::watcher;
use generated::named_imports::wasmcloud::keyvalue::store as labelled;
use generated::wasmcloud::keyvalue::{atomics, batch, cas, store, types};
use types::Error;

/// Lets guests import `types`, `store`, `atomics`, `cas` and `batch`.
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
    types::add_to_linker::<T, Kv>(linker, context)?;
    store::add_to_linker::<T, Kv>(linker, context)?;
    atomics::add_to_linker::<T, Kv>(linker, context)?;
    cas::add_to_linker::<T, Kv>(linker, context)?;
    batch::add_to_linker::<T, Kv>(linker, context)
}

/// Lets this component import `store` under labels, each of which leads where [`KvCtx::label`] says and nowhere else. Buckets that
/// are opened so go with the plain imports. The embedder's engine needs `wasm_component_model_implements`.
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

impl From<provider::Error> for Error {
    fn from(error: provider::Error) -> Self {
        use provider::Error as E;
        match error {
            E::NoSuchStore => Self::NoSuchStore,
            E::AccessDenied => Self::AccessDenied,
            E::InvalidArgument(_) => Self::InvalidArgument,
            E::PreconditionFailed(_) => Self::PreconditionFailed,
            E::Timeout(_) => Self::Timeout,
            E::Unavailable(_) => Self::StoreUnavailable,
            E::QuotaExceeded(_) => Self::QuotaExceeded,
            other => Self::Other(other.to_string()),
        }
    }
}

/// The bucket of a handle, so that the guest's store is free while the backend works.
fn bucket<T>(accessor: &Accessor<T, Kv>, handle: &Resource<Bucket>) -> Result<Bucket> {
    accessor.with(|mut access| access.get().bucket(handle))
}

/// A handle of one of these.
async fn open<T>(
    accessor: &Accessor<T, Kv>,
    buckets: provider::Result<Arc<Buckets>>,
    identifier: &str,
) -> provider::Result<Resource<Bucket>> {
    let bucket = buckets?.open(identifier).await?;
    accessor.with(|mut access| access.get().push(bucket))
}

impl types::Host for KvCtx {}
impl types::HostBucket for KvCtx {}
impl store::Host for KvCtx {}
impl labelled::Host for KvCtx {}
impl atomics::Host for KvCtx {}
impl cas::Host for KvCtx {}
impl batch::Host for KvCtx {}

impl<T: Send> store::HostWithStore<T> for Kv {
    async fn open(
        accessor: &Accessor<T, Self>,
        identifier: String,
    ) -> Result<Result<Resource<Bucket>, Error>> {
        let buckets = accessor.with(|mut access| access.get().buckets());
        Ok(open(accessor, Ok(buckets), &identifier).await.map_err(Error::from))
    }
}

impl<T: Send> labelled::HostWithStore<T> for Kv {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: Label,
        identifier: String,
    ) -> Result<Result<Resource<Bucket>, Error>> {
        let buckets = accessor.with(|mut access| access.get().labelled(&label.0));
        Ok(open(accessor, buckets, &identifier).await.map_err(Error::from))
    }
}

impl<T: Send> types::HostBucketWithStore<T> for Kv {
    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let value = bucket(accessor, &handle)?.get(&key).await;
        Ok(value.map(|value| value.map(Into::into)).map_err(Error::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
        options: Option<types::SetOptions>,
    ) -> Result<Result<(), Error>> {
        let options = options.map_or_else(SetOptions::default, |options| {
            SetOptions::default()
                .ttl(options.ttl_ms.map(Duration::from_millis))
                .if_absent(options.if_not_exists)
        });
        let done = bucket(accessor, &handle)?.set_with(&key, value, options).await;
        Ok(done.map_err(Error::from))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
    ) -> Result<Result<(), Error>> {
        Ok(bucket(accessor, &handle)?.delete(&key).await.map_err(Error::from))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
    ) -> Result<Result<bool, Error>> {
        Ok(bucket(accessor, &handle)?.exists(&key).await.map_err(Error::from))
    }

    async fn list_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        prefix: Option<String>,
        cursor: Option<String>,
    ) -> Result<Result<types::KeyResponse, Error>> {
        let page = bucket(accessor, &handle)?.list(prefix.as_deref(), cursor.as_deref()).await;
        Ok(page.map(|(keys, cursor)| types::KeyResponse { keys, cursor }).map_err(Error::from))
    }

    async fn drop(accessor: &Accessor<T, Self>, handle: Resource<Bucket>) -> Result<()> {
        accessor.with(|mut access| access.get().take(handle)).map(drop)
    }
}

impl<T: Send> atomics::HostWithStore<T> for Kv {
    async fn increment(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<Result<i64, Error>> {
        Ok(bucket(accessor, &handle)?.increment(&key, delta).await.map_err(Error::from))
    }
}

fn entry(entry: provider::Entry) -> cas::Entry {
    cas::Entry { value: entry.value.into(), version: entry.version }
}

impl<T: Send> cas::HostWithStore<T> for Kv {
    async fn current(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Option<cas::Entry>, Error>> {
        let current = bucket(accessor, &handle)?.current(&key).await;
        Ok(current.map(|current| current.map(entry)).map_err(Error::from))
    }

    async fn swap(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
        options: cas::CasOptions,
    ) -> Result<Result<cas::CasResult, Error>> {
        let expect = Expect {
            version: options.require_version,
            value: options.require_value.map(Bytes::from),
        };
        let swap = bucket(accessor, &handle)?.swap(&key, value, expect).await;
        Ok(swap
            .map(|swap| match swap {
                Swap::Swapped => cas::CasResult::Swapped,
                Swap::Stale(current) => cas::CasResult::Stale(current.map(entry)),
            })
            .map_err(Error::from))
    }
}

impl<T: Send> batch::HostWithStore<T> for Kv {
    async fn get_many(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<Found>, Error>> {
        let values = bucket(accessor, &handle)?.get_many(&keys).await;
        Ok(values.map(|values| found(keys, values)).map_err(Error::from))
    }

    async fn set_many(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<Result<(), Error>> {
        Ok(bucket(accessor, &handle)?.set_many(items(pairs)).await.map_err(Error::from))
    }

    async fn delete_many(
        accessor: &Accessor<T, Self>,
        handle: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<(), Error>> {
        Ok(bucket(accessor, &handle)?.delete_many(&keys).await.map_err(Error::from))
    }
}

/// A guest's export `watcher`, which is told of changes.
pub struct Watcher(watcher::Guest);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

impl Watcher {
    /// The export of this instance.
    ///
    /// # Errors
    /// When it has none.
    pub fn new<T: 'static>(store: &mut Store<T>, instance: &Instance) -> Result<Self> {
        let indices = watcher::GuestIndices::new(&instance.instance_pre(&*store))?;
        Ok(Self(indices.load(store, instance)?))
    }

    /// Tells the guest of a change, with a handle of the bucket.
    ///
    /// # Errors
    /// When the guest traps, or holds too many handles.
    pub async fn tell<T: KvView>(
        &self,
        store: &mut Store<T>,
        bucket: &Bucket,
        change: Change,
    ) -> Result<()> {
        let handle = store.data_mut().kv().push(bucket.clone()).map_err(wasmtime::Error::new)?;
        store
            .run_concurrent(async |accessor| match change {
                Change::Set { key, value } => {
                    self.0.call_on_set(accessor, handle, key, value.into()).await
                }
                Change::Delete { key } => self.0.call_on_delete(accessor, handle, key).await,
            })
            .await?
    }

    /// Watches a bucket and tells the guest of every change, until the store is closed.
    ///
    /// # Errors
    /// As [`tell`](Self::tell), and why the watch cannot go on.
    pub async fn pump<T: KvView>(
        &self,
        store: &mut Store<T>,
        bucket: &Bucket,
        filter: Filter,
    ) -> Result<()> {
        let mut changes = bucket.watch(filter).await.map_err(wasmtime::Error::new)?;
        while let Some(change) = changes.next().await.map_err(wasmtime::Error::new)? {
            self.tell(store, bucket, change).await?;
        }
        Ok(())
    }
}
