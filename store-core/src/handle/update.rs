use std::time::Duration;

use crate::call::Operation;
use crate::capability::Feature;
use crate::chance::chance;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Table;
use crate::name::Key;
use crate::options::{Condition, Expiry, Put, ReadOptions, Remove};
use crate::record::{Metadata, Record, Value};
use crate::revision::Revision;

/// What an [`update`](Table::update) makes of a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// Leave it as it is, present or absent.
    Nothing,
    /// Delete it.
    Remove,
    /// Write this; see [`Change::write`].
    #[non_exhaustive]
    Write {
        /// The new value.
        value: Value<'static>,
        /// The new metadata; `None` keeps what there is.
        metadata: Option<Metadata>,
        /// The new expiry; [`Expiry::Keep`] unless said otherwise.
        expiry: Expiry,
    },
}

impl Change {
    /// A new value; metadata and expiry stay as they are.
    pub fn write(value: impl Into<Value<'static>>) -> Self {
        Self::Write { value: value.into(), metadata: None, expiry: Expiry::Keep }
    }

    /// With this expiry instead of the present one.
    pub fn with_expiry(mut self, new: Expiry) -> Self {
        if let Self::Write { expiry, .. } = &mut self {
            *expiry = new;
        }
        self
    }

    /// With this metadata instead of the present.
    pub fn with_metadata(mut self, new: Metadata) -> Self {
        if let Self::Write { metadata, .. } = &mut self {
            *metadata = Some(new);
        }
        self
    }
}

/// What an [`update`](Table::update) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Updated {
    /// Nothing was to be done.
    Unchanged,
    /// The record was deleted.
    Removed,
    /// The record was written; its new revision in layouts that have one.
    Written(Option<Revision>),
}

/// How often an update is tried. With 32 writers on one key a winner needs some 30 tries; this is far beyond.
const TRIES: u32 = 512;

impl Table {
    /// Reads a record, lets `f` decide, and writes it back if nobody else has changed it in between; else tries again with the
    /// new state. `f` may run several times. Where the layout has no revisions the value is compared.
    ///
    /// ```
    /// # use store_core::{Change, Store};
    /// # use std::sync::Arc;
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
    /// # let table = store.database("app")?.table("t")?;
    /// let append = |record: Option<&store_core::Record>| {
    ///     let mut value = record.map(|r| r.value().to_vec()).unwrap_or_default();
    ///     value.push(b'x');
    ///     Change::write(value)
    /// };
    /// table.update("k", append).await?;
    /// table.update("k", append).await?;
    /// assert_eq!(table.read("k").await?.unwrap().value(), b"xx");
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Conflict` after 512 lost races; otherwise those of reads and writes.
    pub async fn update<K, F>(&self, key: &K, mut f: F) -> Result<Updated>
    where
        K: AsRef<str> + Sync + ?Sized,
        F: FnMut(Option<&Record>) -> Change + Send,
    {
        let text = key.as_ref();
        let at = self.at(Operation::Write, Some(text));
        let key = Key::new(text).map_err(|error| at.blame(error))?;
        let mut lost = None;
        for attempt in 0..TRIES {
            back_off(attempt).await;
            match self.try_update(key, &mut f).await {
                Err(error) if error.kind() == ErrorKind::Conflict => lost = Some(error),
                done => return done.map_err(|error| at.blame(error)),
            }
        }
        let lost = lost.unwrap_or_else(|| Error::conflict("never tried", None));
        Err(at.blame(lost))
    }

    async fn try_update<F>(&self, key: Key<'_>, f: &mut F) -> Result<Updated>
    where
        F: FnMut(Option<&Record>) -> Change + Send,
    {
        let (store, ns) = (self.driver(), self.namespace());
        let current = store.read(ns, key, ReadOptions::default()).await?;
        let condition = match &current {
            None => Condition::Absent,
            Some(record) => match record.revision() {
                Some(revision) => Condition::Revision(revision),
                None => Condition::Value(record.value().to_vec().into()),
            },
        };
        match (f(current.as_ref()), &current) {
            (Change::Nothing, _) | (Change::Remove, None) => Ok(Updated::Unchanged),
            (Change::Remove, Some(_)) => {
                store.delete(ns, Remove { key, condition }).await?;
                Ok(Updated::Removed)
            }
            (Change::Write { value, metadata, expiry }, _) => {
                let metadata = metadata.unwrap_or_else(|| {
                    current.as_ref().map(|record| record.metadata().clone()).unwrap_or_default()
                });
                let put = Put { key, value, metadata, expiry, condition };
                let written = match store.write(ns, put.clone()).await {
                    Err(error)
                        if error.kind() == ErrorKind::Unsupported && expiry == Expiry::Keep =>
                    {
                        // Where records have no expiry of their own there is none to keep.
                        if store.capability(ns.database()).await?.has(Feature::Expiry) {
                            return Err(error);
                        }
                        store.write(ns, put.with_expiry(Expiry::Database)).await?
                    }
                    done => done?,
                };
                Ok(Updated::Written(written.revision))
            }
        }
    }
}

/// Lets others finish: not at all at first, then ever longer random pauses, 20 ms at most.
async fn back_off(attempt: u32) {
    if attempt == 0 {
        return;
    }
    let most = Duration::from_micros(50) * (1 << attempt.min(9));
    let pause = most.mul_f64(chance()).min(Duration::from_millis(20));
    // Without a runtime's timer the executor decides who is next.
    if attempt > 2 && tokio::runtime::Handle::try_current().is_ok() {
        tokio::time::sleep(pause).await;
    } else {
        tokio::task::yield_now().await;
    }
}
