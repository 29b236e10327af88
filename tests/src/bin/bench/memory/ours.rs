//! Stand-in until the driver lands.
use super::contestant::{Births, Contestant, Counts, Points, Scans, Seen};
use super::peers::{LockedCounters, LockedTree};
use crate::Result;

pub(crate) struct Ours(LockedTree, LockedCounters);

impl Contestant for Ours {
    const NAME: &'static str = "ours";
    fn new() -> Result<Self> {
        Ok(Self(LockedTree::new()?, LockedCounters::new()?))
    }
}
impl Points for Ours {
    async fn read(&self, key: &str) -> Result<u64> {
        self.0.read(key).await
    }
    async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.write(key, value).await
    }
}
impl Births for Ours {
    async fn create(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.create(key, value).await
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.0.delete(key).await
    }
}
impl Scans for Ours {
    async fn scan(&self, prefix: &str, limit: usize) -> Result<Seen> {
        self.0.scan(prefix, limit).await
    }
}
impl Counts for Ours {
    async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        self.1.increment(key, delta).await
    }
}
