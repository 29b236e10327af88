//! A memory store that writes down how it is called and fails as told. Forwards by hand, so that it shows what the layers' own
//! forwarding does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use store_core::{
    Capability, Condition, Counter, DatabaseConfig, DatabaseStatus, Deleted, Error, ErrorKind,
    EventStream, Expiry, Immediate, Key, ListOptions, Name, Namespace, Op, Operation, Page, Put,
    ReadOptions, Record, Remove, Result, Store, StoreAdmin, U64Page, WatchOptions, Written,
    async_trait,
};
use store_memory::Memory;

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) memory: Memory,
    log: Mutex<Vec<(Operation, usize)>>,
    faults: Mutex<Vec<Fault>>,
    pub(crate) given_up: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Nothing was done.
    Before,
    /// It was done, and the answer is lost.
    After,
    /// There is no answer.
    Never,
}

#[derive(Debug)]
struct Fault {
    operation: Operation,
    key: Option<&'static str>,
    times: usize,
    kind: ErrorKind,
    when: When,
}

impl Recorder {
    /// Fails the next so many calls of this operation, or of its items with this key.
    pub(crate) fn fail(
        &self,
        operation: Operation,
        key: impl Into<Option<&'static str>>,
        times: usize,
        kind: ErrorKind,
        when: When,
    ) {
        let key = key.into();
        self.faults.lock().unwrap().push(Fault { operation, key, times, kind, when });
    }

    /// The calls since the last look, each with its number of items.
    pub(crate) fn calls(&self) -> Vec<(Operation, usize)> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    fn note(&self, operation: Operation, items: usize) {
        self.log.lock().unwrap().push((operation, items));
    }

    fn fault(&self, operation: Operation, key: Option<&str>) -> Option<(ErrorKind, When)> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| {
            fault.operation == operation
                && fault.times > 0
                && (fault.key.is_none() || fault.key == key)
        })?;
        fault.times -= 1;
        Some((fault.kind, fault.when))
    }

    async fn item<T>(
        &self,
        operation: Operation,
        key: Option<&str>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.fault(operation, key) {
            None => call.await,
            Some((kind, When::Before)) => Err(Error::new(kind, "failed before")),
            Some((kind, When::After)) => {
                call.await?;
                Err(Error::new(kind, "failed after").outcome_unknown())
            }
            Some((_, When::Never)) => {
                let _count = CountDrop(&self.given_up);
                std::future::pending().await
            }
        }
    }

    async fn call<T>(
        &self,
        operation: Operation,
        key: Option<&str>,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.note(operation, 1);
        self.item(operation, key, call).await
    }
}

struct CountDrop<'a>(&'a AtomicUsize);

impl Drop for CountDrop<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for Recorder {
    fn driver(&self) -> &'static str {
        "recorder"
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        let call = self.memory.capability(database);
        self.call(Operation::Capability, None, call).await
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.call(Operation::Read, Some(key.as_str()), self.memory.read(ns, key, o)).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let key = put.key.as_str();
        self.call(Operation::Write, Some(key), self.memory.write(ns, put)).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let key = remove.key.as_str();
        self.call(Operation::Delete, Some(key), self.memory.delete(ns, remove)).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let call = self.memory.set_expiry(ns, key, expiry, condition);
        self.call(Operation::SetExpiry, Some(key.as_str()), call).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        let call = self.memory.increment(ns, key, delta);
        self.call(Operation::Increment, Some(key.as_str()), call).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.note(Operation::Atomic, ops.len());
        self.item(Operation::Atomic, None, self.memory.atomic(ns, ops)).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.call(Operation::List, None, self.memory.list(ns, o)).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.call(Operation::Scan, None, self.memory.scan(ns, o)).await
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.call(Operation::ScanU64, None, self.memory.scan_u64(ns, cursor, limit)).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.call(Operation::Watch, None, self.memory.watch(ns, o)).await
    }

    async fn ping(&self) -> Result<()> {
        self.call(Operation::Ping, None, self.memory.ping()).await
    }

    async fn close(&self) -> Result<()> {
        self.call(Operation::Close, None, self.memory.close()).await
    }

    fn immediate(&self) -> Option<&dyn Immediate> {
        None
    }

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        self.call(Operation::Read, Some(key.as_str()), self.memory.read_value(ns, key, o)).await
    }

    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        self.call(Operation::Exists, Some(key.as_str()), self.memory.exists(ns, key)).await
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        self.note(Operation::ReadMany, keys.len());
        let mut answers = Vec::new();
        for key in keys {
            let call = self.memory.read(ns, *key, ReadOptions::default());
            answers.push(self.item(Operation::ReadMany, Some(key.as_str()), call).await);
        }
        answers
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        self.note(Operation::ReadMany, keys.len());
        let mut answers = Vec::new();
        for key in keys {
            let call = self.memory.read_value(ns, *key, ReadOptions::default());
            answers.push(self.item(Operation::ReadMany, Some(key.as_str()), call).await);
        }
        answers
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        self.note(Operation::WriteMany, puts.len());
        let mut answers = Vec::new();
        for put in puts {
            let (key, call) = (put.key.as_str(), self.memory.write(ns, put));
            answers.push(self.item(Operation::WriteMany, Some(key), call).await);
        }
        answers
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        self.note(Operation::DeleteMany, removes.len());
        let mut answers = Vec::new();
        for remove in removes {
            let (key, call) = (remove.key.as_str(), self.memory.delete(ns, remove));
            answers.push(self.item(Operation::DeleteMany, Some(key), call).await);
        }
        answers
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        self.call(Operation::History, Some(key.as_str()), self.memory.history(ns, key)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StoreAdmin for Recorder {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let call = self.memory.create_database(name, config);
        self.call(Operation::CreateDatabase, None, call).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let call = self.memory.update_database(name, config);
        self.call(Operation::UpdateDatabase, None, call).await
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        self.call(Operation::DeleteDatabase, None, self.memory.delete_database(name)).await
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        self.call(Operation::EmptyDatabase, None, self.memory.empty_database(name)).await
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        self.call(Operation::ListDatabases, None, self.memory.list_databases()).await
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        self.call(Operation::DatabaseStatus, None, self.memory.database_status(name)).await
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.call(Operation::DatabaseStatus, None, self.memory.database_exists(name)).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.call(Operation::ListTables, None, self.memory.list_tables(name)).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.call(Operation::DeleteTable, None, self.memory.delete_table(ns)).await
    }
}
