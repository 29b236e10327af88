use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foldhash::fast::FixedState;

use crate::admin::{DatabaseConfig, DatabaseStatus};
use crate::call::{Call, Operation};
use crate::capability::Capability;
use crate::error::{Error, Result};
use crate::layer::{Around, Items, Payload, Run};
use crate::name::{Key, Name, Namespace};
use crate::options::{
    Condition, Counter, Deleted, Expiry, ListOptions, Op, Page, Put, ReadOptions, Remove, U64Page,
    WatchOptions, Written,
};
use crate::record::Record;
use crate::store::{EventStream, Immediate, Store, StoreAdmin};

/// A store around a store: every call, the provided ones too, goes through an [`Around`] to the store within, as one call.
pub struct Layered<A, S: ?Sized = dyn Store> {
    around: A,
    inner: Arc<S>,
}

impl<A, S: ?Sized> Layered<A, S> {
    /// This around that.
    pub fn new(around: A, inner: Arc<S>) -> Self {
        Self { around, inner }
    }

    /// What is around.
    pub fn around(&self) -> &A {
        &self.around
    }

    /// The store within.
    pub fn inner(&self) -> &Arc<S> {
        &self.inner
    }
}

impl<A: fmt::Debug, S: fmt::Debug + ?Sized> fmt::Debug for Layered<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} around {:?}", self.around, &*self.inner)
    }
}

impl<A: Around, S: Store + ?Sized> Layered<A, S> {
    /// A call with one answer.
    async fn one<'a, T, F>(
        &'a self,
        call: Call<'a>,
        make: impl FnMut(&'a S) -> F + Send + 'a,
    ) -> Result<T>
    where
        T: Payload,
        F: Future<Output = Result<T>> + Send + 'a,
    {
        let driver = self.inner.driver();
        let run = One { inner: &*self.inner, call, make };
        self.around.around(driver, call, run).await.map_err(|error| error.in_call(driver, &call))
    }

    /// A call with an answer for each item.
    async fn many<'a, I, T, F>(
        &'a self,
        operation: Operation,
        ns: &'a Namespace,
        mut items: Vec<I>,
        make: impl FnMut(&'a S, Vec<I>) -> F + Send + 'a,
    ) -> Vec<Result<T>>
    where
        I: Item + 'a,
        T: Payload,
        F: Future<Output = Vec<Result<T>>> + Send + 'a,
    {
        let driver = self.inner.driver();
        let asked = items.len();
        let refused = self.refuse(operation, ns, &mut items);
        if items.is_empty() && asked > 0 {
            return refused.into_iter().map(|(_, error)| Err(error)).collect();
        }
        let items: Arc<[I]> = items.into();
        let call = Call::new(operation)
            .at(ns)
            .items(items.len())
            .values(items.iter().map(Item::bytes))
            .repeatable(items.iter().all(Item::repeatable));
        let batch = Batch { operation, ns, driver, items };
        let run = Many { inner: &*self.inner, batch: batch.clone(), make };
        let answers = self.around.around(driver, call, run).await;
        let answers = batch.blame(&Items::All, answers);
        if refused.is_empty() {
            return answers;
        }
        let (mut answers, mut refused) = (answers.into_iter(), refused.into_iter().peekable());
        (0..asked)
            .map_while(|place| match refused.next_if(|(at, _)| *at == place) {
                Some((_, error)) => Some(Err(error)),
                None => answers.next(),
            })
            .collect()
    }

    /// Takes the items out that may not be sent, each with its place and the reason.
    fn refuse<I: Item>(
        &self,
        operation: Operation,
        ns: &Namespace,
        items: &mut Vec<I>,
    ) -> Vec<(usize, Error)> {
        let mut refused = Vec::new();
        let mut place = 0;
        items.retain(|item| {
            let verdict = self.around.admit(item.key(), item.bytes());
            if let Err(error) = verdict {
                let call = Call::new(operation).at(ns).key(item.key().as_str());
                refused.push((place, error.in_call(self.inner.driver(), &call)));
                place += 1;
                return false;
            }
            place += 1;
            true
        });
        refused
    }

