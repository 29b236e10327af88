use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::call::Operation;
use crate::error::{Error, Result};
use crate::handle::reply::{At, Reply};
use crate::handle::{
    Batch, Delete, Increment, List, Read, ReadValue, Scan, SetExpiry, Watch, Write,
};
use crate::name::{Key, Namespace};
use crate::options::{Deleted, Expiry, Put, Remove, U64Page, Written};
use crate::record::{Record, Value};
use crate::store::Store;

/// A table: where an application reads, writes, lists and watches records.
///
/// ```
/// # use store_core::{ErrorKind, Store};
/// # use std::{sync::Arc, time::Duration};
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let users = store.database("app")?.table("users")?;
/// let first = users.write("ada", "1").ttl(Duration::from_secs(60)).if_absent().await?;
/// users.write("ada", "2").if_revision(first.revision.unwrap()).await?;
///
/// // A stale revision conflicts and changes nothing.
/// let error = users.write("ada", "3").if_revision(first.revision.unwrap()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// assert_eq!(users.list().prefix("a").await?, ["ada"]);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Table(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    ns: Namespace,
}

impl Table {
    pub(super) fn new(store: Arc<dyn Store>, ns: Namespace) -> Self {
        Self(Arc::new(Inner { store, ns }))
    }

    /// Its name; empty for a database's root table.
    pub fn name(&self) -> &str {
        self.0.ns.table()
    }

    /// Database and table.
    pub fn namespace(&self) -> &Namespace {
        &self.0.ns
    }

    /// The store it is in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    #[inline]
    pub(super) fn driver(&self) -> &dyn Store {
        &*self.0.store
    }

    #[inline]
    pub(super) fn at<'a>(&'a self, operation: Operation, key: Option<&'a str>) -> At<'a> {
        At {
            store: self.driver(),
            ns: &self.0.ns,
            key,
            operation,
            repeatable: !operation.is_mutation(),
        }
    }

    /// Reads a record: `Ok(None)` when it is absent.
    #[inline]
    pub fn read<'a, K: AsRef<str> + ?Sized>(&'a self, key: &'a K) -> Read<'a> {
        Read::new(self, key.as_ref())
    }

    /// Reads the value of a record alone: `Ok(None)` when it is absent. Cheaper than [`read`](Self::read) where metadata and revision
    /// lie apart from the value, as they do in Redis.
    ///
    /// ```
    /// # use store_core::Store;
    /// # use std::sync::Arc;
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
    /// # let users = store.database("app")?.table("users")?;
    /// users.write("ada", "lovelace").await?;
    /// assert_eq!(users.value("ada").await?.unwrap(), &b"lovelace"[..]);
    /// assert_eq!(users.value("bob").strong().await?, None);
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub fn value<'a, K: AsRef<str> + ?Sized>(&'a self, key: &'a K) -> ReadValue<'a> {
        ReadValue::new(self, key.as_ref())
    }

    /// Whether a record exists.
    pub fn exists<'a, K: AsRef<str> + ?Sized>(&'a self, key: &'a K) -> Reply<'a, bool> {
        let key = key.as_ref();
        let at = self.at(Operation::Exists, Some(key));
        Reply::new(at, Key::new(key).map(|key| self.driver().exists(&self.0.ns, key)))
    }

