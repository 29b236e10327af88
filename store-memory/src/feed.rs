//! The changes of a table, for its watchers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use store_core::{Event, Gone, Record, Revision, Timestamp};
use tokio::sync::Notify;

use crate::core::Core;

/// The latest changes of a table in the order of their revisions. Costs nothing before the first watch; from then on each change
/// is kept until the feed is full, so that watchers may lag a little and resume.
///
/// Lock order: a shard, then the feed.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    active: AtomicBool,
    log: Mutex<Log>,
    /// The last delete that the log does not have: who resumes before it cannot know of it.
    forgotten_delete: AtomicU64,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Event>,
    /// How many entries were dropped from the front.
    dropped: u64,
    /// Every change after this sequence is in the log.
    complete_after: u64,
}

/// How a watch that begins after a revision can be served.
pub(crate) enum Resume {
    /// The log has all changes from this position on.
    Replay(u64),
    /// The log no longer has all of them, but all deletes: these, and the present records that are newer.
    Rebuild(Vec<Event>),
    /// Some deletes are forgotten.
    Lost,
}

impl Log {
    /// Appends an event and returns the one that had to go.
    fn push(&mut self, event: Event, most: usize) -> Option<Event> {
        self.entries.push_back(event);
        if self.entries.len() <= most {
            return None;
        }
        let old = self.entries.pop_front()?;
        self.dropped += 1;
        let sequence = old.revision().map_or(0, Revision::sequence);
        self.complete_after = self.complete_after.max(sequence);
        Some(old)
    }
}

impl Feed {
    /// Stamps a record that nobody else holds yet with the next revision and tells the watchers. Called under the lock of its
    /// shard. Where somebody watches, the revision is taken under the log's lock, so that the log is in order.
    #[inline]
    pub(crate) fn put(
        &self,
        core: &Core,
        record: &mut Record,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Revision {
        if !self.active.load(Ordering::Relaxed) {
            let revision = core.next_revision();
            record.stamp(revision, expires, Some(now));
            return revision;
        }
        self.log_put(core, record, expires, now)
    }

    #[cold]
    fn log_put(
        &self,
        core: &Core,
        record: &mut Record,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Revision {
        let mut log = self.log.lock();
        let revision = core.next_revision();
        record.stamp(revision, expires, Some(now));
        self.forget(log.push(Event::Put(record.clone()), core.feed_len).as_ref());
        drop(log);
        self.changed.notify_waiters();
        revision
    }

    /// Tells that a record is gone. Called under the lock of its shard.
    #[inline]
    pub(crate) fn gone(&self, core: &Core, key: &str, reason: Gone) {
        if !self.active.load(Ordering::Relaxed) {
            let revision = core.next_revision();
            self.forgotten_delete.fetch_max(revision.sequence(), Ordering::Relaxed);
            return;
        }
        let mut log = self.log.lock();
        let revision = Some(core.next_revision());
        let event = Event::Delete { key: key.to_owned(), revision, reason };
        self.forget(log.push(event, core.feed_len).as_ref());
        drop(log);
        self.changed.notify_waiters();
    }

    fn forget(&self, dropped: Option<&Event>) {
        if let Some(Event::Delete { revision: Some(revision), .. }) = dropped {
            self.forgotten_delete.fetch_max(revision.sequence(), Ordering::Relaxed);
        }
    }

    /// From now on changes are kept. The caller then passes through every shard's lock once, after which no change is under way
    /// that has not seen this.
    pub(crate) fn activate(&self) {
        let mut log = self.log.lock();
        if !self.active.load(Ordering::Relaxed) {
            // Changes under way may still take a revision and not be logged: the log counts as complete after `settle`.
            log.complete_after = u64::MAX;
            self.active.store(true, Ordering::Relaxed);
        }
    }

    /// See [`activate`](Self::activate).
    pub(crate) fn settle(&self, core: &Core) {
        let mut log = self.log.lock();
        if log.complete_after == u64::MAX {
            log.complete_after = core.last_revision();
        }
    }

    /// The position after the last change, and the last revision given out; no change of this table lies between them.
    pub(crate) fn end(&self, core: &Core) -> (u64, u64) {
        let log = self.log.lock();
        (log.dropped + log.entries.len() as u64, core.last_revision())
    }

    /// How to go on after a sequence.
    pub(crate) fn resume(&self, after: u64) -> Resume {
        let log = self.log.lock();
        let is_after = |event: &Event| event.revision().is_some_and(|r| r.sequence() > after);
        if after >= log.complete_after {
            let first = log.entries.partition_point(|event| !is_after(event));
            Resume::Replay(log.dropped + first as u64)
        } else if after >= self.forgotten_delete.load(Ordering::Relaxed) {
            let deletes = log.entries.iter().filter(|e| matches!(e, Event::Delete { .. }));
            Resume::Rebuild(deletes.filter(|e| is_after(e)).cloned().collect())
        } else {
            Resume::Lost
        }
    }

    /// The changes from a position on, up to `most`; `None` when some were dropped already.
    pub(crate) fn read(&self, position: u64, most: usize) -> Option<Vec<Event>> {
        let log = self.log.lock();
        let skip = position.checked_sub(log.dropped)?;
        Some(log.entries.iter().skip(skip as usize).take(most).cloned().collect())
    }

    pub(crate) fn changed(&self) -> &Notify {
        &self.changed
    }
}
