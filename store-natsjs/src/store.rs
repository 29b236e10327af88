//! The store: the contract's calls, each on the bucket as it is known.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value as Json;
use store_core::{
    Capability, Condition, Counter, DatabaseConfig, DatabaseStatus, Deleted, Error, ErrorKind,
    EventStream, Expiry, Key, ListOptions, Name, Namespace, Op, Page, Put, ReadOptions, Record,
    Remove, Result, Store, StoreAdmin, U64Page, WatchOptions, Written,
};

use crate::builder::Builder;
use crate::many::check_ops;
use crate::shared::Shared;
use crate::table::{Fail, Table, Via};
use crate::wire::fault::Fault;

/// Writes under way at a time in a batch: more only makes each of them slower.
const WINDOW: usize = 256;

/// A store in NATS JetStream. Cheap to clone: clones are the same store.
///
/// ```no_run
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use std::sync::Arc;
/// use store_core::Store;
/// use store_natsjs::Nats;
///
/// let store: Arc<dyn Store> = Arc::new(Nats::connect("nats://localhost").await?);
/// let table = store.database("app")?.table("greetings")?;
/// table.write("en", "hello").await?;
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Nats(pub(crate) Arc<Shared>);

impl Nats {
    /// Connects with the default settings. The URL names servers only; one with options, or with a database, is opened by a
    /// [`Registry`](store_core::config::Registry).
    ///
    /// # Errors
    /// `Config` for a URL that is none, `Unauthenticated`, `Unavailable` when no server answers or JetStream is off.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder().servers([url]).connect().await
    }

    /// Settings for a store.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The bucket of a namespace, whatever its layout makes of tables; `None` when there is none.
    pub(crate) async fn enter_any(&self, ns: &Namespace) -> Result<Option<Table>> {
        self.enter(ns, false).await
    }

    /// The table of a namespace; `None` when its database does not exist and shall not be made.
    pub(crate) async fn enter(&self, ns: &Namespace, make: bool) -> Result<Option<Table>> {
        self.0.open()?;
        let bucket = self.0.bucket(ns.database());
        let deadline = self.0.deadline();
        let known = if make {
            Some(self.0.known_or_made(&bucket, deadline).await?)
        } else {
            self.0.known(&bucket, deadline).await?
        };
        let name = ns.table().into();
        let shared = || Arc::clone(&self.0);
        let table = known.map(|known| Table { shared: shared(), bucket, known, name, deadline });
        if let Some(table) = &table {
            table.layout().check_table(ns.table())?;
        } else {
            self.0.rules.layout_of(ns.database()).check_table(ns.table())?;
        }
        Ok(table)
    }
}

/// How often a database may go away under one call.
const TRIES: u32 = 4;

fn vanishes() -> Error {
    Error::new(ErrorKind::Unavailable, "the database is deleted again and again")
}

/// Runs `$body` on the table, again when its database went away under it; `$absent` when there is none.
macro_rules! on_table {
    ($self:ident, $ns:expr, $make:expr, $table:ident => $body:expr, absent => $absent:expr) => {{
        let mut tries = 0;
        loop {
            let Some($table) = $self.enter($ns, $make).await? else { break $absent };
            match $body {
                Ok(done) => break Ok(done),
                Err(Fail::Error(error)) => break Err(error),
                Err(Fail::Gone) if tries < TRIES => tries += 1,
                Err(Fail::Gone) => break Err(vanishes()),
            }
        }
    }};
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.js.mux.client().connection_state();
        write!(f, "Nats({state:?}, {} waiting)", self.0.js.mux.waiting())
    }
}

