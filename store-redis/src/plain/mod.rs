//! The layout `plain`: values at keys that other programs know, and nothing else.

mod heard;
mod list;
mod read;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use store_core::options::Expires;
use store_core::{
    Capability, Clock as _, Condition, Counter, Deleted, Error, ErrorKind, Expiry, Feature, Key,
    Name, Namespace, Put, Remove, Result, SystemClock, Written,
};

use self::watch::UNTOLD_LATENESS;
use crate::connector::Connector;
use crate::fault::{Effect, unexpected};
use crate::outcome::{compared, outcome_of};
use crate::reply;
use crate::script::PLAIN;
use crate::table::millis;
use crate::template::Template;

/// How many keys the server looks at before it answers.
const COUNT: usize = 400;
/// The longest value that replaces a compared one, both of which pass through a script. There is no place for it to wait at, as in the
/// layout `table`: any key may be a record to others.
const MAX_REPLACED: usize = 1024 * 1024;
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

    pub(crate) async fn capability(&self) -> Result<Capability> {
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
        if self.connector.is_replica().await? {
            capability = capability.without(Feature::StrongRead);
        }
        match self.check_flags(&*self.connector.link("").await?).await {
            Ok(tells_expiry) => {
                capability = capability.with(Feature::Watch).with(Feature::ExpiryEvents);
                if !tells_expiry {
                    capability.expiry_lateness = UNTOLD_LATENESS;
                }
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(error),
        }
        Ok(capability)
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

    pub(crate) async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let command = self.put(ns, &put)?;
        let answer = if is_set(&put.condition) {
            self.connector.command(&command, Effect::Change).await?
        } else {
            self.connector.script(&PLAIN, &command, Effect::Change).await?
        };
        written(answer, &put.condition)
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
        written(answer, condition)
    }

    /// A write as a command: a SET where that will do, as what it is told does not pass through a script.
    fn put(&self, ns: &Namespace, put: &Put<'_>) -> Result<Cmd> {
        if !put.metadata.is_empty() {
            return Err(Error::lacks(Feature::Metadata));
        }
        let key = self.key(ns, put.key)?;
        if !is_set(&put.condition) {
            if put.value.len() > MAX_REPLACED {
                return Err(Error::too_large(format!(
                    "a value that replaces a compared one has at most {MAX_REPLACED} bytes, this one has {}",
                    put.value.len()
                )));
            }
            let mut command = call(&key, "put", &put.condition, put.expiry)?;
            command.arg(&put.value[..]);
            return Ok(command);
        }
        let mut command = Cmd::with_capacity(6, key.len() + put.value.len() + 32);
        command.arg("SET").arg(&key).arg(&put.value[..]);
        let creates = !put.condition.is_any();
        if creates {
            command.arg("NX");
        }
        if matches!(put.expiry, Expiry::Never | Expiry::Database) {
            return Ok(command);
        }
        match put.expiry.resolve(SystemClock.now(), None)? {
            // What is created had none.
            Expires::Keep if creates => {}
            Expires::Keep => {
                command.arg("KEEPTTL");
            }
            Expires::To(None) => {}
            Expires::To(Some(at)) => match put.expiry {
                Expiry::After(ttl) => {
                    // Whole seconds as Go-Micro writes them, which also older servers take.
                    let ms = millis(ttl);
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

/// For fuzz targets.
pub(crate) fn fuzz_place(bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(list::Place::parse(bytes)?.bytes())
}

/// A call of the script, up to its value.
fn call(key: &str, verb: &str, condition: &Condition<'_>, expiry: Expiry) -> Result<Cmd> {
    let mut command = redis::cmd("EVALSHA");
    command.arg(&PLAIN.sha).arg(1).arg(key).arg(verb);
    match compared(condition)? {
        Condition::Any => command.arg("").arg(""),
        Condition::Value(value) => command.arg("v").arg(&value[..]),
        _ => return Err(Error::lacks(Feature::IfRevision)),
    };
    match expiry.resolve(SystemClock.now(), None)? {
        Expires::Keep => command.arg("k"),
        Expires::To(None) => command.arg(""),
        Expires::To(Some(at)) => match expiry {
            Expiry::After(ttl) => command.arg(format!("+{}", millis(ttl))),
            _ => command.arg(format!("@{}", at.as_millis())),
        },
    };
    Ok(command)
}

/// Whether a SET does a write of this condition.
fn is_set(condition: &Condition<'_>) -> bool {
    matches!(condition, Condition::Any | Condition::Absent)
}

/// What a write was answered.
fn written(answer: Value, condition: &Condition<'_>) -> Result<Written> {
    match (condition, answer) {
        (Condition::Absent, Value::Nil) => return Err(condition.conflict(true, None)),
        (Condition::Any | Condition::Absent, _) => {}
        (_, answer) => drop(outcome(answer, condition)?),
    }
    Ok(Written::default())
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
        code @ 1..=3 => Ok((code, text.to_vec())),
        code => Err(outcome_of(code)),
    }
}
