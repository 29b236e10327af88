//! One message of a bucket, as a key-value client sees it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_nats::HeaderMap;
use bytes::Bytes;
use store_core::{Error, Key, Record, Result, Revision, Timestamp};

use crate::layout::{Layout, Opened};
use crate::table::Table;
use crate::wire::stored::{METADATA, Op, Stored};

/// What the message of an [`Entry`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Wrote a value.
    Put,
    /// Deleted the record; older versions may be kept.
    Delete,
    /// Ended an expired record.
    Expire,
}

/// One version of a bucket's key, deletions too. Cheap to clone.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The key as the bucket has it: table and key in its layout.
    pub key: Arc<str>,
    /// The body as the bucket has it; empty where only metadata was asked for.
    pub value: Bytes,
    /// The version.
    pub revision: Revision,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub created: SystemTime,
    /// What it did.
    pub operation: Operation,
    /// In a history, how many newer versions of its key follow; in a watch, how many messages wait behind it.
    pub delta: u64,
    /// When a value expires: by the driver's header, a time to live of another client, or the bucket's limit of age.
    pub expires: Option<SystemTime>,
    headers: Arc<[(Box<str>, Box<str>)]>,
    time: Timestamp,
}

impl Entry {
    pub(super) fn new(table: &Table, stored: Stored, headers: Option<&HeaderMap>) -> Self {
        let expires = if stored.is_put() { table.expires(&stored) } else { None };
        Self {
            key: table.bucket.tokens(&stored.subject).into(),
            revision: table.revision(stored.sequence),
            sequence: stored.sequence,
            created: stored.time.to_system(),
            operation: match stored.op {
                Op::Put => Operation::Put,
                Op::Deleted => Operation::Delete,
                Op::Expired(_) => Operation::Expire,
            },
            delta: 0,
            expires: expires.map(Timestamp::to_system),
            headers: headers.map(kept).unwrap_or_default(),
            time: stored.time,
            value: stored.payload,
        }
    }

    /// The headers that the message was stored with, the driver's and NATS's own too.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The last value of a header; upper and lower case are the same.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().rfind(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    /// Whether it is a value that has not expired by this computer's clock.
    pub fn is_live(&self) -> bool {
        self.operation == Operation::Put && self.expires.is_none_or(|at| at > SystemTime::now())
    }

    /// The record of a table that this is; `None` when it is none, or another table's.
    pub(super) fn record(
        &self,
        layout: Layout,
        table: &str,
        key: Key<'_>,
    ) -> Result<Option<Record>> {
        if !self.is_live() {
            return Ok(None);
        }
        let stored = Stored {
            subject: "".into(),
            sequence: self.sequence,
            time: self.time,
            op: Op::Put,
            write_id: None,
            metadata: self.header(METADATA).map(Into::into),
            expires: None,
            until: None,
            ttl: None,
            payload: self.value.clone(),
        };
        let expires = self.expires.and_then(Timestamp::from_system);
        match layout.open(table, &self.key, &stored, self.revision, expires) {
            Opened::Record(record) => Ok(Some(record)),
            Opened::Foreign => Ok(None),
            Opened::Corrupt(error) => Err(Error::with_key(error, key)),
        }
    }
}

/// What a message was stored with, without what an answer adds.
fn kept(headers: &HeaderMap) -> Arc<[(Box<str>, Box<str>)]> {
    const ADDED: [&str; 7] = [
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Last-Sequence",
        "Nats-UpTo-Sequence",
    ];
    let pairs = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| (name, value.as_str()))
    });
    let own = pairs.filter(|(name, _)| !ADDED.iter().any(|added| added.eq_ignore_ascii_case(name)));
    own.map(|(name, value)| (name.into(), value.into())).collect()
}

impl fmt::Debug for Entry {
    /// Without the value and the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value_len", &self.value.len())
            .field("sequence", &self.sequence)
            .field("operation", &self.operation)
            .field("delta", &self.delta)
            .finish_non_exhaustive()
    }
}
