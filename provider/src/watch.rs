use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt as _;
use store_core::{ErrorKind, Event, EventStream, Revision, Scope};

use crate::backoff::Backoff;
use crate::{Bucket, Error, Result};

/// A change in a bucket, as watchers are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key has this value now.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: Bytes,
    },
    /// A key is gone: deleted, expired or evicted.
    Delete {
        /// The key.
        key: String,
    },
}

/// Which changes are of interest.
///
/// ```
/// # use provider::Filter;
/// let filter = Filter::parse("SET@jobs/1, DEL@jobs/1, SET@stop")?;
/// assert!(filter.wants_set("stop") && !filter.wants_delete("stop"));
/// assert!(Filter::all().wants_delete("anything"));
/// assert!(Filter::parse("GET@x").is_err());
/// # Ok::<(), provider::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Option<Keys>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Keys {
    set: BTreeSet<String>,
    delete: BTreeSet<String>,
}

impl Filter {
    /// All of them.
    pub fn all() -> Self {
        Self(None)
    }

    /// Those of a list such as `SET@key,DEL@key`; `*` is all.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the rule.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim() == "*" {
            return Ok(Self::all());
        }
        let mut keys = Keys::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let wrong = || {
                Error::InvalidArgument(
                    "what to watch is a list such as SET@key,DEL@key, or * for everything"
                        .to_owned(),
                )
            };
            let (kind, key) = item.split_once('@').ok_or_else(wrong)?;
            let set = match kind.to_ascii_uppercase().as_str() {
                "SET" => &mut keys.set,
                "DEL" => &mut keys.delete,
                _ => return Err(wrong()),
            };
            if key.is_empty() {
                return Err(wrong());
            }
            set.insert(key.to_owned());
        }
        if keys == Keys::default() {
            return Err(Error::InvalidArgument("there is nothing to watch".to_owned()));
        }
        Ok(Self(Some(keys)))
    }

    /// Whether a write of this key is of interest.
    pub fn wants_set(&self, key: &str) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.set.contains(key))
    }

    /// Whether the end of this key is of interest.
    pub fn wants_delete(&self, key: &str) -> bool {
        self.0.as_ref().is_none_or(|keys| keys.delete.contains(key))
    }

    fn scope(&self, bucket: &Bucket) -> Result<Scope> {
        let mut keys = self.0.iter().flat_map(|keys| keys.set.union(&keys.delete));
        if let (Some(only), None) = (keys.next(), keys.next()) {
            return Ok(Scope::Key(bucket.key(only)?.into_owned()));
        }
        let prefix = bucket.place().prefix.to_string();
        Ok(if prefix.is_empty() { Scope::Table } else { Scope::Prefix(prefix) })
    }
}

/// The changes in a bucket since it was watched; see [`Bucket::watch`].
pub struct Watching {
    bucket: Bucket,
    filter: Filter,
    scope: Scope,
    events: Option<EventStream>,
    last: Option<Revision>,
    backoff: Backoff,
}

impl Bucket {
    /// Watches: every change made after this returned is told of, in order per key. Where the backend goes away, the watch is resumed
    /// when it is back; what was lost meanwhile is told of as the values that are there then.
    ///
    /// # Errors
    /// `Unsupported` where the backend cannot watch, and why it could not be begun.
    pub async fn watch(&self, filter: Filter) -> Result<Watching> {
        let scope = filter.scope(self)?;
        let events = open(self, &scope, None).await.map_err(|e| self.fail(e))?;
        Ok(Watching {
            bucket: self.clone(),
            filter,
            scope,
            events: Some(events),
            last: None,
            backoff: Backoff::new(),
        })
    }
}

async fn open(
    bucket: &Bucket,
    scope: &Scope,
    last: Option<Revision>,
) -> store_core::Result<EventStream> {
    let watch = bucket.table().watch();
    let watch = match scope {
        Scope::Key(key) => watch.key(key.as_str()),
        Scope::Prefix(prefix) => watch.prefix(prefix.as_str()),
        _ => watch,
    };
    match last {
        Some(revision) => watch.after(revision).await,
        None => watch.changes_only().await,
    }
}

impl Watching {
    /// The next change; `None` when the store was closed. May be dropped and called again.
    ///
    /// # Errors
    /// Why the watch cannot go on.
    pub async fn next(&mut self) -> Result<Option<Change>> {
        self.next_noting(|_| {}).await
    }

    /// [`next`](Self::next), which tells at once why it is interrupted, and `None` when it goes on.
    pub(crate) async fn next_noting(
        &mut self,
        mut note: impl FnMut(Option<&store_core::Error>),
    ) -> Result<Option<Change>> {
        loop {
            let failure = match &mut self.events {
                Some(events) => match events.next().await {
                    Some(Ok(event)) => {
                        self.backoff.reset();
                        self.last = event.revision().or(self.last);
                        match change(&self.bucket, &self.filter, event) {
                            Some(change) => return Ok(Some(change)),
                            None => continue,
                        }
                    }
                    Some(Err(error)) => Some(error),
                    None => None,
                },
                None => match open(&self.bucket, &self.scope, self.last).await {
                    Ok(events) => {
                        self.events = Some(events);
                        note(None);
                        continue;
                    }
                    Err(error) => Some(error),
                },
            };
            self.events = None;
            match failure {
                Some(error) if error.kind() == ErrorKind::Closed => return Ok(None),
                Some(error) if error.kind() == ErrorKind::Unsupported => {
                    if self.last.take().is_none() {
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "changes made while the backend was away are lost");
                }
                Some(error) => {
                    tracing::warn!(%error, "a watch was interrupted");
                    note(Some(&error));
                }
                None => tracing::warn!("a watch ended"),
            }
            self.backoff.pause().await;
        }
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watching")
            .field("bucket", &self.bucket)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

fn change(bucket: &Bucket, filter: &Filter, event: Event) -> Option<Change> {
    match event {
        Event::Put(record) => {
            let key = bucket.visible(record.key().to_owned())?;
            filter.wants_set(&key).then(|| Change::Set { key, value: record.bytes() })
        }
        Event::Delete { key, .. } => {
            let key = bucket.visible(key)?;
            filter.wants_delete(&key).then_some(Change::Delete { key })
        }
        _ => None,
    }
}
