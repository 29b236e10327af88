//! Broken expiry.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use store_core::{
    Condition, Deleted, Expiry, Key, ListOptions, Namespace, Page, Put, ReadOptions, Remove,
    Result, Written, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(
    Drops,
    KeepsOld,
    Early,
    WholeSeconds,
    ZeroIsNever,
    ListsExpired { written: Mutex<HashMap<Namespace, BTreeSet<String>>> },
    LosesMetadata,
);

#[async_trait]
impl Wrapper for Drops {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.inner.write(ns, put.with_expiry(Expiry::Never)).await
    }
}

#[async_trait]
impl Wrapper for KeepsOld {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if put.expiry == Expiry::Database {
            put.expiry = Expiry::Keep;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for Early {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if let Expiry::After(ttl) = &mut put.expiry {
            *ttl -= *ttl / 10;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for WholeSeconds {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if let Expiry::After(ttl) = &mut put.expiry
            && ttl.subsec_nanos() > 0
        {
            *ttl = Duration::from_secs(ttl.as_secs().saturating_add(1));
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for ZeroIsNever {
    inner!();

    async fn write(&self, ns: &Namespace, mut put: Put<'_>) -> Result<Written> {
        if put.expiry == Expiry::After(Duration::ZERO) {
            put.expiry = Expiry::Never;
        }
        self.inner.write(ns, put).await
    }
}

#[async_trait]
impl Wrapper for ListsExpired {
    inner!();

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let key = put.key.as_str().to_owned();
        let written = self.inner.write(ns, put).await?;
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(ns.clone()).or_default().insert(key);
        Ok(written)
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let key = remove.key.as_str().to_owned();
        let deleted = self.inner.delete(ns, remove).await?;
        let mut all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(ns.clone()).or_default().remove(&key);
        Ok(deleted)
    }

    /// From an index of its own, that expiry does not clean.
    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let page = self.inner.list(ns, o).await?;
        if o.cursor.is_some() || page.next.is_some() {
            return Ok(page);
        }
        let all = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let index = all.get(ns).into_iter().flatten().filter(|key| o.matches(key)).cloned();
        let keys: BTreeSet<_> = page.items.into_iter().chain(index).collect();
        Ok(Page::new(keys.into_iter().take(o.limit).collect(), None))
    }
}

#[async_trait]
impl Wrapper for LosesMetadata {
    inner!();

    /// By reading and writing again, and not all of it.
    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let done = self.inner.set_expiry(ns, key, expiry, condition).await?;
        let Some(record) = self.inner.read(ns, key, ReadOptions::default()).await? else {
            return Ok(done);
        };
        let put = Put::new(key, record.value()).with_expiry(Expiry::Keep);
        self.inner.write(ns, put).await.map(Some)
    }
}
