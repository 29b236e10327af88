//! Records, read.

use bytes::Bytes;
use redis::{Pipeline, Value};
use store_core::Clock as _;
use store_core::{ErrorKind, Key, Namespace, ReadOptions, Record, Result, SystemClock, Timestamp};

use super::meta::{self, Meta};
use super::{Table, Tables};
use crate::fault::{Effect, unexpected};
use crate::reply;
use crate::script::READ;

/// How many records are read at a time.
const CHUNK: usize = 256;

impl Tables {
    pub(crate) async fn read(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Record>> {
        self.connector.check_read(o).await?;
        self.read_in(&self.table(ns), key).await
    }

    /// The value's own key has all there is to know: whether it is there, until when, and what it is.
    pub(crate) async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        self.connector.check_read(o).await?;
        let table = self.table(ns);
        self.connector.get(&[&table.keys.tag, ":", key.as_str()]).await
    }

    pub(crate) async fn read_values(
        &self,
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Bytes>>> {
        let table = self.table(ns);
        self.connector.get_many(&[&table.keys.tag, ":"], keys).await
    }

    pub(super) async fn read_in(&self, table: &Table, key: Key<'_>) -> Result<Option<Record>> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.atomic();
        pipe.cmd("GET").arg(table.keys.value(key.as_str()));
        pipe.cmd("HGET").arg(&table.keys.meta).arg(key.as_str());
        let (value, entry) = match self.connector.together(&pipe).await {
            Ok(answers) => <[Value; 2]>::try_from(answers).map_err(|_| unexpected())?.into(),
            Err(error) if error.kind() == ErrorKind::Full => {
                let (mut values, mut entries) = self.read_full(table, &[key]).await?;
                (values.pop().ok_or_else(unexpected)?, entries.pop().ok_or_else(unexpected)?)
            }
            Err(error) => return Err(error),
        };
        one(key, value, entry)
    }

    pub(crate) async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        let table = self.table(ns);
        let mut command = redis::cmd("EXISTS");
        command.arg(table.keys.value(key.as_str()));
        Ok(reply::int(&self.connector.command(&command, Effect::Read).await?)? > 0)
    }

    pub(crate) async fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Record>>> {
        self.read_all(&self.table(ns), keys).await
    }

    pub(super) async fn read_all(
        &self,
        table: &Table,
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Record>>> {
        let mut answers = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            answers.extend(reply::each(chunk, self.read_chunk(table, chunk).await));
        }
        answers
    }

    async fn read_chunk(
        &self,
        table: &Table,
        keys: &[Key<'_>],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.atomic();
        pipe.cmd("MGET");
        for key in keys {
            pipe.arg(table.keys.value(key.as_str()));
        }
        pipe.cmd("HMGET").arg(&table.keys.meta);
        for key in keys {
            pipe.arg(key.as_str());
        }
        let (values, entries) = match self.connector.together(&pipe).await {
            Ok(answers) => both(answers)?,
            Err(error) if error.kind() == ErrorKind::Full => self.read_full(table, keys).await?,
            Err(error) => return Err(error),
        };
        if values.len() != keys.len() || entries.len() != keys.len() {
            return Err(unexpected());
        }
        let now = SystemClock.now();
        let mut records = Vec::with_capacity(keys.len());
        for ((key, value), entry) in keys.iter().zip(values).zip(entries) {
            // MGET does not tell another type than a string from nothing; GET does.
            let record = if value == Value::Nil && is_due(&entry, now) {
                self.read_in(table, *key).await
            } else {
                one(*key, value, entry)
            };
            records.push(record);
        }
        Ok(records)
    }

    /// A server whose memory is full takes no transaction, not even one that only reads; a script it takes.
    #[cold]
    async fn read_full(&self, table: &Table, keys: &[Key<'_>]) -> Result<(Vec<Value>, Vec<Value>)> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&READ.sha).arg(1 + keys.len()).arg(&table.keys.meta);
        for key in keys {
            command.arg(table.keys.value(key.as_str()));
        }
        for key in keys {
            command.arg(key.as_str());
        }
        both(reply::array(self.connector.script(&READ, &command, Effect::Read).await?)?)
    }
}

fn both(answers: Vec<Value>) -> Result<(Vec<Value>, Vec<Value>)> {
    let [values, entries] = <[Value; 2]>::try_from(answers).map_err(|_| unexpected())?;
    Ok((reply::array(values)?, reply::array(entries)?))
}

/// Whether there should be a value by its entry.
fn is_due(entry: &Value, now: Timestamp) -> bool {
    let Value::BulkString(entry) = entry else {
        return false;
    };
    Meta::parse(entry).is_ok_and(|meta| meta.expires.is_none_or(|at| at > now))
}

fn one(key: Key<'_>, value: Value, entry: Value) -> Result<Option<Record>> {
    let Some(value) = reply::optional(value)? else {
        return Ok(None);
    };
    meta::record(key, value, reply::optional(entry)?.as_deref()).map(Some)
}