    fn admit(&self, call: &Call<'_>, key: Key<'_>, bytes: usize) -> Result<()> {
        self.around
            .admit(key, bytes)
            .map_err(|error| error.in_call(self.inner.driver(), &call.key(key.as_str())))
    }

    /// These options with the page that the layer allows.
    fn page(&self, o: &ListOptions) -> ListOptions {
        let mut o = o.clone();
        o.limit = self.around.page(o.limit);
        o
    }
}

/// What a batch is made of.
trait Item: Clone + Send + Sync {
    fn key(&self) -> Key<'_>;

    fn bytes(&self) -> usize {
        0
    }

    fn repeatable(&self) -> bool;
}

impl Item for Key<'_> {
    fn key(&self) -> Key<'_> {
        *self
    }

    fn repeatable(&self) -> bool {
        true
    }
}

impl Item for Put<'_> {
    fn key(&self) -> Key<'_> {
        self.key
    }

    fn bytes(&self) -> usize {
        self.value.len()
    }

    fn repeatable(&self) -> bool {
        self.condition.is_any()
    }
}

impl Item for Remove<'_> {
    fn key(&self) -> Key<'_> {
        self.key
    }

    fn repeatable(&self) -> bool {
        self.condition.is_any()
    }
}

struct One<'a, S: ?Sized, M> {
    inner: &'a S,
    call: Call<'a>,
    make: M,
}

impl<'a, S, M, F, T> Run<'a, Result<T>> for One<'a, S, M>
where
    S: Store + ?Sized,
    M: FnMut(&'a S) -> F + Send + 'a,
    F: Future<Output = Result<T>> + Send + 'a,
    T: Payload,
{
    fn run(&mut self, _: Items) -> impl Future<Output = Result<T>> + Send + 'a {
        let (inner, call) = (self.inner, self.call);
        let made = (self.make)(inner);
        async move { made.await.map_err(|error| error.in_call(inner.driver(), &call)) }
    }
}

struct Many<'a, S: ?Sized, I, M> {
    inner: &'a S,
    batch: Batch<'a, I>,
    make: M,
}

impl<'a, S, I, M, F, T> Run<'a, Vec<Result<T>>> for Many<'a, S, I, M>
where
    S: Store + ?Sized,
    I: Item + 'a,
    M: FnMut(&'a S, Vec<I>) -> F + Send + 'a,
    F: Future<Output = Vec<Result<T>>> + Send + 'a,
    T: Payload,
{
    fn run(&mut self, items: Items) -> impl Future<Output = Vec<Result<T>>> + Send + 'a {
        let batch = self.batch.clone();
        let made = (self.make)(self.inner, batch.pick(&items));
        async move { batch.blame(&items, made.await) }
    }

    fn retain_repeatable(&self, places: &mut Vec<usize>) {
        self.batch.retain_last(places);
    }
}

/// The items of a batch and where they go.
struct Batch<'a, I> {
    operation: Operation,
    ns: &'a Namespace,
    driver: &'static str,
    items: Arc<[I]>,
}

impl<I> Clone for Batch<'_, I> {
    fn clone(&self) -> Self {
        Self { items: Arc::clone(&self.items), ..*self }
    }
}

