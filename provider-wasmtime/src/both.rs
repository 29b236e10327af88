//! What the two drafts have in common: a module of each, over bindings of its own. What differs is its parent's to say.

use provider::{Bucket, Change, Filter};
use wasmtime::component::{Instance, Linker, Resource};
use wasmtime::{Result, Store};

use super::generated::exports::wasi::keyvalue::watcher;
use super::generated::wasi::keyvalue::{atomics, batch, store};
use super::{Cursor, page};
use crate::ctx::Kv;
use crate::{KvCtx, KvView};
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
    add_store_and_atomics(linker, context)?;
    batch::add_to_linker::<T, Kv>(linker, context)
}

/// What does not depend on the shape of batches.
pub(crate) fn add_store_and_atomics<T: Send + 'static>(
    linker: &mut Linker<T>,
    context: fn(&mut T) -> &mut KvCtx,
) -> Result<()> {
    store::add_to_linker::<T, Kv>(linker, context)?;
    atomics::add_to_linker::<T, Kv>(linker, context)
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
        let buckets = self.buckets();
        Ok(self.open(&buckets, &identifier).await.map_err(Error::from))
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
        cursor: Option<Cursor>,
    ) -> Result<Result<store::KeyResponse, Error>> {
        let page = page(&self.bucket(&bucket)?, cursor).await;
        Ok(page.map(|(keys, cursor)| store::KeyResponse { keys, cursor }).map_err(Error::from))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> Result<()> {
        self.take(bucket).map(drop)
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
