use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::stream::BoxStream;

use crate::error::Result;
use crate::options::Gone;
use crate::record::{Metadata, Record};
use crate::revision::Revision;

/// A record with its key and value as what they stand for.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// The record as it is stored.
    pub record: Record,
}

impl<K, V> Entry<K, V> {
    pub(super) fn new(key: K, value: V, record: Record) -> Self {
        Self { key, value, record }
    }

    /// The version; `None` in layouts without revisions.
    pub fn revision(&self) -> Option<Revision> {
        self.record.revision()
    }

    /// When the record expires; `None` = never, or unknown to the layout.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.record.expires_at()
    }

    /// How long the record still lives; `None` = for ever, or unknown to the layout.
    pub fn ttl(&self) -> Option<Duration> {
        self.record.ttl()
    }

    /// The metadata; empty where none was written.
    pub fn metadata(&self) -> &Metadata {
        self.record.metadata()
    }

    /// When this version was written, where the backend knows.
    pub fn modified(&self) -> Option<SystemTime> {
        self.record.modified()
    }
}

impl<K, V> fmt::Debug for Entry<K, V> {
    /// Never shows the value: values do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.record).finish()
    }
}

/// What a watch of a typed table saw: [`Event`](crate::Event) with keys and values as what they stand for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<K, V> {
    /// A record was written; this is its state.
    Put(Entry<K, V>),
    /// A record is gone.
    Delete {
        /// Its key.
        key: K,
        /// The revision of its end, where the layout has one; a watch can resume after it.
        revision: Option<Revision>,
        /// Why.
        reason: Gone,
    },
    /// The snapshot is complete, also when it is empty; or a resumed watch has caught up.
    Synced {
        /// A watch can resume after this, also when no record was seen.
        revision: Option<Revision>,
    },
    /// Continuity was lost: changes may be missing. A new snapshot follows, then [`Synced`](Self::Synced); what is not in it is
    /// gone.
    Resync,
}

impl<K, V> Event<K, V> {
    /// The revision to resume after.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Put(entry) => entry.revision(),
            Self::Delete { revision, .. } | Self::Synced { revision } => *revision,
            Self::Resync => None,
        }
    }

    /// The key it is about.
    pub fn key(&self) -> Option<&K> {
        match self {
            Self::Put(entry) => Some(&entry.key),
            Self::Delete { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// The events of a typed watch. A record whose key or value does not decode is an `Err` of kind
/// [`Corrupt`](crate::ErrorKind::Corrupt) in its place, after which the watch goes on; any other error is its last item.
pub type EventStream<K, V> = BoxStream<'static, Result<Event<K, V>>>;
