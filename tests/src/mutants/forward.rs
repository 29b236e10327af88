//! A store that does what another does, but for what it overrides.

use std::fmt::Debug;

use bytes::Bytes;
use store_core::{
    Capability, Condition, Counter, DatabaseConfig, DatabaseStatus, Deleted, EventStream, Expiry,
    Key, ListOptions, Name, Namespace, Op, Page, Put, ReadOptions, Record, Remove, Result, Store,
    StoreAdmin, U64Page, WatchOptions, Written, async_trait,
};

/// The calls of a store, each forwarded unless overridden. Batches are made of single calls, so that to break one is to break both.
#[expect(missing_docs, reason = "named as the methods of `Store` and `StoreAdmin`")]
#[async_trait]
pub trait Wrapper: Debug + Send + Sync + 'static {
    fn inner(&self) -> &dyn StoreAdmin;

    /// Where the records of a table are kept.
    fn place(&self, ns: &Namespace) -> Namespace {
        ns.clone()
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        self.inner().capability(database).await
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.inner().read(ns, key, o).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.inner().write(ns, put).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.inner().delete(ns, remove).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        self.inner().set_expiry(ns, key, expiry, condition).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.inner().increment(ns, key, delta).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.inner().atomic(ns, ops).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.inner().list(ns, o).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.inner().scan(ns, o).await
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.inner().scan_u64(ns, cursor, limit).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.inner().watch(ns, o).await
    }

    async fn close(&self) -> Result<()> {
        self.inner().close().await
    }

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        Ok(self.read(ns, key, o).await?.map(|record| record.bytes()))
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            answers.push(self.read(ns, *key, ReadOptions::default()).await);
        }
        answers
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            answers.push(self.read_value(ns, *key, ReadOptions::default()).await);
        }
        answers
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let mut answers = Vec::with_capacity(puts.len());
        for put in puts {
            answers.push(self.write(ns, put).await);
        }
        answers
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        let mut answers = Vec::with_capacity(removes.len());
        for remove in removes {
            answers.push(self.delete(ns, remove).await);
        }
        answers
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        self.inner().history(ns, key).await
    }

    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.inner().create_database(name, config).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.inner().update_database(name, config).await
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        self.inner().delete_database(name).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.inner().delete_table(ns).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.inner().list_tables(name).await
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.inner().database_exists(name).await
    }
}

/// A [`Wrapper`] as a store.
#[derive(Debug)]
pub struct Broken<W>(pub W);

#[async_trait]
impl<W: Wrapper> Store for Broken<W> {
    fn driver(&self) -> &'static str {
        self.0.inner().driver()
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        self.0.capability(database).await
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        self.0.read(&self.0.place(ns), key, o).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        self.0.write(&self.0.place(ns), put).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        self.0.delete(&self.0.place(ns), remove).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        self.0.set_expiry(&self.0.place(ns), key, expiry, condition).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        self.0.increment(&self.0.place(ns), key, delta).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        self.0.atomic(&self.0.place(ns), ops).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.0.list(&self.0.place(ns), o).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        self.0.scan(&self.0.place(ns), o).await
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        self.0.scan_u64(&self.0.place(ns), cursor, limit).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.0.watch(&self.0.place(ns), o).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.inner().ping().await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }

    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        self.0.read_value(&self.0.place(ns), key, o).await
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        self.0.read_many(&self.0.place(ns), keys).await
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        self.0.read_values(&self.0.place(ns), keys).await
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        self.0.write_many(&self.0.place(ns), puts).await
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        self.0.delete_many(&self.0.place(ns), removes).await
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        self.0.history(&self.0.place(ns), key).await
    }
}

#[async_trait]
impl<W: Wrapper> StoreAdmin for Broken<W> {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.create_database(name, config).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.update_database(name, config).await
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        self.0.delete_database(name).await
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        self.0.inner().empty_database(name).await
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        self.0.inner().list_databases().await
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        self.0.inner().database_status(name).await
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.0.database_exists(name).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.0.list_tables(name).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.0.delete_table(&self.0.place(ns)).await
    }
}
