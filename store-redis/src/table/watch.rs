//! A watch: a snapshot, then the changelog.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use redis::Value;
use store_core::{
    Cursor, Error, ErrorKind, Event, EventStream, Key, ListOptions, Namespace, Record, Result,
    Revision, Scope, Shown, Start, WatchOptions,
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::feed::{Entry, Kind};
use super::hub::{Begun, Note, sequence};
use super::meta::{Meta, revision};
use super::{Table, Tables};
use crate::fault::{Effect, unexpected};
use crate::reply;

/// How many records or changes are taken at a time.
const CHUNK: usize = 256;
/// For how many times as many changes as records a snapshot looks.
const BETWEEN: usize = 8;

struct Watcher {
    tables: Arc<Tables>,
    table: Arc<Table>,
    scope: Scope,
    notes: Receiver<Note>,
    phase: Phase,
    ready: VecDeque<Event>,
    /// The change that was seen last.
    last: u64,
    /// Records that were read in a later state than the change that named them.
    ahead: HashMap<String, u64>,
    shown: Shown,
}

enum Phase {
    /// Changes may be missing: all begins anew.
    Begin,
    /// Showing present records after a key; what is newer than `last` comes as a change, which is read in between: the changelog is
    /// short, and a large table long.
    Snapshot(Option<Cursor>),
    /// Reading the changelog. It says that it has caught up when it is there, or has come to this revision.
    CatchUp {
        goal: Option<u64>,
    },
    /// Following.
    Live,
    Ended,
}

impl Tables {
    pub(crate) async fn watch(
        self: &Arc<Self>,
        ns: &Namespace,
        o: WatchOptions,
    ) -> Result<EventStream> {
        let table = self.table(ns);
        let begun = self.hub(&table).begin(&table).await?;
        let notes = self.hub(&table).join(&table, begun.last).await;
        let mut watcher = Watcher {
            tables: Arc::clone(self),
            table,
            scope: o.scope,
            notes,
            phase: Phase::Snapshot(None),
            ready: VecDeque::new(),
            last: begun.last,
            ahead: HashMap::new(),
            shown: Shown::default(),
        };
        watcher.shown.begin();
        match o.start {
            Start::Changes => {
                watcher.shown.end();
                watcher.phase = Phase::CatchUp { goal: None };
            }
            Start::After(after) => watcher.resume(after, begun).await?,
            _ => {}
        }
        let next = |mut watcher: Watcher| async { Some((watcher.next().await?, watcher)) };
        Ok(stream::unfold(watcher, next).boxed())
    }
}

impl Watcher {
    /// Goes on after a revision if it can be known what came after it.
    async fn resume(&mut self, after: Revision, begun: Begun) -> Result<()> {
        let Some(after) = sequence(after).filter(|&after| after <= begun.last) else {
            self.ready.push_back(Event::Resync);
            return Ok(());
        };
        let first = self.entries(after, 1).await?;
        let is_logged = match first.first() {
            Some(first) => first.follows(after),
            None => after == begun.last,
        };
        if is_logged {
            self.shown.end();
            self.last = after;
            self.phase = Phase::CatchUp { goal: Some(begun.last) };
        } else if begun.forgotten <= after
            && first.first().is_some_and(|first| matches!(first.kind, Kind::Begin))
        {
            // The changelog began later, and until then nothing was removed: the records themselves tell what was written.
            self.shown.end();
            self.rebuild(after).await?;
        } else {
            self.ready.push_back(Event::Resync);
        }
        Ok(())
    }

    /// What happened after a revision, as far as it can still be seen in the records, and the removals from the changelog.
    async fn rebuild(&mut self, after: u64) -> Result<()> {
        let mut events = Vec::new();
        let mut cursor = 0;
        loop {
            let mut command = redis::cmd("HSCAN");
            command.arg(&self.table.keys.meta).arg(cursor).arg("COUNT").arg(1000);
            let answer = self.tables.connector.command(&command, Effect::Read).await?;
            let [next, items] =
                <[Value; 2]>::try_from(reply::array(answer)?).map_err(|_| unexpected())?;
            let mut names = Vec::new();
            for pair in reply::array(items)?.chunks_exact(2) {
                let sequence = Meta::parse(reply::bytes(&pair[1])?)?.sequence;
                let name = String::from_utf8(reply::bytes(&pair[0])?.to_vec());
                let name = name.map_err(|_| reply::not_utf8())?;
                if sequence > after && self.scope.matches(&name) {
                    names.push(name);
                }
            }
            let keys = names.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
            for read in self.tables.read_all(&self.table, &keys).await {
                let Some(record) = read? else { continue };
                let sequence = record.revision().map_or(0, Revision::sequence);
                // What was written later comes as a change.
                if sequence > after && sequence <= self.last {
                    events.push((sequence, Event::Put(record)));
                }
            }
            cursor = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
            if cursor == 0u64 {
                break;
            }
        }
        let (mut seen, last) = (after, self.last);
        loop {
            let entries = self.entries(seen, CHUNK).await?;
            for entry in entries.iter().filter(|entry| entry.sequence <= last) {
                if let Kind::Gone { .. } = entry.kind
                    && let Some(event) = self.event(entry, &mut std::iter::empty())
                {
                    events.push((entry.sequence, event));
                }
            }
            match entries.last() {
                Some(entry) if entry.sequence < self.last => seen = entry.sequence,
                _ => break,
            }
        }
        // A snapshot finds a record once, a scan of a hash may find it twice.
        events.sort_by_key(|(sequence, _)| *sequence);
        events.dedup_by_key(|(sequence, _)| *sequence);
        self.ready.extend(events.into_iter().map(|(_, event)| event));
        self.ready.push_back(Event::Synced { revision: Some(revision(self.last)) });
        self.phase = Phase::CatchUp { goal: None };
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<Event>> {
        let mut pause = Duration::from_millis(20);
        loop {
            if matches!(self.phase, Phase::Ended) {
                return None;
            }
            if let Err(error) = self.tables.connector.open() {
                self.phase = Phase::Ended;
                return Some(Err(error));
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match self.advance().await {
                Ok(()) => pause = Duration::from_millis(20),
                Err(error) if error.kind().is_transient() => {
                    tracing::debug!(%error, "watching again in a moment");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Err(error) => {
                    self.phase = Phase::Ended;
                    return Some(Err(error));
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<()> {
        match &self.phase {
            Phase::Begin => {
                self.last = self.tables.hub(&self.table).begin(&self.table).await?.last;
                self.ahead.clear();
                self.shown.begin();
                self.ready.push_back(Event::Resync);
                self.phase = Phase::Snapshot(None);
            }
            Phase::Snapshot(cursor) => {
                let cursor = cursor.clone();
                let (records, next) = self.present(cursor).await?;
                for record in records {
                    // What was written later comes as a change, or came.
                    let is_old = record.revision().is_some_and(|at| at.sequence() <= self.last);
                    if is_old && !self.shown.contains(record.key()) {
                        self.tell(Event::Put(record));
                    }
                }
                for _ in 0..BETWEEN {
                    let entries = self.entries(self.last, CHUNK).await?;
                    if !self.take(&entries).await? {
                        self.phase = Phase::Begin;
                        return Ok(());
                    }
                    if entries.len() < CHUNK {
                        break;
                    }
                }
                self.phase = if next.is_some() {
                    Phase::Snapshot(next)
                } else {
                    // What was written again while the last of it was read is still to come.
                    let now = self.tables.hub(&self.table).begin(&self.table).await?.last;
                    Phase::CatchUp { goal: Some(now) }
                };
            }
            Phase::CatchUp { goal } => {
                let goal = *goal;
                let entries = self.entries(self.last, CHUNK).await?;
                if !self.take(&entries).await? {
                    self.phase = Phase::Begin;
                    return Ok(());
                }
                let (is_end, last) = (entries.is_empty(), self.last);
                let goal = if goal.is_some_and(|goal| is_end || last >= goal) {
                    self.shown.end();
                    self.ready.push_back(Event::Synced { revision: Some(revision(last)) });
                    None
                } else {
                    goal
                };
                self.phase = if is_end { Phase::Live } else { Phase::CatchUp { goal } };
            }
            Phase::Live => match self.notes.recv().await {
                Ok(Note::Entries(entries)) => {
                    // Should a value of them not be read, only the changelog has them.
                    self.phase = Phase::CatchUp { goal: None };
                    if self.take(&entries).await? {
                        self.phase = Phase::Live;
                    }
                }
                Ok(Note::Lost) => self.phase = Phase::Begin,
                Err(RecvError::Lagged(_)) => self.phase = Phase::CatchUp { goal: None },
                Err(RecvError::Closed) => {
                    self.tables.connector.open()?;
                    return Err(Error::new(
                        ErrorKind::Closed,
                        "the runtime that this store's watches ran on has ended",
                    ));
                }
            },
            Phase::Ended => {}
        }
        Ok(())
    }

    /// A chunk of the present records in scope, and where the next one begins.
    async fn present(&self, cursor: Option<Cursor>) -> Result<(Vec<Record>, Option<Cursor>)> {
        let mut options = ListOptions::default();
        match &self.scope {
            Scope::Key(key) => {
                let Ok(key) = Key::new(key) else {
                    return Ok((Vec::new(), None));
                };
                let record = self.tables.read_in(&self.table, key).await?;
                return Ok((record.into_iter().collect(), None));
            }
            Scope::Prefix(prefix) => options.prefix.clone_from(prefix),
            _ => {}
        }
        options.cursor = cursor;
        options.limit = CHUNK;
        let page = self.tables.scan(&self.table.ns, &options).await?;
        Ok((page.items, page.next))
    }

    /// What the changelog has after a revision.
    async fn entries(&self, after: u64, most: usize) -> Result<Vec<Entry>> {
        let mut command = redis::cmd("XRANGE");
        command.arg(&self.table.keys.log).arg(format!("({after}-0")).arg("+");
        command.arg("COUNT").arg(most);
        let answer = self.tables.connector.command(&command, Effect::Read).await?;
        let mut entries = Entry::parse_all(answer)?;
        // The mark of a table that was never written.
        entries.retain(|entry| entry.sequence > after);
        Ok(entries)
    }

    /// Makes events of entries that follow what was seen; whether all did.
    async fn take(&mut self, entries: &[Entry]) -> Result<bool> {
        let mut last = self.last;
        let mut new = Vec::with_capacity(entries.len());
        let mut complete = true;
        for entry in entries.iter().filter(|entry| entry.sequence > self.last) {
            if !entry.follows(last) {
                complete = false;
                break;
            }
            last = entry.sequence;
            new.push(entry);
        }
        let mut current = self.current(&new).await?.into_iter();
        for entry in new {
            if let Some(event) = self.event(entry, &mut current) {
                self.tell(event);
            }
        }
        self.last = last;
        Ok(complete)
    }

    fn tell(&mut self, event: Event) {
        if self.shown.is_news(&event) {
            self.ready.push_back(event);
        }
    }

    /// The present records that entries name without showing them, in order.
    async fn current(&self, entries: &[&Entry]) -> Result<Vec<Option<Record>>> {
        let unknown = |entry: &&Entry| match &entry.kind {
            Kind::Put { key, record: None } if self.scope.matches(key) => Some(key.clone()),
            _ => None,
        };
        let names: Vec<String> = entries.iter().filter_map(unknown).collect();
        let keys = names.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
        let mut records = Vec::with_capacity(keys.len());
        for read in self.tables.read_all(&self.table, &keys).await {
            match read {
                Ok(record) => records.push(record),
                Err(error) if error.kind() == ErrorKind::Corrupt => records.push(None),
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }

    fn event(
        &mut self,
        entry: &Entry,
        current: &mut impl Iterator<Item = Option<Record>>,
    ) -> Option<Event> {
        let (key, put) = match &entry.kind {
            Kind::Put { key, record } => (key, Some(record)),
            Kind::Gone { key, .. } => (key, None),
            _ => return None,
        };
        if !self.scope.matches(key) {
            return None;
        }
        let read = match put {
            Some(None) => current.next().flatten(),
            _ => None,
        };
        if let Some(&shown) = self.ahead.get(key) {
            if shown >= entry.sequence {
                // This change was seen already with a later one.
                if shown == entry.sequence {
                    self.ahead.remove(key);
                }
                return None;
            }
            self.ahead.remove(key);
        }
        match &entry.kind {
            Kind::Put { record: Some(record), .. } => Some(Event::Put(record.clone())),
            Kind::Gone { key, why } => Some(Event::Delete {
                key: key.clone(),
                revision: Some(revision(entry.sequence)),
                reason: *why,
            }),
            _ => {
                // Gone since: that is a change too, and comes.
                let record = read?;
                let shown = record.revision()?.sequence();
                if shown > entry.sequence {
                    self.ahead.insert(key.clone(), shown);
                }
                Some(Event::Put(record))
            }
        }
    }
}
