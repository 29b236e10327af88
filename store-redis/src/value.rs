//! Values alone: what lies at a record's own key, as `GET` and `MGET` have it.

use bytes::Bytes;
use redis::{Cmd, Value};
use store_core::{Key, Result};

use crate::connector::Connector;
use crate::fault::{Effect, unexpected};
use crate::reply;

/// How many values are read at a time.
const CHUNK: usize = 512;

impl Connector {
    /// The string at a key, given in parts.
    pub(crate) async fn get(&self, key: &[&str]) -> Result<Option<Bytes>> {
        let mut command = Cmd::new();
        command.arg("GET").arg(key.concat());
        let value = self.command(&command, Effect::Read).await?;
        Ok(reply::optional(value)?.map(Bytes::from))
    }

    /// The strings at some keys, which all begin with `prefix`, given in parts.
    pub(crate) async fn get_many(
        &self,
        prefix: &[&str],
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Bytes>>> {
        let prefix = prefix.concat();
        let mut answers = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            answers.extend(reply::each(chunk, self.get_chunk(&prefix, chunk).await));
        }
        answers
    }

    async fn get_chunk(
        &self,
        prefix: &str,
        keys: &[Key<'_>],
    ) -> Result<Vec<Result<Option<Bytes>>>> {
        let command = with_keys("MGET", prefix, keys.iter());
        let values = reply::array(self.command(&command, Effect::Read).await?)?;
        if values.len() != keys.len() {
            return Err(unexpected());
        }
        let mut answers = Vec::with_capacity(keys.len());
        let mut absent = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            if value == Value::Nil {
                absent.push(i);
            }
            answers.push(reply::optional(value).map(|value| value.map(Bytes::from)));
        }
        // MGET does not tell another type than a string from nothing: what is there all the same is asked for by GET.
        if !absent.is_empty() {
            let exist = with_keys("EXISTS", prefix, absent.iter().map(|&i| &keys[i]));
            if reply::int(&self.command(&exist, Effect::Read).await?)? > 0 {
                for i in absent {
                    answers[i] = self.get(&[prefix, keys[i].as_str()]).await;
                }
            }
        }
        Ok(answers)
    }
}

fn with_keys<'k>(name: &str, prefix: &str, keys: impl Iterator<Item = &'k Key<'k>> + Clone) -> Cmd {
    let (mut count, mut bytes) = (1, name.len());
    for key in keys.clone() {
        count += 1;
        bytes += prefix.len() + key.as_str().len();
    }
    let mut command = Cmd::with_capacity(count, bytes);
    command.arg(name);
    let mut full = prefix.to_owned();
    for key in keys {
        full.truncate(prefix.len());
        full.push_str(key.as_str());
        command.arg(&full);
    }
    command
}
