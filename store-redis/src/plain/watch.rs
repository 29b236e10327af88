//! A watch of the layout `plain`: the server's keyspace notifications name the keys, and what lies there is read over the connection
//! that they come by, so that an answer holds all that was named before it and nothing that is named after.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use redis::Pipeline;
use store_core::{
    Error, ErrorKind, Event, EventStream, Feature, Gone, Key, Namespace, Record, Result, Scope,
    Start, WatchOptions,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::heard::{Heard, Mark};
use super::read::Ask;
use super::{CHUNK, COUNT, Plain};
use crate::fault::{Effect, fault, unexpected};
use crate::link::Link;
use crate::reply;

/// How long a watch waits before it looks whether the store was closed.
const TICK: Duration = Duration::from_millis(200);
/// How often it looks whether the server is still there, and still tells.
const PROBE: Duration = Duration::from_secs(2);
/// How often what changes while it is read is read again before it is shown as it is.
const TRIES: usize = 4;
/// How many events wait for a stream that is not polled, before changes of one key become one.
const AHEAD: usize = 256;
/// How much later than its instant a record must be heard to change before it is taken to have expired first, where the server does not
/// say so: what it says takes its time to come here.
const SLACK: Duration = Duration::from_millis(50);
/// How late watchers know an expiry at most that the server does not tell of: the instant itself is known as well as an answer is quick.
pub(super) const UNTOLD_LATENESS: Duration = Duration::from_millis(100);

struct Watcher {
    plain: Arc<Plain>,
    ns: Namespace,
    scope: Scope,
    wire: Option<Wire>,
    phase: Phase,
    ready: VecDeque<Event>,
    lives: Lives,
    /// What was shown of keys that never rest, until they are looked at again: they may not have changed since.
    restless: HashMap<String, Record>,
}

/// A connection that the server tells of changes.
struct Wire {
    link: Link,
    heard: Arc<Heard>,
    ask: Ask,
    /// Whether the server says what expires. If not, what is gone at its instant without a word has expired.
    tells_expiry: bool,
    probed: Instant,
}

/// What lies at a key.
struct Found {
    record: Option<Record>,
    /// How long it lives, if not for ever.
    life: Option<Duration>,
    /// Something else than a record.
    is_other: bool,
}

/// What `PTTL` answers where there is no key.
const NO_KEY: i64 = -2;

enum Phase {
    /// Changes may be missing: all begins anew.
    Begin,
    /// Going through the present records: to show them, or only to learn when they expire.
    Present {
        cursor: u64,
        seen: HashSet<String>,
        show: bool,
    },
    Live,
    Ended,
}

/// When records expire. A server that has many takes its time to notice, unless somebody asks for one.
#[derive(Default)]
struct Lives {
    order: BTreeSet<(Instant, String)>,
    of: HashMap<String, Instant>,
}

impl Lives {
    fn set(&mut self, key: &str, at: Option<Instant>) {
        if let Some(before) = self.of.remove(key) {
            self.order.remove(&(before, key.to_owned()));
        }
        if let Some(at) = at {
            self.of.insert(key.to_owned(), at);
            self.order.insert((at, key.to_owned()));
        }
    }

    /// The keys whose time has come.
    fn due(&self, now: Instant) -> Vec<String> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now);
        due.take(CHUNK).map(|(_, key)| key.clone()).collect()
    }

    /// Whether the time of a key had come long before this.
    fn were_over(&self, key: &str, by: Instant) -> bool {
        self.of.get(key).is_some_and(|at| *at + SLACK <= by)
    }

    fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }
}

