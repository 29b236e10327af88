//! Broken reads of a value alone: whole records are read as they should.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use store_core::{
    Condition, Consistency, ErrorKind, Expiry, Key, Namespace, Put, ReadOptions, Result, Written,
    async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    Stale { before: Held<(Namespace, String)> },
    EmptyForNone,
    NoneForEmpty,
    Expired { cache: Held<(Namespace, String)> },
    ForgetsTable { cache: Held<String> },
    IgnoresRevision,
    OpenForEver,
    EmptyOnFault,
    SortsMany,
);

/// Values that a broken store keeps where it should ask.
#[derive(Debug)]
struct Held<P>(Mutex<HashMap<P, Bytes>>);

impl<P> Default for Held<P> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Eq + Hash> Held<P> {
    fn keep(&self, place: P, value: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place, value);
    }

    fn at(&self, place: &P) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn take(&self, place: &P) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(place)
    }
}

fn place(ns: &Namespace, key: Key<'_>) -> (Namespace, String) {
    (ns.clone(), key.as_str().to_owned())
}

#[async_trait]
impl Wrapper for Stale {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        match self.before.take(&place(ns, key)) {
            Some(before) if o.consistency != Consistency::Strong => Ok(Some(before)),
            _ => self.inner.read_value(ns, key, o).await,
        }
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let at = place(ns, put.key);
        let before = self.inner.read_value(ns, put.key, ReadOptions::default()).await?;
        let written = self.inner.write(ns, put).await?;
        if let Some(before) = before {
            self.before.keep(at, before);
        }
        Ok(written)
    }
}

#[async_trait]
impl Wrapper for EmptyForNone {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        Ok(Some(self.inner.read_value(ns, key, o).await?.unwrap_or_default()))
    }
}

#[async_trait]
impl Wrapper for NoneForEmpty {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        Ok(self.inner.read_value(ns, key, o).await?.filter(|value| !value.is_empty()))
    }
}

#[async_trait]
impl Wrapper for Expired {
    inner!();

    /// A cache that does not know when a record ends.
    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        match self.cache.at(&place(ns, key)) {
            Some(value) => Ok(Some(value)),
            None => self.inner.read_value(ns, key, o).await,
        }
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        if let (Expiry::After(_), Condition::Any) = (put.expiry, &put.condition) {
            self.cache.keep(place(ns, put.key), Bytes::copy_from_slice(&put.value));
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for ForgetsTable {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        match self.cache.at(&key.as_str().to_owned()) {
            Some(value) => Ok(Some(value)),
            None => self.inner.read_value(ns, key, o).await,
        }
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.cache.keep(put.key.as_str().to_owned(), Bytes::copy_from_slice(&put.value));
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for IgnoresRevision {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        let mut present = ReadOptions::default();
        present.consistency = o.consistency;
        self.inner.read_value(ns, key, present).await
    }
}

#[async_trait]
impl Wrapper for OpenForEver {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        match self.inner.read_value(ns, key, o).await {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(None),
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for EmptyOnFault {
    inner!();

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        match self.inner.read_value(ns, key, o).await {
            Err(error) if error.kind().is_transient() => Ok(None),
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for SortsMany {
    inner!();

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        let mut sorted = keys.to_vec();
        sorted.sort();
        self.inner.read_values(ns, &sorted).await
    }
}
