use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use provider::{Bucket, Buckets, Cas, Error};
use wasmtime::component::{HasData, Resource, ResourceTable};

/// What one guest may open, and the handles it holds. One per guest, in the data of its [`Store`](wasmtime::Store).
pub struct KvCtx {
    buckets: Arc<Buckets>,
    labels: BTreeMap<String, Arc<Buckets>>,
    /// Our own, so that a guest that leaks handles meets our limit and nobody else's.
    table: ResourceTable,
    /// The bytes of the values that handles of `cas` hold, and how many may be.
    held: usize,
    max_held: usize,
}

/// Data of a [`Store`](wasmtime::Store) that a guest's key-value calls find their context in.
pub trait KvView: Send + 'static {
    /// The context.
    fn kv(&mut self) -> &mut KvCtx;
}

/// How many handles a guest may hold at a time unless said otherwise.
const HANDLES: usize = 1024;
/// How many bytes of values a guest may hold by handles unless said otherwise.
const HELD: usize = 64 << 20;

impl KvCtx {
    /// A guest that may open these.
    pub fn new(buckets: impl Into<Arc<Buckets>>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let (held, max_held) = (0, HELD);
        Self { buckets: buckets.into(), labels: BTreeMap::new(), table, held, max_held }
    }

    /// So many handles at a time, 1024 unless said. One more is an error that the guest can handle.
    pub fn max_handles(mut self, handles: usize) -> Self {
        self.table.set_max_capacity(handles);
        self
    }

    /// So many bytes of values held by handles of `cas` at a time, 64 MiB unless said. A handle beyond that is an error that the guest
    /// can handle, unless it is the only one.
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = bytes;
        self
    }

    /// What the guest may open through an import of `store` that it labels so: these, and nothing of the other imports.
    ///
    /// ```
    /// use provider_wasmtime::{KvCtx, KvView, draft};
    /// use wasmtime::component::{Component, Linker};
    ///
    /// # let store = std::sync::Arc::new(store_memory::Memory::new());
    /// # let place = provider::Place::new(store, store_core::Name::new("app")?);
    /// # let buckets = || provider::Buckets::tables(place.clone());
    /// struct Host { kv: KvCtx }
    /// impl KvView for Host { fn kv(&mut self) -> &mut KvCtx { &mut self.kv } }
    ///
    /// let mut config = wasmtime::Config::new();
    /// config.wasm_component_model_implements(true);
    /// let engine = wasmtime::Engine::new(&config)?;
    /// // What a guest is whose world says `import sessions: wasi:keyvalue/store@0.2.0-draft;`.
    /// let guest = r#"(component (import "sessions" (implements "wasi:keyvalue/store@0.2.0-draft")
    ///     (instance (export "bucket" (type (sub resource))))))"#;
    /// let guest = Component::new(&engine, &wat::parse_str(guest)?)?;
    ///
    /// let mut linker = Linker::<Host>::new(&engine);
    /// let kv = KvCtx::new(buckets());
    /// let error = draft::add_labels_to_linker(&mut linker, &guest, &kv).unwrap_err();
    /// assert!(error.to_string().contains("`sessions`"), "{error}");
    ///
    /// let kv = kv.label("sessions", buckets());
    /// draft::add_labels_to_linker(&mut linker, &guest, &kv)?;
    /// linker.instantiate_pre(&guest)?;
    /// # Ok::<(), wasmtime::Error>(())
    /// ```
    pub fn label(mut self, label: impl Into<String>, buckets: impl Into<Arc<Buckets>>) -> Self {
        self.labels.insert(label.into(), buckets.into());
        self
    }

    /// The label, if it is bound.
    pub(crate) fn bound(&self, label: &str) -> wasmtime::Result<Label> {
        self.labelled(label).map(|_| Label(label.into())).map_err(wasmtime::Error::new)
    }

    /// What is bound to a label.
    pub(crate) fn labelled(&self, label: &str) -> provider::Result<Arc<Buckets>> {
        self.labels.get(label).cloned().ok_or_else(|| {
            Error::Other(format!("no buckets are bound to the import that is labelled `{label}`"))
        })
    }

    pub(crate) fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.buckets)
    }

    /// A handle of one of these.
    pub(crate) async fn open(
        &mut self,
        buckets: &Buckets,
        identifier: &str,
    ) -> provider::Result<Resource<Bucket>> {
        let bucket = buckets.open(identifier).await?;
        self.push(bucket)
    }

    pub(crate) fn push<T: Send + 'static>(&mut self, handle: T) -> provider::Result<Resource<T>> {
        self.table.push(handle).map_err(|_| {
            Error::QuotaExceeded("too many open buckets: drop some handles first".to_owned())
        })
    }

    /// A handle of a value that was looked at.
    pub(crate) fn push_cas(&mut self, cas: Cas) -> provider::Result<Resource<Cas>> {
        let held = self.held.saturating_add(cas.held());
        if self.held > 0 && held > self.max_held {
            return Err(Error::QuotaExceeded(
                "too many bytes are held to be swapped: drop some handles first".to_owned(),
            ));
        }
        let handle = self.push(cas)?;
        self.held = held;
        Ok(handle)
    }

    pub(crate) fn take_cas(&mut self, handle: Resource<Cas>) -> wasmtime::Result<Cas> {
        let cas = self.take(handle)?;
        self.held = self.held.saturating_sub(cas.held());
        Ok(cas)
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
        f.debug_struct("KvCtx")
            .field("buckets", &self.buckets)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// By which name a guest imports an interface, where that is not the interface's own.
#[derive(Clone, Debug)]
#[expect(unreachable_pub, reason = "the bindings name it again, as something public")]
pub struct Label(pub(crate) Arc<str>);

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provider::Place;
    use store_core::Name;
    use store_memory::Memory;

    use super::*;

    #[tokio::test]
    async fn values_that_handles_hold_are_bounded_and_given_back() {
        let place = Place::new(Arc::new(Memory::new()), Name::new("app").unwrap());
        let buckets = Buckets::any(place);
        let bucket = buckets.open("").await.unwrap();
        bucket.set("k", vec![b'x'; 1000]).await.unwrap();
        let mut kv = KvCtx::new(buckets).max_held(2500);
        let two = [
            kv.push_cas(bucket.cas("k").await.unwrap()),
            kv.push_cas(bucket.cas("k").await.unwrap()),
        ];
        let [first, _second] = two.map(Result::unwrap);
        let error = kv.push_cas(bucket.cas("k").await.unwrap()).unwrap_err();
        assert!(matches!(error, Error::QuotaExceeded(_)), "{error}");
        kv.push_cas(bucket.cas("absent").await.unwrap()).unwrap();
        kv.take_cas(first).unwrap();
        kv.push_cas(bucket.cas("k").await.unwrap()).unwrap();
        let mut tight = KvCtx::new(Buckets::none()).max_held(10);
        tight.push_cas(bucket.cas("k").await.unwrap()).unwrap();
    }
}
