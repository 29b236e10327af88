use std::future::IntoFuture;

use crate::call::Operation;
use crate::handle::{Reply, Table};
use crate::options::{Scope, Start, WatchOptions};
use crate::revision::Revision;
use crate::store::EventStream;

/// A watch of a table, a prefix or a key; see [`Table::watch`]. By default: the whole table, with the present records first.
///
/// ```
/// # use store_core::{Event, Gone, Store};
/// # use futures_util::StreamExt;
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// # let users = store.database("app")?.table("users")?;
/// let mut events = users.watch().prefix("a").await?;
/// assert!(matches!(events.next().await.unwrap()?, Event::Synced { .. }), "there was nothing yet");
/// users.write("ada", "1").await?;
/// users.delete("ada").await?;
/// assert!(matches!(events.next().await.unwrap()?, Event::Put(r) if r.key() == "ada"));
/// assert!(matches!(events.next().await.unwrap()?, Event::Delete { reason: Gone::Deleted, .. }));
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Watch<'a> {
    table: &'a Table,
    options: WatchOptions,
}

impl<'a> Watch<'a> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self { table, options: WatchOptions::default() }
    }

    /// Only keys that begin with this.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.scope = Scope::Prefix(prefix.into());
        self
    }

    /// Only this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.options.scope = Scope::Key(key.into());
        self
    }

    /// Only changes from now on.
    pub fn changes_only(mut self) -> Self {
        self.options.start = Start::Changes;
        self
    }

    /// Changes after this revision.
    pub fn after(mut self, revision: Revision) -> Self {
        self.options.start = Start::After(revision);
        self
    }
}

impl<'a> IntoFuture for Watch<'a> {
    type Output = crate::Result<EventStream>;
    type IntoFuture = Reply<'a, EventStream>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { table, options } = self;
        let at = table.at(Operation::Watch, None);
        Reply::new(at, Ok(table.driver().watch(table.namespace(), options)))
    }
}
