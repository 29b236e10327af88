//! Ours: a [`Table`] handle on the memory driver behind `Arc<dyn Store>`, as an application holds it.

use std::sync::Arc;

use store_core::{Store, Table};

use super::contestant::{Births, Contestant, Counts, Points, Scans, Seen, lost, touch};
use crate::Result;

pub(crate) struct Ours {
    table: Table,
}

impl Contestant for Ours {
    const NAME: &'static str = "ours";

    fn new() -> Result<Self> {
        let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
        let table = store.database("bench")?.table("t")?;
        Ok(Self { table })
    }
}

impl Points for Ours {
    async fn read(&self, key: &str) -> Result<u64> {
        let record = self.table.read(key).await?.ok_or_else(lost)?;
        Ok(touch(record.value()))
    }

    async fn write(&self, key: &str, value: &[u8]) -> Result<()> {
        self.table.write(key, value).await?;
        Ok(())
    }
}

impl Births for Ours {
    async fn create(&self, key: &str, value: &[u8]) -> Result<()> {
        self.table.write(key, value).if_absent().await?;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.table.delete(key).await?;
        Ok(())
    }
}

impl Scans for Ours {
    async fn scan(&self, prefix: &str, limit: usize) -> Result<Seen> {
        let records = self.table.scan().prefix(prefix).limit(limit).await?;
        let mut seen = Seen::default();
        for record in &records {
            seen.value(record.value());
        }
        Ok(seen)
    }
}

impl Counts for Ours {
    async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        Ok(self.table.increment(key, delta).await?.value)
    }
}
