//! Stores that say one thing and do another.

use store_core::{
    Capability, Error, Expiry, Feature, Key, Name, Namespace, Put, Record, Result, Written,
    async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(NoHistory, SecretIncrement, IgnoresExpiry);

#[async_trait]
impl Wrapper for NoHistory {
    inner!();

    async fn history(&self, _: &Namespace, _: Key<'_>) -> Result<Vec<Record>> {
        Err(Error::lacks(Feature::History))
    }
}

#[async_trait]
impl Wrapper for SecretIncrement {
    inner!();

    async fn capability(&self, database: &Name) -> Result<Capability> {
        Ok(self.inner.capability(database).await?.without(Feature::Increment))
    }
}

/// What a store declares that knows nothing of expiry.
pub(super) fn without_expiry(capability: Capability) -> Capability {
    [Feature::Expiry, Feature::SetExpiry, Feature::KeepExpiry, Feature::ExpiryEvents]
        .into_iter()
        .fold(capability, Capability::without)
}

#[async_trait]
impl Wrapper for IgnoresExpiry {
    inner!();

    async fn capability(&self, database: &Name) -> Result<Capability> {
        Ok(without_expiry(self.inner.capability(database).await?))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.inner.write(ns, put.with_expiry(Expiry::Never)).await
    }
}
