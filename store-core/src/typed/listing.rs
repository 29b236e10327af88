use std::fmt;
use std::future::{IntoFuture, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Operation;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::handle;
use crate::options::Page;
use crate::record::Record;
use crate::typed::key::{self, KeyOf, PrefixOf, TableKey};
use crate::typed::{Codec, Entry, TypedTable};

/// Keys of a typed table; see [`TypedTable::list`].
pub type List<'a, K> = Listing<'a, K, String, K>;

/// Records of a typed table; see [`TypedTable::scan`].
pub type Scan<'a, K, V> = Listing<'a, K, Record, Entry<K, V>>;

/// A listing of a typed table: its keys ([`TypedTable::list`]) or its records ([`TypedTable::scan`]), in the order of the keys.
///
/// Await it for all of it, take one [`page`](Self::page), or [`stream`](Self::stream) it page by page. A record whose key or value
/// does not decode does not fail the others: it is an error of its own in a page and a stream.
///
/// ```
/// # use store_core::Store;
/// # use futures_util::StreamExt;
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let levels = store.database("app")?.table("levels")?.typed::<f32>().with_keys::<(i16, u8)>();
/// for (key, value) in [((-2, 1), 0.5), ((-2, 2), 0.7), ((10, 1), 0.1), ((9, 3), 0.0)] {
///     levels.write(&key, &value).await?;
/// }
/// assert_eq!(levels.list().await?, [(-2, 1), (-2, 2), (9, 3), (10, 1)]);
/// assert_eq!(levels.list().start_after(&(-2, 1)).before(&(10, 0)).await?, [(-2, 2), (9, 3)]);
///
/// levels.table().write("foreign", "?").await?;
/// let page = levels.scan().page_size(9).page().await?;
/// assert_eq!((page.items.len(), page.faults.len()), (4, 1));
/// assert_eq!(page.faults[0].key(), Some("foreign"));
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[must_use = "nothing happens until it is awaited"]
pub struct Listing<'a, K, R, T> {
    inner: Result<handle::Listing<'a, R>>,
    before: Option<String>,
    decode: Arc<dyn Fn(R) -> Result<T> + Send + Sync + 'a>,
    blame: Arc<dyn Fn(Error) -> Error + Send + Sync + 'a>,
    keys: PhantomData<fn() -> K>,
}

/// What a listing of bytes holds: something with a key.
pub trait Keyed: Send + 'static {
    /// Its key.
    fn key(&self) -> &str;
}

impl Keyed for String {
    fn key(&self) -> &str {
        self
    }
}

impl Keyed for Record {
    fn key(&self) -> &str {
        Self::key(self)
    }
}

impl<'a, K: TableKey, R: Keyed, T: Send + 'static> Listing<'a, K, R, T> {
    pub(super) fn new<V, C>(
        table: &'a TypedTable<K, V, C>,
        operation: Operation,
        listing: handle::Listing<'a, R>,
        decode: impl Fn(&TypedTable<K, V, C>, Operation, R) -> Result<T> + Send + Sync + 'a,
    ) -> Self
    where
        V: Serialize + DeserializeOwned + Send + 'static,
        C: Codec,
    {
        Self {
            inner: Ok(listing),
            before: None,
            decode: Arc::new(move |item| decode(table, operation, item)),
            blame: Arc::new(move |error| table.blame(operation, error)),
            keys: PhantomData,
        }
    }

    fn with(
        mut self,
        change: impl FnOnce(handle::Listing<'a, R>) -> Result<handle::Listing<'a, R>>,
    ) -> Self {
        let blame = Arc::clone(&self.blame);
        self.inner = self.inner.and_then(|listing| change(listing).map_err(|error| blame(error)));
        self
    }

    /// Only keys that begin with these components; where keys are a `String`, with this text.
    pub fn under<P: PrefixOf<K> + ?Sized>(self, prefix: &P) -> Self {
        self.with(|listing| Ok(listing.prefix(key::encode_prefix(prefix)?)))
    }

    /// Only keys after this one, which need not exist.
    pub fn start_after<Q: KeyOf<K> + ?Sized>(self, key: &Q) -> Self {
        self.with(|listing| Ok(listing.start_after(key::encode(key)?)))
    }

    /// Only keys before this one, which need not exist.
    pub fn before<Q: KeyOf<K> + ?Sized>(mut self, key: &Q) -> Self {
        match key::encode(key) {
            Ok(key) => self.before = Some(key),
            Err(error) => return self.with(|_| Err(error)),
        }
        self
    }

    /// Leaves out so many of what passes the filters. Prefer a cursor for paging: an offset counts from the start each time.
    pub fn offset(self, offset: usize) -> Self {
        self.with(|listing| Ok(listing.offset(offset)))
    }

    /// The most items in all; without it there is no limit.
    pub fn limit(self, limit: usize) -> Self {
        self.with(|listing| Ok(listing.limit(limit)))
    }

    /// How many items to ask the backend for at a time, 1000 unless said; at least 1.
    pub fn page_size(self, items: usize) -> Self {
        self.with(|listing| Ok(listing.page_size(items)))
    }

    /// As of the leader or primary.
    pub fn strong(self) -> Self {
        self.with(|listing| Ok(listing.strong()))
    }

    /// Goes on where a page ended, in the same table; filters and limits still count, the offset does not.
    pub fn cursor(self, cursor: Cursor) -> Self {
        self.with(|listing| Ok(listing.cursor(cursor)))
    }

    /// One page: at most [`page_size`](Self::page_size) and [`limit`](Self::limit) items, perhaps fewer; its `next` goes on. What
    /// does not decode is among its [`faults`](Page::faults).
    ///
    /// # Errors
    /// `InvalidArgument` for a cursor of another table.
    pub async fn page(self) -> Result<Page<T>> {
        let page = self.inner?.page().await?;
        let mut typed = Page::new(Vec::with_capacity(page.items.len()), page.next);
        typed.faults = page.faults;
        for item in page.items {
            if self.before.as_deref().is_some_and(|end| item.key() >= end) {
                typed.next = None;
                break;
            }
            match (self.decode)(item) {
                Ok(item) => typed.items.push(item),
                Err(fault) => typed.faults.push(fault),
            }
        }
        Ok(typed)
    }

    /// All items, page by page: memory for one page. What does not decode is an `Err` of kind
    /// [`Corrupt`](crate::ErrorKind::Corrupt) in its place; the stream goes on after it, and ends after any other error.
    pub fn stream(self) -> BoxStream<'a, Result<T>> {
        let Self { inner, before, decode, .. } = self;
        let listing = match inner {
            Ok(listing) => listing,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        let within = move |item: &Result<R>| match (item, before.as_deref()) {
            (Ok(item), Some(end)) => item.key() < end,
            _ => true,
        };
        listing
            .stream()
            .take_while(move |item| ready(within(item)))
            .map(move |item| item.and_then(|item| decode(item)))
            .boxed()
    }
}

impl<'a, K: TableKey, R: Keyed, T: Send + 'static> IntoFuture for Listing<'a, K, R, T> {
    type Output = Result<Vec<T>>;
    type IntoFuture = BoxFuture<'a, Result<Vec<T>>>;

    /// All items at once: memory for the whole result. One that does not decode fails it; see [`stream`](Listing::stream).
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.stream().try_collect())
    }
}

impl<K, R, T> fmt::Debug for Listing<'_, K, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("listing", &self.inner)
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}
