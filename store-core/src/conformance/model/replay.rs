//! Runs a sequence on the driver and on the model, and compares at each step.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde_json::json;

use super::ops::{Ask, Item, Step, Until, When, Write};
use super::reference::{Held, Model};
use crate::capability::Feature as F;
use crate::conformance::case::{Check, refused};
use crate::conformance::cx::{Cx, text};
use crate::conformance::watcher::{View, Watcher};
use crate::error::{Error, ErrorKind};
use crate::handle::Table;
use crate::name::Key;
use crate::options::{Condition, Expiry, Op, Put, Remove};
use crate::record::{Metadata, Record};
use crate::revision::Revision;

struct Run<'a> {
    cx: &'a Cx,
    t: Table,
    model: Model,
}

pub(super) async fn replay(cx: &Cx, database: &str, steps: &[Step]) -> Check {
    let t = cx.table_at(database)?;
    let mut run = Run { cx, t, model: Model::default() };
    let mut watch = if cx.has(F::Watch) { Some(cx.watch(&run.t).await?) } else { None };
    for (n, step) in steps.iter().enumerate() {
        run.model.expire(cx.now());
        run.step(step).await.map_err(|why| why.about(format_args!("step {n}, {step:?}")))?;
    }
    run.model.expire(cx.now());
    run.compare_all().await.map_err(|why| why.about("in the end"))?;
    if let Some(watch) = &mut watch {
        run.compare_watch(watch).await.map_err(|why| why.about("the watch"))?;
    }
    // Only to save room: not every driver can.
    let database = run.t.namespace().database();
    let tidied = if cx.has(F::Databases) {
        cx.store().delete_database(database).await
    } else {
        cx.store().empty_database(database).await
    };
    match tidied {
        Err(error) if error.kind() != ErrorKind::Unsupported => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Check {
        let now = self.cx.now();
        match step {
            Step::Write(write) => {
                let result = self.put_one(write).await?;
                self.written(write, result, now)?;
                self.compare(write.key).await
            }
            Step::Delete { key, when } => {
                let condition = self.condition(key, *when);
                let result = self.t.delete(*key).condition(condition).await;
                self.deleted(key, *when, result.map(|deleted| deleted.existed))?;
                self.compare(key).await
            }
            Step::SetExpiry { key, expiry, when } => {
                let condition = self.condition(key, *when);
                let result =
                    self.t.set_expiry(*key, Self::expiry(*expiry, now)).condition(condition).await;
                if matches!(expiry, Until::Keep) || *when == When::Absent {
                    refused(result, ErrorKind::InvalidArgument, "it")?;
                } else if !self.model.holds(key, *when) {
                    refused(result, ErrorKind::Conflict, "it")?;
                } else {
                    let done = result?;
                    ensure_eq!(
                        done.is_some(),
                        self.model.records.contains_key(key),
                        "whether there was a record"
                    );
                    let expires = self.model.expires(key, *expiry, now);
                    if let (Some(done), Some(held)) = (done, self.model.records.get(key).cloned()) {
                        self.model.put(key, Held { expires, revision: done.revision, ..held });
                    }
                }
                self.compare(key).await
            }
            Step::Increment { key, delta } => {
                let result = self.t.increment(*key, *delta).await;
                match self.model.sum(key, *delta) {
                    Err(kind) => drop(refused(result, kind, "it")?),
                    Ok(sum) => {
                        let counter = result?;
                        ensure_eq!(counter.value, sum, "the sum");
                        let held = self.model.records.get(key);
                        let (note, expires) =
                            held.map_or((None, None), |held| (held.note, held.expires));
                        self.model.put(
                            key,
                            Held {
                                value: sum.to_string(),
                                note,
                                expires,
                                revision: counter.revision,
                            },
                        );
                    }
                }
                self.compare(key).await
            }
            Step::Read { key } => self.compare(key).await,
            Step::ReadMany { keys } => {
                let answers = self.t.read_many(keys).await;
                ensure_eq!(answers.len(), keys.len(), "answers");
                for (key, answer) in keys.iter().zip(answers) {
                    self.compare_record(key, answer?.as_ref())?;
                }
                Ok(())
            }
            Step::WriteMany { writes } => {
                // A condition may depend on an item before it: so each is said in terms of the state before the batch, and only
                // writes of different keys are judged by it.
                let mut keys = BTreeSet::new();
                let writes: Vec<_> = writes.iter().filter(|write| keys.insert(write.key)).collect();
                let puts = writes.iter().map(|write| self.put(write)).collect::<Check<Vec<_>>>()?;
                let answers = self.t.put_many(puts).await;
                ensure_eq!(answers.len(), writes.len(), "answers");
                for (write, answer) in writes.iter().zip(answers) {
                    self.written(write, answer, now)?;
                }
                self.compare_these(keys.into_iter()).await
            }
            Step::DeleteMany { keys } => {
                let answers = self.t.delete_many(keys).await;
                ensure_eq!(answers.len(), keys.len(), "answers");
                for (key, answer) in keys.iter().zip(answers) {
                    self.deleted(key, When::Any, answer.map(|deleted| deleted.existed))?;
                }
                self.compare_these(keys.iter().copied()).await
            }
            Step::Atomic { items } => self.atomic(items, now).await,
            Step::List { ask, records } => self.list(ask, *records).await,
            Step::ScanU64 { limit } => {
                let (mut seen, mut cursor) = (BTreeSet::new(), 0);
                loop {
                    let page = self.t.scan_u64(cursor, *limit).await?;
                    seen.extend(page.keys);
                    match page.next {
                        Some(next) => cursor = next,
                        None => break,
                    }
                }
                let want: BTreeSet<_> =
                    self.model.records.keys().map(|key| (*key).to_owned()).collect();
                ensure_eq!(seen, want, "keys");
                Ok(())
            }
            Step::Advance { ms } => {
                self.cx.advance(std::time::Duration::from_millis(*ms)).await;
                self.model.expire(self.cx.now());
                self.compare_all().await
            }
            Step::DeleteTable => {
                self.cx.store().delete_table(self.t.namespace()).await?;
                for key in self.model.records.keys().copied().collect::<Vec<_>>() {
                    self.model.remove(key);
                }
                self.compare_all().await
            }
        }
    }

    async fn put_one(&self, write: &Write) -> Check<crate::Result<crate::Written>> {
        let put = self.put(write)?;
        Ok(self.t.store().write(self.t.namespace(), put).await)
    }

    async fn atomic(&mut self, items: &[Item], now: SystemTime) -> Check {
        let mut ops = Vec::with_capacity(items.len());
        for item in items {
            ops.push(match item {
                Item::Write(write) => Op::Put(self.put(write)?),
                Item::Delete { key, when } => Op::Remove(
                    Remove::new(Key::new(*key)?).with_condition(self.condition(key, *when)),
                ),
                Item::Check { key, when } => {
                    Op::Check { key: Key::new(*key)?, condition: self.condition(key, *when) }
                }
            });
        }
        let batch = ops.into_iter().fold(self.t.batch(), crate::handle::Batch::op);
        let result = batch.commit().await;
        if let Err((kind, key)) = self.model.judge(items) {
            let error = refused(result, kind, "it")?;
            ensure!(
                key.is_none() || error.key() == key,
                "the conflict names {:?}, it is {key:?}",
                error.key()
            );
        } else {
            let written = result?;
            ensure_eq!(written.len(), items.len(), "answers");
            for (item, written) in items.iter().zip(written) {
                match item {
                    Item::Write(write) => self.model.write(write, now, written.revision),
                    Item::Delete { key, .. } => self.model.remove(key),
                    Item::Check { .. } => {}
                }
            }
        }
        let keys = items.iter().map(|item| match item {
            Item::Write(write) => write.key,
            Item::Delete { key, .. } | Item::Check { key, .. } => key,
        });
        self.compare_these(keys).await
    }

    async fn list(&self, ask: &Ask, records: bool) -> Check {
        let mut want = self.model.list(ask);
        let mut got = if records {
            let mut scan = self
                .cx
                .scan(&self.t)
                .prefix(ask.prefix)
                .suffix(ask.suffix)
                .offset(ask.offset)
                .page_size(ask.page);
            if let Some(start) = ask.start_after {
                scan = scan.start_after(start);
            }
            if let Some(limit) = ask.limit {
                scan = scan.limit(limit);
            }
            let found = scan.await?;
            for record in &found {
                self.compare_record(record.key(), Some(record))?;
            }
            found.iter().map(|record| record.key().to_owned()).collect()
        } else {
            let mut list = self
                .cx
                .list(&self.t)
                .prefix(ask.prefix)
                .suffix(ask.suffix)
                .offset(ask.offset)
                .page_size(ask.page);
            if let Some(start) = ask.start_after {
                list = list.start_after(start);
            }
            if let Some(limit) = ask.limit {
                list = list.limit(limit);
            }
            list.await?
        };
        if !self.cx.has(F::ByteOrder) {
            got.sort_unstable();
            got.dedup();
            want.sort_unstable();
        }
        ensure_eq!(got, want, "keys");
        Ok(())
    }

    fn written(
        &mut self,
        write: &Write,
        result: Result<crate::Written, Error>,
        now: SystemTime,
    ) -> Check {
        if self.model.holds(write.key, write.when) {
            let revision = result?.revision;
            let before = self.model.records.get(write.key).and_then(|held| held.revision);
            ensure!(
                revision.is_none() || revision != before,
                "the revision {revision:?} did not change"
            );
            self.model.write(write, now, revision);
        } else {
            refused(result, ErrorKind::Conflict, "it")?;
        }
        Ok(())
    }

    fn deleted(
        &mut self,
        key: &'static str,
        when: When,
        result: Result<Option<bool>, Error>,
    ) -> Check {
        if when == When::Absent {
            refused(result, ErrorKind::InvalidArgument, "it")?;
        } else if self.model.holds(key, when) {
            let existed = result?;
            let was = self.model.records.contains_key(key);
            ensure!(
                existed.is_none_or(|existed| existed == was),
                "it tells {existed:?}, it is {was}"
            );
            self.model.remove(key);
        } else {
            refused(result, ErrorKind::Conflict, "it")?;
        }
        Ok(())
    }

    fn put(&self, write: &Write) -> Check<Put<'static>> {
        let mut put = Put::new(Key::new(write.key)?, write.value)
            .with_expiry(Self::expiry(write.expiry, self.cx.now()))
            .with_condition(self.condition(write.key, write.when));
        if let Some(note) = write.note {
            put = put.with_metadata(Metadata::new().with("note", note)?);
        }
        Ok(put)
    }

    fn expiry(until: Until, now: SystemTime) -> Expiry {
        match until {
            Until::Default => Expiry::Database,
            Until::Never => Expiry::Never,
            Until::After(ttl) => Expiry::After(ttl),
            Until::At(ttl) => Expiry::At(now + ttl),
            Until::Keep => Expiry::Keep,
        }
    }

    fn condition(&self, key: &str, when: When) -> Condition<'static> {
        let held = self.model.records.get(key);
        let foreign = Revision::from_parts(u64::MAX, u64::MAX);
        match when {
            When::Any => Condition::Any,
            When::Absent => Condition::Absent,
            When::Current => {
                Condition::Revision(held.and_then(|held| held.revision).unwrap_or(foreign))
            }
            When::Stale => {
                Condition::Revision(self.model.stale.get(key).copied().unwrap_or(foreign))
            }
            When::SameValue => Condition::Value(
                held.map_or_else(|| b"7".to_vec(), |held| held.value.clone().into_bytes()).into(),
            ),
            When::OtherValue => Condition::Value(b"other"[..].into()),
        }
    }

    async fn compare(&self, key: &str) -> Check {
        let record = self.t.read(key).await?;
        let alone = self.t.value(key).await?.map(|value| text(&value));
        ensure_eq!(alone, record.as_ref().map(|r| text(r.value())), "the value of {key:?} alone");
        ensure_eq!(self.t.exists(key).await?, record.is_some(), "whether {key:?} exists");
        self.compare_record(key, record.as_ref())
    }

    fn compare_record(&self, key: &str, got: Option<&Record>) -> Check {
        let want = self.model.records.get(key);
        ensure_eq!(
            got.map(|r| text(r.value())),
            want.map(|held| held.value.clone()),
            "value of {key:?}"
        );
        let (Some(got), Some(want)) = (got, want) else { return Ok(()) };
        ensure_eq!(got.key(), key, "key");
        ensure_eq!(
            got.metadata().get("note").cloned(),
            want.note.map(|note| json!(note)),
            "metadata of {key:?}"
        );
        ensure_eq!(got.revision(), want.revision, "revision of {key:?}");
        let agree = if self.cx.is_movable() {
            got.expires_at() == want.expires
        } else {
            // The server's clock is not ours.
            got.expires_at().is_some() == want.expires.is_some()
        };
        ensure!(
            agree,
            "expiry of {key:?}: expected {:?}, got {:?}",
            want.expires,
            got.expires_at()
        );
        Ok(())
    }

    async fn compare_all(&self) -> Check {
        let mut scanned = self.cx.scan(&self.t).await?;
        if !self.cx.has(F::ByteOrder) {
            scanned.sort_by(|a, b| a.key().cmp(b.key()));
            scanned.dedup_by(|a, b| a.key() == b.key());
        }
        let keys: Vec<_> = scanned.iter().map(Record::key).collect();
        ensure_eq!(keys, self.model.records.keys().copied().collect::<Vec<_>>(), "keys");
        for record in &scanned {
            self.compare_record(record.key(), Some(record))?;
        }
        Ok(())
    }

    /// After each step: everything where time stands still, which is in process and fast; else the records that it was about.
    async fn compare_these(&self, keys: impl Iterator<Item = &'static str> + Send) -> Check {
        if self.cx.is_movable() {
            return self.compare_all().await;
        }
        for key in keys.collect::<BTreeSet<_>>() {
            self.compare(key).await?;
        }
        Ok(())
    }

    /// Follows the watch to the end: it must add up to what there is.
    async fn compare_watch(&self, watch: &mut Watcher) -> Check {
        self.t.write("zz-end", "end").await?;
        let mut view = View::default();
        watch
            .fold_until(&mut view, |view| {
                let mut left = view.records.iter().filter(|(key, _)| *key != "zz-end");
                // Without events of expiry, what has expired stays in a watcher's view.
                let live = |(key, record): (&String, &Record)| match self
                    .model
                    .records
                    .get(key.as_str())
                {
                    Some(held) => {
                        record.value() == held.value.as_bytes()
                            && record.revision() == held.revision
                    }
                    None => !self.cx.has(F::ExpiryEvents) && record.expires().is_some(),
                };
                view.records.contains_key("zz-end")
                    && self.model.records.keys().all(|key| view.records.contains_key(*key))
                    && left.all(live)
            })
            .await
    }
}
