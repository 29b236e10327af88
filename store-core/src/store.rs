//! The drivers' side: the traits that a driver implements, and the contract that it keeps.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::admin::{DatabaseConfig, DatabaseStatus};
use crate::capability::{Capability, Feature};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Key, Name, Namespace};
use crate::options::{
    Condition, Counter, Deleted, Event, Expiry, ListOptions, Op, Page, Put, ReadOptions, Remove,
    U64Page, WatchOptions, Written,
};
use crate::record::Record;

/// The events of a watch. Ends after [`Closed`](crate::ErrorKind::Closed) when the store is closed; an error that ends a watch
/// is its last item.
pub type EventStream = BoxStream<'static, Result<Event>>;

/// **For drivers and layers.** Records in tables in databases. Applications hold a [`Database`](crate::Database) and
/// [`Table`](crate::Table)s instead.
///
/// # The contract
///
/// What follows holds on every driver; each sentence is a case of the conformance suite. What a driver cannot do it leaves out of
/// its [`Capability`] and refuses with [`Unsupported`](crate::ErrorKind::Unsupported): it never weakens or ignores an option.
///
/// * **Addresses.** Two different (database, table, key) never meet. Every key lists back exactly as it was written.
/// * **Databases appear with the first write**, with the driver's defaults, unless the driver is told otherwise; reading one that
///   does not exist finds nothing.
/// * **Absent** is `Ok(None)`, an empty page, a delete that is `Ok`; never an error.
/// * **Read your writes** holds within one store, also after it reconnects.
/// * **A write sets everything**: value, metadata and expiry are exactly what it says, whatever was there before;
///   [`Expiry::Keep`] is explicit.
/// * **Revisions** never repeat for a key, not after a delete and re-create of the record, nor of the database.
/// * **Conditions** are checked and the change is made in one atomic step. A failed condition is a
///   [`Conflict`](crate::ErrorKind::Conflict) that changed nothing; a network fault never is.
/// * **An expired record is absent** everywhere at once: reads, listings, conditions, increments, watches. It is late by at most
///   [`Capability::expiry_lateness`], never early.
/// * **A dropped future** leaves nothing half written and no task behind; whether its change happened is unknown.
/// * **After [`close`](Self::close)** every call fails with [`Closed`](crate::ErrorKind::Closed).
/// * **Every call has a deadline** in drivers that talk to a server.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The driver's name, such as `memory`.
    fn driver(&self) -> &'static str;

    /// What this store can do in a database, which need not exist yet.
    async fn capability(&self, database: &Name) -> Result<Capability>;

    /// The record of a key; `None` when it is absent or expired. With [`ReadOptions::revision`] that version of it, `None` when it
    /// is no longer kept.
    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>>;

    /// Writes a record if its condition holds, atomically.
    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written>;

    /// Deletes a record if its condition holds, atomically. Deleting what is absent is `Ok` without a condition and a
    /// `Conflict` with one.
    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted>;

    /// Changes when a record expires, and gives it a new revision; value and metadata stay. `None` when it is absent and there is
    /// no condition. [`Expiry::Keep`] is an error.
    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>>;

    /// Adds to the counter at a key, atomically, and returns the sum. An absent record counts from 0 and is created with the
    /// database's default expiry; a present one keeps its expiry and metadata. The value is ASCII decimal, so that it can be
    /// written and read like any other.
    ///
    /// # Errors
    /// `NotACounter` when the value is no decimal `i64`, `Overflow` when the sum would not be; neither changes anything.
    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter>;

    /// Does all of a batch or nothing, in order, as one atomic step that readers see whole. A key may occur once among the writes
    /// and deletes; every condition is about the state before the batch. Returns the revision of each write, in order of `ops`;
    /// checks and deletes have `Written::default()`.
    ///
    /// # Errors
    /// `Conflict` with the key of the first condition that failed, `TooLarge` over [`Capability::max_atomic`],
    /// `InvalidArgument` for a key that is changed twice.
    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>>;

    /// One page of keys.
    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>>;

    /// One page of records, each whole. A page is no snapshot.
    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>>;

    /// One page of keys in any order by a stateless `u64` cursor; 0 begins. Each key present throughout is returned at least once. A
    /// page holds about `limit` keys: a driver may return more where its cursor cannot stop in between.
    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page>;

    /// Watches. Returns when the watch exists: a change made after that is delivered. Per key never an older state after a newer
    /// one, and no duplicate; a watcher that keeps up sees every change, one that lags or resumes may see only the latest state of a key and
    /// never misses the last. Reconnects by itself; [`Event::Resync`] when changes may have been missed.
    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream>;

    /// Asks the backend whether it serves.
    async fn ping(&self) -> Result<()>;

    /// Finishes what is under way, then lets go of everything. Idempotent.
    async fn close(&self) -> Result<()>;

    /// For drivers that never wait: the commonest calls answered at once, which saves each the allocation of its future. The
    /// same contract holds for both ways. A layer has none, so that every call passes through it.
    fn immediate(&self) -> Option<&dyn Immediate> {
        None
    }

    /// The value of a record alone, where the rest of it is not asked for: in everything else as [`read`](Self::read), with the same
    /// options, the same answers about what is absent or expired, and the same errors.
    async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        Ok(self.read(ns, key, o).await?.map(|record| record.bytes()))
    }

    /// Whether a record exists.
    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        Ok(self.read(ns, key, ReadOptions::default()).await?.is_some())
    }

    /// Several reads, answered in order, each on its own.
    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            answers.push(self.read(ns, *key, ReadOptions::default()).await);
        }
        answers
    }

    /// Several values alone, answered in order, each on its own: as [`read_many`](Self::read_many) in everything else.
    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        let records = self.read_many(ns, keys).await.into_iter();
        records.map(|read| Ok(read?.map(|record| record.bytes()))).collect()
    }

    /// Several writes, done in order, each on its own: one may fail and the next succeed.
    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        let mut answers = Vec::with_capacity(puts.len());
        for put in puts {
            answers.push(self.write(ns, put).await);
        }
        answers
    }

    /// Several deletes, done in order, each on its own.
    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        let mut answers = Vec::with_capacity(removes.len());
        for remove in removes {
            answers.push(self.delete(ns, remove).await);
        }
        answers
    }

    /// The versions of a record that are still kept, oldest first, the present one last. Needs [`Feature::History`].
    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        let _ = (ns, key);
        Err(Error::lacks(Feature::History))
    }
}