impl Plain {
    pub(crate) async fn watch(
        self: &Arc<Self>,
        ns: &Namespace,
        o: WatchOptions,
    ) -> Result<EventStream> {
        self.connector.open()?;
        let show = match o.start {
            Start::Snapshot => true,
            Start::Changes => false,
            _ => return Err(Error::lacks(Feature::WatchResume)),
        };
        let mut watcher = Watcher {
            plain: Arc::clone(self),
            ns: ns.clone(),
            scope: o.scope,
            wire: None,
            phase: Phase::Live,
            ready: VecDeque::new(),
            lives: Lives::default(),
            restless: HashMap::new(),
        };
        watcher.begin(show).await?;
        // What happens is looked at when it does, however seldom the stream is polled: later, several changes would be one.
        let (events, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(watcher.run(events));
        let next = |mut events: mpsc::Receiver<_>| async { Some((events.recv().await?, events)) };
        Ok(stream::unfold(receiver, next).boxed())
    }

    /// Whether the server tells of changes, as far as it may be asked: what is missing is named. And whether it tells what expires.
    pub(super) async fn check_flags(&self, link: &Link) -> Result<bool> {
        let Some(flags) = setting(link, "notify-keyspace-events").await? else {
            return Ok(true);
        };
        // `A` is all of them.
        let has = |flag: char| flags.contains(flag) || (flag != 'K' && flags.contains('A'));
        let mut missing: String = "K$g".chars().filter(|flag| !has(*flag)).collect();
        let evicts = setting(link, "maxmemory-policy").await?;
        if !has('e') && evicts.is_some_and(|policy| policy != "noeviction") {
            missing.push('e');
        }
        if missing.is_empty() {
            return Ok(has('x'));
        }
        Err(Error::unsupported(format!(
            "the server does not tell of changes: its notify-keyspace-events lacks {missing} (CONFIG SET notify-keyspace-events \
             K$gxe; this store cannot: {})",
            Feature::Watch.describe()
        )))
    }
}

/// A setting of the server; nothing where it may not be asked for.
async fn setting(link: &Link, name: &str) -> Result<Option<String>> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let answer = match link.command(&command, Effect::Read).await {
        Ok(answer) => answer,
        Err(error) if error.kind().is_transient() => return Err(error),
        Err(_) => return Ok(None),
    };
    let value = match answer {
        redis::Value::Map(pairs) => pairs.into_iter().next().map(|(_, value)| value),
        answer => reply::array(answer)?.into_iter().nth(1),
    };
    value.map(reply::text).transpose()
}

impl Wire {
    /// What lies at some keys.
    async fn read(&self, prefix: &str, keys: &[&str]) -> Result<Vec<Found>> {
        // No transaction: what the server says of its own in between would come in the middle of its answer.
        let mut pipe = Pipeline::with_capacity(6 * keys.len());
        for key in keys {
            let key = [prefix, key].concat();
            self.ask.about(&key, &mut pipe);
            pipe.cmd("PTTL").arg(&key);
        }
        let answers = self.link.each(&pipe).await.map_err(|error| fault(error, Effect::Read))?;
        let mut answers = answers.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let record = match self.ask.record(Key::new(key)?, &mut answers)? {
                Ok(record) => record,
                // Another type lies there now: no record.
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                Err(error) => return Err(error),
            };
            let left = reply::int(&answers.next().ok_or_else(unexpected)?)?;
            // One more, so that its time has come when somebody asks.
            let life = u64::try_from(left).ok().map(|left| Duration::from_millis(left + 1));
            let is_other = record.is_none() && left != NO_KEY;
            all.push(Found { record, life, is_other });
        }
        Ok(all)
    }

    /// Has the server notice that a record has expired, which it then tells. Whether each is still there.
    async fn touch(&self, prefix: &str, keys: &[String]) -> Result<Vec<bool>> {
        let mut pipe = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipe.cmd("EXISTS").arg([prefix, key].concat());
        }
        let answers = self.link.each(&pipe).await.map_err(|error| fault(error, Effect::Read))?;
        answers.iter().map(|answer| Ok(reply::int(answer)? > 0)).collect()
    }
}

fn gone(key: String, reason: Gone) -> Event {
    Event::Delete { key, revision: None, reason }
}

