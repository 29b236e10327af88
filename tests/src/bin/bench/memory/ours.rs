//! Ours: a [`Table`] handle on the memory driver behind `Arc<dyn Store>`, as an application holds it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use store_core::{Key, Record, Store, Table};
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
    #[inline]
    fn read<'a>(&'a self, key: &'a str) -> impl Future<Output = Result<u64>> + Send {
        Then(self.table.read(key), |read: store_core::Result<Option<Record>>| {
            Ok(touch(read?.ok_or_else(lost)?.value()))
        })
    }
}

impl Points for Ours {
    #[inline]
    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
    ) -> impl Future<Output = Result<()>> + Send {
        Then(self.table.write(key, value), |written: store_core::Result<_>| {
            written?;
            Ok(())
        })
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
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let record = self.0.bare.read(Key::new(key)?).ok_or_else(lost)?;
        Ok(touch(record.value()))
    }
}

/// A future of ours and what becomes of its answer. An `async fn` around it is a second state machine, which the compiler inlines
/// or not as the size of the whole program has it: then it is measured too, and a read takes twice its time.
struct Then<F, M>(F, M);

impl<F, M, T> Future for Then<F, M>
where
    F: Future + Unpin,
    M: Fn(F::Output) -> T + Unpin,
{
    type Output = T;

    #[expect(clippy::inline_always, reason = "as above")]
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        pin!(&mut self.0).poll(cx).map(&self.1)
    }
}
