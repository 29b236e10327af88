//! What a bucket has beyond the contract.
//!
//! | module | one idea |
//! |---|---|
//! | `entry`, `fetch` | one message, with all its headers |
//! | `watch` | what a filter's keys have and get, as messages |
//! | `live` | that in memory |
//! | `compact` | removing deletions that nothing needs any more |
//! | `status` | what a bucket is like now, and changing that |
//! | `copies` | mirrors and aggregates |

mod compact;
mod copies;
mod entry;
mod fetch;
mod live;
mod status;
mod watch;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use store_core::{Error, ErrorKind, Key, Name, Namespace, Result, Revision};

use crate::admin::missing;
use crate::layout::sound;
use crate::publish::{Draft, Refusal};
use crate::store::Nats;
use crate::table::{Fail, Table, Via};
use crate::wire::feed::{Begin, Feed, Heard, Topic};
use crate::wire::stored::{METADATA, OPERATION};

pub use compact::{Compact, Compacted, Kept};
pub use copies::{Access, Origin};
pub use entry::{Entry, Operation};
pub use live::{Change, LiveMap, MapOptions};
pub use status::{BucketStatus, Upstream};
pub use watch::{Notice, Watch, Watcher};

/// A database as a NATS bucket: what a key-value client can do beyond the contract, under the bucket's own keys.
///
/// Where a call takes a filter, that is a key in which `*` stands for one token and a last `>` for one or more. Keys that begin with
/// `_kv` are NATS's and the driver's own and are not shown.
///
/// ```no_run
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let nats = store_natsjs::Nats::connect("nats://localhost").await?;
/// use store_core::Name;
///
/// let bucket = nats.bucket(&Name::new("app")?);
/// let key = bucket.key_of("users", "ada").await?;
/// for entry in bucket.history(&key).await? {
///     println!("{} {:?} {:?}", entry.sequence, entry.operation, entry.created);
/// }
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Bucket {
    store: Nats,
    ns: Namespace,
}

impl Nats {
    /// The bucket of a database. Makes nothing.
    pub fn bucket(&self, database: &Name) -> Bucket {
        Bucket { store: self.clone(), ns: Namespace::root(database.clone()) }
    }
}

impl Bucket {
    async fn table(&self) -> Result<Table> {
        self.store.enter_any(&self.ns).await?.ok_or_else(missing)
    }

    /// The database that this is.
    pub fn name(&self) -> &Name {
        self.ns.database()
    }

    /// What the bucket calls a record of the contract.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for what its layout does not take.
    pub async fn key_of(&self, table: &str, key: &str) -> Result<String> {
        self.table().await?.layout().tokens(table, Key::new(key)?)
    }

    /// A filter that all records of a table pass whose keys begin so, and perhaps a few others: a server filters by whole tokens.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` or `Unsupported` for a table that its layout does not take.
    pub async fn filter_of(&self, table: &str, prefix: &str) -> Result<String> {
        let layout = self.table().await?.layout();
        layout.check_table(table)?;
        Ok(layout.filter(table, prefix))
    }

