use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Operation;
use crate::error::Result;
use crate::name::Key;
use crate::options::{Condition, Expiry, Op, Put, Remove, Written};
use crate::revision::Revision;
use crate::typed::key::{KeyOf, TableKey};
use crate::typed::{Codec, TypedTable};

/// An all-or-nothing batch in one typed table; see [`TypedTable::batch`]. Nothing happens before [`commit`](Self::commit).
///
/// ```
/// # use store_core::{ErrorKind, Store};
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let accounts = store.database("bank")?.table("accounts")?.typed::<u64>();
/// accounts.write("ada", &10).await?;
/// let ada = accounts.read("ada").await?.unwrap();
/// let pay = || accounts.batch()
///     .check_revision("ada", ada.revision().unwrap())
///     .write("ada", &(ada.value - 3))
///     .write("bob", &3);
/// pay().commit().await?;
/// assert_eq!(pay().commit().await.unwrap_err().kind(), ErrorKind::Conflict, "ada has changed");
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing happens until it is committed"]
pub struct Batch<'a, K, V, C> {
    table: &'a TypedTable<K, V, C>,
    items: Result<Vec<Item>>,
}

struct Item {
    key: String,
    condition: Condition<'static>,
    what: What,
}

enum What {
    Check,
    Put(Vec<u8>, Expiry),
    Remove,
}

impl<'a, K, V, C> Batch<'a, K, V, C>
where
    K: TableKey,
    V: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    pub(super) fn new(table: &'a TypedTable<K, V, C>) -> Self {
        Self { table, items: Ok(Vec::new()) }
    }

    fn add(mut self, item: impl FnOnce(&TypedTable<K, V, C>) -> Result<Item>) -> Self {
        if let Ok(items) = &mut self.items {
            match item(self.table) {
                Ok(item) => items.push(item),
                Err(error) => self.items = Err(error),
            }
        }
        self
    }

    fn put<Q: KeyOf<K> + ?Sized>(
        self,
        key: &Q,
        value: &V,
        expiry: Expiry,
        condition: Condition<'static>,
    ) -> Self {
        self.add(|table| {
            let (key, value) = table.pair(Operation::Atomic, key, value)?;
            Ok(Item { key, condition, what: What::Put(value, expiry) })
        })
    }

    fn check<Q: KeyOf<K> + ?Sized>(self, key: &Q, condition: Condition<'static>) -> Self {
        self.add(|table| {
            Ok(Item { key: table.key_text(Operation::Atomic, key)?, condition, what: What::Check })
        })
    }

    /// Adds an unconditional write.
    pub fn write<Q: KeyOf<K> + ?Sized>(self, key: &Q, value: &V) -> Self {
        self.put(key, value, Expiry::Database, Condition::Any)
    }

    /// Adds an unconditional write with this expiry.
    pub fn write_until<Q: KeyOf<K> + ?Sized>(self, key: &Q, value: &V, expiry: Expiry) -> Self {
        self.put(key, value, expiry, Condition::Any)
    }

    /// Adds a write if there is no such record.
    pub fn create<Q: KeyOf<K> + ?Sized>(self, key: &Q, value: &V) -> Self {
        self.put(key, value, Expiry::Database, Condition::Absent)
    }

    /// Adds a delete.
    pub fn delete<Q: KeyOf<K> + ?Sized>(self, key: &Q) -> Self {
        self.add(|table| {
            Ok(Item {
                key: table.key_text(Operation::Atomic, key)?,
                condition: Condition::Any,
                what: What::Remove,
            })
        })
    }

    /// Adds the condition that a record has this revision; the batch need not change it.
    pub fn check_revision<Q: KeyOf<K> + ?Sized>(self, key: &Q, revision: Revision) -> Self {
        self.check(key, Condition::Revision(revision))
    }

    /// Adds the condition that there is no such record.
    pub fn check_absent<Q: KeyOf<K> + ?Sized>(self, key: &Q) -> Self {
        self.check(key, Condition::Absent)
    }

    /// Does all of it or nothing. Returns what each operation wrote, in order.
    ///
    /// # Errors
    /// As [`Store::atomic`](crate::Store::atomic).
    pub async fn commit(self) -> Result<Vec<Written>> {
        let items = self.items?;
        let mut batch = self.table.table().batch();
        for item in &items {
            let key = Key::new(&item.key)?;
            let condition = item.condition.clone();
            batch = batch.op(match &item.what {
                What::Check => Op::Check { key, condition },
                What::Put(value, expiry) => {
                    Op::Put(Put::new(key, value).with_expiry(*expiry).with_condition(condition))
                }
                What::Remove => Op::Remove(Remove::new(key).with_condition(condition)),
            });
        }
        batch.commit().await
    }
}

impl<K, V, C> fmt::Debug for Batch<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys =
            self.items.as_ref().map(|items| items.iter().map(|item| &item.key).collect::<Vec<_>>());
        f.debug_tuple("Batch").field(&keys).finish()
    }
}
