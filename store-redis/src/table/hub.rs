//! One blocked connection for all watches of a store: it takes the changelogs' new entries and passes them on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use store_core::{Result, Revision};
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};

use super::feed::Entry;
use super::{STEP, Table, eval};
use crate::connector::Connector;
use crate::fault::{Effect, unexpected};
use crate::link::Link;
use crate::reply;
use crate::script::{FEED, REAP};

/// How many batches of entries a slow watcher may be behind before it reads the changelog itself.
const BUFFER: usize = 256;
/// How many entries are taken at a time.
const CHUNK: usize = 1000;
/// How long the connection is blocked at most.
const BLOCK: Duration = Duration::from_secs(1);
/// How often what has expired is looked for.
const TICK: Duration = Duration::from_millis(500);

/// What watchers are told.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Entries(Arc<Vec<Entry>>),
    /// The changelog was gone: changes may be missing.
    Lost,
}

#[derive(Clone, Debug)]
pub(super) struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Arc<Connector>,
    feeds: Mutex<HashMap<String, Arc<Feed>>>,
    /// Grows with every new feed.
    version: AtomicU64,
    /// The version whose feeds the connection waits for.
    joined: watch::Sender<u64>,
    /// The server's number of the blocked connection; 0 while there is none, as the number may be another program's then.
    client: AtomicU64,
    running: AtomicBool,
}

/// Where a table stands when its watch begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// The last revision.
    pub(super) last: u64,
    /// The last one that removed a record without a word in the changelog.
    pub(super) forgotten: u64,
}

/// One watched table.
#[derive(Debug)]
struct Feed {
    table: Arc<Table>,
    sender: broadcast::Sender<Note>,
    last: AtomicU64,
}

impl Hub {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self(Arc::new(Inner {
            connector,
            feeds: Mutex::default(),
            version: AtomicU64::new(0),
            joined: watch::Sender::new(0),
            client: AtomicU64::new(0),
            running: AtomicBool::new(false),
        }))
    }

    /// Makes the changelog of a table if there is none, and tells where it stands.
    pub(super) async fn begin(&self, table: &Table) -> Result<Begun> {
        self.0.begin(table).await
    }

    /// What happens to a table from about a revision on.
    pub(super) async fn join(&self, table: &Arc<Table>, last: u64) -> broadcast::Receiver<Note> {
        let (receiver, is_new) = {
            let mut feeds = self.0.feeds.lock();
            if let Some(feed) = feeds.get(&table.keys.log) {
                (feed.sender.subscribe(), false)
            } else {
                let (sender, receiver) = broadcast::channel(BUFFER);
                let last = AtomicU64::new(last);
                let feed = Arc::new(Feed { table: Arc::clone(table), sender, last });
                feeds.insert(table.keys.log.clone(), feed);
                (receiver, true)
            }
        };
        if is_new {
            let version = self.0.version.fetch_add(1, Ordering::AcqRel) + 1;
            self.start();
            self.0.wake(version, &table.keys.log).await;
        }
        receiver
    }

    fn start(&self) {
        if !self.0.running.swap(true, Ordering::AcqRel) {
            let running = Running(Arc::downgrade(&self.0));
            tokio::spawn(running.run());
        }
    }

    pub(super) fn close(&self) {
        self.0.feeds.lock().clear();
    }
}

impl Inner {
    async fn begin(&self, table: &Table) -> Result<Begun> {
        let keys = &table.keys;
        let mut command = eval(&FEED, [&*keys.log, &*keys.version, &*keys.head]);
        command.arg(&table.keys.tag).arg(self.connector.config().watch_keep.as_secs().max(2));
        let answer = self.connector.script(&FEED, &command, Effect::Change).await?;
        let answer = reply::array(answer)?;
        let [last, forgotten] = &answer[..] else {
            return Err(unexpected());
        };
        let number = |value| reply::number(reply::bytes(value)?).ok_or_else(unexpected);
        Ok(Begun { last: number(last)?, forgotten: number(forgotten)? })
    }

    /// Sees to it that the blocked connection soon waits for a new feed too. Without the right to wake it, it does so by itself.
    async fn wake(&self, version: u64, log: &str) {
        let mut joined = self.joined.subscribe();
        for _ in 0..100 {
            let patience = Duration::from_millis(3);
            if timeout(patience, joined.wait_for(|&at| at >= version)).await.is_ok() {
                return;
            }
            let client = self.client.load(Ordering::Acquire);
            if client == 0 {
                continue;
            }
            let mut unblock = redis::cmd("CLIENT");
            unblock.arg("UNBLOCK").arg(client);
            if self.connector.command_at(log, &unblock, Effect::Change).await.is_err() {
                return;
            }
        }
    }

    fn watched(&self) -> Vec<Arc<Feed>> {
        let mut feeds = self.feeds.lock();
        feeds.retain(|_, feed| feed.sender.receiver_count() > 0);
        feeds.values().cloned().collect()
    }

