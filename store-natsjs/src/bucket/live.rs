//! A bucket, or a part of it, in memory, kept as it is by a watch.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use parking_lot::RwLock;
use store_core::{Error, ErrorKind, Gone, Key, Record, Result, Revision};
use tokio::sync::watch;

use super::{Bucket, Entry, Notice, Operation, Watch, Watcher, closed};
use crate::layout::Layout;

/// A change of a [`LiveMap`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// A key has this value now.
    Put {
        /// The value.
        entry: Arc<Entry>,
        /// What it had before, if that was there.
        before: Option<Arc<Entry>>,
    },
    /// A key is gone.
    Removed {
        /// What it had.
        before: Arc<Entry>,
        /// Why.
        reason: Gone,
    },
    /// The map shows all that the bucket had at this revision; `None` when there is no bucket. Once after it began, and after each time
    /// that it had to begin anew.
    Synced(Option<Revision>),
}

type OnChange = Box<dyn FnMut(&Change) + Send>;

/// A live map to be begun by `.await`, which returns when it is complete.
#[must_use = "a map begins when it is awaited"]
pub struct MapOptions {
    watch: Watch,
    on_change: Option<OnChange>,
}

impl MapOptions {
    /// Keys that pass this filter, too. Filters must not overlap.
    pub fn and(mut self, filter: impl Into<String>) -> Self {
        self.watch = self.watch.and(filter);
        self
    }

    /// Calls this with every change, those of the beginning too, one after the other and after the map shows it. It must be quick: the
    /// map waits for it. When it panics, the map ends.
    pub fn on_change(mut self, call: impl FnMut(&Change) + Send + 'static) -> Self {
        self.on_change = Some(Box::new(call));
        self
    }

    /// Keys and metadata only: values stay on the server.
    pub fn metadata_only(mut self) -> Self {
        self.watch = self.watch.metadata_only();
        self
    }

    /// How often the server gives a sign of life; also how long [`LiveMap::wait_for`] may wait for a revision that the filters do not let
    /// pass. 100 ms to 1 h, by default 1 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.watch = self.watch.heartbeat(heartbeat);
        self
    }
}

impl fmt::Debug for MapOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MapOptions").field(&self.watch).finish()
    }
}

impl IntoFuture for MapOptions {
    type Output = Result<LiveMap>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<LiveMap>> + Send>>;

    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for filters that NATS does not take or that overlap, `Timeout` when nothing
    /// comes for as long as a call may take.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(LiveMap::begin(self))
    }
}

impl Bucket {
    /// The keys that a filter passes, in memory: read there without a request, and kept as they are on the server.
    ///
    /// ```no_run
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let nats = store_natsjs::Nats::connect("nats://localhost").await?;
    /// # let bucket = nats.bucket(&store_core::Name::new("app")?);
    /// use std::time::Duration;
    ///
    /// let settings = bucket.map(bucket.filter_of("settings", "").await?).await?;
    /// let revision = bucket.put("settings.color", "green", &[]).await?;
    /// settings.wait_for(revision, Duration::from_secs(5)).await?;
    /// let color = settings.record("settings", "color")?.expect("it was just written");
    /// assert_eq!(color.value(), b"green");
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn map(&self, filter: impl Into<String>) -> MapOptions {
        MapOptions { watch: self.watch(filter), on_change: None }
    }
}

/// What the keys of a filter hold, in memory. Cheap to clone; the watch behind it ends with the last clone.
///
/// It survives reconnects and restarts of the server: meanwhile it shows what it last knew. Where continuity was lost it goes through
/// the bucket again, and drops what is gone. Expired records are gone at their instant by this computer's clock. Reads see a write at
/// the earliest when the server has told about it: [`wait_for`](Self::wait_for) waits for that.
#[derive(Clone)]
pub struct LiveMap {
    shared: Arc<Held>,
    task: Arc<Task>,
}

struct Held {
    layout: Layout,
    known: RwLock<Known>,
    state: watch::Sender<State>,
    reached: watch::Receiver<u64>,
}

#[derive(Default)]
struct Known {
    entries: BTreeMap<Arc<str>, Arc<Entry>>,
    due: BTreeSet<(SystemTime, Arc<str>)>,
}

