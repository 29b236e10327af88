use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use futures_util::stream::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{Call, Operation};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Table, Updated};
use crate::options::{self, Deleted, Expiry, Written};
use crate::record::Record;
use crate::typed::key::{self, KeyOf, PrefixOf, TableKey};
use crate::typed::{
    Batch, Change, Codec, Delete, Entry, Event, EventStream, Json, List, Read, Scan, Watch, Write,
};

/// A table of values of a type `V` at keys of a type `K`; see the [module](crate::typed). Cheap to clone.
pub struct TypedTable<K, V, C = Json> {
    table: Table,
    codec: C,
    types: PhantomData<fn() -> (K, V)>,
}

impl Table {
    /// This table with values of a serde type, as JSON, at keys that are strings.
    ///
    /// ```
    /// # use store_core::Store;
    /// # use std::sync::Arc;
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
    /// let sizes = store.database("app")?.table("sizes")?.typed::<(u32, u32)>();
    /// sizes.write("door", &(90, 200)).await?;
    /// assert_eq!(sizes.read("door").await?.unwrap().value, (90, 200));
    /// assert_eq!(sizes.table().read("door").await?.unwrap().value(), b"[90,200]");
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn typed<V>(&self) -> TypedTable<String, V> {
        TypedTable::new(self.clone(), Json)
    }
}

impl<K, V, C> TypedTable<K, V, C> {
    fn new(table: Table, codec: C) -> Self {
        Self { table, codec, types: PhantomData }
    }

    /// The same table with another codec.
    pub fn with_codec<D: Codec>(self, codec: D) -> TypedTable<K, V, D> {
        TypedTable::new(self.table, codec)
    }

    /// The same table with another type of keys.
    pub fn with_keys<L: TableKey>(self) -> TypedTable<L, V, C> {
        TypedTable::new(self.table, self.codec)
    }

    /// The table below: its records are these.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Gives an error made here the address that the table gives its own.
    #[cold]
    pub(super) fn blame(&self, operation: Operation, error: Error) -> Error {
        let repeatable = !operation.is_mutation();
        let call = Call::new(operation).at(self.table.namespace()).repeatable(repeatable);
        error.in_call(self.table.store().driver(), &call)
    }
}

