//! Pages of keys and of records.

use redis::Value;
use store_core::{
    Cursor, Error, ErrorKind, Key, ListOptions, Namespace, Page, ReadOptions, Record, Result,
    U64Page,
};

use super::{STEP, Table, Tables, eval};
use crate::fault::{Effect, unexpected};
use crate::reply;
use crate::script::{PAGE, REAP};

/// How many keys a script looks at.
const CHUNK: usize = 1000;
/// How many chunks a call looks at that looks for a suffix, before it returns what it found.
const CHUNKS: usize = 64;
/// The longest offset whose keys are looked at: of a longer one the index knows only how many they are, also of those whose values
/// others deleted since.
const LOOKED_AT: usize = 10_000;
/// The kind of our cursors: the last key, in byte order.
const CURSOR: u8 = b'k';

/// A part of the index, as `ZRANGE BYLEX` takes it.
#[derive(Debug)]
struct Range {
    least: Vec<u8>,
    greatest: Vec<u8>,
}

impl Range {
    fn new(prefix: &str, after: Option<&str>) -> Self {
        let least = match after {
            Some(after) if after >= prefix => join(b'(', after.as_bytes()),
            _ if prefix.is_empty() => b"-".to_vec(),
            _ => join(b'[', prefix.as_bytes()),
        };
        Self { least, greatest: beyond(prefix) }
    }
}

fn join(mark: u8, key: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(1 + key.len());
    bound.push(mark);
    bound.extend_from_slice(key);
    bound
}

/// Before the first key that is greater than all that begin with a prefix.
fn beyond(prefix: &str) -> Vec<u8> {
    match prefix.as_bytes().split_last() {
        None => b"+".to_vec(),
        // No byte of UTF-8 is the greatest.
        Some((last, rest)) => [b"(", rest, &[last + 1]].concat(),
    }
}

impl Tables {
    pub(crate) async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.connector.open()?;
        self.connector.check_read(ReadOptions::default().with_consistency(o.consistency)).await?;
        let after = match &o.cursor {
            Some(cursor) => Some(cursor.open_key(ns, CURSOR)?),
            None => None,
        };
        if o.limit == 0 {
            return Ok(Page::default());
        }
        let table = self.table(ns);
        let mut skip = if o.cursor.is_some() { 0 } else { o.offset };
        // With a cursor the start does not count.
        let after = after.as_deref().or(o.start_after.as_deref());
        let mut range = Range::new(&o.prefix, after);
        let mut keys = Vec::with_capacity(o.limit.min(CHUNK));
        let mut chunks = 0;
        loop {
            // One more than wanted, to know whether there is more.
            let wanted = (o.limit - keys.len()).saturating_add(1);
            // Without a suffix the index can leave out by rank.
            let by_rank =
                if o.suffix.is_empty() && skip > LOOKED_AT { std::mem::take(&mut skip) } else { 0 };
            let all = wanted.saturating_add(skip).min(CHUNK);
            let ask = if o.suffix.is_empty() { all } else { CHUNK };
            let (last, found) = self.chunk(&table, &range, ask, by_rank).await?;
            for key in found.into_iter().filter(|key| key.ends_with(&*o.suffix)) {
                if skip > 0 {
                    skip -= 1;
                } else if keys.len() < o.limit {
                    keys.push(key);
                } else {
                    let next = keys.last().map(|last| Cursor::new(ns, CURSOR, last.as_bytes()));
                    return Ok(Page::new(keys, next));
                }
            }
            let Some(last) = last else {
                return Ok(Page::new(keys, None));
            };
            chunks += 1;
            if chunks >= CHUNKS && skip == 0 && !o.suffix.is_empty() {
                return Ok(Page::new(keys, Some(Cursor::new(ns, CURSOR, &last))));
            }
            range.least = join(b'(', &last);
        }
    }

    pub(crate) async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let names = self.list(ns, o).await?;
        let table = self.table(ns);
        let keys = names.items.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
        reply::records(self.read_all(&table, &keys).await, names.next)
    }

    /// Live keys of a part of the index; and the last key looked at, if there may be more.
    async fn chunk(
        &self,
        table: &Table,
        range: &Range,
        most: usize,
        skip: usize,
    ) -> Result<(Option<Vec<u8>>, Vec<String>)> {
        let mut command = eval(&PAGE, table.keys.all());
        command.arg(&range.least).arg(&range.greatest).arg(most).arg(skip).arg(&table.keys.tag);
        for _ in 0..10_000 {
            let answer = self.connector.script(&PAGE, &command, Effect::Read).await?;
            let mut answer = reply::array(answer)?.into_iter();
            let last = match answer.next().ok_or_else(unexpected)? {
                // Expired keys would count.
                Value::Int(-1) => {
                    self.reap(table, STEP).await?;
                    continue;
                }
                Value::Boolean(false) => None,
                last => reply::optional(last)?,
            };
            return Ok((last, answer.map(reply::text).collect::<Result<_>>()?));
        }
        Err(Error::new(ErrorKind::Unavailable, "records expire faster than they can be removed"))
    }

    /// Removes some of what has expired; whether there was as much as that.
    pub(super) async fn reap(&self, table: &Table, most: usize) -> Result<bool> {
        let mut command = eval(&REAP, table.keys.all());
        command.arg(most).arg(&table.keys.tag).arg("");
        let answer = reply::array(self.connector.script(&REAP, &command, Effect::Change).await?)?;
        let due = reply::int(answer.first().ok_or_else(unexpected)?)?;
        Ok(usize::try_from(due).is_ok_and(|due| due >= most))
    }

    pub(crate) async fn scan_u64(
        &self,
        ns: &Namespace,
        cursor: u64,
        limit: usize,
    ) -> Result<U64Page> {
        let table = self.table(ns);
        let mut command = redis::cmd("ZSCAN");
        command.arg(&table.keys.index).arg(cursor).arg("COUNT").arg(limit.clamp(1, CHUNK));
        let answer = reply::array(self.connector.command(&command, Effect::Read).await?)?;
        let [next, items] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
        let next: u64 = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
        let mut keys = Vec::new();
        // Each key comes with its score.
        for item in reply::array(items)?.into_iter().step_by(2) {
            keys.push(reply::text(item)?);
        }
        let keys = self.live(&table, keys).await?;
        Ok(U64Page::new(keys, (next != 0).then_some(next)))
    }

    /// Those of some keys that have a value.
    async fn live(&self, table: &Table, keys: Vec<String>) -> Result<Vec<String>> {
        if keys.is_empty() {
            return Ok(keys);
        }
        let mut pipe = redis::Pipeline::with_capacity(keys.len());
        for key in &keys {
            pipe.cmd("EXISTS").arg(table.keys.value(key));
        }
        let answers = self.connector.pipeline(&pipe, Effect::Read).await?;
        let mut live = Vec::with_capacity(keys.len());
        for (key, answer) in keys.into_iter().zip(answers) {
            if reply::int(&reply::checked(answer, Effect::Read)?)? > 0 {
                live.push(key);
            }
        }
        Ok(live)
    }
}