    /// Waits for entries once, and passes them on.
    async fn read(&self, link: &Link, feeds: &[Arc<Feed>], version: u64) -> Result<()> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(CHUNK).arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS");
        for feed in feeds {
            command.arg(&feed.table.keys.log);
        }
        for feed in feeds {
            command.arg(format!("{}-0", feed.last.load(Ordering::Relaxed)));
        }
        self.joined.send_replace(version);
        for (log, entries) in streams(link.command(&command, Effect::Read).await?)? {
            let Some(feed) = feeds.iter().find(|feed| feed.table.keys.log.as_bytes() == log) else {
                continue;
            };
            match Entry::parse_all(entries) {
                Ok(entries) => feed.pass(entries),
                Err(error) => {
                    tracing::warn!(%error, "a changelog cannot be read");
                    self.restart(feed).await?;
                }
            }
        }
        Ok(())
    }

    /// Removes what has expired in the watched tables, which tells the watchers, and keeps the changelogs alive.
    async fn tick(&self) -> Result<()> {
        for feed in self.watched() {
            let keys = &feed.table.keys;
            let mut command = eval(&REAP, keys.all());
            command.arg(STEP).arg(&keys.tag);
            command.arg(self.connector.config().watch_keep.as_secs().max(2));
            loop {
                let answer = self.connector.script(&REAP, &command, Effect::Change).await?;
                let answer = reply::array(answer)?;
                let [due, alive] = &answer[..] else {
                    return Err(unexpected());
                };
                if reply::int(alive)? == 0 {
                    self.restart(&feed).await?;
                }
                if usize::try_from(reply::int(due)?).is_ok_and(|due| due < STEP) {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn restart(&self, feed: &Feed) -> Result<()> {
        let begun = self.begin(&feed.table).await?;
        feed.last.store(begun.last, Ordering::Relaxed);
        // Nobody may be there any more.
        let _ = feed.sender.send(Note::Lost);
        Ok(())
    }
}

impl Feed {
    fn pass(&self, entries: Vec<Entry>) {
        if let Some(last) = entries.last() {
            self.last.store(last.sequence, Ordering::Relaxed);
            // Nobody may be there any more.
            let _ = self.sender.send(Note::Entries(Arc::new(entries)));
        }
    }
}

/// The changes of each stream in an answer to XREAD, in either protocol.
fn streams(answer: Value) -> Result<Vec<(Vec<u8>, Value)>> {
    let pair = |name: &Value, entries: Value| Ok((reply::bytes(name)?.to_vec(), entries));
    match answer {
        Value::Nil => Ok(Vec::new()),
        Value::Map(streams) => streams.into_iter().map(|(name, e)| pair(&name, e)).collect(),
        answer => reply::array(answer)?
            .into_iter()
            .map(|stream| {
                let [name, entries] =
                    <[Value; 2]>::try_from(reply::array(stream)?).map_err(|_| unexpected())?;
                pair(&name, entries)
            })
            .collect(),
    }
}

/// The task of a hub that has something to watch. However it ends, another one can begin.
struct Running(Weak<Inner>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.client.store(0, Ordering::Release);
            inner.running.store(false, Ordering::Release);
        }
    }
}

impl Running {
    async fn run(self) {
        let reading = self.each(Duration::from_millis(50), None);
        let ticking = self.each(TICK, Some(TICK));
        tokio::join!(reading, ticking);
    }

    /// Reads, or with a pause in between ticks, until nobody watches any more.
    async fn each(&self, patience: Duration, pause: Option<Duration>) {
        let mut link = None;
        loop {
            let Some(inner) = self.0.upgrade() else {
                return;
            };
            if inner.connector.is_closed() {
                inner.feeds.lock().clear();
                return;
            }
            let done = match pause {
                None => inner.read_over(&mut link).await,
                Some(_) => inner.tick().await,
            };
            if let Err(error) = &done {
                tracing::debug!(%error, "watching again in a moment");
                link = None;
                if pause.is_none() {
                    inner.client.store(0, Ordering::Release);
                }
            }
            drop(inner);
            match pause {
                Some(pause) => sleep(pause).await,
                None if done.is_err() => sleep(patience).await,
                None => {}
            }
        }
    }
}

impl Inner {
    async fn read_over(&self, link: &mut Option<Link>) -> Result<()> {
        let version = self.version.load(Ordering::Acquire);
        let feeds = self.watched();
        let Some(first) = feeds.first() else {
            sleep(Duration::from_millis(20)).await;
            return Ok(());
        };
        let link = if let Some(link) = link {
            link
        } else {
            let patience = BLOCK + self.connector.config().answer_timeout;
            let new = self.connector.dial(&first.table.keys.log, Some(patience)).await?;
            let mut id = redis::cmd("CLIENT");
            id.arg("ID");
            if let Ok(id) = new.command(&id, Effect::Read).await {
                let id = u64::try_from(reply::int(&id)?).unwrap_or_default();
                self.client.store(id, Ordering::Release);
            }
            link.insert(new)
        };
        self.read(link, &feeds, version).await
    }
}

/// The number of a revision that a table of this layout gave.
pub(super) fn sequence(revision: Revision) -> Option<u64> {
    (revision.incarnation() == 0).then_some(revision.sequence())
}