impl<I: Item> Batch<'_, I> {
    fn pick(&self, items: &Items) -> Vec<I> {
        match items {
            Items::All => self.items.to_vec(),
            Items::These(places) => {
                places.iter().filter_map(|&place| self.items.get(place).cloned()).collect()
            }
        }
    }

    /// Adds to each error which item it is about.
    fn blame<T>(&self, items: &Items, answers: Vec<Result<T>>) -> Vec<Result<T>> {
        let blame = |i: usize, error: Error| {
            let place = match items {
                Items::All => i,
                Items::These(places) => places.get(i).copied().unwrap_or(usize::MAX),
            };
            let call = Call::new(self.operation).at(self.ns);
            match self.items.get(place) {
                Some(item) => error.in_call(
                    self.driver,
                    &call.key(item.key().as_str()).repeatable(item.repeatable()),
                ),
                None => error.in_call(self.driver, &call),
            }
        };
        answers
            .into_iter()
            .enumerate()
            .map(|(i, answer)| answer.map_err(|error| blame(i, error)))
            .collect()
    }

    /// Leaves the places whose key does not occur again behind them.
    fn retain_last(&self, places: &mut Vec<usize>) {
        if !self.operation.is_mutation() {
            return;
        }
        let mut behind = HashSet::with_capacity_and_hasher(self.items.len(), FixedState::default());
        let mut last = vec![false; self.items.len()];
        for (item, last) in self.items.iter().zip(&mut last).rev() {
            *last = behind.insert(item.key());
        }
        places.retain(|&place| last.get(place) == Some(&true));
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Around, S: Store + ?Sized> Store for Layered<A, S> {
    fn driver(&self) -> &'static str {
        self.inner.driver()
    }

    async fn capability(&self, database: &Name) -> Result<Capability> {
        let call = Call::new(Operation::Capability).on(database).repeatable(true);
        let inner = self.one(call, |s| s.capability(database)).await?;
        Ok(self.around.capability(inner))
    }

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let call = record(Operation::Read, ns, key).repeatable(true);
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.read(ns, key, o)).await
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let call = record(Operation::Write, ns, put.key)
            .values([put.value.len()])
            .repeatable(put.condition.is_any());
        self.admit(&call, put.key, put.value.len())?;
        self.one(call, |s| s.write(ns, put.clone())).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let call = record(Operation::Delete, ns, remove.key).repeatable(remove.condition.is_any());
        self.admit(&call, remove.key, 0)?;
        self.one(call, |s| s.delete(ns, remove.clone())).await
    }

    async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        let call = record(Operation::SetExpiry, ns, key).repeatable(condition.is_any());
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.set_expiry(ns, key, expiry, condition.clone())).await
    }

    async fn increment(&self, ns: &Namespace, key: Key<'_>, delta: i64) -> Result<Counter> {
        let call = record(Operation::Increment, ns, key);
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.increment(ns, key, delta)).await
    }

    async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        let bytes = |op: &Op<'_>| match op {
            Op::Put(put) => put.value.len(),
            _ => 0,
        };
        let call = Call::new(Operation::Atomic)
            .at(ns)
            .items(ops.len())
            .values(ops.iter().map(bytes))
            .repeatable(ops.iter().all(|op| op.condition().is_any()));
        for op in &ops {
            self.admit(&call, op.key(), bytes(op))?;
        }
        self.one(call, |s| s.atomic(ns, ops.clone())).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let call = table(Operation::List, ns);
        let o = self.page(o);
        self.one(call, |s| list(s, ns, o.clone())).await
    }

    async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let call = table(Operation::Scan, ns);
        let o = self.page(o);
        self.one(call, |s| scan(s, ns, o.clone())).await
    }

    async fn scan_u64(&self, ns: &Namespace, cursor: u64, limit: usize) -> Result<U64Page> {
        let call = table(Operation::ScanU64, ns);
        let limit = self.around.page(limit);
        self.one(call, |s| s.scan_u64(ns, cursor, limit)).await
    }

    async fn watch(&self, ns: &Namespace, o: WatchOptions) -> Result<EventStream> {
        let call = table(Operation::Watch, ns);
        let events = self.one(call, |s| s.watch(ns, o.clone())).await?;
        Ok(self.around.events(events))
    }

    async fn ping(&self) -> Result<()> {
        let call = Call::new(Operation::Ping).repeatable(true);
        self.one(call, S::ping).await
    }

    async fn close(&self) -> Result<()> {
        let call = Call::new(Operation::Close).repeatable(true);
        self.one(call, S::close).await
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
        let call = record(Operation::Read, ns, key).repeatable(true);
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.read_value(ns, key, o)).await
    }

    async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        let call = record(Operation::Exists, ns, key).repeatable(true);
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.exists(ns, key)).await
    }

    async fn read_many(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Record>>> {
        self.many(Operation::ReadMany, ns, keys.to_vec(), |s, keys| async move {
            s.read_many(ns, &keys).await
        })
        .await
    }

    async fn read_values(&self, ns: &Namespace, keys: &[Key<'_>]) -> Vec<Result<Option<Bytes>>> {
        self.many(Operation::ReadMany, ns, keys.to_vec(), |s, keys| async move {
            s.read_values(ns, &keys).await
        })
        .await
    }

    async fn write_many(&self, ns: &Namespace, puts: Vec<Put<'_>>) -> Vec<Result<Written>> {
        self.many(Operation::WriteMany, ns, puts, |s, puts| s.write_many(ns, puts)).await
    }

    async fn delete_many(&self, ns: &Namespace, removes: Vec<Remove<'_>>) -> Vec<Result<Deleted>> {
        self.many(Operation::DeleteMany, ns, removes, |s, removes| s.delete_many(ns, removes)).await
    }

    async fn history(&self, ns: &Namespace, key: Key<'_>) -> Result<Vec<Record>> {
        let call = record(Operation::History, ns, key).repeatable(true);
        self.admit(&call, key, 0)?;
        self.one(call, |s| s.history(ns, key)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Around, S: StoreAdmin + ?Sized> StoreAdmin for Layered<A, S> {
    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let call = database(Operation::CreateDatabase, name);
        self.one(call, |s| s.create_database(name, config)).await
    }

    async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let call = database(Operation::UpdateDatabase, name);
        self.one(call, |s| s.update_database(name, config)).await
    }

    async fn delete_database(&self, name: &Name) -> Result<()> {
        let call = database(Operation::DeleteDatabase, name);
        self.one(call, |s| s.delete_database(name)).await
    }

    async fn empty_database(&self, name: &Name) -> Result<()> {
        let call = database(Operation::EmptyDatabase, name);
        self.one(call, |s| s.empty_database(name)).await
    }

    async fn list_databases(&self) -> Result<Vec<Name>> {
        let call = Call::new(Operation::ListDatabases).repeatable(true);
        self.one(call, S::list_databases).await
    }

    async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        let call = database(Operation::DatabaseStatus, name);
        self.one(call, |s| s.database_status(name)).await
    }

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        let call = database(Operation::DatabaseStatus, name);
        self.one(call, |s| s.database_exists(name)).await
    }

    async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        let call = database(Operation::ListTables, name);
        self.one(call, |s| s.list_tables(name)).await
    }

    async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        let call = Call::new(Operation::DeleteTable).at(ns).repeatable(true);
        self.one(call, |s| s.delete_table(ns)).await
    }
}

fn record<'a>(operation: Operation, ns: &'a Namespace, key: Key<'a>) -> Call<'a> {
    Call::new(operation).at(ns).key(key.as_str())
}

fn table(operation: Operation, ns: &Namespace) -> Call<'_> {
    Call::new(operation).at(ns).repeatable(true)
}

/// Administration is repeatable: what is created, changed or gone already is so with `Ok`.
fn database(operation: Operation, name: &Name) -> Call<'_> {
    Call::new(operation).on(name).repeatable(true)
}

/// A page by options of the future's own, which outlive every attempt.
async fn list<S: Store + ?Sized>(s: &S, ns: &Namespace, o: ListOptions) -> Result<Page<String>> {
    s.list(ns, &o).await
}

async fn scan<S: Store + ?Sized>(s: &S, ns: &Namespace, o: ListOptions) -> Result<Page<Record>> {
    s.scan(ns, &o).await
}
