//! What a bucket has beyond the contract.

use std::fmt;

use std::time::SystemTime;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde_json::Value as Json;
use store_core::{Error, ErrorKind, Key, Name, Namespace, Result, Revision};

use crate::admin::missing;
use crate::layout::sound;
use crate::store::Nats;
use crate::table::{Fail, Table, Via};
use crate::wire::feed::{Begin, Feed, Heard, Topic};
use crate::wire::stored::{METADATA, OPERATION, Op, Stored};
use crate::write::{Draft, Refusal};

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

/// One version of a bucket's key, deletions too.
#[derive(Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The key as the bucket has it: table and key in its layout.
    pub key: String,
    /// The body as the bucket has it.
    pub value: Bytes,
    /// The version.
    pub revision: Revision,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub created: SystemTime,
    /// What it did.
    pub operation: Operation,
    /// How many newer messages of the answer followed; 0 is the newest.
    pub delta: u64,
}

impl fmt::Debug for Entry {
    /// Without the value.
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

/// A database as a NATS bucket: what a key-value client can do beyond the contract, under the bucket's own keys.
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

    /// What the bucket calls a record of the contract.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for what its layout does not take.
    pub async fn key_of(&self, table: &str, key: &str) -> Result<String> {
        self.table().await?.layout().tokens(table, Key::new(key)?)
    }

    /// The newest version of a key, also when it is a deletion.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket; those of reads.
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let stored = table.newest(&subject, Via::Copy).await.map_err(plain)?;
        Ok(stored.map(|stored| entry(&table, stored)))
    }

    /// The version of a key with this sequence, if it is kept.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn entry_at(&self, key: &str, sequence: u64) -> Result<Option<Entry>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let stored = table.at(sequence).await.map_err(plain)?;
        let stored = stored.filter(|stored| *stored.subject == *subject);
        Ok(stored.map(|stored| entry(&table, stored)))
    }

    /// All kept versions of the keys that a filter passes, in the order they were written. A filter is a key, in which `*` stands for a
    /// token and a last `>` for one or more.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn history(&self, filter: &str) -> Result<Vec<Entry>> {
        let table = self.table().await?;
        sound(filter.replace(['*', '>'], "x"))?;
        let topic = Topic {
            stream: table.bucket.stream.clone(),
            filters: vec![table.bucket.subject(filter)],
            headers_only: false,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let shared = &table.shared;
        let open = Feed::open(shared.js.clone(), topic, Begin::At(1), shared.rules.timeouts);
        let mut feed = open.await.map_err(|fault| fault.into_error(false))?;
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            match feed.next().await.map_err(|fault| fault.into_error(false))? {
                Heard::Message(stored) => entries.push(entry(&table, stored)),
                Heard::Lost => entries.clear(),
                Heard::CaughtUp(_) => break,
            }
        }
        let mut newer = std::collections::HashMap::<String, u64>::new();
        for entry in entries.iter_mut().rev() {
            let count = newer.entry(entry.key.clone()).or_default();
            entry.delta = *count;
            *count += 1;
        }
        Ok(entries)
    }

    /// Writes a body with headers of your own, unconditionally; the driver's own headers are refused. No layout is applied.
    ///
    /// # Errors
    /// `InvalidArgument` for a key or header that NATS does not take; those of writes.
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

    /// Makes a kept version the newest again: value and metadata; it does not expire, whatever it once did. `None` when the version is
    /// not kept or is a deletion.
    ///
    /// # Errors
    /// `Conflict` when somebody else writes at the same time; those of writes.
    pub async fn revert(&self, key: &str, sequence: u64) -> Result<Option<Revision>> {
        let table = self.table().await?;
        let subject = table.bucket.subject(&sound(key.to_owned())?);
        let old = table.at(sequence).await.map_err(plain)?;
        let Some(old) = old.filter(|old| *old.subject == *subject && old.is_put()) else {
            return Ok(None);
        };
        let now = table.newest(&subject, Via::Leader).await.map_err(plain)?;
        let mut headers = HeaderMap::new();
        if let Some(metadata) = old.metadata.as_deref() {
            let value: HeaderValue = metadata
                .parse()
                .map_err(|_| Error::new(ErrorKind::Corrupt, "the metadata cannot be written"))?;
            headers.insert(METADATA, value);
        }
        let draft = Draft { headers, payload: old.payload, expires: None, until: None };
        let expected = now.map_or(0, |now| now.sequence);
        match table.publish(&subject, &draft, Some(expected)).await {
            Ok(sequence) => Ok(Some(table.revision(sequence))),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// Deletes a record and its older versions, and leaves a deletion that stays: without that, a server that is killed could bring
    /// old versions back.
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

    /// The stream's information as the server gives it: configuration, state, cluster, mirror, sources. Fresh.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket.
    pub async fn info(&self) -> Result<Json> {
        let table = self.table().await?;
        let js = &table.shared.js;
        let info = js.stream_info(&table.bucket.stream, &Json::Null, table.deadline).await;
        info.map_err(|fault| fault.into_error(false))?.ok_or_else(missing)
    }

    /// Changes the stream's configuration, all of it, as the server gives it: what `change` leaves alone stays, fields that this driver
    /// does not know too.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for what the server does not take.
    pub async fn reconfigure(&self, change: impl FnOnce(&mut Json) + Send) -> Result<()> {
        let mut info = self.info().await?;
        let mut config = info.get_mut("config").map(Json::take).unwrap_or_default();
        change(&mut config);
        let table = self.table().await?;
        let rest = format!("STREAM.UPDATE.{}", table.bucket.stream);
        let done = table.shared.js.api(&rest, &config, table.deadline).await;
        done.map_err(|fault| fault.into_error(true))?;
        table.shared.look(&table.bucket, table.deadline).await?;
        Ok(())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.ns.database())
    }
}

fn entry(table: &Table, stored: Stored) -> Entry {
    Entry {
        key: table.bucket.tokens(&stored.subject).to_owned(),
        revision: table.revision(stored.sequence),
        sequence: stored.sequence,
        created: stored.time.to_system(),
        operation: match stored.op {
            Op::Put => Operation::Put,
            Op::Deleted => Operation::Delete,
            Op::Expired(_) => Operation::Expire,
        },
        delta: 0,
        value: stored.payload,
    }
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
