//! Watches: an ordered consumer, and a clock for what expires.
//!
//! The server says nothing when a record's time comes, so a watch keeps the instants of the records in its scope, and looks when
//! one has come: if the record is still the newest of its subject, it has expired. Records from before the watch began are
//! learned by a census: one pass over the headers in scope beside the changes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use store_core::{
    Clock as _, Error, ErrorKind, Event, EventStream, Gone, Name, Namespace, Result, Revision,
    Scope, Shown, Start, SystemClock, Timestamp, WatchOptions,
};

use tokio::sync::Notify;

use crate::layout::{Layout, Opened};
use crate::settings::Known;
use crate::shared::{Bucket, Shared};
use crate::table::{Fail, Table, Via};
use crate::wire::api::Js;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::feed::{Begin, Feed, Heard, Timeouts, Topic};
use crate::wire::stored::{Op, Stored};

/// How often the server gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long to wait between looks for a bucket that is not there.
const ABSENT: Duration = Duration::from_millis(100);
/// Expiries that are looked at together.
const CHECKS: usize = 256;

/// A watch of a bucket that does not exist: whoever of this store makes the bucket opens its feed before the first write.
pub(crate) struct Slot {
    topic: Topic,
    feed: Mutex<Option<Feed>>,
    opened: Notify,
}

impl Slot {
    pub(crate) async fn open(&self, js: &Js, timeouts: Timeouts) {
        // If it fails, the watch finds the bucket by itself, a little later.
        if let Ok(feed) = Feed::open(js.clone(), self.topic.clone(), Begin::At(1), timeouts).await {
            *self.feed.lock() = Some(feed);
            self.opened.notify_one();
        }
    }
}

struct Watcher {
    shared: Arc<Shared>,
    bucket: Arc<Bucket>,
    table: Arc<str>,
    scope: Scope,
    /// How records are read now; `None` while there is no bucket.
    view: Option<Table>,
    feed: Option<Feed>,
    /// While there is no feed: where it may come from.
    slot: Option<Arc<Slot>>,
    census: Option<Feed>,
    /// Subjects that the feed named while there was a census, which does not know what became of them.
    heard: HashSet<Box<str>>,
    phase: Phase,
    ready: VecDeque<Event>,
    /// By subject: when the newest record that was seen expires, and its sequence.
    alive: HashMap<Box<str>, Entry>,
    due: BTreeSet<(Timestamp, Box<str>)>,
    /// Records whose expiry was told and whose tombstone may follow: by subject, the sequence.
    told: HashMap<Box<str>, u64>,
    shown: Shown,
    /// Up to here, messages are not changes of this watch.
    since: u64,
    /// A revision that the watch resumes after, until the feed exists.
    resume: Option<Revision>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    sequence: u64,
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Records are shown, and ends of what was shown.
    Snapshot,
    /// Changes since a revision.
    CatchUp,
    /// Changes as they come; before the feed has caught up with its own beginning, too.
    Live,
}

pub(crate) async fn watch(
    shared: &Arc<Shared>,
    ns: &Namespace,
    o: WatchOptions,
) -> Result<EventStream> {
    let name: &Name = ns.database();
    let bucket = shared.bucket(name);
    let mut watcher = Watcher {
        shared: Arc::clone(shared),
        bucket,
        table: ns.table().into(),
        scope: o.scope,
        view: None,
        feed: None,
        slot: None,
        census: None,
        heard: HashSet::new(),
        phase: match o.start {
            Start::Changes => Phase::Live,
            Start::After(_) => Phase::CatchUp,
            _ => Phase::Snapshot,
        },
        ready: VecDeque::new(),
        alive: HashMap::new(),
        due: BTreeSet::new(),
        told: HashMap::new(),
        shown: Shown::default(),
        since: 0,
        resume: match o.start {
            Start::After(revision) => Some(revision),
            _ => None,
        },
        ended: false,
    };
    shared.rules.layout_of(name).check_table(ns.table())?;
    if watcher.phase == Phase::Snapshot {
        watcher.shown.begin();
    }
    if watcher.begin().await? == Begun::Absent {
        // Nothing is there: nothing to show, and whatever comes is a change.
        match watcher.phase {
            Phase::Snapshot => watcher.ready.push_back(Event::Synced { revision: None }),
            Phase::CatchUp => {
                watcher.ready.push_back(Event::Resync);
                watcher.ready.push_back(Event::Synced { revision: None });
            }
            Phase::Live => {}
        }
        watcher.shown.end();
        watcher.resume = None;
        watcher.phase = Phase::Live;
        watcher.expect()?;
    }
    let events = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((event, watcher))
    });
    Ok(events.boxed())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Present,
    Absent,
}

