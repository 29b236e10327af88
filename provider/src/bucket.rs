use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use store_core::{Condition, Cursor, ErrorKind, Expiry, Key, Put, Record, Table};

use crate::{Error, Place, Result};

/// An open bucket: what a guest reads and writes. Cheap to clone.
///
/// Every method validates all that it was given before it changes anything.
#[derive(Clone, Debug)]
pub struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identifier: String,
    table: Table,
    place: Place,
    /// Counters that were not negative when they were last incremented here, so that they need not be looked at again.
    counters: Mutex<HashSet<String>>,
    /// The bytes of the largest record that a batch read; 0 before there was one.
    largest: AtomicUsize,
}

/// Options of [`Bucket::set_with`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetOptions {
    /// Expires so long from now; zero is an error.
    pub ttl: Option<Duration>,
    /// Only if there is no such key; else `PreconditionFailed`.
    pub if_absent: bool,
}

impl SetOptions {
    /// Expires so long from now.
    pub fn ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// Only if there is no such key.
    pub fn if_absent(mut self, if_absent: bool) -> Self {
        self.if_absent = if_absent;
        self
    }
}

/// How many counters a bucket remembers.
const COUNTERS: usize = 1024;
/// Keys that are read at a time where nothing is known of their values: what an answer holds is counted in between, so that too much
/// of it never fills the memory.
const FEW: usize = 128;
/// The most keys that are read at a time.
const MANY: usize = 1024;
/// About as many bytes are read at a time, going by the largest value that a batch of this bucket had so far.
const READ_BYTES: usize = 16 << 20;

impl Bucket {
    pub(crate) fn new(identifier: &str, table: Table, place: Place) -> Self {
        let (counters, largest) = (Mutex::default(), AtomicUsize::new(0));
        Self(Arc::new(Inner { identifier: identifier.to_owned(), table, place, counters, largest }))
    }

    /// What it was opened as.
    pub fn identifier(&self) -> &str {
        &self.0.identifier
    }

