use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::call::Operation;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::handle::Table;
use crate::options::{Consistency, ListOptions, Order, Page};
use crate::record::Record;

/// Keys of a table; see [`Table::list`].
pub type List<'a> = Listing<'a, String>;

/// Records of a table; see [`Table::scan`].
pub type Scan<'a> = Listing<'a, Record>;

/// A listing of a table: its keys ([`Table::list`]) or its records ([`Table::scan`]), in byte order unless said otherwise.
///
/// Await it for all of it, take one [`page`](Self::page), or [`stream`](Self::stream) it page by page.
///
/// ```
/// # use store_core::Store;
/// # use futures_util::TryStreamExt;
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// # let table = store.database("app")?.table("t")?;
/// for key in ["b/1", "a/1", "a/2", "a/3"] {
///     table.write(key, key).await?;
/// }
/// assert_eq!(table.list().prefix("a/").offset(1).await?, ["a/2", "a/3"]);
///
/// let first = table.list().page_size(3).page().await?;
/// let rest = table.list().cursor(first.next.unwrap()).page().await?;
/// assert_eq!((rest.items, rest.next), (vec!["b/1".to_string()], None));
///
/// let values: usize = table.scan().stream()
///     .try_fold(0, |sum, record| async move { Ok(sum + record.value().len()) })
///     .await?;
/// assert_eq!(values, 12);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing happens until it is awaited"]
pub struct Listing<'a, T> {
    table: &'a Table,
    options: ListOptions,
    /// The most items in all.
    limit: Option<usize>,
    operation: Operation,
    fetch: for<'f> fn(&'f Table, &'f ListOptions) -> BoxFuture<'f, Result<Page<T>>>,
}

impl<'a> Listing<'a, String> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self {
            table,
            options: ListOptions::default(),
            limit: None,
            operation: Operation::List,
            fetch: |table, options| table.driver().list(table.namespace(), options),
        }
    }
}

impl<'a> Listing<'a, Record> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self {
            table,
            options: ListOptions::default(),
            limit: None,
            operation: Operation::Scan,
            fetch: |table, options| table.driver().scan(table.namespace(), options),
        }
    }
}

impl<'a, T: Send + 'static> Listing<'a, T> {
    /// Only keys that begin with this.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// Only keys that end with this. No backend has an index for it: the keys under the prefix are gone through.
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.options.suffix = suffix.into();
        self
    }

    /// Only keys after this one, which need not exist.
    pub fn start_after(mut self, key: impl Into<String>) -> Self {
        self.options.start_after = Some(key.into());
        self
    }

    /// Leaves out so many of what passes the filters. Prefer a cursor for paging: an offset counts from the start each time.
    pub fn offset(mut self, offset: usize) -> Self {
        self.options.offset = offset;
        self
    }

    /// The most items in all; without it there is no limit.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How many items to ask the backend for at a time, 1000 unless said; at least 1.
    pub fn page_size(mut self, items: usize) -> Self {
        self.options.limit = items.max(1);
        self
    }

    /// In whatever order is cheapest for the backend.
    pub fn any_order(mut self) -> Self {
        self.options.order = Order::Any;
        self
    }

    /// As of the leader or primary.
    pub fn strong(mut self) -> Self {
        self.options.consistency = Consistency::Strong;
        self
    }

    /// Goes on where a page ended, in the same table and order and with the same filters; limits still count, the offset does not.
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.options.cursor = Some(cursor);
        self
    }

    /// One page: at most [`page_size`](Self::page_size) and [`limit`](Self::limit) items, perhaps fewer; its `next` goes on.
    ///
    /// # Errors
    /// `InvalidArgument` for a cursor of another table or order.
    pub async fn page(mut self) -> Result<Page<T>> {
        self.options.limit = self.options.limit.min(self.limit.unwrap_or(usize::MAX));
        self.fetch().await
    }

    async fn fetch(&self) -> Result<Page<T>> {
        if self.options.limit == 0 {
            return Ok(Page::default());
        }
        let at = self.table.at(self.operation, None);
        match (self.fetch)(self.table, &self.options).await {
            Ok(mut page) => {
                page.faults = page.faults.into_iter().map(|error| at.blame(error)).collect();
                Ok(page)
            }
            Err(error) => Err(at.blame(error)),
        }
    }

    /// All items, page by page: memory for one page. A record that cannot be decoded is an `Err` in its place; the stream goes on
    /// after it, and ends after any other error.
    pub fn stream(self) -> BoxStream<'a, Result<T>> {
        struct Pages<'a, T> {
            listing: Listing<'a, T>,
            ready: VecDeque<Result<T>>,
            left: usize,
            done: bool,
        }
        let left = self.limit.unwrap_or(usize::MAX);
        let pages = Pages { listing: self, ready: VecDeque::new(), left, done: false };
        stream::unfold(pages, |mut pages| async move {
            loop {
                if let Some(item) = pages.ready.pop_front() {
                    return Some((item, pages));
                }
                if pages.done || pages.left == 0 {
                    return None;
                }
                let size = pages.listing.options.limit;
                pages.listing.options.limit = size.min(pages.left);
                let fetched = pages.listing.fetch().await;
                pages.listing.options.limit = size;
                match fetched {
                    Ok(page) => {
                        pages.left = pages.left.saturating_sub(page.items.len());
                        pages.done = page.next.is_none();
                        pages.listing.options.cursor = page.next;
                        pages.ready.extend(page.faults.into_iter().map(Err::<T, Error>));
                        pages.ready.extend(page.items.into_iter().map(Ok));
                    }
                    Err(error) => {
                        pages.done = true;
                        return Some((Err(error), pages));
                    }
                }
            }
        })
        .boxed()
    }

    async fn collect(mut self) -> Result<Vec<T>> {
        let size = self.options.limit;
        let mut left = self.limit.unwrap_or(usize::MAX);
        let mut all = Vec::new();
        loop {
            self.options.limit = size.min(left);
            let page = self.fetch().await?;
            if let Some(fault) = page.faults.into_iter().next() {
                return Err(fault);
            }
            left = left.saturating_sub(page.items.len());
            self.options.cursor = page.next;
            if all.is_empty() {
                all = page.items;
            } else {
                all.extend(page.items);
            }
            if left == 0 || self.options.cursor.is_none() {
                return Ok(all);
            }
        }
    }
}

impl<'a, T: Send + 'static> IntoFuture for Listing<'a, T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = BoxFuture<'a, Result<Vec<T>>>;

    /// All items at once: memory for the whole result. A record that cannot be decoded fails it; see
    /// [`stream`](Listing::stream).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.collect())
    }
}

impl<T> fmt::Debug for Listing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("operation", &self.operation)
            .field("limit", &self.limit)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