impl Watcher {
    /// Opens the feed of a bucket that exists.
    async fn begin(&mut self) -> Result<Begun> {
        let deadline = self.shared.deadline();
        let Some(known) = self.shared.look(&self.bucket, deadline).await? else {
            return Ok(Begun::Absent);
        };
        let view = self.view_of(known);
        let begin = match self.resume {
            None if self.phase == Phase::Live => Begin::New,
            None => Begin::Latest,
            Some(revision) => {
                if let Some(sequence) = crate::resume::after(&view, revision).await? {
                    self.since = sequence;
                    Begin::After(sequence)
                } else {
                    self.restart();
                    Begin::Latest
                }
            }
        };
        let topic = self.topic(false)?;
        let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
        let opened = Feed::open(js.clone(), topic, begin, timeouts).await;
        let mut feed = match opened {
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => return Ok(Begun::Absent),
            done => done.map_err(|fault| fault.into_error(false))?,
        };
        match begin {
            Begin::New => self.since = feed.began(),
            Begin::Latest => feed.be_patient(),
            Begin::At(_) | Begin::After(_) => {}
        }
        if begin != Begin::Latest && needs_census(&view) {
            let headers_only = !view.layout().names_need_bodies();
            let topic = self.topic(headers_only)?;
            let census = Feed::open(js, topic, Begin::Latest, timeouts).await;
            self.census = Some(census.map_err(|fault| fault.into_error(false))?);
            self.heard.clear();
        }
        self.resume = None;
        self.feed = Some(feed);
        self.view = Some(view);
        self.slot = None;
        Ok(Begun::Present)
    }

    /// Waits for the bucket.
    fn expect(&mut self) -> Result<()> {
        let slot =
            Slot { topic: self.topic(false)?, feed: Mutex::default(), opened: Notify::new() };
        let slot = Arc::new(slot);
        let mut expecting = self.bucket.expecting.lock();
        expecting.retain(|slot| slot.strong_count() > 0);
        expecting.push(Arc::downgrade(&slot));
        drop(expecting);
        self.slot = Some(slot);
        Ok(())
    }

