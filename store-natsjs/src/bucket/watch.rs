//! Watching a bucket as a key-value client does: its messages, with choices that the contract's watch does not have.

use std::collections::VecDeque;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Value as Json, json};
use store_core::{Error, Result, Revision};
use tokio::sync::watch::Sender;

use super::{Bucket, Entry, Operation, check_filter, closed, is_reserved};
use crate::admin::missing;
use crate::resume;
use crate::settings::Known;
use crate::shared::{self, Shared};
use crate::table::Table;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::feed::{Begin, Feed, Heard, Topic};

/// How long to wait between looks for a bucket that is not there.
const ABSENT: Duration = Duration::from_millis(100);
/// What a server takes as a heartbeat.
const HEARTBEATS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(1);

/// What a [`Watcher`] brings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A version of a key.
    Entry(Entry),
    /// All that was there when the watch began, or began anew, has come; also when that was nothing.
    CaughtUp {
        /// The bucket's last revision then; `None` when there is no bucket.
        revision: Option<Revision>,
    },
    /// What happened since the last entry cannot be told: the bucket is another one or was emptied, or deletions were compacted while
    /// the watch was away. It begins anew with the newest version of each key: what does not come before the next `CaughtUp` is gone.
    Resync,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Newest,
    History,
    Updates,
    After(Revision),
}

/// A watch to be begun by `.await`: by default, the newest version of each key, deletions too, then [`Notice::CaughtUp`], then changes.
#[derive(Clone, Debug)]
#[must_use = "a watch begins when it is awaited"]
pub struct Watch {
    bucket: Bucket,
    filters: Vec<String>,
    from: From,
    metadata_only: bool,
    ignore_deletes: bool,
    heartbeat: Duration,
}

impl Watch {
    /// Keys that pass this filter, too. Filters must not overlap.
    pub fn and(mut self, filter: impl Into<String>) -> Self {
        self.filters.push(filter.into());
        self
    }

    /// Begin with all kept versions of each key, not only the newest.
    pub fn with_history(mut self) -> Self {
        self.from = From::History;
        self
    }

    /// Only what comes from now on; [`Notice::CaughtUp`] comes at once.
    pub fn updates_only(mut self) -> Self {
        self.from = From::Updates;
        self
    }

    /// Go on after this revision. When the bucket can no longer tell what came after it, the watch begins with [`Notice::Resync`].
    pub fn after(mut self, revision: Revision) -> Self {
        self.from = From::After(revision);
        self
    }

    /// Without values: the server sends headers only.
    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// Without deletions and expiries.
    pub fn ignore_deletes(mut self) -> Self {
        self.ignore_deletes = true;
        self
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// How often the server gives a sign of life; after three that are missing the watch looks for another consumer. 100 ms to 1 h,
    /// by default 1 s.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }
}

impl IntoFuture for Watch {
    type Output = Result<Watcher>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Watcher>> + Send>>;

    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for filters that NATS does not take or that overlap.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Watcher::begin(self))
    }
}

impl Bucket {
    /// Watches the keys that a filter passes.
    ///
    /// ```no_run
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let nats = store_natsjs::Nats::connect("nats://localhost").await?;
    /// # let bucket = nats.bucket(&store_core::Name::new("app")?);
    /// use store_natsjs::Notice;
    ///
    /// let mut watch = bucket.watch("users.>").and("teams.*").ignore_deletes().await?;
    /// while let Some(notice) = watch.next().await {
    ///     match notice? {
    ///         Notice::Entry(entry) => println!("{} is now {} bytes", entry.key, entry.value.len()),
    ///         Notice::CaughtUp { .. } => break,
    ///         _ => {}
    ///     }
    /// }
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn watch(&self, filter: impl Into<String>) -> Watch {
        Watch {
            bucket: self.clone(),
            filters: vec![filter.into()],
            from: From::Newest,
            metadata_only: false,
            ignore_deletes: false,
            heartbeat: Duration::from_secs(1),
        }
    }
}

/// A watch of a bucket. It reconnects by itself, goes on where it was, and waits for a bucket that was deleted to be made again.
/// Dropping it ends it and deletes its consumer on the server.
pub struct Watcher {
    shared: Arc<Shared>,
    bucket: Arc<shared::Bucket>,
    watch: Watch,
    view: Option<Table>,
    feed: Option<Feed>,
    ready: VecDeque<Notice>,
    listener: Option<Sender<u64>>,
    ended: bool,
}

impl Watcher {
    async fn begin(watch: Watch) -> Result<Self> {
        for filter in &watch.filters {
            check_filter(filter)?;
        }
        if !HEARTBEATS.contains(&watch.heartbeat) {
            return Err(Error::invalid("a heartbeat is 100 ms to 1 h"));
        }
        let shared = Arc::clone(&watch.bucket.store.0);
        shared.open()?;
        let bucket = shared.bucket(watch.bucket.name());
        let mut watcher = Self {
            shared,
            bucket,
            watch,
            view: None,
            feed: None,
            ready: VecDeque::new(),
            listener: None,
            ended: false,
        };
        let from = watcher.watch.from;
        if watcher.open(from).await? { Ok(watcher) } else { Err(missing()) }
    }

