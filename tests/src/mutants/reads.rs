//! Broken reads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use store_core::{
    Consistency, Error, ErrorKind, Key, ListOptions, Namespace, Page, Put, ReadOptions, Record,
    Result, Written, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    Stale { before: Mutex<HashMap<(Namespace, String), Option<Record>>> },
    MissingIsError,
    Hangs,
    EmptyOnFault,
    SortsBatches,
);

#[async_trait]
impl Wrapper for Stale {
    inner!();

    /// The first read after a write is answered by a replica that has not heard of it.
    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let place = (ns.clone(), key.as_str().to_owned());
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        match before {
            Some(before) if o.consistency != Consistency::Strong => Ok(before),
            _ => self.inner.read(ns, key, o).await,
        }
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let place = (ns.clone(), put.key.as_str().to_owned());
        let before = self.inner.read(ns, put.key, ReadOptions::default()).await?;
        let written = self.inner.write(ns, put).await?;
        self.before.lock().unwrap_or_else(PoisonError::into_inner).insert(place, before);
        Ok(written)
    }
}

#[async_trait]
impl Wrapper for MissingIsError {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let missing = || Error::new(ErrorKind::NotFound, "not found");
        self.inner.read(ns, key, o).await?.ok_or_else(missing).map(Some)
    }
}

#[async_trait]
impl Wrapper for Hangs {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        if o.consistency == Consistency::Strong {
            std::future::pending::<()>().await;
        }
        self.inner.read(ns, key, o).await
    }
}

#[async_trait]
impl Wrapper for EmptyOnFault {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        Ok(self.inner.read(ns, key, o).await.unwrap_or(None))
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        match self.inner.list(ns, o).await {
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(Page::default()),
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for SortsBatches {
    inner!();

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        let mut sorted = keys.to_vec();
        sorted.sort();
        let mut answers = Vec::with_capacity(sorted.len());
        for key in sorted {
            answers.push(self.inner.read(ns, key, ReadOptions::default()).await);
        }
        answers
    }
}