#[derive(Clone, Default)]
struct State {
    /// Whether the map is complete.
    synced: bool,
    /// The bucket as it was when the map was last complete; `None` when there was none.
    at: Option<Revision>,
    ended: Option<Error>,
}

/// Ends the map's task with the last handle.
struct Task(tokio::task::AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl LiveMap {
    async fn begin(options: MapOptions) -> Result<Self> {
        let bucket = options.watch.bucket();
        let layout = bucket.store.0.rules.layout_of(bucket.name());
        let patience = bucket.store.0.rules.timeouts.request;
        let mut watcher = options.watch.await?;
        let (reached, mut progress) = watch::channel(0);
        watcher.tell_reached(reached);
        let held = Arc::new(Held {
            layout,
            known: RwLock::default(),
            state: watch::Sender::new(State::default()),
            reached: progress.clone(),
        });
        let mut state = held.state.subscribe();
        let keeper = Keeper { held: Arc::clone(&held), on_change: options.on_change, fresh: None };
        let task = Task(tokio::spawn(keeper.run(watcher)).abort_handle());
        let map = Self { shared: held, task: Arc::new(task) };
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(error) = now.ended {
                return Err(error);
            }
            if now.synced {
                return Ok(map);
            }
            let moved = async {
                tokio::select! {
                    done = state.changed() => drop(done),
                    done = progress.changed() => drop(done),
                }
            };
            if tokio::time::timeout(patience, moved).await.is_err() {
                let what = "the server sends nothing of the bucket";
                return Err(Error::new(ErrorKind::Timeout, what));
            }
        }
    }

    /// What a key of the bucket holds now.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        let known = self.shared.known.read();
        known.entries.get(key).filter(|entry| entry.is_live()).cloned()
    }

    /// The record of the contract, as [`Store::read`](store_core::Store::read) would give it.
    ///
    /// # Errors
    /// `InvalidArgument` for what the bucket's layout does not take, `Corrupt` for a message that it does not write. With
    /// [`metadata_only`](MapOptions::metadata_only), values are empty, and those of Go-Micro's layouts `Corrupt`.
    pub fn record(&self, table: &str, key: &str) -> Result<Option<Record>> {
        let layout = self.shared.layout;
        let checked = Key::new(key)?;
        let tokens = layout.tokens(table, checked)?;
        match self.get(&tokens) {
            Some(entry) => entry.record(layout, table, checked),
            None => Ok(None),
        }
    }

    /// All entries whose keys begin so, in byte order of their keys.
    pub fn entries(&self, prefix: &str) -> Vec<Arc<Entry>> {
        let known = self.shared.known.read();
        let from = known.entries.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(_, entry)| entry.is_live())
            .map(|(_, entry)| Arc::clone(entry))
            .collect()
    }

    /// How many keys there are. One that has expired within the last moment may still count.
    pub fn len(&self) -> usize {
        self.shared.known.read().entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the map is complete: not while it goes through the bucket again, and not after it ended.
    pub fn is_synced(&self) -> bool {
        let state = self.shared.state.borrow();
        state.synced && state.ended.is_none()
    }

    /// What ended the map, if something did: the store was closed, permissions were taken away. It then stays as it was.
    pub fn error(&self) -> Option<Error> {
        self.shared.state.borrow().ended.clone()
    }

    /// Waits until the map is complete and shows all that the bucket had at this revision.
    ///
    /// # Errors
    /// `Timeout`, `InvalidArgument` for a revision of another bucket or of one that was deleted, and what [ended](Self::error) the map.
    pub async fn wait_for(&self, revision: Revision, within: Duration) -> Result<()> {
        let (mut state, mut reached) = (self.shared.state.subscribe(), self.shared.reached.clone());
        let arrive = async {
            loop {
                let now = state.borrow_and_update().clone();
                if let Some(error) = now.ended {
                    return Err(error);
                }
                if let Some(synced) = now.at.filter(|_| now.synced) {
                    if synced.incarnation() != revision.incarnation() {
                        return Err(Error::invalid("the revision is not one of this bucket"));
                    }
                    let at = (*reached.borrow_and_update()).max(synced.sequence());
                    if at >= revision.sequence() {
                        return Ok(());
                    }
                }
                let gone = tokio::select! {
                    done = state.changed() => done.is_err(),
                    done = reached.changed() => done.is_err() && state.changed().await.is_err(),
                };
                if gone {
                    return Err(closed());
                }
            }
        };
        match tokio::time::timeout(within, arrive).await {
            Ok(done) => done,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the map is not there yet")),
        }
    }
}