/// **For drivers.** Calls of a [`Store`] that need not wait; see [`Store::immediate`].
pub trait Immediate {
    /// As [`Store::read`].
    ///
    /// # Errors
    /// The same.
    fn read_now(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>>;

    /// As [`Store::write`].
    ///
    /// # Errors
    /// The same.
    fn write_now(&self, ns: &Namespace, put: &Put<'_>) -> Result<Written>;

    /// As [`Store::delete`].
    ///
    /// # Errors
    /// The same.
    fn delete_now(&self, ns: &Namespace, remove: &Remove<'_>) -> Result<Deleted>;

    /// As [`Store::increment`].
    ///
    /// # Errors
    /// The same.
    fn increment_now(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter>;
}

/// **For drivers and layers.** What can create, change and destroy databases and tables: kept apart, so that a holder of a plain
/// [`Store`] cannot.
#[async_trait]
pub trait StoreAdmin: Store {
    /// Creates a database. `Ok` when it exists with just this configuration.
    ///
    /// # Errors
    /// `AlreadyExists` when it exists with another one, `Unsupported` or `InvalidArgument` for a setting that the driver cannot
    /// honour.
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()>;

    /// Changes the configuration of a database to this one. Records stay as they are.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()>;

    /// Destroys a database and all in it. `Ok` when there is none.
    async fn delete_database(&self, name: &Name) -> Result<()>;

    /// Deletes all records of a database and keeps the database. `Ok` when there is none.
    async fn empty_database(&self, name: &Name) -> Result<()>;

    /// The databases, sorted by name.
    async fn list_databases(&self) -> Result<Vec<Name>>;

    /// What a database is like, fresh from the backend.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus>;

    /// Whether there is a database, fresh from the backend: all that [`database_status`](Self::database_status) tells by its
    /// `NotFound`, at the price of one small question however much there is in it.
    ///
    /// # Errors
    /// As of `database_status`, but for `NotFound`.
    async fn database_exists(&self, name: &Name) -> Result<bool> {
        match self.database_status(name).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The tables of a database that hold a record, sorted; the root table is the empty name.
    async fn list_tables(&self, name: &Name) -> Result<Vec<String>>;

    /// Deletes all records of a table. `Ok` when there is none.
    async fn delete_table(&self, ns: &Namespace) -> Result<()>;
}
