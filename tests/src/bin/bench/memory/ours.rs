//! Ours: a [`Table`] handle on the memory driver behind `Arc<dyn Store>`, as an application holds it.

use std::sync::Arc;

use store_core::{Key, Store, Table};
use store_memory::{Bare, Memory};

use super::contestant::{Births, Contestant, Counts, Points, Reads, Scans, Seen, lost, touch};
use crate::Result;

pub(crate) struct Ours {
    table: Table,
    bare: Bare,
}

impl Ours {
    /// The structure below the handle.
    pub(crate) fn bare(self: &Arc<Self>) -> Arc<BareOurs> {
        Arc::new(BareOurs(Arc::clone(self)))
    }
}

impl Contestant for Ours {
    const NAME: &'static str = "ours";

    fn new() -> Result<Self> {
        let memory = Arc::new(Memory::new());
        let store: Arc<dyn Store> = Arc::<Memory>::clone(&memory);
        let table = store.database("bench")?.table("t")?;
        let bare = memory.bare(table.namespace());
        Ok(Self { table, bare })
    }
}

impl Reads for Ours {
    async fn read(&self, key: &str) -> Result<u64> {
        let record = self.table.read(key).await?.ok_or_else(lost)?;
        Ok(touch(record.value()))
    }
}

impl Points for Ours {
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

/// Ours without handle, trait and future: what is left is the structure.
pub(crate) struct BareOurs(Arc<Ours>);

impl Reads for BareOurs {
    async fn read(&self, key: &str) -> Result<u64> {
        let record = self.0.bare.read(Key::new(key)?).ok_or_else(lost)?;
        Ok(touch(record.value()))
    }
}