    fn topic(&self, headers_only: bool) -> Result<Topic> {
        let layout = self.shared.rules.layout_of(&self.bucket.name);
        let filter = match &self.scope {
            Scope::Key(key) => {
                let key = store_core::Key::new(key)?;
                layout.tokens(&self.table, key)?
            }
            Scope::Prefix(prefix) => layout.filter(&self.table, prefix),
            _ => layout.filter(&self.table, ""),
        };
        Ok(Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![self.bucket.subject(&filter)],
            headers_only,
            heartbeat: HEARTBEAT,
        })
    }

    /// Begins anew with a snapshot.
    fn restart(&mut self) {
        self.ready.push_back(Event::Resync);
        self.phase = Phase::Snapshot;
        self.since = 0;
        self.shown.begin();
        self.census = None;
        self.heard.clear();
        self.alive.clear();
        self.due.clear();
        self.told.clear();
    }

    async fn next(&mut self) -> Option<Result<Event>> {
        loop {
            if self.ended {
                return None;
            }
            if self.shared.is_closed() {
                self.ended = true;
                return Some(Err(Error::new(ErrorKind::Closed, "the store was closed")));
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                return Some(Err(error.with_driver(crate::DRIVER)));
            }
        }
    }

    /// Goes on with a feed that was opened as the bucket was made.
    async fn adopt(&mut self, feed: Feed) -> Result<()> {
        let deadline = self.shared.deadline();
        let Some(known) = self.shared.known(&self.bucket, deadline).await? else {
            return Ok(());
        };
        self.view = Some(self.view_of(known));
        self.feed = Some(feed);
        self.slot = None;
        Ok(())
    }

    fn view_of(&self, known: Arc<Known>) -> Table {
        Table {
            shared: Arc::clone(&self.shared),
            bucket: Arc::clone(&self.bucket),
            known,
            name: Arc::clone(&self.table),
            deadline: self.shared.deadline(),
        }
    }

    async fn advance(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let closing = shared.closing.notified();
        if self.feed.is_none() {
            if self.slot.is_none() {
                self.expect()?;
            }
            let slot = self.slot.clone();
            let opened = async {
                match &slot {
                    Some(slot) => slot.opened.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = closing => return Ok(()),
                () = opened => {}
                () = tokio::time::sleep(ABSENT) => {}
            }
            let feed = slot.and_then(|slot| slot.feed.lock().take());
            if let Some(feed) = feed {
                return self.adopt(feed).await;
            }
            // Everything in a bucket that was not there is new.
            if self.shared.is_closed() {
                return Ok(());
            }
            let before = self.phase;
            self.phase = Phase::CatchUp;
            self.resume = None;
            return match self.begin().await {
                // To a live watch the first records are changes.
                Ok(_) => {
                    self.phase = before;
                    Ok(())
                }
                Err(error) if error.kind().is_transient() => {
                    self.phase = before;
                    Ok(())
                }
                Err(error) => Err(error),
            };
        }
        let due = self.due.first().map(|(at, _)| *at);
        let wait = due.map_or(Duration::from_hours(1), |at| {
            at.since(SystemClock.now()) + Duration::from_millis(1)
        });
        let (Some(feed), census) = (&mut self.feed, &mut self.census) else { return Ok(()) };
        let census_next = async {
            match census {
                Some(census) => census.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = closing => Ok(()),
            heard = feed.next() => self.on_heard(heard),
            heard = census_next => {
                self.on_census(heard);
                Ok(())
            }
            () = tokio::time::sleep(wait) => self.on_due().await,
        }
    }

    fn on_heard(&mut self, heard: Result<Heard, Fault>) -> Result<()> {
        match heard {
            Ok(Heard::Message(stored)) => {
                self.on_message(&stored);
                Ok(())
            }
            Ok(Heard::CaughtUp(last)) => {
                let revision = self.view.as_ref().map(|view| view.revision(last));
                if self.phase != Phase::Live {
                    self.ready.push_back(Event::Synced { revision });
                    self.phase = Phase::Live;
                    self.shown.end();
                }
                Ok(())
            }
            Ok(Heard::Lost) => {
                self.feed = None;
                self.view = None;
                self.restart();
                // The next look opens it as it is now.
                self.phase = Phase::Snapshot;
                self.bucket.learn(None);
                Ok(())
            }
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => {
                // Deleted with all that was in it; perhaps it will be made again.
                self.feed = None;
                self.view = None;
                self.bucket.learn(None);
                self.restart();
                self.shown.end();
                self.ready.push_back(Event::Synced { revision: None });
                self.phase = Phase::Live;
                Ok(())
            }
            // The feed goes on by itself.
            Err(fault) if fault.passes() => Ok(()),
            Err(Fault::Closed) => Err(Error::new(ErrorKind::Closed, "the connection was closed")),
            Err(fault) => Err(fault.into_error(false)),
        }
    }

    fn on_message(&mut self, stored: &Stored) {
        let Some(view) = self.view.clone() else { return };
        // No layout's records: what batches and compactions write.
        if self.bucket.tokens(&stored.subject).starts_with("_kv") {
            return;
        }
        if self.census.is_some() {
            self.heard.insert(stored.subject.clone());
        }
        let before = self.forget(&stored.subject);
        let overdue = before.filter(|entry| entry.at.is_some_and(|at| at <= stored.time));
        if view.is_live(stored) {
            match view.open(stored) {
                Opened::Record(record) if self.scope.matches(record.key()) => {
                    // Its time came before this was written, and nobody had looked yet.
                    if let Some(entry) = overdue {
                        let revision = Some(view.revision(entry.sequence));
                        let key = record.key().to_owned();
                        let reason = Gone::Expired;
                        self.tell(Event::Delete { key, revision, reason });
                    }
                    self.remember(stored, view.expires(stored));
                    self.told.remove(&stored.subject);
                    self.tell(Event::Put(record));
                }
                Opened::Corrupt(error) => {
                    tracing::warn!(bucket = %self.bucket.name, %error, "a record cannot be watched");
                }
                _ => {}
            }
            return;
        }
        let told = self.told.remove(&stored.subject);
        let reason = match stored.op {
            Op::Deleted if overdue.is_some() => Gone::Expired,
            Op::Deleted => Gone::Deleted,
            Op::Put | Op::Expired(None) => Gone::Expired,
            Op::Expired(Some(ended)) => {
                if told == Some(ended) {
                    return;
                }
                Gone::Expired
            }
        };
        if stored.is_put() {
            view.meet(stored);
            self.told.insert(stored.subject.clone(), stored.sequence);
        }
        let tokens = self.bucket.tokens(&stored.subject);
        let Some(key) = view.layout().key_of(&self.table, tokens) else { return };
        let key = key.into_owned();
        // Where tables cannot be told apart by name, only the end of a record that was seen is ours for sure.
        let is_ours =
            !view.layout().is_go_micro() || before.is_some() || self.phase == Phase::CatchUp;
        if is_ours && self.scope.matches(&key) {
            let revision = Some(view.revision(stored.sequence));
            self.tell(Event::Delete { key, revision, reason });
        }
    }

    fn tell(&mut self, event: Event) {
        if self.shown.is_news(&event) {
            self.ready.push_back(event);
        }
    }

    fn on_census(&mut self, heard: Result<Heard, Fault>) {
        let Some(view) = self.view.clone() else { return };
        match heard {
            Ok(Heard::Message(stored)) => {
                let is_old = stored.sequence <= self.since && !self.heard.contains(&stored.subject);
                if is_old && stored.is_put() {
                    let tokens = self.bucket.tokens(&stored.subject);
                    let ours = if view.layout().names_need_bodies() {
                        matches!(view.open(&stored), Opened::Record(_))
                    } else {
                        view.layout().key_of(&self.table, tokens).is_some()
                    };
                    if ours {
                        self.remember(&stored, view.expires(&stored));
                    }
                }
            }
            Ok(Heard::CaughtUp(_) | Heard::Lost) | Err(Fault::Closed) => {
                self.census = None;
                self.heard = HashSet::new();
            }
            // It tries again.
            Err(_) => {}
        }
    }

    fn remember(&mut self, stored: &Stored, at: Option<Timestamp>) {
        let keep =
            at.is_some() || self.view.as_ref().is_some_and(|view| view.layout().is_go_micro());
        if keep {
            let entry = Entry { sequence: stored.sequence, at };
            self.alive.insert(stored.subject.clone(), entry);
        }
        if let Some(at) = at {
            self.due.insert((at, stored.subject.clone()));
        }
    }

    fn forget(&mut self, subject: &str) -> Option<Entry> {
        let entry = self.alive.remove(subject)?;
        if let Some(at) = entry.at {
            self.due.remove(&(at, subject.into()));
        }
        Some(entry)
    }

    /// Looks at records whose time has come.
    async fn on_due(&mut self) -> Result<()> {
        let Some(mut view) = self.view.clone() else { return Ok(()) };
        view.deadline = self.shared.deadline();
        let now = self.shared.now();
        let due: Vec<Box<str>> = self
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(CHECKS)
            .map(|(_, subject)| subject.clone())
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let subjects: Vec<String> = due.iter().map(ToString::to_string).collect();
        // A copy that is behind does not know of a record that was given more time.
        let via = if view.known.is_copy() { Via::Leader } else { Via::Copy };
        let newest = view.newest_many(&subjects, via).await;
        for (subject, newest) in due.into_iter().zip(newest) {
            let newest = match newest {
                Ok(newest) => newest,
                Err(Fail::Gone) => None,
                // Later: the instants stay where they are.
                Err(Fail::Error(error)) if error.kind().is_transient() => return Ok(()),
                Err(Fail::Error(error)) => return Err(error),
            };
            let Some(entry) = self.alive.get(&subject).copied() else { continue };
            // A newer message comes by the feed and says itself what it is.
            if newest.as_ref().is_some_and(|now| now.sequence > entry.sequence && now.is_put()) {
                if let Some(at) = entry.at {
                    self.due.remove(&(at, subject));
                }
                continue;
            }
            self.forget(&subject);
            if let Some(newest) = newest.filter(Stored::is_put) {
                view.meet(&newest);
                if newest.until.is_none() && view.layout() == Layout::Native {
                    self.told.insert(subject.clone(), entry.sequence);
                }
            } else if view.layout() == Layout::Native {
                self.told.insert(subject.clone(), entry.sequence);
            }
            let tokens = self.bucket.tokens(&subject);
            let key = view.layout().key_of(&self.table, tokens);
            if let Some(key) = key.filter(|key| self.scope.matches(key)) {
                let key = key.into_owned();
                let revision = Some(view.revision(entry.sequence));
                self.tell(Event::Delete { key, revision, reason: Gone::Expired });
            }
        }
        Ok(())
    }
}

/// Whether records from before may expire under a watch, or must be known to tell whose an end is.
fn needs_census(view: &Table) -> bool {
    view.layout() != Layout::Plain || view.known.max_age.is_some()
}
