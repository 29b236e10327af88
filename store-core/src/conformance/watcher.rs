//! A watch, with the patience of a test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::case::{Check, Failure};
use super::pace::Pace;
use crate::error::Error;
use crate::handle::Table;
use crate::options::{Event, Gone};
use crate::record::Record;
use crate::revision::Revision;
use crate::store::EventStream;

/// How long an event may take, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Watcher {
    stream: EventStream,
    patience: Duration,
    pace: Arc<Pace>,
}

impl Watcher {
    pub(super) fn new(stream: EventStream, pace: Arc<Pace>) -> Self {
        Self { stream, patience: PATIENCE, pace }
    }

    pub(super) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What comes next, `None` at the end of the stream.
    pub(super) async fn raw(&mut self) -> Check<Option<Result<Event, Error>>> {
        self.pace
            .waits(tokio::time::timeout(self.patience, self.stream.next()))
            .await
            .map_err(|_| Failure::new(format!("the watch saw nothing for {:?}", self.patience)))
    }

    pub(super) async fn next(&mut self) -> Check<Event> {
        match self.raw().await? {
            Some(event) => Ok(event?),
            None => Err(Failure::new("the watch ended")),
        }
    }

    /// The next change of a record.
    pub(super) async fn change(&mut self) -> Check<Event> {
        loop {
            match self.next().await? {
                Event::Synced { .. } => {}
                event => return Ok(event),
            }
        }
    }

    /// The next change, which must be a write.
    pub(super) async fn put(&mut self) -> Check<Record> {
        match self.change().await? {
            Event::Put(record) => Ok(record),
            other => Err(Failure::new(format!("expected a write, the watch saw {other:?}"))),
        }
    }

    /// The next change, which must be the write of this key and value.
    pub(super) async fn expect_put(&mut self, key: &str, value: &str) -> Check<Record> {
        let record = self.put().await?;
        let seen = (record.key(), super::cx::text(record.value()));
        ensure_eq!(seen, (key, value.to_owned()), "the write that the watch saw");
        Ok(record)
    }

    /// The next change, which must be the end of this record.
    pub(super) async fn expect_gone(&mut self, key: &str, why: Gone) -> Check<Option<Revision>> {
        match self.change().await? {
            Event::Delete { key: seen, revision, reason } => {
                ensure_eq!((&*seen, reason), (key, why), "the end that the watch saw");
                Ok(revision)
            }
            other => {
                Err(Failure::new(format!("expected the end of {key:?}, the watch saw {other:?}")))
            }
        }
    }

    /// The events up to `Synced`, and its revision.
    pub(super) async fn until_synced(&mut self) -> Check<(Vec<Event>, Option<Revision>)> {
        let mut events = Vec::new();
        loop {
            match self.next().await? {
                Event::Synced { revision } => return Ok((events, revision)),
                event => events.push(event),
            }
        }
    }

    /// The present records, which must begin the watch.
    pub(super) async fn snapshot(&mut self) -> Check<Vec<Record>> {
        let (events, _) = self.until_synced().await?;
        let records = events.into_iter().map(|event| match event {
            Event::Put(record) => Ok(record),
            other => Err(Failure::new(format!("a snapshot holds records only, not {other:?}"))),
        });
        records.collect()
    }

    /// Nothing but this write may come next: `table` writes it now, so there is nothing to wait for.
    pub(super) async fn nothing_before(&mut self, table: &Table, key: &str) -> Check {
        table.write(key, "sentinel").await?;
        self.expect_put(key, "sentinel").await?;
        Ok(())
    }

    /// Follows the watch until the state that it adds up to satisfies `done`.
    pub(super) async fn fold_until(
        &mut self,
        view: &mut View,
        done: impl Fn(&View) -> bool + Send,
    ) -> Check {
        while !done(view) {
            let event = self.next().await.map_err(|e| e.about(format_args!("with {view:?}")))?;
            view.apply(event);
        }
        Ok(())
    }
}

/// The state that a watch adds up to.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) records: BTreeMap<String, Record>,
    pub(super) synced: usize,
    pub(super) resyncs: usize,
}

impl View {
    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Put(record) => {
                self.records.insert(record.key().to_owned(), record);
            }
            Event::Delete { key, .. } => {
                self.records.remove(&key);
            }
            Event::Synced { .. } => self.synced += 1,
            Event::Resync => {
                self.resyncs += 1;
                self.records.clear();
            }
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<String> {
        Some(super::cx::text(self.records.get(key)?.value()))
    }
}
