//! Broken counters.

use store_core::{
    Counter, ErrorKind, Expiry, Key, Namespace, Outcome, Put, ReadOptions, Result, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(ReadThenWrite, GarbageIsZero, Wraps, ForgetsExpiry, Repeats);

#[async_trait]
impl Wrapper for ReadThenWrite {
    inner!();

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        let held = self.inner.read(ns, key, ReadOptions::default()).await?;
        let sum = Counter::next(held.as_ref().map(store_core::Record::value), delta)?;
        tokio::task::yield_now().await;
        let mut put = Put::new(key, sum.to_string());
        if let Some(held) = held {
            put = put.with_metadata(held.metadata().clone()).with_expiry(Expiry::Keep);
        }
        Ok(Counter::new(sum, self.inner.write(ns, put).await?.revision))
    }
}

#[async_trait]
impl Wrapper for GarbageIsZero {
    inner!();

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        match self.inner.increment(ns, key, delta).await {
            Err(error) if error.kind() == ErrorKind::NotACounter => {
                let written = self.inner.write(ns, Put::new(key, delta.to_string())).await?;
                Ok(Counter::new(delta, written.revision))
            }
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for Wraps {
    inner!();

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        match self.inner.increment(ns, key, delta).await {
            Err(error) if error.kind() == ErrorKind::Overflow => {
                let held = self.inner.increment(ns, key, 0).await?.value;
                let sum = held.wrapping_add(delta);
                let written = self.inner.write(ns, Put::new(key, sum.to_string())).await?;
                Ok(Counter::new(sum, written.revision))
            }
            other => other,
        }
    }
}

#[async_trait]
impl Wrapper for ForgetsExpiry {
    inner!();

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        let counter = self.inner.increment(ns, key, delta).await?;
        self.inner.set_expiry(ns, key, Expiry::Never, store_core::Condition::Any).await?;
        Ok(counter)
    }
}

#[async_trait]
impl Wrapper for Repeats {
    inner!();

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        match self.inner.increment(ns, key, delta).await {
            Err(error) if error.outcome() == Outcome::Unknown => {
                self.inner.increment(ns, key, delta).await
            }
            other => other,
        }
    }
}
