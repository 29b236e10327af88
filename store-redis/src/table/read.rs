//! Records, read.

use redis::{Pipeline, Value};
use store_core::Clock as _;
use store_core::{
    Error, Feature, Key, Namespace, ReadOptions, Record, Result, SystemClock, Timestamp,
};

use super::meta::{self, Meta};
use super::{Table, Tables};
use crate::fault::{Effect, unexpected};
use crate::reply;

/// How many records are read at a time.
const CHUNK: usize = 256;

impl Tables {
    pub(crate) async fn read(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Record>> {
        if o.revision.is_some() {
            return Err(Error::lacks(Feature::History));
        }
        self.read_in(&self.table(ns), key).await
    }

    pub(super) async fn read_in(&self, table: &Table, key: Key<'_>) -> Result<Option<Record>> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.atomic();
        pipe.cmd("GET").arg(table.keys.value(key.as_str()));
        pipe.cmd("HGET").arg(&table.keys.meta).arg(key.as_str());
        let mut answers = self.connector.together(&pipe).await?.into_iter();
        let value = answers.next().ok_or_else(unexpected)?;
        let entry = answers.next().ok_or_else(unexpected)?;
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
            match self.read_chunk(table, chunk).await {
                Ok(records) => answers.extend(records),
                Err(error) => {
                    answers.extend(chunk.iter().map(|key| Err(error.clone().with_key(key))));
                }
            }
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
        let mut answers = self.connector.together(&pipe).await?.into_iter();
        let values = reply::array(answers.next().ok_or_else(unexpected)?)?;
        let entries = reply::array(answers.next().ok_or_else(unexpected)?)?;
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
            records.push(record.map_err(|error| error.with_key(key)));
        }
        Ok(records)
    }
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