    /// Where its records are.
    pub fn table(&self) -> &Table {
        &self.0.table
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// The key in the table.
    pub(crate) fn key<'a>(&self, key: &'a str) -> Result<Cow<'a, str>> {
        // Checked before the prefix, which would make an empty key a valid one.
        Key::new(key)?;
        let prefix = &*self.0.place.prefix;
        if prefix.is_empty() {
            return Ok(Cow::Borrowed(key));
        }
        let key = format!("{prefix}{key}");
        Key::new(&key)?;
        Ok(Cow::Owned(key))
    }

    fn keys<'a>(&self, keys: &'a [String]) -> Result<Vec<Cow<'a, str>>> {
        self.0.place.limits.batch(keys.len())?;
        keys.iter().map(|key| self.key(key)).collect()
    }

    /// The key as the guest knows it; `None` for one that is not this bucket's.
    pub(crate) fn visible(&self, key: String) -> Option<String> {
        let prefix = &*self.0.place.prefix;
        if prefix.is_empty() {
            return Some(key);
        }
        key.strip_prefix(prefix).filter(|key| !key.is_empty()).map(str::to_owned)
    }

    pub(crate) fn fail(&self, error: store_core::Error) -> Error {
        if error.kind() == ErrorKind::NotFound {
            self.0.place.forget();
        }
        error.into()
    }

    fn expiry(&self, ttl: Option<Duration>) -> Expiry {
        ttl.or(self.0.place.ttl).map_or(Expiry::Database, Expiry::After)
    }

    /// The value of a key.
    ///
    /// # Errors
    /// For a key that is none, and those of the backend, as for every method.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let value = self.0.table.value(&*self.key(key)?).await.map_err(|e| self.fail(e))?;
        if let Some(value) = &value {
            self.0.place.limits.result(&mut 0, value.len())?;
        }
        Ok(value)
    }

    pub(crate) async fn record(&self, key: &str) -> Result<Option<Record>> {
        let record = self.0.table.read(key).await.map_err(|e| self.fail(e))?;
        if let Some(record) = &record {
            self.0.place.limits.result(&mut 0, record.value().len())?;
        }
        Ok(record)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// `QuotaExceeded` when it is too long.
    pub async fn set(&self, key: &str, value: impl Into<Bytes>) -> Result<()> {
        self.set_with(key, value, SetOptions::default()).await
    }

    /// Writes a value that expires, or only where there is none.
    ///
    /// # Errors
    /// `PreconditionFailed` when there is one; what the backend cannot do is an error, and nothing was written.
    pub async fn set_with(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        options: SetOptions,
    ) -> Result<()> {
        let condition = if options.if_absent { Condition::Absent } else { Condition::Any };
        self.put(&self.key(key)?, value.into(), options.ttl, condition).await
    }

    pub(crate) async fn put(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        condition: Condition<'_>,
    ) -> Result<()> {
        self.0.place.limits.value(value.len())?;
        let write = self.0.table.write(key, value).expiry(self.expiry(ttl)).condition(condition);
        write.await.map_err(|e| self.fail(e))?;
        Ok(())
    }

    /// Deletes a key; fine when there is none.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn delete(&self, key: &str) -> Result<()> {
        self.0.table.delete(&*self.key(key)?).await.map_err(|e| self.fail(e))?;
        Ok(())
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn exists(&self, key: &str) -> Result<bool> {
        self.0.table.exists(&*self.key(key)?).await.map_err(|e| self.fail(e))
    }

    /// The values of keys, in the order asked; a key asked twice is answered twice.
    ///
    /// # Errors
    /// The first error of any of them; `QuotaExceeded` when they are too much for one answer.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        let keys = self.keys(keys)?;
        let mut values = Vec::with_capacity(keys.len());
        let (mut rest, mut sum) = (&keys[..], 0);
        while !rest.is_empty() {
            let largest = self.0.largest.load(Ordering::Relaxed);
            let size = READ_BYTES.checked_div(largest).map_or(FEW, |size| size.clamp(FEW, MANY));
            let (now, later) = rest.split_at(size.min(rest.len()));
            for (key, value) in now.iter().zip(self.0.table.values(now).await) {
                let value = value.map_err(|e| self.fail(e))?;
                if let Some(value) = &value {
                    let len = key.len() + value.len();
                    self.0.largest.fetch_max(len, Ordering::Relaxed);
                    self.0.place.limits.result(&mut sum, len)?;
                }
                values.push(value);
            }
            rest = later;
        }
        Ok(values)
    }

    /// Writes all of them, in order, as far as each one goes.
    ///
    /// # Errors
    /// The first error of any of them, after all were tried.
    pub async fn set_many(&self, items: Vec<(String, Bytes)>) -> Result<()> {
        self.0.place.limits.batch(items.len())?;
        let mut puts = Vec::with_capacity(items.len());
        for (key, value) in &items {
            self.0.place.limits.value(value.len())?;
            puts.push((self.key(key)?, value));
        }
        let puts: Vec<_> = puts
            .iter()
            .map(|(key, value)| Ok(Put::new(Key::new(key)?, *value).with_expiry(self.expiry(None))))
            .collect::<Result<_>>()?;
        if puts.is_empty() {
            return Ok(());
        }
        let done = self.0.table.put_many(puts).await;
        done.into_iter().try_for_each(|done| done.map(drop)).map_err(|e| self.fail(e))
    }

    /// Deletes all of them, as far as each one goes.
    ///
    /// # Errors
    /// The first error of any of them, after all were tried.
    pub async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let keys = self.keys(keys)?;
        if keys.is_empty() {
            return Ok(());
        }
        let done = self.0.table.delete_many(&keys).await;
        done.into_iter().try_for_each(|done| done.map(drop)).map_err(|e| self.fail(e))
    }

    /// Adds to the counter at a key, which is 0 where there is none; exact under any contention.
    ///
    /// # Errors
    /// `Other` for what is no number or would overflow; nothing was changed.
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let key = self.key(key)?;
        Ok(self.0.table.increment(&*key, delta).await.map_err(|e| self.fail(e))?.value)
    }

    /// [`increment`](Self::increment) for an interface whose counters are unsigned: what it cannot carry is an error that changes
    /// nothing.
    ///
    /// # Errors
    /// As `increment`, also for a delta over `i64::MAX` and a counter below 0.
    pub async fn increment_u64(&self, key: &str, delta: u64) -> Result<u64> {
        let Ok(delta) = i64::try_from(delta) else {
            return Err(Error::InvalidArgument(format!(
                "counters are 64-bit signed integers: one cannot be incremented by more than {}",
                i64::MAX
            )));
        };
        let negative = || {
            Error::Other(
                "the counter is negative, which this interface cannot carry; nothing was changed"
                    .to_owned(),
            )
        };
        if !self.counters().contains(key) {
            let present = self.get(key).await?;
            if present.is_some_and(|value| value.starts_with(b"-")) {
                return Err(negative());
            }
        }
        let sum = match self.increment(key, delta).await {
            Ok(sum) => sum,
            Err(error) => {
                self.remember(key, false);
                return Err(error);
            }
        };
        if self.remember(key, sum >= delta) {
            return u64::try_from(sum).map_err(|_| negative());
        }
        // It became negative since it was seen. Sums commute, so taking the delta back leaves what others made of it.
        self.increment(key, -delta).await?;
        Err(negative())
    }

    /// Notes whether a counter was not negative, and answers that.
    fn remember(&self, key: &str, sound: bool) -> bool {
        let mut counters = self.counters();
        if !sound {
            counters.remove(key);
        } else if !counters.contains(key) {
            if counters.len() >= COUNTERS {
                counters.clear();
            }
            counters.insert(key.to_owned());
        }
        sound
    }

    fn counters(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One page of keys by a cursor that is a number, and where the next one begins. Every key that is there throughout is on some
    /// page; a page may be empty, and a key may be on two.
    ///
    /// # Errors
    /// `InvalidArgument` for a cursor that the backend does not know.
    pub async fn keys_u64(&self, cursor: Option<u64>) -> Result<(Vec<String>, Option<u64>)> {
        let page = self.0.place.limits.page.max(1);
        let page = self.0.table.scan_u64(cursor.unwrap_or(0), page).await;
        let page = page.map_err(|e| self.fail(e))?;
        Ok((self.answer(page.keys)?, page.next))
    }

    /// One page of the keys that begin with `prefix`, and the cursor of the next one.
    ///
    /// # Errors
    /// `InvalidArgument` for a cursor that is none.
    pub async fn list(
        &self,
        prefix: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let cursor = cursor.map(str::parse::<Cursor>).transpose()?;
        let prefix = format!("{}{}", self.0.place.prefix, prefix.unwrap_or_default());
        let page = || {
            let list = self.0.table.list().prefix(prefix.as_str());
            let list = list.page_size(self.0.place.limits.page);
            match &cursor {
                Some(cursor) => list.cursor(cursor.clone()),
                None => list,
            }
        };
        let answer = match page().page().await {
            // A backend either has byte order or not, so the cursors of both kinds never mix.
            Err(e) if e.kind() == ErrorKind::Unsupported => page().any_order().page().await,
            answer => answer,
        };
        let answer = answer.map_err(|e| self.fail(e))?;
        if let Some(fault) = answer.faults.into_iter().next() {
            return Err(fault.into());
        }
        Ok((self.answer(answer.items)?, answer.next.map(|cursor| cursor.to_string())))
    }

    fn answer(&self, keys: Vec<String>) -> Result<Vec<String>> {
        let keys: Vec<_> = keys.into_iter().filter_map(|key| self.visible(key)).collect();
        let mut sum = 0;
        keys.iter().try_for_each(|key| self.0.place.limits.result(&mut sum, key.len()))?;
        Ok(keys)
    }

    /// Asks the backend whether it serves.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<()> {
        self.0.place.ping().await
    }
}
