//! A watch: a snapshot, then the feed.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use store_core::{
    Event, EventStream, Key, ListOptions, Record, Result, Revision, Scope, Shown, Start,
    WatchOptions,
};

use crate::core::Core;
use crate::feed::Resume;
use crate::table::Table;

/// How many records or changes are taken at a time.
const CHUNK: usize = 256;
/// For how many times as many changes as records a snapshot looks.
const BETWEEN: usize = 8;

struct Watcher {
    table: Arc<Table>,
    scope: Scope,
    ready: VecDeque<Event>,
    phase: Phase,
    shown: Shown,
}

enum Phase {
    /// Showing present records up to a revision, after a key; and in between what the feed has from a position on, which it does not
    /// keep for long.
    Snapshot { after: Option<String>, until: u64, position: u64 },
    /// Replaying the feed up to a position, which is that of a revision.
    CatchUp { position: u64, end: u64, until: u64 },
    /// Following the feed.
    Live { position: u64 },
    /// The store was closed.
    Ended,
}

pub(crate) fn watch(table: Arc<Table>, o: WatchOptions) -> EventStream {
    table.activate_feed();
    let (ready, shown) = (VecDeque::new(), Shown::default());
    let mut watcher = Watcher { table, scope: o.scope, ready, phase: Phase::Ended, shown };
    let (end, until) = watcher.table.feed.end(watcher.core());
    match o.start {
        Start::Changes => watcher.phase = Phase::Live { position: end },
        Start::After(revision) => watcher.resume(revision, end, until),
        _ => watcher.snapshot(until, end),
    }
    stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((event, watcher))
    })
    .boxed()
}

impl Watcher {
    fn core(&self) -> &Core {
        self.table.core()
    }

    fn resume(&mut self, after: Revision, end: u64, until: u64) {
        let resume = match self.core().sequence(after) {
            Some(sequence) => (self.table.feed.resume(sequence), sequence),
            None => (Resume::Lost, 0),
        };
        self.phase = match resume {
            (Resume::Replay(position), _) => Phase::CatchUp { position, end, until },
            (Resume::Rebuild(deletes), sequence) => {
                let puts = self.table.newer(&self.filter(), sequence).into_iter().map(Event::Put);
                let sequence_of = |event: &Event| event.revision().map_or(0, Revision::sequence);
                let mut missed: Vec<Event> = deletes
                    .into_iter()
                    .chain(puts)
                    .filter(|event| sequence_of(event) <= until && self.is_in_scope(event))
                    .collect();
                missed.sort_by_key(sequence_of);
                self.ready.extend(missed);
                self.ready.push_back(self.synced(until));
                Phase::Live { position: end }
            }
            (Resume::Lost, _) => {
                self.ready.push_back(Event::Resync);
                return self.snapshot(until, end);
            }
        };
    }

    fn snapshot(&mut self, until: u64, position: u64) {
        self.shown.begin();
        self.phase = Phase::Snapshot { after: None, until, position };
    }

    fn tell(&mut self, event: Event) {
        if self.shown.is_news(&event) {
            self.ready.push_back(event);
        }
    }

    fn synced(&self, until: u64) -> Event {
        Event::Synced { revision: Some(self.core().revision(until)) }
    }

    fn is_in_scope(&self, event: &Event) -> bool {
        event.key().is_none_or(|key| self.scope.matches(key))
    }

    fn filter(&self) -> ListOptions {
        let mut options = ListOptions::default();
        if let Scope::Prefix(prefix) | Scope::Key(prefix) = &self.scope {
            options.prefix.clone_from(prefix);
        }
        options
    }

    async fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if matches!(self.phase, Phase::Ended) {
                return None;
            }
            if self.core().is_closed() {
                self.phase = Phase::Ended;
                return Some(Err(Core::closed()));
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            self.advance().await;
        }
    }

    async fn advance(&mut self) {
        match &mut self.phase {
            Phase::Snapshot { after, until, position } => {
                let (after, until, position) = (after.take(), *until, *position);
                let (records, last) = self.present(after.as_deref());
                for record in records {
                    // What was written later is a change, and comes from the feed.
                    if record.revision().is_some_and(|at| at.sequence() <= until) {
                        self.tell(Event::Put(record));
                    }
                }
                let Some(read) = self.read(position, BETWEEN * CHUNK) else { return };
                let position = position + read;
                self.phase = if last.is_some() {
                    Phase::Snapshot { after: last, until, position }
                } else {
                    // What was written again while the last of it was read is still to come.
                    let (end, until) = self.table.feed.end(self.core());
                    Phase::CatchUp { position, end, until }
                };
            }
            Phase::CatchUp { position, end, until } => {
                let (position, end, until) = (*position, *end, *until);
                let most =
                    usize::try_from(end.saturating_sub(position)).unwrap_or(CHUNK).min(CHUNK);
                if most == 0 {
                    self.shown.end();
                    self.ready.push_back(self.synced(until));
                    self.phase = Phase::Live { position };
                } else if let Some(read) = self.read(position, most) {
                    self.phase = Phase::CatchUp { position: position + read, end, until };
                }
            }
            Phase::Live { position } => {
                let position = *position;
                let table = Arc::clone(&self.table);
                let mut changed = pin!(table.feed.changed().notified());
                // Before the look, so that no change falls between look and wait.
                changed.as_mut().enable();
                match self.read(position, CHUNK) {
                    Some(0) if !self.core().is_closed() => changed.await,
                    Some(read) => self.phase = Phase::Live { position: position + read },
                    None => {}
                }
            }
            Phase::Ended => {}
        }
    }

    /// A chunk of the present records in scope, and the last key if there may be more.
    fn present(&self, after: Option<&str>) -> (Vec<Record>, Option<String>) {
        if let Scope::Key(key) = &self.scope {
            let record = Key::new(key).ok().and_then(|key| self.table.read(key));
            return (record.into_iter().collect(), None);
        }
        let (records, more) = self.table.page(&self.filter(), after, 0, CHUNK);
        let last = records.last().filter(|_| more).map(|record| record.key().to_owned());
        (records, last)
    }

    /// Takes changes from the feed, and how many they were; begins anew when this watcher was too slow and some are gone.
    fn read(&mut self, position: u64, most: usize) -> Option<u64> {
        if let Some(events) = self.table.feed.read(position, most) {
            let read = events.len() as u64;
            for event in events {
                if self.is_in_scope(&event) {
                    self.tell(event);
                }
            }
            return Some(read);
        }
        let (position, until) = self.table.feed.end(self.core());
        self.ready.push_back(Event::Resync);
        self.snapshot(until, position);
        None
    }
}
