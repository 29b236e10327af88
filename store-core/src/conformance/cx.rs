//! What a case is given.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;

use super::case::{Check, Failure};
use super::options::Options;
use super::pace::Pace;
use super::target::{Faults, Fixture, Target};
use super::watcher::Watcher;
use crate::capability::{Capability, Feature};
use crate::handle::{Admin, Database, List, Scan, Table};
use crate::name::Name;
use crate::options::Written;
use crate::record::Record;
use crate::revision::Revision;
use crate::store::{EventStream, Store, StoreAdmin};

/// One case's store, databases and time.
#[derive(Clone)]
pub(super) struct Cx(Arc<Inner>);

struct Inner {
    target: Arc<dyn Target>,
    declared: Capability,
    fixture: Fixture,
    options: Options,
    pace: Arc<Pace>,
    /// Begins the name of each of its databases.
    prefix: String,
    /// Short names and what they became, to be removed in the end.
    databases: Mutex<BTreeMap<String, Name>>,
}

impl Cx {
    pub(super) fn new(
        target: Arc<dyn Target>,
        fixture: Fixture,
        options: Options,
        factor: u32,
        prefix: String,
    ) -> Self {
        Self(Arc::new(Inner {
            declared: target.capability(),
            target,
            fixture,
            options,
            pace: Arc::new(Pace::new(factor)),
            prefix,
            databases: Mutex::default(),
        }))
    }

    pub(super) fn store(&self) -> &Arc<dyn StoreAdmin> {
        &self.0.fixture.store
    }

    pub(super) fn admin(&self) -> Admin {
        Admin::new(Arc::clone(self.store()))
    }

    pub(super) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(super) fn target(&self) -> &dyn Target {
        &*self.0.target
    }

    /// What the target declares.
    pub(super) fn declared(&self) -> &Capability {
        &self.0.declared
    }

    pub(super) fn has(&self, feature: Feature) -> bool {
        self.declared().has(feature)
    }

    /// The name of this case's database `part`.
    pub(super) fn name(&self, part: &str) -> Check<Name> {
        let name = Name::new(self.target().database(&format!("{}-{part}", self.0.prefix)))?;
        let mut databases = self.0.databases.lock().unwrap_or_else(PoisonError::into_inner);
        databases.insert(part.to_owned(), name.clone());
        Ok(name)
    }

    pub(super) fn database(&self, part: &str) -> Check<Database> {
        Ok(self.store().database(self.name(part)?)?)
    }

    /// The table that most cases need: the root where there are no others.
    pub(super) fn table(&self) -> Check<Table> {
        let name = if self.has(Feature::Tables) { "t" } else { "" };
        self.table_of(self.store(), "main", name)
    }

    /// A table of the main database; the root table if `name` is empty.
    pub(super) fn named(&self, name: &str) -> Check<Table> {
        self.table_of(self.store(), "main", name)
    }

    pub(super) fn table_in(&self, database: &str, name: &str) -> Check<Table> {
        self.table_of(self.store(), database, name)
    }

    /// The table [`table`](Self::table) in a database with this short name.
    pub(super) fn table_at(&self, database: &str) -> Check<Table> {
        let name = if self.has(Feature::Tables) { "t" } else { "" };
        self.table_in(database, name)
    }

    pub(super) fn table_of(
        &self,
        store: &Arc<dyn StoreAdmin>,
        database: &str,
        name: &str,
    ) -> Check<Table> {
        let database = store.database(self.name(database)?)?;
        match name {
            "" => Ok(database.root()),
            name => Ok(database.table(name)?),
        }
    }

    /// Another store object on the same data.
    pub(super) async fn second(&self) -> Check<Arc<dyn StoreAdmin>> {
        match &self.0.fixture.reopen {
            Some(reopen) => Ok(reopen().await?),
            None => {
                Err(Failure::NotApplicable("the target opens no second store on the same data"))
            }
        }
    }

    /// The table of [`table`](Self::table) seen through another store object.
    pub(super) async fn second_table(&self) -> Check<Table> {
        let name = if self.has(Feature::Tables) { "t" } else { "" };
        self.table_of(&self.second().await?, "main", name)
    }

    pub(super) fn faults(&self) -> Check<&dyn Faults> {
        let faults = self.0.fixture.faults.as_deref();
        faults.ok_or(Failure::NotApplicable("the target injects no faults"))
    }