impl fmt::Debug for LiveMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.task.0.is_finished();
        write!(f, "LiveMap({} keys, synced: {}, ended: {ended})", self.len(), self.is_synced())
    }
}

/// The map's task.
struct Keeper {
    held: Arc<Held>,
    on_change: Option<OnChange>,
    /// While the map begins anew: the keys that are there.
    fresh: Option<HashSet<Arc<str>>>,
}

impl Drop for Keeper {
    /// Whoever waits learns that nothing comes any more, however the task ended.
    fn drop(&mut self) {
        self.held.state.send_if_modified(|state| {
            let open = state.ended.is_none();
            if open {
                state.ended = Some(Error::new(ErrorKind::Closed, "the map has ended"));
            }
            open
        });
    }
}

impl Keeper {
    async fn run(mut self, watcher: Watcher) {
        // A stream keeps its place when a wait for the next item is given up, as it is for each expiry.
        let mut notices = watcher.into_stream();
        loop {
            let due = self.held.known.read().due.first().map(|(at, _)| *at);
            let wait = due.map_or(Duration::from_hours(1), |at| {
                at.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_millis(1)
            });
            let notice = tokio::select! {
                biased;
                notice = notices.next() => notice,
                () = tokio::time::sleep(wait) => {
                    self.expire();
                    continue;
                }
            };
            match notice {
                Some(Ok(notice)) => self.on_notice(notice),
                Some(Err(error)) => {
                    self.held.state.send_modify(|state| state.ended = Some(error));
                    return;
                }
                None => return,
            }
        }
    }

    fn tell(&mut self, change: &Change) {
        if let Some(call) = &mut self.on_change {
            call(change);
        }
    }

    fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Entry(entry) => self.on_entry(Arc::new(entry)),
            Notice::Resync => {
                self.held.state.send_modify(|state| state.synced = false);
                self.fresh = Some(HashSet::new());
            }
            Notice::CaughtUp { revision } => {
                if let Some(fresh) = self.fresh.take() {
                    let gone: Vec<_> = {
                        let known = self.held.known.read();
                        known.entries.keys().filter(|key| !fresh.contains(*key)).cloned().collect()
                    };
                    for key in gone {
                        self.remove(&key, Gone::Deleted);
                    }
                }
                self.held.state.send_modify(|state| (state.synced, state.at) = (true, revision));
                self.tell(&Change::Synced(revision));
            }
        }
    }

    fn on_entry(&mut self, entry: Arc<Entry>) {
        if !entry.is_live() {
            let deleted = entry.operation == Operation::Delete;
            self.remove(&entry.key, if deleted { Gone::Deleted } else { Gone::Expired });
            return;
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.insert(Arc::clone(&entry.key));
        }
        let before = {
            let mut known = self.held.known.write();
            let before = known.take(&entry.key);
            if let Some(at) = entry.expires {
                known.due.insert((at, Arc::clone(&entry.key)));
            }
            known.entries.insert(Arc::clone(&entry.key), Arc::clone(&entry));
            before
        };
        // The same again, after a new beginning.
        if before.as_ref().is_none_or(|before| before.revision != entry.revision) {
            self.tell(&Change::Put { entry, before });
        }
    }

    fn remove(&mut self, key: &str, reason: Gone) {
        let before = self.held.known.write().take(key);
        if let Some(before) = before {
            self.tell(&Change::Removed { before, reason });
        }
    }

    fn expire(&mut self) {
        let now = SystemTime::now();
        loop {
            let due = self.held.known.read().due.first().filter(|(at, _)| *at <= now).cloned();
            let Some((_, key)) = due else { return };
            self.remove(&key, Gone::Expired);
        }
    }
}

impl Known {
    /// Takes a key out, with its instant.
    fn take(&mut self, key: &str) -> Option<Arc<Entry>> {
        let (key, entry) = self.entries.remove_entry(key)?;
        if let Some(at) = entry.expires {
            self.due.remove(&(at, key));
        }
        Some(entry)
    }
}