impl Watcher {
    /// Listens; what is there comes next.
    async fn begin(&mut self, show: bool) -> Result<()> {
        let connector = &self.plain.connector;
        let db = connector.config().db;
        let prefix = self.plain.prefix(&self.ns)?.into_owned();
        let heard = Arc::new(Heard::of(db, &prefix));
        let hears = Arc::clone(&heard);
        let link = connector.listen(Arc::new(move |push| hears.take_in(push))).await?;
        let tells_expiry = self.plain.check_flags(&link).await?;
        let (start, is_whole) = match &self.scope {
            Scope::Key(key) => (&**key, true),
            Scope::Prefix(start) => (&**start, false),
            _ => ("", false),
        };
        let mut subscribe = redis::cmd("PSUBSCRIBE");
        subscribe.arg(Heard::pattern(db, &(prefix + start), is_whole));
        link.command(&subscribe, Effect::Read).await?;
        let ask = Ask::of(connector.link("").await?.major);
        self.wire = Some(Wire { link, heard, ask, tells_expiry, probed: Instant::now() });
        self.lives = Lives::default();
        self.restless.clear();
        self.phase = Phase::Present { cursor: 0, seen: HashSet::new(), show };
        Ok(())
    }

    /// Until the watch or its stream has ended.
    async fn run(mut self, events: mpsc::Sender<Result<Event>>) {
        loop {
            let next = tokio::select! {
                () = events.closed() => return,
                next = self.next() => next,
            };
            let Some(event) = next else { return };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn next(&mut self) -> Option<Result<Event>> {
        let mut pause = Duration::from_millis(20);
        loop {
            if matches!(self.phase, Phase::Ended) {
                return None;
            }
            if let Err(error) = self.plain.connector.open() {
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
                    self.phase = Phase::Begin;
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
        if matches!(self.phase, Phase::Begin) {
            self.wire = None;
            self.begin(true).await?;
            self.ready.push_back(Event::Resync);
            return Ok(());
        }
        let Some(wire) = &mut self.wire else {
            self.phase = Phase::Begin;
            return Ok(());
        };
        if wire.heard.is_lost() {
            self.phase = Phase::Begin;
            return Ok(());
        }
        if wire.probed.elapsed() >= PROBE {
            let told = wire.tells_expiry;
            wire.tells_expiry = self.plain.check_flags(&wire.link).await?;
            if told && !wire.tells_expiry {
                self.phase = Phase::Begin;
                return Ok(());
            }
            wire.probed = Instant::now();
        }
        // A snapshot first, then what happened since; who wants only changes is not to wait until all is looked through.
        let shows = matches!(self.phase, Phase::Present { show: true, .. });
        if !shows && self.follow().await? {
            return Ok(());
        }
        if matches!(self.phase, Phase::Present { .. }) {
            return self.present().await;
        }
        self.wait().await;
        Ok(())
    }

    /// Shows what was changed, and has what is due noticed; whether there was anything.
    async fn follow(&mut self) -> Result<bool> {
        let Some(wire) = &self.wire else {
            return Ok(false);
        };
        let marks = wire.heard.take(CHUNK);
        if !marks.is_empty() {
            self.show(marks).await?;
            return Ok(true);
        }
        let due = self.lives.due(Instant::now());
        if due.is_empty() {
            return Ok(false);
        }
        let prefix = self.plain.prefix(&self.ns)?;
        let there = wire.touch(&prefix, &due).await?;
        for (key, is_there) in due.iter().zip(there) {
            // A moment too early; or a replica, which waits for its primary.
            let again = is_there.then(|| Instant::now() + Duration::from_millis(20));
            self.lives.set(key, again);
            // Had somebody deleted it, that had been heard before the answer.
            if !is_there && !wire.tells_expiry && !wire.heard.has(key) {
                self.ready.push_back(gone(key.clone(), Gone::Expired));
            }
        }
        Ok(true)
    }

    /// Until there is news, or something is due.
    async fn wait(&self) {
        let Some(wire) = &self.wire else {
            return;
        };
        let now = Instant::now();
        let next = self.lives.next().map_or(TICK, |at| at.saturating_duration_since(now).min(TICK));
        // Either way it is looked at.
        let _ = timeout(next, wire.heard.news.notified()).await;
    }

    /// Reads keys of which something was said, until nothing more is said of them meanwhile, and makes the events of it.
    async fn show(&mut self, mut marks: Vec<(String, Mark)>) -> Result<()> {
        let Some(wire) = &self.wire else {
            return Ok(());
        };
        let prefix = self.plain.prefix(&self.ns)?;
        for left in (0..TRIES).rev() {
            let names: Vec<&str> = marks.iter().map(|(key, _)| &**key).collect();
            let reads = wire.read(&prefix, &names).await?;
            let mut again = Vec::new();
            for ((key, mut mark), found) in marks.into_iter().zip(reads) {
                let Found { record, life, is_other } = found;
                // Value and expiry are two answers: what changed in between may be of two states.
                if left > 0
                    && let Some(more) = wire.heard.take_of(&key)
                {
                    again.push((key, mark.then(more)));
                    continue;
                }
                // It never rests: this much is shown, and what was said since, maybe after this answer, is for the next look.
                let is_read_again = wire.heard.has(&key);
                if !wire.tells_expiry && self.lives.were_over(&key, mark.since) {
                    mark.ended = mark.ended.or(Some(Gone::Expired));
                }
                self.lives.set(&key, record.as_ref().and(life).map(|l| Instant::now() + l));
                let shown = self.restless.remove(&key);
                if is_read_again && let Some(record) = &record {
                    self.restless.insert(key.clone(), record.clone());
                }
                match (record, mark.ended) {
                    // As it was when it was shown.
                    (Some(record), _) if shown.as_ref() == Some(&record) => {}
                    (Some(record), ended) => {
                        self.ready.extend(ended.map(|reason| gone(key, reason)));
                        self.ready.push_back(Event::Put(record));
                    }
                    (None, Some(reason)) => self.ready.push_back(gone(key, reason)),
                    (None, None) if is_other && mark.replaced => {
                        self.ready.push_back(gone(key, Gone::Deleted));
                    }
                    // No record of ours; or its end is said next.
                    (None, None) if is_other || is_read_again || wire.tells_expiry => {}
                    (None, None) => self.ready.push_back(gone(key, Gone::Expired)),
                }
            }
            marks = again;
            if marks.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Goes through some of the present records.
    async fn present(&mut self) -> Result<()> {
        let Phase::Present { cursor, seen, show } = &mut self.phase else {
            return Ok(());
        };
        let (next, found) = match &self.scope {
            Scope::Key(key) if Key::new(key).is_ok() => (0, vec![key.clone()]),
            Scope::Key(_) => (0, Vec::new()),
            scope => {
                let start = if let Scope::Prefix(start) = scope { &**start } else { "" };
                self.plain.scan_once(&self.ns, *cursor, COUNT, start).await?
            }
        };
        let new: Vec<String> = found.into_iter().filter(|key| seen.insert(key.clone())).collect();
        let (is_shown, is_last) = (*show, next == 0);
        *cursor = next;
        for chunk in new.chunks(CHUNK) {
            if is_shown {
                self.snapshot(chunk).await?;
            } else {
                self.learn(chunk).await?;
            }
        }
        if is_last {
            self.phase = Phase::Live;
            if is_shown {
                self.ready.push_back(Event::Synced { revision: None });
            }
        }
        Ok(())
    }

    /// Shows present records. What was said of them before is in what is read.
    async fn snapshot(&mut self, keys: &[String]) -> Result<()> {
        let from = self.ready.len();
        let Some(wire) = &self.wire else {
            return Ok(());
        };
        for key in keys {
            wire.heard.take_of(key);
        }
        let changed = Mark { since: Instant::now(), ended: None, changed: true, replaced: false };
        self.show(keys.iter().map(|key| (key.clone(), changed)).collect()).await?;
        // What ended meanwhile was never shown.
        let mut new = self.ready.split_off(from);
        new.retain(|event| matches!(event, Event::Put(_)));
        self.ready.append(&mut new);
        Ok(())
    }

    /// Learns when present records expire.
    async fn learn(&mut self, keys: &[String]) -> Result<()> {
        let Some(wire) = &self.wire else {
            return Ok(());
        };
        let prefix = self.plain.prefix(&self.ns)?;
        let mut pipe = Pipeline::with_capacity(keys.len());
        for key in keys {
            pipe.cmd("PTTL").arg([&*prefix, key].concat());
        }
        let answers = wire.link.each(&pipe).await.map_err(|error| fault(error, Effect::Read))?;
        for (key, left) in keys.iter().zip(answers) {
            if let Ok(left) = u64::try_from(reply::int(&left)?) {
                self.lives.set(key, Some(Instant::now() + Duration::from_millis(left + 1)));
            }
        }
        Ok(())
    }
}
