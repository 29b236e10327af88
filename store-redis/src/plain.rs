//! The layout `plain`: values at keys that other programs know, and nothing else.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value};
use store_core::options::Expires;
use store_core::{
    Capability, Clock as _, Condition, Counter, Cursor, Deleted, Error, ErrorKind, Expiry, Feature,
    Key, ListOptions, Name, Namespace, Order, Page, Put, ReadOptions, Record, Remove, Result,
    SystemClock, Timestamp, U64Page, Written,
};

use crate::connector::Connector;
use crate::fault::{Effect, corrupt, unexpected};
use crate::reply;
use crate::script::PLAIN;
use crate::table::{MAX_COMPARED, escape_glob};
use crate::template::Template;

/// The kind of this layout's cursors: the server's own.
const CURSOR: u8 = b's';
/// How many keys the server looks at before it answers.
const COUNT: usize = 400;
/// How many reads or writes go together.
const CHUNK: usize = 256;

/// Values at keys that other programs know.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) connector: Arc<Connector>,
    template: Template,
    owner: u64,
}

impl Plain {
    pub(crate) fn new(connector: Arc<Connector>, template: Template) -> Self {
        Self { connector, template, owner: Namespace::unique_owner() }
    }

    pub(crate) fn capability(&self) -> Capability {
        let mut capability = Capability::none();
        let features = [
            Feature::Create,
            Feature::IfValue,
            Feature::StrongRead,
            Feature::Expiry,
            Feature::SetExpiry,
            Feature::KeepExpiry,
            Feature::ScanU64,
            Feature::Increment,
            Feature::Shared,
        ];
        for feature in features {
            capability = capability.with(feature);
        }
        if self.template.has_table() {
            capability = capability.with(Feature::Tables);
        }
        capability.expiry_lateness = Duration::from_millis(1);
        if !self.template.is_injective() {
            capability.alphabet = Some(
                "the names of database, table and key are joined as the template says: choose them so that no two give the same text",
            );
        }
        capability
    }

