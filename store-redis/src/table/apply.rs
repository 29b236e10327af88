//! Changes: written, deleted, counted, alone or together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisResult, Value};
use store_core::{
    Condition, Counter, Deleted, Error, ErrorKind, Expiry, Key, Namespace, Op, Put, Remove, Result,
    Revision, Written,
};

use super::change::{Change, Done, check_once, millis};
use super::counter::{self, Joined, Message, Turn, Waiter};
use super::meta::revision;
use super::put::{Put as Freely, Puts};
use super::{MAX_BATCH, MAX_BATCH_BYTES, Opened, Table, Tables};
use tokio::sync::oneshot;

use crate::cluster::turn;
use crate::fault::{Effect, fault, unexpected};
use crate::link::{Link, Request};
use crate::reply;
use crate::script::APPLY;

/// How the changes of one script call hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Each on its own.
    Each,
    /// All or nothing.
    Atomic,
}

/// Every so many writes with an expiry, what has expired is removed.
const REAP_EVERY: u64 = 64;

impl Tables {
    pub(crate) async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        written(self.one(ns, &Change::put(&put)?).await?)
    }

    pub(crate) async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        deleted(self.one(ns, &Change::delete(&remove)?).await?)
    }

    pub(crate) async fn set_expiry(
        &self,
        ns: &Namespace,
        key: Key<'_>,
        expiry: Expiry,
        condition: Condition<'_>,
    ) -> Result<Option<Written>> {
        match self.one(ns, &Change::expire(key, expiry, &condition)?).await? {
            Done::Absent => Ok(None),
            done => written(done).map(Some),
        }
    }

    pub(crate) async fn increment(
        self: &Arc<Self>,
        ns: &Namespace,
        key: Key<'_>,
        delta: i64,
    ) -> Result<Counter> {
        let table = self.table(ns);
        let value = table.keys.value(key.as_str());
        let lead = match self.counters.join(&value, delta) {
            Joined::Leads(lead) => lead,
            Joined::Waits(ticket) => match ticket.wait().await {
                Turn::Done(done) => return done,
                Turn::Lead(lead) => lead,
            },
        };
        let (all, sum) = lead.take(delta);
        if all.is_empty() {
            return self.add(&table, key, delta, 1).await;
        }
        // Several callers wait for it: it goes on if one of them does not.
        let (tables, key) = (Arc::clone(self), key.as_str().to_owned());
        let (own, mine) = oneshot::channel();
        tokio::spawn(async move {
            tables.add_all(&table, &key, delta, own, all, sum).await;
            drop(lead);
        });
        match mine.await {
            Ok(Message::Done(done)) => done,
            _ => Err(counter::cancelled()),
        }
    }

    /// Adds for several callers at once, and tells each what it would have been told alone.
    async fn add_all(
        &self,
        table: &Arc<Table>,
        key: &str,
        delta: i64,
        own: oneshot::Sender<Message>,
        others: Vec<Waiter>,
        sum: i64,
    ) {
        let Ok(key) = Key::new(key) else {
            return;
        };
        let own = Waiter { delta, answer: own };
        let waiters: Vec<Waiter> = std::iter::once(own).chain(others).collect();
        let count = waiters.len() as u64;
        match self.add(table, key, sum, count).await {
            Ok(last) => {
                let mut value = last.value.wrapping_sub(sum);
                let end = last.revision.map_or(0, Revision::sequence);
                let first = end.saturating_sub(count - 1);
                for (waiter, sequence) in waiters.into_iter().zip(first..) {
                    value = value.wrapping_add(waiter.delta);
                    waiter.tell(Ok(Counter::new(value, Some(revision(sequence)))));
                }
            }
            // Together too much: some may fit.
            Err(error) if error.kind() == ErrorKind::Overflow => {
                for waiter in waiters {
                    let done = self.add(table, key, waiter.delta, 1).await;
                    waiter.tell(done);
                }
            }
            Err(error) => {
                for waiter in waiters {
                    waiter.tell(Err(error.clone()));
                }
            }
        }
    }

    async fn add(
        &self,
        table: &Arc<Table>,
        key: Key<'_>,
        delta: i64,
        count: u64,
    ) -> Result<Counter> {
        let change = Change::increment(key, delta, count);
        let mut done = self.apply(table, Mode::Each, std::slice::from_ref(&change)).await?;
        match done.pop().ok_or_else(unexpected)?? {
            Done::Counted(sequence, value) => Ok(Counter::new(value, Some(revision(sequence)))),
            _ => Err(unexpected()),
        }
    }

    pub(crate) async fn atomic(&self, ns: &Namespace, ops: Vec<Op<'_>>) -> Result<Vec<Written>> {
        if ops.len() > MAX_BATCH {
            return Err(Error::too_large(format!(
                "an atomic batch has at most {MAX_BATCH} operations, this one has {}",
                ops.len()
            )));
        }
        let changes = ops.iter().map(Change::of).collect::<Result<Vec<_>>>()?;
        check_once(&changes)?;
        let bytes: usize = changes.iter().map(Change::bytes).sum();
        if bytes > MAX_BATCH_BYTES {
            return Err(Error::too_large(format!(
                "an atomic batch has at most {MAX_BATCH_BYTES} bytes of values, this one has {bytes}"
            )));
        }
        let done = self.apply(&self.table(ns), Mode::Atomic, &changes).await?;
        let each = |done: Result<Done>| match done? {
            Done::Written(sequence) => Ok(Written::new(Some(revision(sequence)))),
            _ => Ok(Written::default()),
        };
        done.into_iter().map(each).collect()
    }

    pub(crate) async fn write_many(
        &self,
        ns: &Namespace,
        puts: Vec<Put<'_>>,
    ) -> Vec<Result<Written>> {
        let changes = puts.iter().map(Change::put).collect();
        let done = self.many(ns, changes).await;
        done.into_iter().map(|done| done.and_then(written)).collect()
    }

    pub(crate) async fn delete_many(
        &self,
        ns: &Namespace,
        removes: Vec<Remove<'_>>,
    ) -> Vec<Result<Deleted>> {
        let changes = removes.iter().map(Change::delete).collect();
        let done = self.many(ns, changes).await;
        done.into_iter().map(|done| done.and_then(deleted)).collect()
    }

    async fn one(&self, ns: &Namespace, change: &Change<'_>) -> Result<Done> {
        let table = self.table(ns);
        let mut done = self.apply(&table, Mode::Each, std::slice::from_ref(change)).await?;
        done.pop().ok_or_else(unexpected)?
    }

    /// Each on its own, in order, as many per call of the script as it may take.
    async fn many(&self, ns: &Namespace, changes: Vec<Result<Change<'_>>>) -> Vec<Result<Done>> {
        let table = self.table(ns);
        let mut answers: Vec<Result<Done>> = Vec::with_capacity(changes.len());
        let mut sound = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                Ok(change) => {
                    sound.push((answers.len(), change));
                    answers.push(Err(unexpected()));
                }
                Err(error) => answers.push(Err(error)),
            }
        }
        while !sound.is_empty() {
            let rest = sound.split_off(batch_len(&sound));
            let (places, batch): (Vec<usize>, Vec<Change<'_>>) = sound.into_iter().unzip();
            sound = rest;
            match self.apply(&table, Mode::Each, &batch).await {
                Ok(done) => {
                    for (place, done) in places.into_iter().zip(done) {
                        answers[place] = done;
                    }
                }
                Err(error) if error.kind() == ErrorKind::TooLarge && batch.len() > 1 => {
                    for (place, change) in places.into_iter().zip(&batch) {
                        let one = self.apply(&table, Mode::Each, std::slice::from_ref(change));
                        answers[place] =
                            one.await.and_then(|mut done| done.pop().ok_or_else(unexpected)?);
                    }
                }
                Err(error) => {
                    for (place, change) in places.into_iter().zip(&batch) {
                        answers[place] = Err(error.clone().with_key(change.key));
                    }
                }
            }
        }
        answers
    }

    /// Does changes in one call of the script; opens the table first where that is needed.
    async fn apply(
        &self,
        table: &Arc<Table>,
        mode: Mode,
        changes: &[Change<'_>],
    ) -> Result<Vec<Result<Done>>> {
        self.connector.open()?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let create = changes.iter().any(Change::creates);
        let mut is_fresh = table.opened.read().is_none();
        for _ in 0..16 {
            let Some(opened) = self.open(table, create).await? else {
                let absent = changes.iter().map(Change::on_absent);
                return match mode {
                    Mode::Each => Ok(absent.collect()),
                    Mode::Atomic => absent.map(|done| done.map(Ok)).collect(),
                };
            };
            if let Err(error) = check_len(&opened, changes) {
                // By a configuration that may be old.
                if is_fresh {
                    return Err(error);
                }
                table.forget(&opened);
                is_fresh = true;
                continue;
            }
            let Some(done) = self.send(table, &opened, mode, changes).await? else {
                table.forget(&opened);
                is_fresh = true;
                continue;
            };
            self.tidy(table, &opened, changes).await;
            return Ok(done);
        }
        Err(Error::new(ErrorKind::Unavailable, "the database is being deleted all the time"))
    }

    /// Has the server do the changes. `None` where the table is not open with what is known of it.
    async fn send(
        &self,
        table: &Table,
        opened: &Opened,
        mode: Mode,
        changes: &[Change<'_>],
    ) -> Result<Option<Vec<Result<Done>>>> {
        let mut route = self.connector.route(table.keys.tag.as_bytes());
        let is_short = mode == Mode::Each && self.connector.config().wait_replicas == 0;
        let mut short = if is_short { Puts::of(table, opened, changes) } else { None };
        loop {
            let link = route.link().await?;
            let is_new = opened.generation.load(Ordering::Relaxed) != link.generation;
            if let (Some(puts), false) = (&short, is_new) {
                match puts.send(&link, route.is_asking()).await {
                    Ok(answer) => match puts.outcome(&answer)? {
                        Freely::Done(done) => {
                            let named = done.into_iter().zip(changes);
                            let named = named.map(|(done, c)| done.map_err(|e| e.with_key(c.key)));
                            return Ok(Some(named.collect()));
                        }
                        Freely::Closed => return Ok(None),
                        Freely::Other => short = None,
                    },
                    Err(error) if route.follow(&link, &error).await? => {}
                    Err(error) => return Err(fault(error, Effect::Change)),
                }
                continue;
            }
            let seed = if is_new { &*link.run } else { "" };
            let call = Call { tables: self, table, opened, mode, seed, changes };
            let answer = match call.run(&link, route.is_asking()).await? {
                Ok(answer) => reply::array(answer)?,
                Err(error) if route.follow(&link, &error).await? => continue,
                Err(error) => return Err(fault(error, Effect::Change)),
            };
            if matches!(answer[..], [Value::Int(-1)]) {
                return Ok(None);
            }
            opened.generation.store(link.generation, Ordering::Relaxed);
            return outcomes(changes, &answer).map(Some);
        }
    }

    /// Removes a little of what has expired: as much as such writes can leave behind.
    async fn tidy(&self, table: &Table, opened: &Opened, changes: &[Change<'_>]) {
        let default = opened.default_ttl.is_some();
        let expiring = changes.iter().filter(|change| change.expires(default)).count() as u64;
        if expiring == 0 {
            return;
        }
        let before = table.expiring.fetch_add(expiring, Ordering::Relaxed);
        if before / REAP_EVERY != (before + expiring) / REAP_EVERY {
            let most = (2 * expiring.max(REAP_EVERY)).min(1000);
            if let Err(error) = self.reap(table, most as usize).await {
                // The write is done: what has expired waits for the next one.
                tracing::debug!(%error, "expired records could not be removed");
            }
        }
    }
}

/// One call of the script.
struct Call<'a> {
    tables: &'a Tables,
    table: &'a Table,
    opened: &'a Opened,
    mode: Mode,
    seed: &'a str,
    changes: &'a [Change<'a>],
}