    /// Writes a record: value, metadata and expiry become exactly what the builder says.
    #[inline]
    pub fn write<'a, K: AsRef<str> + ?Sized>(
        &'a self,
        key: &'a K,
        value: impl Into<Value<'a>>,
    ) -> Write<'a> {
        Write::new(self, key.as_ref(), value.into())
    }

    /// Deletes a record; `Ok` when there is none.
    #[inline]
    pub fn delete<'a, K: AsRef<str> + ?Sized>(&'a self, key: &'a K) -> Delete<'a> {
        Delete::new(self, key.as_ref())
    }

    /// Changes when a record expires without sending its value; gives it a new revision. `Ok(None)` when there is none.
    pub fn set_expiry<'a, K: AsRef<str> + ?Sized>(
        &'a self,
        key: &'a K,
        expiry: Expiry,
    ) -> SetExpiry<'a> {
        SetExpiry::new(self, key.as_ref(), expiry)
    }

    /// Adds to the counter at a key, which counts from 0 when it is absent. Exact under any contention.
    ///
    /// ```
    /// # use store_core::Store;
    /// # use std::sync::Arc;
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
    /// # let hits = store.database("app")?.table("hits")?;
    /// assert_eq!(hits.increment("home", 2).await?.value, 2);
    /// assert_eq!(hits.increment("home", -5).await?.value, -3);
    /// assert_eq!(hits.read("home").await?.unwrap().value(), b"-3");
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn increment<'a, K: AsRef<str> + ?Sized>(
        &'a self,
        key: &'a K,
        delta: i64,
    ) -> Increment<'a> {
        Increment::new(self, key.as_ref(), delta)
    }

    /// Keys of the table.
    pub fn list(&self) -> List<'_> {
        List::new(self)
    }

    /// Records of the table.
    pub fn scan(&self) -> Scan<'_> {
        Scan::new(self)
    }

    /// Keys in any order by a stateless `u64` cursor: begin with 0, go on with `next` until it is `None`.
    pub fn scan_u64(&self, cursor: u64, limit: usize) -> Reply<'_, U64Page> {
        let at = self.at(Operation::ScanU64, None);
        Reply::new(at, Ok(self.driver().scan_u64(&self.0.ns, cursor, limit)))
    }

    /// Watches the table, a prefix or a key.
    pub fn watch(&self) -> Watch<'_> {
        Watch::new(self)
    }

    /// An all-or-nothing batch.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }

    /// The versions of a record that are still kept, oldest first.
    pub fn history<'a, K: AsRef<str> + ?Sized>(&'a self, key: &'a K) -> Reply<'a, Vec<Record>> {
        let key = key.as_ref();
        let at = self.at(Operation::History, Some(key));
        Reply::new(at, Key::new(key).map(|key| self.driver().history(&self.0.ns, key)))
    }

    /// Reads several records. Answers come in the order asked, each with its own error; a key asked twice is answered twice.
    pub async fn read_many<K: AsRef<str> + Sync>(&self, keys: &[K]) -> Vec<Result<Option<Record>>> {
        let keys: Vec<_> = keys.iter().map(AsRef::as_ref).collect();
        let (valid, mut answers) = check(&keys, |key| Key::new(*key));
        if !valid.is_empty() {
            fill(&mut answers, self.driver().read_many(&self.0.ns, &valid).await);
        }
        self.finish(Operation::ReadMany, &keys, |_| true, answers)
    }

    /// Reads several values alone, answered as [`read_many`](Self::read_many) answers; see [`value`](Self::value) for where this is
    /// cheaper.
    pub async fn values<K: AsRef<str> + Sync>(&self, keys: &[K]) -> Vec<Result<Option<Bytes>>> {
        let keys: Vec<_> = keys.iter().map(AsRef::as_ref).collect();
        let (valid, mut answers) = check(&keys, |key| Key::new(*key));
        if !valid.is_empty() {
            fill(&mut answers, self.driver().read_values(&self.0.ns, &valid).await);
        }
        self.finish(Operation::ReadMany, &keys, |_| true, answers)
    }

    /// Writes several records unconditionally, in order, each with its own result.
    pub async fn write_many<'a, K, V>(
        &'a self,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> Vec<Result<Written>>
    where
        K: AsRef<str>,
        V: Into<Value<'a>>,
    {
        let records: Vec<(String, Value<'a>)> =
            records.into_iter().map(|(k, v)| (k.as_ref().to_owned(), v.into())).collect();
        let keys: Vec<_> = records.iter().map(|(key, _)| key.as_str()).collect();
        let (puts, mut answers) =
            check(&records, |(key, value)| Key::new(key).map(|key| Put::new(key, value.clone())));
        if !puts.is_empty() {
            fill(&mut answers, self.driver().write_many(&self.0.ns, puts).await);
        }
        self.finish(Operation::WriteMany, &keys, |_| true, answers)
    }

    /// Writes several records with their own expiry, metadata and conditions, in order, each with its own result.
    pub async fn put_many(&self, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let keys: Vec<_> = puts.iter().map(|put| put.key.as_str()).collect();
        let any: Vec<_> = puts.iter().map(|put| put.condition.is_any()).collect();
        let answers = self.driver().write_many(&self.0.ns, puts).await.into_iter().map(Some);
        self.finish(Operation::WriteMany, &keys, |i| any[i], answers.collect())
    }

    /// Deletes several records unconditionally, each with its own result.
    pub async fn delete_many<K: AsRef<str> + Sync>(&self, keys: &[K]) -> Vec<Result<Deleted>> {
        let keys: Vec<_> = keys.iter().map(AsRef::as_ref).collect();
        let (removes, mut answers) = check(&keys, |key| Key::new(*key).map(Remove::new));
        if !removes.is_empty() {
            fill(&mut answers, self.driver().delete_many(&self.0.ns, removes).await);
        }
        self.finish(Operation::DeleteMany, &keys, |_| true, answers)
    }

    /// One answer for each key, each error with its address.
    fn finish<T>(
        &self,
        operation: Operation,
        keys: &[&str],
        repeatable: impl Fn(usize) -> bool,
        answers: Vec<Option<Result<T>>>,
    ) -> Vec<Result<T>> {
        let mut answers = answers.into_iter();
        let missing = || {
            Error::new(crate::ErrorKind::Internal, "the driver answered fewer items than asked")
                .outcome_unknown()
        };
        keys.iter()
            .enumerate()
            .map(|(i, key)| {
                let answer = answers.next().flatten().unwrap_or_else(|| Err(missing()));
                let at = At { repeatable: repeatable(i), ..self.at(operation, Some(key)) };
                answer.map_err(|error| at.blame(error))
            })
            .collect()
    }
}

/// The valid items, and an answer for each invalid one in its place.
fn check<'a, I, V, T>(
    items: &'a [I],
    valid: impl Fn(&'a I) -> Result<V>,
) -> (Vec<V>, Vec<Option<Result<T>>>) {
    let mut kept = Vec::with_capacity(items.len());
    let answers = items.iter().map(|item| valid(item).map(|item| kept.push(item)).err().map(Err));
    let answers = answers.collect();
    (kept, answers)
}

/// Puts the answers of the valid items into the places that are still open.
fn fill<T>(answers: &mut [Option<Result<T>>], given: Vec<Result<T>>) {
    let open = answers.iter_mut().filter(|answer| answer.is_none());
    for (answer, given) in open.zip(given) {
        *answer = Some(given);
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} {:?})", self.0.store.driver(), self.0.ns)
    }
}
