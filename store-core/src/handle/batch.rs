use crate::call::Operation;
use crate::error::Result;
use crate::handle::Table;
use crate::name::Key;
use crate::options::{Condition, Op, Put, Remove, Written};
use crate::record::Value;

/// An all-or-nothing batch in one table; see [`Table::batch`]. Nothing happens before [`commit`](Self::commit).
///
/// ```
/// # use store_core::{Condition, ErrorKind, Store};
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// # let table = store.database("app")?.table("orders")?;
/// table.write("stock", "1").await?;
/// let order = || table.batch().check("stock", Condition::Value(b"1"[..].into()));
/// order().write("stock", "0").write("order/1", "ada").commit().await?;
/// let error = order().write("order/2", "bob").commit().await.unwrap_err();
/// assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("stock")));
/// assert!(!table.exists("order/2").await?, "nothing of it happened");
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is committed"]
pub struct Batch<'a> {
    table: &'a Table,
    ops: Result<Vec<Op<'a>>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self { table, ops: Ok(Vec::new()) }
    }

    fn add(mut self, key: &'a str, op: impl FnOnce(Key<'a>) -> Op<'a>) -> Self {
        if let Ok(ops) = &mut self.ops {
            match Key::new(key) {
                Ok(key) => ops.push(op(key)),
                Err(error) => self.ops = Err(error.with_key(key)),
            }
        }
        self
    }

    /// Adds an operation made by hand: with an expiry, metadata, its own condition.
    pub fn op(mut self, op: Op<'a>) -> Self {
        if let Ok(ops) = &mut self.ops {
            ops.push(op);
        }
        self
    }

    /// Adds an unconditional write.
    pub fn write<K: AsRef<str> + ?Sized>(self, key: &'a K, value: impl Into<Value<'a>>) -> Self {
        self.add(key.as_ref(), |key| Op::Put(Put::new(key, value)))
    }

    /// Adds a write if there is no such record.
    pub fn create<K: AsRef<str> + ?Sized>(self, key: &'a K, value: impl Into<Value<'a>>) -> Self {
        self.add(key.as_ref(), |key| {
            Op::Put(Put::new(key, value).with_condition(Condition::Absent))
        })
    }

    /// Adds a delete.
    pub fn delete<K: AsRef<str> + ?Sized>(self, key: &'a K) -> Self {
        self.add(key.as_ref(), |key| Op::Remove(Remove::new(key)))
    }

    /// Adds a condition on a record that the batch need not change.
    pub fn check<K: AsRef<str> + ?Sized>(self, key: &'a K, condition: Condition<'a>) -> Self {
        self.add(key.as_ref(), |key| Op::Check { key, condition })
    }

    /// Does all of it or nothing. Returns what each operation wrote, in order.
    ///
    /// # Errors
    /// As [`Store::atomic`](crate::Store::atomic).
    pub async fn commit(self) -> Result<Vec<Written>> {
        let at = self.table.at(Operation::Atomic, None);
        match self.ops {
            Ok(ops) => self.table.driver().atomic(self.table.namespace(), ops).await,
            Err(error) => Err(error),
        }
        .map_err(|error| at.blame(error))
    }
}