    /// A listing in the order that the driver has.
    pub(super) fn list<'a>(&self, table: &'a Table) -> List<'a> {
        if self.has(Feature::ByteOrder) { table.list() } else { table.list().any_order() }
    }

    /// Records in the order that the driver has.
    pub(super) fn scan<'a>(&self, table: &'a Table) -> Scan<'a> {
        if self.has(Feature::ByteOrder) { table.scan() } else { table.scan().any_order() }
    }

    /// All keys of a table, sorted, each once.
    pub(super) async fn keys(&self, table: &Table) -> Check<Vec<String>> {
        let mut keys = self.list(table).await?;
        keys.sort_unstable();
        if !self.has(Feature::ByteOrder) {
            keys.dedup();
        }
        Ok(keys)
    }

    pub(super) async fn watch(&self, table: &Table) -> Check<Watcher> {
        Ok(self.follow(table.watch().await?))
    }

    pub(super) async fn changes(&self, table: &Table) -> Check<Watcher> {
        Ok(self.follow(table.watch().changes_only().await?))
    }

    /// A watch that the case has begun.
    pub(super) fn follow(&self, stream: EventStream) -> Watcher {
        Watcher::new(stream, Arc::clone(&self.0.pace))
    }

    pub(super) fn is_movable(&self) -> bool {
        self.0.fixture.time.is_movable()
    }

    pub(super) fn now(&self) -> SystemTime {
        self.0.fixture.time.now()
    }

    /// A time to live that can be waited for.
    pub(super) fn ttl(&self) -> Duration {
        if self.is_movable() {
            return Duration::from_secs(10);
        }
        self.lives(self.target().unit().max(self.declared().min_ttl.unwrap_or_default()))
    }

    /// A time to live that is as short as this, and longer where calls have been found to take longer than that.
    pub(super) fn lives(&self, ttl: Duration) -> Duration {
        self.0.pace.lives(ttl)
    }

    /// Whether time is real, and too little of it was left between the calls for what the case was to see.
    pub(super) fn was_too_slow(&self) -> bool {
        !self.is_movable() && self.0.pace.was_too_slow()
    }

    /// A time to live that does not end during a case.
    pub(super) fn long(&self) -> Duration {
        Duration::from_hours(1).max(self.declared().min_ttl.unwrap_or_default() * 2)
    }

    /// Lets time pass.
    pub(super) async fn advance(&self, by: Duration) {
        self.0.pace.waits(self.0.fixture.time.advance(by)).await;
    }

    /// Lets time pass until what was written with this time to live must be gone.
    pub(super) async fn outlive(&self, ttl: Duration) {
        let slack = if self.is_movable() { Duration::from_millis(1) } else { self.target().tick() };
        self.advance(ttl + self.declared().expiry_lateness + slack).await;
    }

    /// Asks again until the answer is yes, for what a backend does on its own time.
    pub(super) async fn eventually<F, Fut>(&self, what: &str, mut holds: F) -> Check
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Check<bool>> + Send,
    {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if holds().await? {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{what}: still not so after 20 seconds");
            self.0.pace.waits(tokio::time::sleep(Duration::from_millis(5))).await;
        }
    }

    /// Runs this many tasks at once, each with its number.
    pub(super) async fn together<T, F, Fut>(&self, tasks: usize, work: F) -> Check<Vec<T>>
    where
        T: Send + 'static,
        F: Fn(Self, usize) -> Fut,
        Fut: Future<Output = Check<T>> + Send + 'static,
    {
        let tasks = (0..tasks).map(|task| tokio::spawn(work(self.clone(), task)));
        let mut results = Vec::new();
        for joined in join_all(tasks).await {
            results.push(joined.map_err(|e| Failure::new(format!("a task died: {e}")))??);
        }
        Ok(results)
    }

    /// Removes what the case made. What goes wrong here says nothing about the case.
    pub(super) async fn clean_up(&self) {
        let databases = {
            let mut held = self.0.databases.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        for name in databases.values() {
            let _ = self.store().delete_database(name).await;
        }
        let _ = self.store().close().await;
    }
}

/// Work beside the case's own, begun at once; await it in the end.
pub(super) fn aside<T: Send + 'static>(
    work: impl Future<Output = Check<T>> + Send + 'static,
) -> impl Future<Output = Check<T>> + Send {
    let task = tokio::spawn(work);
    async move { task.await.map_err(|e| Failure::new(format!("a task died: {e}")))? }
}

/// A record that must be there.
pub(super) async fn present(table: &Table, key: &str) -> Check<Record> {
    let record = table.read(key).await?;
    record.ok_or_else(|| Failure::new(format!("{key:?} is absent")))
}

pub(super) async fn ensure_value(table: &Table, key: &str, want: &str) -> Check {
    let record = present(table, key).await?;
    ensure_eq!(text(record.value()), want, "value of {key:?}");
    ensure_eq!(record.key(), key, "key of the record read");
    Ok(())
}

pub(super) async fn ensure_absent(table: &Table, key: &str) -> Check {
    let record = table.read(key).await?;
    ensure!(record.is_none(), "{key:?} is there: {record:?}");
    Ok(())
}

/// Bytes as text, for comparing values that are text.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// The revision that a write must have returned.
pub(super) fn revision(written: Written) -> Check<Revision> {
    written.revision.ok_or_else(|| Failure::new("the write returned no revision"))
}

/// The revision that a record must have.
pub(super) async fn revision_of(table: &Table, key: &str) -> Check<Revision> {
    let record = present(table, key).await?;
    let revision = record.revision();
    revision.ok_or_else(|| Failure::new(format!("the record {key:?} has no revision")))
}

/// Writes records `key = key`.
pub(super) async fn fill<K: AsRef<str> + Sync>(table: &Table, keys: &[K]) -> Check {
    for chunk in keys.chunks(500) {
        let pairs = chunk.iter().map(|key| (key.as_ref(), key.as_ref()));
        for (result, key) in table.write_many(pairs).await.into_iter().zip(chunk) {
            result
                .map_err(|e| Failure::from(e).about(format_args!("writing {:?}", key.as_ref())))?;
        }
    }
    Ok(())
}

/// The plain store below a table.
pub(super) fn driver(table: &Table) -> &dyn Store {
    &**table.store()
}
