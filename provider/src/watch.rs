use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use store_core::{ErrorKind, Event, Revision, Scope, Start};

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

/// Tells of the changes in a bucket from now on, one at a time and in order per key, until the store is closed. Where the backend
/// goes away, the watch is resumed when it is back; what was lost meanwhile is told of as the values that are there then.
///
/// Returns when the watch cannot go on.
///
/// # Errors
/// Why it could not be begun, or cannot go on.
pub async fn pump<F, D>(bucket: &Bucket, filter: &Filter, mut deliver: F) -> Result<()>
where
    F: FnMut(Change) -> D + Send,
    D: Future<Output = ()> + Send,
{
    let scope = filter.scope(bucket)?;
    let mut last: Option<Revision> = None;
    let mut pause = Duration::from_millis(50);
    loop {
        let mut watch = bucket.table().watch();
        watch = match &scope {
            Scope::Key(key) => watch.key(key.as_str()),
            Scope::Prefix(prefix) => watch.prefix(prefix.as_str()),
            _ => watch,
        };
        let start = last.map_or(Start::Changes, Start::After);
        watch = match start {
            Start::After(revision) => watch.after(revision),
            _ => watch.changes_only(),
        };
        let failure = match watch.await {
            Ok(mut events) => loop {
                match events.next().await {
                    Some(Ok(event)) => {
                        pause = Duration::from_millis(50);
                        last = event.revision().or(last);
                        if let Some(change) = change(bucket, filter, event) {
                            deliver(change).await;
                        }
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            },
            Err(error) => Some(error),
        };
        match failure {
            Some(error) if error.kind() == ErrorKind::Closed => return Ok(()),
            Some(error) if error.kind() == ErrorKind::Unsupported && last.is_some() => {
                tracing::warn!(%error, "changes made while the backend was away are lost");
                last = None;
            }
            Some(error) if error.kind() == ErrorKind::Unsupported => return Err(error.into()),
            Some(error) => tracing::warn!(%error, "a watch was interrupted"),
            None => tracing::warn!("a watch ended"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
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