    /// What comes before every key of a table.
    fn prefix<'n>(&self, ns: &'n Namespace) -> Result<Cow<'n, str>> {
        if !ns.table().is_empty() && !self.template.has_table() {
            return Err(Error::lacks(Feature::Tables));
        }
        let make = || self.connector.config().key_prefix.clone() + &self.template.prefix(ns);
        // Made once for each namespace.
        Ok(match ns.resolved(self.owner, || Arc::new(make())) {
            Some(prefix) => Cow::Borrowed(prefix),
            None => Cow::Owned(make()),
        })
    }

    fn key(&self, ns: &Namespace, key: Key<'_>) -> Result<String> {
        Ok([&*self.prefix(ns)?, key.as_str()].concat())
    }

    pub(crate) async fn read(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Record>> {
        if o.revision.is_some() {
            return Err(Error::lacks(Feature::History));
        }
        self.read_many(ns, &[key]).await.pop().ok_or_else(unexpected)?
    }

    pub(crate) async fn read_value(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        o: ReadOptions,
    ) -> Result<Option<Bytes>> {
        if o.revision.is_some() {
            return Err(Error::lacks(Feature::History));
        }
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
            match self.read_chunk(ns, chunk).await {
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
        ns: &Namespace,
        keys: &[Key<'_>],
    ) -> Result<Vec<Result<Option<Record>>>> {
        let prefix = self.prefix(ns)?;
        // Before Redis 7.0 only the time that is left can be had, and is no instant to the millisecond.
        let exact = self.connector.link("").await?.major >= 7;
        let mut pipe = Pipeline::with_capacity(2 * keys.len());
        pipe.atomic();
        for key in keys {
            let key = format!("{prefix}{key}");
            pipe.cmd("GET").arg(&key);
            pipe.cmd(if exact { "PEXPIRETIME" } else { "PTTL" }).arg(&key);
        }
        let before = SystemClock.now();
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
            let value = answers.next().ok_or_else(unexpected)?;
            let time = u64::try_from(reply::int(&answers.next().ok_or_else(unexpected)?)?).ok();
            let expires = match time {
                Some(at) if exact => Timestamp::from_millis(at),
                Some(left) => before.checked_add(Duration::from_millis(left)),
                None => None,
            };
            records.push(record(*key, value, expires).map_err(|error| error.with_key(key)));
        }
        Ok(records)
    }

    pub(crate) async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let command = self.put(ns, &put)?;
        if put.condition.is_any() {
            self.connector.command(&command, Effect::Change).await?;
        } else {
            let answer = self.connector.script(&PLAIN, &command, Effect::Change).await?;
            outcome(answer, &put.condition)?;
        }
        Ok(Written::default())
    }

    pub(crate) async fn write_many(
        &self,
        ns: &Namespace,
        puts: Vec<Put<'_>>,
    ) -> Vec<Result<Written>> {
        let mut answers = Vec::with_capacity(puts.len());
        for chunk in puts.chunks(CHUNK) {
            let commands: Vec<Result<Cmd>> = chunk.iter().map(|put| self.put(ns, put)).collect();
            let mut pipe = Pipeline::with_capacity(chunk.len());
            for command in commands.iter().flatten() {
                pipe.add_command(command.clone());
            }
            let sent = if pipe.is_empty() {
                Ok(Vec::new())
            } else {
                self.connector.pipeline(&pipe, Effect::Change).await
            };
            let mut sent = sent.map(Vec::into_iter);
            for (put, command) in chunk.iter().zip(commands) {
                let done = match (command, &mut sent) {
                    (Err(error), _) => Err(error),
                    (Ok(_), Err(error)) => Err(error.clone()),
                    (Ok(command), Ok(sent)) => match sent.next() {
                        Some(answer) => self.settle(&command, answer, &put.condition).await,
                        None => Err(unexpected()),
                    },
                };
                answers.push(done.map_err(|error| error.with_key(put.key)));
            }
        }
        answers
    }

    /// What became of one write among several.
    async fn settle(
        &self,
        command: &Cmd,
        answer: Value,
        condition: &Condition<'_>,
    ) -> Result<Written> {
        let answer = match answer {
            Value::ServerError(error) if error.code() == "NOSCRIPT" => {
                self.connector.script(&PLAIN, command, Effect::Change).await?
            }
            answer => reply::checked(answer, Effect::Change)?,
        };
        if !condition.is_any() {
            outcome(answer, condition)?;
        }
        Ok(Written::default())
    }

    /// A write as a command: a plain SET where that will do.
    fn put(&self, ns: &Namespace, put: &Put<'_>) -> Result<Cmd> {
        if !put.metadata.is_empty() {
            return Err(Error::lacks(Feature::Metadata));
        }
        let key = self.key(ns, put.key)?;
        if !put.condition.is_any() {
            let mut command = call(&key, "put", &put.condition, put.expiry)?;
            command.arg(&put.value[..]);
            return Ok(command);
        }
        let mut command = Cmd::with_capacity(5, key.len() + put.value.len() + 32);
        command.arg("SET").arg(&key).arg(&put.value[..]);
        if matches!(put.expiry, Expiry::Never | Expiry::Database) {
            return Ok(command);
        }
        match put.expiry.resolve(SystemClock.now(), None)? {
            Expires::Keep => {
                command.arg("KEEPTTL");
            }
            Expires::To(None) => {}
            Expires::To(Some(at)) => match put.expiry {
                Expiry::After(ttl) => {
                    // Whole seconds as Go-Micro writes them, which also older servers take.
                    let ms = ttl.as_nanos().div_ceil(1_000_000);
                    if ms.is_multiple_of(1000) {
                        command.arg("EX").arg((ms / 1000).to_string());
                    } else {
                        command.arg("PX").arg(ms.to_string());
                    }
                }
                _ => {
                    command.arg("PXAT").arg(at.as_millis());
                }
            },
        }
        Ok(command)
    }

    pub(crate) async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        remove.condition.on_existing()?;
        let key = self.key(ns, remove.key)?;
        if remove.condition.is_any() {
            let mut command = redis::cmd("DEL");
            command.arg(&key);
            let count = self.connector.command(&command, Effect::Change).await?;
            return Ok(Deleted::new(Some(reply::int(&count)? > 0)));
        }
        let mut command = call(&key, "delete", &remove.condition, Expiry::Never)?;
        command.arg("");
        let answer = self.connector.script(&PLAIN, &command, Effect::Change).await?;
        let (code, _) = outcome(answer, &remove.condition)?;
        Ok(Deleted::new(Some(code == 2)))
    }

    pub(crate) async fn delete_many(
        &self,
        ns: &Namespace,
        removes: Vec<Remove<'_>>,
    ) -> Vec<Result<Deleted>> {
        let mut answers = Vec::with_capacity(removes.len());
        for chunk in removes.chunks(CHUNK) {
            if chunk.iter().all(|remove| remove.condition.is_any()) {
                match self.delete_chunk(ns, chunk).await {
                    Ok(done) => answers.extend(done),
                    Err(error) => {
                        let failed = |remove: &Remove<'_>| Err(error.clone().with_key(remove.key));
                        answers.extend(chunk.iter().map(failed));
                    }
                }
                continue;
            }
            for remove in chunk {
                let key = remove.key;
                let done = self.delete(ns, remove.clone()).await;
                answers.push(done.map_err(|error| error.with_key(key)));
            }
        }
        answers
    }

    async fn delete_chunk(
        &self,
        ns: &Namespace,
        removes: &[Remove<'_>],
    ) -> Result<Vec<Result<Deleted>>> {
        let mut pipe = Pipeline::with_capacity(removes.len());
        for remove in removes {
            pipe.cmd("DEL").arg(self.key(ns, remove.key)?);
        }
        let answers = self.connector.pipeline(&pipe, Effect::Change).await?;
        let deleted = |answer| {
            let count = reply::int(&reply::checked(answer, Effect::Change)?)?;
            Ok(Deleted::new(Some(count > 0)))
        };
        Ok(answers.into_iter().map(deleted).collect())
    }

    pub(crate) async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        condition.on_existing()?;
        if expiry == Expiry::Keep {
            return Err(Error::invalid("a change of expiry must say the new expiry"));
        }
        let mut command = call(&self.key(ns, key)?, "expire", &condition, expiry)?;
        command.arg("");
        let answer = self.connector.script(&PLAIN, &command, Effect::Change).await?;
        let (code, _) = outcome(answer, &condition)?;
        Ok((code == 1).then(Written::default))
    }

    pub(crate) async fn increment(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        delta: i64,
    ) -> Result<Counter> {
        let any = Condition::Any;
        let mut command = call(&self.key(ns, key)?, "increment", &any, Expiry::Never)?;
        command.arg(delta);
        let answer = self.connector.script(&PLAIN, &command, Effect::Change).await?;
        let (_, value) = outcome(answer, &any)?;
        Ok(Counter::new(reply::number(&value).ok_or_else(unexpected)?, None))
    }

    /// Keys in the server's order; within one answer of the server in byte order. A key may come twice.
    pub(crate) async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.connector.open()?;
        if o.order != Order::Any {
            return Err(Error::lacks(Feature::ByteOrder));
        }
        let mut place = match &o.cursor {
            Some(cursor) => Place::parse(&cursor.open(ns, CURSOR)?)?,
            None => Place { start: o.start_after.clone().unwrap_or_default(), ..Place::default() },
        };
        if o.limit == 0 {
            return Ok(Page::default());
        }
        let mut skip = if o.cursor.is_some() { 0 } else { o.offset };
        let mut keys: Vec<String> = Vec::new();
        loop {
            let (next, mut found) = self.scan_once(ns, place.cursor, COUNT, &o.prefix).await?;
            found.sort_unstable();
            found.dedup();
            for key in found {
                let wanted = key.ends_with(&*o.suffix) && *key > *place.start;
                if !wanted || place.seen.contains(&hash(&key)) {
                    continue;
                }
                if skip == 0 && keys.len() == o.limit {
                    return Ok(Page::new(keys, Some(place.cursor(ns))));
                }
                place.seen.push(hash(&key));
                match skip.checked_sub(1) {
                    Some(left) => skip = left,
                    None => keys.push(key),
                }
            }
            if next == 0 {
                return Ok(Page::new(keys, None));
            }
            place = Place { cursor: next, start: place.start, seen: Vec::new() };
            if keys.len() >= o.limit {
                return Ok(Page::new(keys, Some(place.cursor(ns))));
            }
        }
    }

    async fn scan_once(
        &self,
        ns: &Namespace,
        cursor: u64,
        count: usize,
        start: &str,
    ) -> Result<(u64, Vec<String>)> {
        let prefix = self.prefix(ns)?;
        let pattern = format!("{}*", escape_glob(&(prefix.clone() + start)));
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        command.arg("TYPE").arg("string");
        let answer = reply::array(self.connector.command(&command, Effect::Read).await?)?;
        let [next, items] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
        let next = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
        let mut keys = Vec::new();
        for item in reply::array(items)? {
            // What no key of ours can be is somebody else's.
            let Ok(name) = reply::text(item) else { continue };
            if let Some(key) = name.strip_prefix(&*prefix)
                && Key::new(key).is_ok()
            {
                keys.push(key.to_owned());
            }
        }
        Ok((next, keys))
    }

    pub(crate) async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let names = self.list(ns, o).await?;
        let keys = names.items.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
        let mut page = Page::new(Vec::with_capacity(keys.len()), names.next);
        for read in self.read_many(ns, &keys).await {
            match read {
                Ok(Some(record)) => page.items.push(record),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => page.faults.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    pub(crate) async fn scan_u64(
        &self,
        ns: &Namespace,
        cursor: u64,
        limit: usize,
    ) -> Result<U64Page> {
        let (next, keys) = self.scan_once(ns, cursor, limit.clamp(10, COUNT), "").await?;
        Ok(U64Page::new(keys, (next != 0).then_some(next)))
    }

    pub(crate) fn lacks<T>(&self, feature: Feature) -> Result<T> {
        self.connector.open()?;
        Err(Error::lacks(feature))
    }

    /// The only table, where databases have no others and it can be told what belongs to one.
    fn only_table(&self, database: &Name) -> Result<Namespace> {
        self.connector.open()?;
        if self.template.is_injective() {
            return Ok(Namespace::root(database.clone()));
        }
        Err(Error::unsupported(
            "with this template the keys of a database cannot be told from others",
        ))
    }

    pub(crate) async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        let ns = self.only_table(name)?;
        let mut cursor = 0;
        loop {
            let (next, keys) = self.scan_once(&ns, cursor, COUNT, "").await?;
            if !keys.is_empty() {
                return Ok(vec![String::new()]);
            }
            if next == 0 {
                return Ok(Vec::new());
            }
            cursor = next;
        }
    }

    pub(crate) async fn empty_database(&self, name: &Name) -> Result<()> {
        self.delete_table(&self.only_table(name)?).await
    }

    /// Deletes the values at a table's keys, where it can be told which those are.
    pub(crate) async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.only_table(ns.database())?;
        let mut cursor = 0;
        loop {
            let (next, keys) = self.scan_once(ns, cursor, COUNT, "").await?;
            let removes: Vec<_> =
                keys.iter().filter_map(|key| Some(Remove::new(Key::new(key).ok()?))).collect();
            for done in self.delete_many(ns, removes).await {
                done?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}

/// Where a listing goes on: at a cursor of the server, without what was shown already of its answer there.
#[derive(Clone, Debug, Default)]
struct Place {
    cursor: u64,
    /// Only keys after this one.
    start: String,
    /// Hashes of the keys that were shown. The server may answer otherwise the next time, when its tables grew or shrank.
    seen: Vec<u32>,
}

/// What fits in a cursor's text beside the longest key.
const MAX_SEEN: usize = 480;

impl Place {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::invalid("not a cursor of this store");
        let (cursor, rest) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(wrong)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (start, rest) = rest.split_at_checked(len).ok_or_else(wrong)?;
        let (seen, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            cursor: u64::from_be_bytes(*cursor),
            start: String::from_utf8(start.to_vec()).map_err(|_| wrong())?,
            seen: seen.iter().map(|&bytes| u32::from_be_bytes(bytes)).collect(),
        })
    }

    fn cursor(&self, ns: &Namespace) -> Cursor {
        let mut bytes = self.cursor.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(self.start.len() as u16).to_be_bytes());
        bytes.extend_from_slice(self.start.as_bytes());
        // Too many of them are shown again, which this order may.
        let seen = if self.seen.len() > MAX_SEEN { &[] } else { &self.seen[..] };
        bytes.extend(seen.iter().flat_map(|hash| hash.to_be_bytes()));
        Cursor::new(ns, CURSOR, &bytes)
    }
}