impl Call<'_> {
    /// The script's answer; or why the server did not do it, which may be that another one has to.
    async fn run(&self, link: &Link, asking: bool) -> Result<RedisResult<Value>> {
        let stage =
            |change: &Change<'_>| change.staged().map(|_| self.tables.stage_key(self.table));
        let stages: Vec<Option<String>> = self.changes.iter().map(stage).collect();
        let command = self.command(&stages);
        let script = Request::Script(&APPLY, &command);
        let replicas = self.tables.connector.config().wait_replicas;
        if replicas == 0 && stages.iter().all(Option::is_none) {
            return Ok(link.send(script, asking).await);
        }
        let mut pipe = Pipeline::new();
        for (stage, change) in stages.iter().zip(self.changes) {
            if let (Some(stage), Some(value)) = (stage, change.staged()) {
                if asking {
                    pipe.cmd("ASKING");
                }
                pipe.cmd("SET").arg(stage).arg(value).arg("PX").arg(60_000);
            }
        }
        if asking {
            pipe.cmd("ASKING");
        }
        let before = pipe.len();
        pipe.add_command(command.clone());
        if replicas > 0 {
            pipe.add_command(self.wait_for(replicas));
        }
        let mut answers = match link.each(&pipe).await {
            Ok(answers) => answers,
            Err(error) => return Ok(Err(error)),
        };
        let after = answers.split_off((before + 1).min(answers.len()));
        let (done, after) = match answers.pop().ok_or_else(unexpected)? {
            Value::ServerError(error) if error.code() == "NOSCRIPT" => {
                // The values wait already.
                let done = match link.send(script, asking).await {
                    Ok(done) => done,
                    Err(error) => return Ok(Err(error)),
                };
                let mut after = Vec::new();
                if replicas > 0 {
                    after.push(link.command(&self.wait_for(replicas), Effect::Change).await?);
                }
                (done, after)
            }
            Value::ServerError(error) => {
                let error = error.into();
                if turn(&error).is_some() {
                    return Ok(Err(error));
                }
                // Rather why a value does not wait where the script looked for it.
                self.staged(answers)?;
                return Ok(Err(error));
            }
            done => {
                self.staged(answers)?;
                (done, after)
            }
        };
        if let Some(count) = after.into_iter().next()
            && reply::int(&reply::checked(count, Effect::Change)?)? < i64::from(replicas)
        {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the primary has the change, but not as many replicas as asked for (wait_replicas)",
            )
            .outcome_unknown());
        }
        Ok(Ok(done))
    }

    /// Why a value does not wait where the script looked for it. Among several changes each has its own answer.
    fn staged(&self, answers: Vec<Value>) -> Result<()> {
        if self.mode == Mode::Atomic || self.changes.len() == 1 {
            for answer in answers {
                reply::checked(answer, Effect::Read)?;
            }
        }
        Ok(())
    }

    fn wait_for(&self, replicas: u32) -> Cmd {
        let patience = self.tables.connector.config().answer_timeout / 2;
        let mut wait = redis::cmd("WAIT");
        wait.arg(replicas).arg(patience.as_millis() as u64);
        wait
    }

    fn command(&self, stages: &[Option<String>]) -> Cmd {
        let (table, opened, changes) = (self.table, self.opened, self.changes);
        let weight: usize = changes.iter().map(|c| c.weight() + table.keys.tag.len() + 64).sum();
        let mut command = Cmd::with_capacity(12 + 8 * changes.len(), 512 + weight);
        // The keys where values wait, too: without one of them a cluster does not begin.
        let waiting = stages.iter().flatten();
        let count = 6 + changes.len() + waiting.clone().count();
        command.arg("EVALSHA").arg(&APPLY.sha).arg(count);
        for key in &table.keys.all()[..4] {
            command.arg(key);
        }
        command.arg(&table.keys.head).arg(&opened.counter);
        for change in changes {
            command.arg(table.keys.value(change.key.as_str()));
        }
        for stage in waiting {
            command.arg(stage);
        }
        let mode = match (self.mode, changes) {
            (Mode::Atomic, _) => "a",
            (Mode::Each, [one]) if one.is_free() => "s",
            (Mode::Each, _) => "",
        };
        let default = opened.default_ttl;
        let ttl = default.map_or(String::new(), |ttl: Duration| millis(ttl).to_string());
        command.arg(mode).arg(self.seed).arg(ttl);
        for (change, stage) in changes.iter().zip(stages) {
            change.write(&mut command, stage.as_deref(), default);
        }
        command
    }
}