    /// The newest version of a key, also when it is a deletion or has expired. Shows what this store wrote.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for a key that NATS does not take; those of reads.
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let found = table.whole_newest(&subject).await.map_err(plain)?;
        Ok(found.map(|(stored, headers)| Entry::new(&table, stored, headers.as_ref())))
    }

    /// The version of a key with this sequence, if it is kept.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn entry_at(&self, key: &str, sequence: u64) -> Result<Option<Entry>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let found = table.whole_at(sequence).await.map_err(plain)?;
        let found = found.filter(|(stored, _)| *stored.subject == *subject);
        Ok(found.map(|(stored, headers)| Entry::new(&table, stored, headers.as_ref())))
    }

    /// All kept versions of the keys that a filter passes, in the order they were written.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn history(&self, filter: &str) -> Result<Vec<Entry>> {
        let table = self.table().await?;
        check_filter(filter)?;
        let topic = Topic {
            stream: table.bucket.stream.clone(),
            filters: vec![table.bucket.subject(filter)],
            headers_only: false,
            heartbeat: Duration::from_secs(1),
        };
        let shared = &table.shared;
        let open = Feed::open(shared.js.clone(), topic, Begin::At(1), shared.rules.timeouts);
        let mut feed = open.await.map_err(|fault| fault.into_error(false))?;
        feed.keep_headers();
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            match feed.next().await.map_err(|fault| fault.into_error(false))? {
                Heard::Message(stored) => {
                    let headers = feed.take_headers();
                    entries.push(Entry::new(&table, stored, headers.as_ref()));
                }
                Heard::Lost => entries.clear(),
                Heard::CaughtUp(_) => break,
            }
        }
        entries.retain(|entry| !is_reserved(&entry.key));
        let mut newer = HashMap::<Arc<str>, u64>::new();
        for entry in entries.iter_mut().rev() {
            let count = newer.entry(Arc::clone(&entry.key)).or_default();
            entry.delta = *count;
            *count += 1;
        }
        Ok(entries)
    }

    /// Writes a body with headers of your own, unconditionally; the driver's own headers are refused. No layout is applied.
    /// [`Entry::header`] reads them back.
    ///
    /// # Errors
    /// `InvalidArgument` for a key or header that NATS does not take, `Unsupported` for a bucket that is a copy; those of writes.
    pub async fn put(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<Revision> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            if ["nats-", "kv-", "store-"].iter().any(|ours| lower.starts_with(ours)) {
                return Err(Error::invalid("headers of NATS and of the driver cannot be set"));
            }
            let bad = || Error::invalid("a header's name or value is not one that NATS takes");
            let name: HeaderName = name.parse().map_err(|_| bad())?;
            let value: HeaderValue = value.parse().map_err(|_| bad())?;
            map.append(name, value);
        }
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let draft = Draft { headers: map, payload: value.into(), expires: None, until: None };
        let sequence = table.publish(&subject, &draft, None).await.map_err(refused)?;
        Ok(table.revision(sequence))
    }

    /// Makes a kept version the newest again: value, metadata and headers of your own; it does not expire, whatever it once did.
    /// `None` when the version is not kept or is a deletion.
    ///
    /// # Errors
    /// `Conflict` when somebody else writes at the same time; those of writes.
    pub async fn revert(&self, key: &str, sequence: u64) -> Result<Option<Revision>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let old = table.whole_at(sequence).await.map_err(plain)?;
        let Some((old, headers)) = old.filter(|(old, _)| *old.subject == *subject && old.is_put())
        else {
            return Ok(None);
        };
        let now = table.newest(&subject, Via::Leader).await.map_err(plain)?;
        let draft = Draft {
            headers: headers.as_ref().map(carried).unwrap_or_default(),
            payload: old.payload,
            expires: None,
            until: None,
        };
        let expected = now.map_or(0, |now| now.sequence);
        match table.publish(&subject, &draft, Some(expected)).await {
            Ok(sequence) => Ok(Some(table.revision(sequence))),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// Deletes a record and its older versions, and leaves a deletion that stays: without that, a server that is killed could bring
    /// old versions back. [`compact`](Self::compact) removes it when that is safe.
    ///
    /// # Errors
    /// As [`entry`](Self::entry); those of writes.
    pub async fn purge(&self, key: &str) -> Result<()> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "PURGE");
        headers.insert("Nats-Rollup", "sub");
        let draft = Draft { headers, payload: Bytes::new(), expires: None, until: None };
        table.publish(&subject, &draft, None).await.map_err(refused)?;
        Ok(())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.ns.database())
    }
}

/// The headers of a message that a copy of it has as well: metadata, and what a user set.
fn carried(headers: &HeaderMap) -> HeaderMap {
    let mut carried = HeaderMap::new();
    for (name, values) in headers.iter() {
        let lower = AsRef::<str>::as_ref(name).to_ascii_lowercase();
        let ours = ["nats-", "kv-", "store-"].iter().any(|ours| lower.starts_with(ours));
        if !ours || lower.eq_ignore_ascii_case(METADATA) {
            for value in values {
                carried.append(name.clone(), value.clone());
            }
        }
    }
    carried
}

/// Keys of NATS and of the driver itself.
fn is_reserved(key: &str) -> bool {
    key.starts_with("_kv")
}

/// A key in which whole tokens may be wildcards.
fn check_filter(filter: &str) -> Result<()> {
    let tokens: Vec<&str> = filter.split('.').collect();
    let last = tokens.len() - 1;
    let plain: Vec<&str> = tokens
        .iter()
        .enumerate()
        .map(|(i, token)| if *token == "*" || (*token == ">" && i == last) { "x" } else { *token })
        .collect();
    sound(plain.join(".")).map(drop).map_err(|_| {
        Error::invalid(
            "a filter is a key of the bucket in which `*` may stand for a whole token and a last `>` for the rest",
        )
    })
}

fn plain(fail: Fail) -> Error {
    match fail {
        Fail::Gone => missing(),
        Fail::Error(error) => error,
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Moved => Error::conflict("somebody else wrote the record at the same time", None),
        Refusal::Fail(fail) => plain(fail),
    }
}

/// The store was closed under a watch or a map.
fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store was closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_keys_with_whole_wildcards() {
        for good in [">", "*", "a", "a.>", "*.b.*", "a/b.=2E.*"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a*", "a.>.b", ">.a", "a..b", "a b", "_kv.x", "a.", "é"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }
}
