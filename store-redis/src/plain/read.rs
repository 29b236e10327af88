//! Reads of the layout `plain`.

use bytes::Bytes;
use redis::{Pipeline, Value};
use store_core::{ErrorKind, Key, Namespace, ReadOptions, Record, Result, Timestamp};

use super::{CHUNK, Plain};
use crate::fault::{Effect, unexpected};
use crate::reply;

impl Plain {
    pub(crate) async fn read(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Record>> {
        self.connector.check_read(o).await?;
        self.read_many(ns, &[key]).await.pop().ok_or_else(unexpected)?
    }

    pub(crate) async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        self.connector.check_read(o).await?;
        self.connector.get(&[&self.prefix(ns)?, key.as_str()]).await
    }

    pub(crate) async fn read_values(
        &self,
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Bytes>>> {
        match self.prefix(ns) {
            Ok(prefix) => self.connector.get_many(&[&prefix], keys).await,
            Err(error) => keys.iter().map(|key| Err(error.clone().with_key(*key))).collect(),
        }
    }

    pub(crate) async fn exists(&self, ns: &Namespace, key: Key<'_>) -> Result<bool> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.key(ns, key)?);
        Ok(reply::int(&self.connector.command(&command, Effect::Read).await?)? > 0)
    }

    pub(crate) async fn read_many(
        &self,
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Vec<Result<Option<Record>>> {
        let mut answers = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(CHUNK) {
            answers.extend(reply::each(chunk, self.read_chunk(ns, chunk).await));
        }
        answers
    }

    async fn read_chunk(
        &self,
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let prefix = self.prefix(ns)?;
        let ask = Ask::of(self.connector.link("").await?.major);
        let mut pipe = Pipeline::with_capacity(keys.len() * (1 + ask.commands().len()));
        pipe.atomic();
        for key in keys {
            ask.about(&format!("{prefix}{key}"), &mut pipe);
        }
        let answers = match self.connector.together(&pipe).await {
            // A server whose memory is full takes no transaction.
            Err(error) if error.kind() == ErrorKind::Full => {
                let mut loose = Pipeline::with_capacity(pipe.len());
                for command in pipe.cmd_iter() {
                    loose.add_command(command.clone());
                }
                self.connector.pipeline(&loose, Effect::Read).await?
            }
            answers => answers?,
        };
        let mut answers = answers.into_iter();
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            records.push(ask.record(*key, &mut answers)?);
        }
        Ok(records)
    }
}

/// How long a record lives is asked for so.
pub(super) enum Ask {
    Instant,
    /// Before Redis 7.0 a server tells only the time that is left, and its clock after that. The two make the instant, or more where a
    /// millisecond begins between them: then none begins between the next two.
    TimeLeft,
}

#[derive(Debug, PartialEq)]
enum Life {
    /// It ended after its value was read.
    Over,
    Until(Option<Timestamp>),
}

impl Ask {
    pub(super) fn of(major: u32) -> Self {
        if major >= 7 { Self::Instant } else { Self::TimeLeft }
    }

    /// Asks for the record at a key.
    pub(super) fn about(&self, key: &str, pipe: &mut Pipeline) {
        pipe.cmd("GET").arg(key);
        for &command in self.commands() {
            pipe.cmd(command);
            if command != "TIME" {
                pipe.arg(key);
            }
        }
    }

    /// Takes the answers about one record. An error outside is about all of them.
    pub(super) fn record(
        &self,
        key: Key<'_>,
        answers: &mut impl Iterator<Item = Value>,
    ) -> Result<Result<Option<Record>>> {
        let value = answers.next().ok_or_else(unexpected)?;
        Ok(match self.answered(answers)? {
            Life::Over => Ok(None),
            Life::Until(expires) => record(key, value, expires),
        })
    }

    fn commands(&self) -> &'static [&'static str] {
        match self {
            Self::Instant => &["PEXPIRETIME"],
            Self::TimeLeft => &["PTTL", "TIME", "PTTL", "TIME"],
        }
    }

    /// Takes the answers of these commands.
    fn answered(&self, answers: &mut impl Iterator<Item = Value>) -> Result<Life> {
        let mut earliest: Option<u64> = None;
        let mut over = false;
        for command in self.commands().iter().filter(|command| **command != "TIME") {
            let time = reply::int(&answers.next().ok_or_else(unexpected)?)?;
            let from = if *command == "PTTL" { clock(answers.next())? } else { 0 };
            // -1 is no expiry, -2 no key.
            over |= time == -2;
            if let Ok(time) = u64::try_from(time) {
                let at = from.saturating_add(time);
                earliest = Some(earliest.map_or(at, |before| before.min(at)));
            }
        }
        Ok(if over { Life::Over } else { Life::Until(earliest.and_then(Timestamp::from_millis)) })
    }
}

/// The server's clock in milliseconds, from its seconds and microseconds.
fn clock(answer: Option<Value>) -> Result<u64> {
    let answer = reply::array(answer.ok_or_else(unexpected)?)?;
    let [seconds, micros] = &answer[..] else {
        return Err(unexpected());
    };
    let [seconds, micros] = [reply::int(seconds)?, reply::int(micros)?];
    let millis = seconds.checked_mul(1000).and_then(|ms| ms.checked_add(micros / 1000));
    millis.and_then(|ms| u64::try_from(ms).ok()).ok_or_else(unexpected)
}

fn record(key: Key<'_>, value: Value, expires: Option<Timestamp>) -> Result<Option<Record>> {
    let value = reply::optional(value)?;
    Ok(value.map(|value| Record::builder(key, value).expires(expires).build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ask: &Ask, answers: Vec<Value>) -> Life {
        ask.answered(&mut answers.into_iter()).unwrap()
    }

    fn until(millis: u64) -> Life {
        Life::Until(Some(Timestamp::from_millis(millis).unwrap()))
    }

    fn time(millis: i64) -> Value {
        let text = |n: i64| Value::BulkString(n.to_string().into_bytes());
        Value::Array(vec![text(millis / 1000), text(millis % 1000 * 1000 + 999)])
    }

    #[test]
    fn the_instant_is_exact_also_where_a_millisecond_begins_while_it_is_asked_for() {
        let asked = |left: [i64; 2], clock: [i64; 2]| {
            let [first, second] = left.map(Value::Int);
            told(&Ask::TimeLeft, vec![first, time(clock[0]), second, time(clock[1])])
        };
        assert_eq!(asked([500, 500], [10_000, 10_000]), until(10_500));
        assert_eq!(asked([500, 499], [10_001, 10_001]), until(10_500));
        assert_eq!(asked([500, 500], [10_000, 10_001]), until(10_500));
        assert_eq!(told(&Ask::Instant, vec![Value::Int(10_500)]), until(10_500));
    }

    #[test]
    fn no_expiry_is_not_an_end() {
        let left = |left: i64| vec![Value::Int(left), time(10_000), Value::Int(left), time(10_000)];
        assert_eq!(told(&Ask::TimeLeft, left(-1)), Life::Until(None));
        assert_eq!(told(&Ask::TimeLeft, left(-2)), Life::Over);
        let ended = vec![Value::Int(0), time(10_000), Value::Int(-2), time(10_001)];
        assert_eq!(told(&Ask::TimeLeft, ended), Life::Over);
        assert_eq!(told(&Ask::Instant, vec![Value::Int(-1)]), Life::Until(None));
        assert_eq!(told(&Ask::Instant, vec![Value::Int(-2)]), Life::Over);
    }
}