    /// What comes next; waits for it. `None` after an error that ends the watch.
    ///
    /// # Errors
    /// `Closed` when the store was closed, `PermissionDenied` and others that waiting does not cure. A lost connection is none.
    pub async fn next(&mut self) -> Option<Result<Notice>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(notice) = self.ready.pop_front() {
                return Some(Ok(notice));
            }
            if let Err(error) = self.advance().await {
                self.ended = true;
                self.feed = None;
                return Some(Err(error.with_driver(crate::DRIVER)));
            }
        }
    }

    /// The notices as a stream.
    pub fn into_stream(self) -> BoxStream<'static, Result<Notice>> {
        let notices = stream::unfold(self, |mut watcher| async {
            let notice = watcher.next().await?;
            Some((notice, watcher))
        });
        notices.boxed()
    }

    /// The name of the consumer on the server; `None` while there is none. Another one after each reconnect.
    pub fn consumer(&self) -> Option<&str> {
        self.feed.as_ref()?.consumer()
    }

    /// What the server tells about the consumer, fresh: configuration, deliveries, what is pending.
    ///
    /// # Errors
    /// `NotFound` while there is none; `Unavailable`, `Timeout`.
    pub async fn consumer_info(&self) -> Result<Json> {
        let none = || Error::new(store_core::ErrorKind::NotFound, "the watch has no consumer now");
        let name = self.consumer().ok_or_else(none)?;
        let rest = format!("CONSUMER.INFO.{}.{name}", self.bucket.stream);
        let info = self.shared.js.api(&rest, &Json::Null, self.shared.deadline()).await;
        match info {
            Err(fault) if fault.is_api(10_014) => Err(none()),
            done => done.map_err(|fault| fault.into_error(false)),
        }
    }

    /// Tells how far the watch is, also where its filters let nothing pass.
    pub(super) fn tell_reached(&mut self, listener: Sender<u64>) {
        if let Some(feed) = &mut self.feed {
            feed.tell_reached(listener.clone());
        }
        self.listener = Some(listener);
    }

    /// `false` when there is no bucket.
    async fn open(&mut self, from: From) -> Result<bool> {
        let deadline = self.shared.deadline();
        let Some(known) = self.shared.look(&self.bucket, deadline).await? else {
            return Ok(false);
        };
        let view = self.view_of(known);
        let mut resync = false;
        let begin = match from {
            From::Newest => Begin::Latest,
            From::History => Begin::At(1),
            From::Updates => Begin::New,
            From::After(revision) => {
                let sequence = resume::after(&view, revision).await?;
                resync = sequence.is_none();
                sequence.map_or(Begin::Latest, Begin::After)
            }
        };
        let topic = Topic {
            stream: self.bucket.stream.clone(),
            filters: self.watch.filters.iter().map(|filter| self.bucket.subject(filter)).collect(),
            headers_only: self.watch.metadata_only,
            heartbeat: self.watch.heartbeat,
        };
        let opened =
            Feed::open(self.shared.js.clone(), topic, begin, self.shared.rules.timeouts).await;
        let mut feed = match opened {
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => return Ok(false),
            done => done.map_err(|fault| fault.into_error(false))?,
        };
        feed.keep_headers();
        if begin == Begin::Latest {
            feed.be_patient();
        }
        if let Some(listener) = &self.listener {
            feed.tell_reached(listener.clone());
        }
        if resync {
            self.ready.push_back(Notice::Resync);
        }
        self.feed = Some(feed);
        self.view = Some(view);
        Ok(true)
    }

    fn view_of(&self, known: Arc<Known>) -> Table {
        Table {
            shared: Arc::clone(&self.shared),
            bucket: Arc::clone(&self.bucket),
            known,
            name: "".into(),
            deadline: self.shared.deadline(),
        }
    }

    async fn advance(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let closing = shared.closing.notified();
        if shared.is_closed() {
            return Err(closed());
        }
        let Some(feed) = &mut self.feed else {
            tokio::select! {
                () = closing => return Ok(()),
                () = tokio::time::sleep(ABSENT) => {}
            }
            // Everything in a bucket that was not there is new.
            return match self.open(From::History).await {
                Err(error) if !error.kind().is_transient() => Err(error),
                _ => Ok(()),
            };
        };
        let heard = tokio::select! {
            biased;
            () = closing => return Ok(()),
            heard = feed.next() => heard,
        };
        match heard {
            Ok(Heard::Message(stored)) => {
                let (headers, pending) = (feed.take_headers(), feed.pending());
                let Some(view) = &self.view else { return Ok(()) };
                let mut entry = Entry::new(view, stored, headers.as_ref());
                entry.delta = pending;
                let skipped = is_reserved(&entry.key)
                    || (self.watch.ignore_deletes && entry.operation != Operation::Put);
                if !skipped {
                    self.ready.push_back(Notice::Entry(entry));
                }
                Ok(())
            }
            Ok(Heard::CaughtUp(sequence)) => {
                let revision = self.view.as_ref().map(|view| view.revision(sequence));
                self.ready.push_back(Notice::CaughtUp { revision });
                Ok(())
            }
            Ok(Heard::Lost) => {
                self.restart();
                let from =
                    if self.watch.from == From::History { From::History } else { From::Newest };
                match self.open(from).await {
                    Err(error) if !error.kind().is_transient() => Err(error),
                    // Not there: the next look waits for it.
                    Ok(true) | Err(_) => Ok(()),
                    Ok(false) => {
                        self.ready.push_back(Notice::CaughtUp { revision: None });
                        Ok(())
                    }
                }
            }
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => {
                // Deleted with all that was in it; perhaps it will be made again.
                self.restart();
                self.ready.push_back(Notice::CaughtUp { revision: None });
                Ok(())
            }
            // The feed goes on by itself.
            Err(fault) if fault.passes() => Ok(()),
            Err(Fault::Closed) => Err(closed()),
            Err(fault) => Err(fault.into_error(false)),
        }
    }

    fn restart(&mut self) {
        self.feed = None;
        self.view = None;
        self.bucket.learn(None);
        self.ready.push_back(Notice::Resync);
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filters = json!(self.watch.filters);
        write!(f, "Watcher({} {filters}, consumer {:?})", self.bucket.name, self.consumer())
    }
}