/// How many of these one call of the script may take; at least one.
fn batch_len(changes: &[(usize, Change<'_>)]) -> usize {
    let mut weight = 0;
    let fits = |(_, change): &&(usize, Change<'_>)| {
        weight += change.weight();
        weight <= MAX_BATCH_BYTES
    };
    changes.iter().take(MAX_BATCH).take_while(fits).count().max(1)
}

fn outcomes(changes: &[Change<'_>], answer: &[Value]) -> Result<Vec<Result<Done>>> {
    if let [Value::Int(-2), at, code, text] = answer {
        let at = usize::try_from(reply::int(at)?).map_err(|_| unexpected())?;
        let change = at.checked_sub(1).and_then(|at| changes.get(at)).ok_or_else(unexpected)?;
        change.done(code, text)?;
        return Err(unexpected());
    }
    if answer.len() != 2 * changes.len() {
        return Err(unexpected());
    }
    let pairs = answer.chunks_exact(2);
    Ok(changes.iter().zip(pairs).map(|(change, pair)| change.done(&pair[0], &pair[1])).collect())
}

fn check_len(opened: &Opened, changes: &[Change<'_>]) -> Result<()> {
    let Some(most) = opened.max_value_len else {
        return Ok(());
    };
    match changes.iter().find(|change| change.value_len() as u64 > most) {
        None => Ok(()),
        Some(change) => Err(Error::too_large(format!(
            "the value has {} bytes, the database allows {most} (max_value_len)",
            change.value_len()
        ))
        .with_key(change.key)),
    }
}

fn written(done: Done) -> Result<Written> {
    match done {
        Done::Written(sequence) => Ok(Written::new(Some(revision(sequence)))),
        _ => Err(unexpected()),
    }
}

fn deleted(done: Done) -> Result<Deleted> {
    match done {
        Done::Deleted => Ok(Deleted::new(Some(true))),
        Done::Absent => Ok(Deleted::new(Some(false))),
        _ => Err(unexpected()),
    }
}