impl<K, V, C> TypedTable<K, V, C>
where
    K: TableKey,
    V: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// Reads a record: `Ok(None)` when it is absent.
    pub fn read<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Read<'_, K, V, C> {
        Read::new(self, self.key_text(Operation::Read, key))
    }

    /// Reads the value of a record alone: `Ok(None)` when it is absent. See [`Table::value`] for where this is cheaper.
    ///
    /// # Errors
    /// Those of [`Table::value`]; `Corrupt` when the value does not decode.
    pub async fn value<Q: KeyOf<K> + Sync + ?Sized>(&self, key: &Q) -> Result<Option<V>> {
        let key = self.key_text(Operation::Read, key)?;
        let value = self.table.value(&key).await?;
        let decoded = value.map(|value| self.codec.decode(&value)).transpose();
        decoded.map_err(|error| self.blame(Operation::Read, error.with_key(&key)))
    }

    /// Whether a record exists, whatever its value.
    ///
    /// # Errors
    /// Those of [`Table::exists`].
    pub async fn exists<Q: KeyOf<K> + Sync + ?Sized>(&self, key: &Q) -> Result<bool> {
        let key = self.key_text(Operation::Exists, key)?;
        self.table.exists(&key).await
    }

    /// Writes a record: value, metadata and expiry become exactly what the builder says.
    pub fn write<Q: KeyOf<K> + ?Sized>(&self, key: &Q, value: &V) -> Write<'_> {
        let encoded = self.pair(Operation::Write, key, value);
        Write::new(&self.table, encoded)
    }

    /// Deletes a record, whatever its value; `Ok` when there is none.
    pub fn delete<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Delete<'_> {
        Delete::new(&self.table, self.key_text(Operation::Delete, key))
    }

    /// Changes when a record expires without sending its value; gives it a new revision. `Ok(None)` when there is none.
    ///
    /// # Errors
    /// Those of [`Table::set_expiry`].
    pub async fn set_expiry<Q: KeyOf<K> + Sync + ?Sized>(
        &self,
        key: &Q,
        expiry: Expiry,
    ) -> Result<Option<Written>> {
        let key = self.key_text(Operation::SetExpiry, key)?;
        self.table.set_expiry(&key, expiry).await
    }

    /// Keys of the table.
    pub fn list(&self) -> List<'_, K> {
        List::new(self, Operation::List, self.table.list(), |table, operation, key| {
            table.key_of(operation, &key)
        })
    }

    /// Keys that begin with these components.
    pub fn list_under<P: PrefixOf<K> + ?Sized>(&self, prefix: &P) -> List<'_, K> {
        self.list().under(prefix)
    }

    /// Records of the table.
    pub fn scan(&self) -> Scan<'_, K, V> {
        Scan::new(self, Operation::Scan, self.table.scan(), Self::entry)
    }

    /// Records whose keys begin with these components.
    pub fn scan_under<P: PrefixOf<K> + ?Sized>(&self, prefix: &P) -> Scan<'_, K, V> {
        self.scan().under(prefix)
    }

    /// Watches the table, the keys under a prefix, or one key.
    pub fn watch(&self) -> Watch<'_, K, V, C> {
        Watch::new(self)
    }

    /// Reads a record, lets `f` decide, and writes it back if nobody else has changed it in between; else tries again with the
    /// new state. `f` may run several times. Metadata and expiry stay as they are unless the change says otherwise.
    ///
    /// # Errors
    /// As [`Table::update`]; `Corrupt`, and nothing is changed, when the present value does not decode.
    pub async fn update<Q, F>(&self, key: &Q, mut f: F) -> Result<Updated>
    where
        Q: KeyOf<K> + Sync + ?Sized,
        F: FnMut(Option<&V>) -> Change<V> + Send,
    {
        let key = self.key_text(Operation::Write, key)?;
        let mut fault = None;
        let mut decide = |record: Option<&Record>| {
            let old = record.map(|record| self.decoded(record)).transpose()?;
            f(old.as_ref()).encode(|value| self.codec.encode(value))
        };
        let updated = self
            .table
            .update(&key, |record| {
                decide(record).unwrap_or_else(|error| {
                    fault = Some(error);
                    crate::handle::Change::Nothing
                })
            })
            .await?;
        match fault {
            Some(error) => Err(self.blame(Operation::Write, error.with_key(&key))),
            None => Ok(updated),
        }
    }

    /// An all-or-nothing batch.
    pub fn batch(&self) -> Batch<'_, K, V, C> {
        Batch::new(self)
    }

    /// Reads several records. Answers come in the order asked, each with its own error; a key asked twice is answered twice.
    pub async fn read_many<Q: KeyOf<K> + Sync>(
        &self,
        keys: &[Q],
    ) -> Vec<Result<Option<Entry<K, V>>>> {
        const OP: Operation = Operation::ReadMany;
        let keys: Vec<_> = keys.iter().map(|key| self.key_text(OP, key)).collect();
        let valid: Vec<_> = keys.iter().flatten().collect();
        let answers = self.table.read_many(&valid).await;
        answer(keys, answers)
            .map(|answer| answer?.map(|record| self.entry(OP, record)).transpose())
            .collect()
    }

    /// Writes several records unconditionally, in order, each with its own result.
    pub async fn write_many<Q: KeyOf<K>, W: Borrow<V>>(
        &self,
        records: impl IntoIterator<Item = (Q, W)> + Send,
    ) -> Vec<Result<Written>> {
        const OP: Operation = Operation::WriteMany;
        let records: Vec<_> =
            records.into_iter().map(|(key, value)| self.pair(OP, &key, value.borrow())).collect();
        let valid = records.iter().flatten().map(|(key, value)| (key.as_str(), value));
        let answers = self.table.write_many(valid.collect::<Vec<_>>()).await;
        answer(records, answers).collect()
    }

    /// Deletes several records unconditionally, each with its own result.
    pub async fn delete_many<Q: KeyOf<K> + Sync>(&self, keys: &[Q]) -> Vec<Result<Deleted>> {
        const OP: Operation = Operation::DeleteMany;
        let keys: Vec<_> = keys.iter().map(|key| self.key_text(OP, key)).collect();
        let valid: Vec<_> = keys.iter().flatten().collect();
        let answers = self.table.delete_many(&valid).await;
        answer(keys, answers).collect()
    }

    pub(super) fn key_text<Q: KeyOf<K> + ?Sized>(
        &self,
        operation: Operation,
        key: &Q,
    ) -> Result<String> {
        key::encode(key).map_err(|error| self.blame(operation, error))
    }

    /// A record to write: the texts of its key and the bytes of its value.
    pub(super) fn pair<Q: KeyOf<K> + ?Sized>(
        &self,
        operation: Operation,
        key: &Q,
        value: &V,
    ) -> Result<(String, Vec<u8>)> {
        let key = self.key_text(operation, key)?;
        match self.codec.encode(value) {
            Ok(value) => Ok((key, value)),
            Err(error) => Err(self.blame(operation, error.with_key(&key))),
        }
    }

    fn decoded(&self, record: &Record) -> Result<V> {
        self.codec.decode(record.value())
    }

    pub(super) fn key_of(&self, operation: Operation, key: &str) -> Result<K> {
        K::decode(key).map_err(|error| self.blame(operation, error))
    }

    pub(super) fn entry(&self, operation: Operation, record: Record) -> Result<Entry<K, V>> {
        let key = self.key_of(operation, record.key())?;
        match self.decoded(&record) {
            Ok(value) => Ok(Entry::new(key, value, record)),
            Err(error) => Err(self.blame(operation, error.with_key(record.key()))),
        }
    }

    fn event(&self, event: options::Event) -> Result<Event<K, V>> {
        const OP: Operation = Operation::Watch;
        Ok(match event {
            options::Event::Put(record) => Event::Put(self.entry(OP, record)?),
            options::Event::Delete { key, revision, reason } => {
                Event::Delete { key: self.key_of(OP, &key)?, revision, reason }
            }
            options::Event::Synced { revision } => Event::Synced { revision },
            options::Event::Resync => Event::Resync,
        })
    }

    pub(super) fn events(&self, events: crate::EventStream) -> EventStream<K, V> {
        let table = self.clone();
        events.map(move |event| event.and_then(|event| table.event(event))).boxed()
    }
}

/// The answers to the calls that were made, in their places between those that were not.
fn answer<I, T>(asked: Vec<Result<I>>, answers: Vec<Result<T>>) -> impl Iterator<Item = Result<T>> {
    let mut answers = answers.into_iter();
    asked.into_iter().map(move |item| {
        item?;
        answers.next().unwrap_or_else(|| {
            let message = "the table answered fewer items than asked";
            Err(Error::new(ErrorKind::Internal, message).outcome_unknown())
        })
    })
}

impl<K, V, C: Clone> Clone for TypedTable<K, V, C> {
    fn clone(&self) -> Self {
        Self::new(self.table.clone(), self.codec.clone())
    }
}

impl<K, V, C: fmt::Debug> fmt::Debug for TypedTable<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Typed{:?} {:?}", self.table, self.codec)
    }
}
