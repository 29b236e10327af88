//! `wasi:keyvalue@0.2.0-draft2`: the proposal's current text, with string cursors, signed counters and a compare-and-swap resource.

use provider::{Bucket, Cas, Change, Filter};
use wasmtime::component::{Instance, Linker, Resource};
use wasmtime::{Result, Store};

use crate::ctx::{Kv, items, pairs};
use crate::{KvCtx, KvView};

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
mod generated {
    wasmtime::component::bindgen!({
        path: "wit/draft2.wit",
        world: "watch-service",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "wasi:keyvalue/store.bucket": provider::Bucket,
            "wasi:keyvalue/atomics.cas": provider::Cas,
        },
    });
}

use atomics::CasError;
use generated::exports::wasi::keyvalue::watcher;
use generated::wasi::keyvalue::{atomics, batch, store};
use store::Error;

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
    store::add_to_linker::<T, Kv>(linker, context)?;
    atomics::add_to_linker::<T, Kv>(linker, context)?;
    batch::add_to_linker::<T, Kv>(linker, context)
}

impl From<provider::Error> for Error {
    fn from(error: provider::Error) -> Self {
        match error {
            provider::Error::NoSuchStore => Self::NoSuchStore,
            provider::Error::AccessDenied => Self::AccessDenied,
            other => Self::Other(other.to_string()),
        }
    }
}

impl store::Host for KvCtx {
    async fn open(&mut self, identifier: String) -> Result<Result<Resource<Bucket>, Error>> {
        let opened = self.buckets().open(&identifier).await;
        Ok(opened.and_then(|bucket| self.push(bucket)).map_err(Error::from))
    }
}

impl store::HostBucket for KvCtx {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        let value = self.bucket(&bucket)?.get(&key).await;
        Ok(value.map(|value| value.map(Into::into)).map_err(Error::from))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.set(&key, value).await.map_err(Error::from))
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.delete(&key).await.map_err(Error::from))
    }

    async fn exists(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Result<bool, Error>> {
        Ok(self.bucket(&bucket)?.exists(&key).await.map_err(Error::from))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Result<Result<store::KeyResponse, Error>> {
        let page = self.bucket(&bucket)?.list(None, cursor.as_deref()).await;
        Ok(page.map(|(keys, cursor)| store::KeyResponse { keys, cursor }).map_err(Error::from))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> Result<()> {
        self.take(bucket).map(drop)
    }
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
        Ok(match self.take(cas)?.swap(value).await {
            Ok(None) => Ok(()),
            Ok(Some(fresh)) => Err(match self.push(fresh) {
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
        Ok(cas.and_then(|cas| self.push(cas)).map_err(Error::from))
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.get(&cas)?.current().map(Into::into)))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> Result<()> {
        self.take(cas).map(drop)
    }
}

impl batch::Host for KvCtx {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<Option<(String, Vec<u8>)>>, Error>> {
        let values = self.bucket(&bucket)?.get_many(&keys).await;
        Ok(values.map(|values| pairs(keys, values)).map_err(Error::from))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.set_many(items(pairs)).await.map_err(Error::from))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.delete_many(&keys).await.map_err(Error::from))
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
        match change {
            Change::Set { key, value } => self.0.call_on_set(store, handle, &key, &value).await,
            Change::Delete { key } => self.0.call_on_delete(store, handle, &key).await,
        }
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