#[async_trait]
impl Store for Nats {
    fn driver(&self) -> &'static str {
        crate::DRIVER
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        self.0.open()?;
        self.0.capability(database).await
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        on_table!(self, ns, false, table => match o.revision {
            None => table.read(key, Via::of(o.consistency)).await,
            Some(revision) => table.read_at(key, revision).await,
        }, absent => Ok(None))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        on_table!(self, ns, true, table => {
            let done = table.write(&put).await;
            done.map(|sequence| Written::new(Some(table.revision(sequence))))
        }, absent => Err(vanishes()))
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        remove.condition.on_existing()?;
        on_table!(self, ns, false, table => table.delete(&remove).await,
        absent => match &remove.condition {
            Condition::Any => Ok(Deleted::new(Some(false))),
            condition => Err(condition.conflict(false, None)),
        })
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        on_table!(self, ns, false, table => {
            let done = table.set_expiry(key, expiry, &condition).await;
            done.map(|done| done.map(|sequence| Written::new(Some(table.revision(sequence)))))
        }, absent => {
            condition.on_existing()?;
            if expiry == Expiry::Keep {
                Err(Error::invalid("a change of expiry must say the new expiry"))
            } else if condition.is_any() {
                Ok(None)
            } else {
                Err(condition.conflict(false, None))
            }
        })
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        on_table!(self, ns, true, table => table.increment(key, delta).await,
            absent => Err(vanishes()))
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        check_ops(&ops)?;
        let writes = ops.iter().any(|op| matches!(op, Op::Put(_)));
        on_table!(self, ns, writes, table => {
            let done = table.atomic(&ops).await;
            let written = |sequence: Option<u64>| {
                Written::new(sequence.map(|sequence| table.revision(sequence)))
            };
            done.map(|all| all.into_iter().map(written).collect())
        }, absent => {
            for op in &ops {
                op.condition().check(None).map_err(|error| error.with_key(op.key()))?;
            }
            Ok(vec![Written::default(); ops.len()])
        })
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        on_table!(self, ns, false, table => table.list(ns, o).await, absent => Ok(Page::default()))
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        on_table!(self, ns, false, table => table.scan(ns, o).await, absent => Ok(Page::default()))
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        on_table!(self, ns, false, table => table.scan_u64(cursor, limit).await,
            absent => Ok(U64Page::default()))
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        self.0.open()?;
        crate::watch::watch(&self.0, ns, o).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.open()?;
        match self.0.js.api("INFO", &Json::Null, self.0.deadline()).await {
            // Not everybody may ask for this, and who says so has answered.
            Ok(_) | Err(Fault::Denied) => Ok(()),
            Err(fault) => Err(fault.into_error(false)),
        }
    }

    async fn close(&self) -> Result<()> {
        if self.0.close() {
            let until = tokio::time::Instant::now() + self.0.rules.timeouts.attempt;
            while self.0.js.mux.waiting() > 0 && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if self.0.owned {
                // Fails only when the connection is gone already.
                let _ = self.0.js.mux.client().drain().await;
            }
        }
        Ok(())
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        for _ in 0..TRIES {
            let table = match self.enter(ns, false).await {
                Ok(Some(table)) => table,
                Ok(None) => return keys.iter().map(|_| Ok(None)).collect(),
                Err(error) => return keys.iter().map(|_| Err(error.clone())).collect(),
            };
            let answers = table.read_many(keys).await;
            if answers.iter().any(|answer| matches!(answer, Err(Fail::Gone))) {
                continue;
            }
            let answer = |answer| match answer {
                Ok(record) => Ok(record),
                Err(Fail::Error(error)) => Err(error),
                Err(Fail::Gone) => Err(vanishes()),
            };
            return answers.into_iter().map(answer).collect();
        }
        keys.iter().map(|_| Err(vanishes())).collect()
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        // The database first: who makes it must not be overtaken.
        let table = match self.enter(ns, true).await {
            Ok(Some(table)) => table,
            Ok(None) => return puts.iter().map(|_| Err(vanishes())).collect(),
            Err(error) => return puts.iter().map(|_| Err(error.clone())).collect(),
        };
        let runs = runs(puts, |put| put.key);
        let mut answers = Vec::new();
        for run in runs {
            let mut table = table.clone();
            table.deadline = self.0.deadline();
            let blind = table.write_blind(&run).await;
            let mut writes = Vec::with_capacity(run.len());
            for (put, done) in run.into_iter().zip(blind) {
                let done = match done {
                    Some(Ok(sequence)) => Some(Ok(Written::new(Some(table.revision(sequence))))),
                    Some(Err(Fail::Error(error))) => Some(Err(error)),
                    _ => None,
                };
                writes.push(async move {
                    match done {
                        Some(done) => done,
                        None => self.write(ns, put).await,
                    }
                });
            }
            answers.extend(stream::iter(writes).buffered(WINDOW).collect::<Vec<_>>().await);
        }
        answers
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        let runs = runs(removes, |remove| remove.key);
        let mut answers = Vec::new();
        for run in runs {
            let deletes: Vec<_> = run.into_iter().map(|remove| self.delete(ns, remove)).collect();
            answers.extend(stream::iter(deletes).buffered(WINDOW).collect::<Vec<_>>().await);
        }
        answers
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        on_table!(self, ns, false, table => table.history(key).await, absent => Ok(Vec::new()))
    }
}

/// Splits a batch where a key comes again, so that what is done side by side is about different keys.
fn runs<'a, T>(items: Vec<T>, key: impl Fn(&T) -> Key<'a>) -> Vec<Vec<T>> {
    let mut runs = vec![Vec::new()];
    let mut seen = HashSet::new();
    for item in items {
        if !seen.insert(key(&item)) {
            seen.clear();
            seen.insert(key(&item));
            runs.push(Vec::new());
        }
        if let Some(run) = runs.last_mut() {
            run.push(item);
        }
    }
    runs
}

#[async_trait]
impl StoreAdmin for Nats {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.open()?;
        self.0.create_database(name, config).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.0.open()?;
        self.0.update_database(name, config).await
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        self.0.open()?;
        self.0.delete_database(name).await
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        self.0.open()?;
        self.0.empty_database(name).await
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        self.0.open()?;
        self.0.list_databases().await
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        self.0.open()?;
        self.0.database_status(name).await
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        self.0.open()?;
        self.0.database_exists(name).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        self.0.open()?;
        self.0.list_tables(name).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.0.open()?;
        match self.enter(ns, false).await? {
            Some(table) => table.delete_table().await,
            None => Ok(()),
        }
    }
}