/// The same in every process.
fn hash(key: &str) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

fn record(key: Key<'_>, value: Value, expires: Option<Timestamp>) -> Result<Option<Record>> {
    let value = reply::optional(value)?;
    Ok(value.map(|value| Record::builder(key, value).expires(expires).build()))
}

/// A call of the script, up to its value.
fn call(key: &str, verb: &str, condition: &Condition<'_>, expiry: Expiry) -> Result<Cmd> {
    let mut command = redis::cmd("EVALSHA");
    command.arg(&PLAIN.sha).arg(1).arg(key).arg(verb);
    match condition {
        Condition::Any => command.arg("").arg(""),
        Condition::Absent => command.arg("a").arg(""),
        Condition::Value(value) if value.len() > MAX_COMPARED => {
            return Err(Error::too_large(format!(
                "a compared value has at most {MAX_COMPARED} bytes"
            )));
        }
        Condition::Value(value) => command.arg("v").arg(&value[..]),
        _ => return Err(Error::lacks(Feature::IfRevision)),
    };
    match expiry.resolve(SystemClock.now(), None)? {
        Expires::Keep => command.arg("k"),
        Expires::To(None) => command.arg(""),
        Expires::To(Some(at)) => match expiry {
            Expiry::After(ttl) => command.arg(format!("+{}", ttl.as_nanos().div_ceil(1_000_000))),
            _ => command.arg(format!("@{}", at.as_millis())),
        },
    };
    Ok(command)
}

fn outcome(answer: Value, condition: &Condition<'_>) -> Result<(i64, Vec<u8>)> {
    let answer = reply::array(answer)?;
    let [code, text] = &answer[..] else {
        return Err(unexpected());
    };
    let text = reply::bytes(text)?;
    match reply::int(code)? {
        0 => Err(condition.conflict(text != b"-", None)),
        3 if !matches!(condition, Condition::Any) => Err(condition.conflict(false, None)),
        4 => Err(Error::new(
            ErrorKind::NotACounter,
            "the record's value is no decimal integer of 64 bits",
        )),
        5 => Err(Error::new(ErrorKind::Overflow, "the counter would leave the range of i64")),
        7 => Err(corrupt("another type than a string lies at the record's key")),
        8 => Err(Error::invalid("the expiry lies in the past by the server's clock")),
        code => Ok((code, text.to_vec())),
    }
}
