//! What all clones of a store share: the connection, its buckets, and how they are opened.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use parking_lot::{Mutex, RwLock};
use serde_json::Value as Json;
use store_core::{
    Clock as _, DatabaseConfig, Error, ErrorKind, Name, Result, SystemClock, Timestamp,
};
use tokio::sync::Notify;

use crate::acked::Acked;
use crate::counter::Counters;
use crate::layout::Layout;
use crate::names::Names;
use crate::reaper::Reaper;
use crate::server::Server;
use crate::settings::{self, Known};
use crate::together::Reads;
use crate::watch::Slot;
use crate::wire::api::Js;
use crate::wire::fault::Fault;
use crate::wire::feed::Timeouts;
use crate::wire::mux::Deadline;

/// How long what is known of a bucket's configuration is taken as it is.
const FRESH: Duration = Duration::from_secs(5);
/// How long a cluster may know a stream's name and not yet the stream.
const ELECTION: Duration = Duration::from_secs(2);

/// Watches that are opened at a time.
const WATCHES: usize = 32;

/// How a store treats its databases.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) layout: Layout,
    /// Databases of another layout.
    pub(crate) layouts: HashMap<Name, Layout>,
    /// How databases are made that a write asks for; `None` if they are not.
    pub(crate) on_demand: Option<DatabaseConfig>,
    pub(crate) timeouts: Timeouts,
    /// How much longer than a record lives the server keeps its message.
    pub(crate) expired_retention: Duration,
}

impl Rules {
    pub(crate) fn layout_of(&self, name: &Name) -> Layout {
        self.layouts.get(name).copied().unwrap_or(self.layout)
    }
}

pub(crate) struct Shared {
    pub(crate) js: Js,
    pub(crate) rules: Rules,
    /// Whether the connection is our own, to be drained at the end.
    pub(crate) owned: bool,
    pub(crate) reaper: Reaper,
    buckets: RwLock<HashMap<Name, Arc<Bucket>>>,
    closed: AtomicBool,
    pub(crate) closing: Notify,
    writes: AtomicU64,
    greeted: Mutex<Option<(u64, Server)>>,
    /// Begins the ids of this store's writes.
    id: String,
}

impl Shared {
    pub(crate) fn new(js: Js, rules: Rules, owned: bool) -> Self {
        // Each state has its own seed from the system.
        let part = || RandomState::new().hash_one(0u8);
        let id = format!("{:x}{:x}-", part(), part());
        Self {
            js,
            rules,
            owned,
            reaper: Reaper::default(),
            buckets: RwLock::default(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            writes: AtomicU64::new(0),
            greeted: Mutex::default(),
            id,
        }
    }

    #[expect(clippy::unused_self, reason = "the one place that knows the time")]
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.rules.timeouts.deadline()
    }

    /// The server of this connection: what its greeting says is read once.
    pub(crate) fn server(&self) -> Result<Server> {
        let client = self.js.mux.client();
        let connection = client.statistics().connects.load(Ordering::Acquire);
        let mut greeted = self.greeted.lock();
        if let Some((at, server)) = &*greeted
            && *at == connection
        {
            return Ok(server.clone());
        }
        let server = Server::new(&client.server_info())?;
        *greeted = Some((connection, server.clone()));
        Ok(server)
    }

    /// An id that no other write has.
    pub(crate) fn write_id(&self) -> String {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        format!("{}{number:x}", self.id)
    }

    pub(crate) fn open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// `true` the first time.
    pub(crate) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        if first {
            self.closing.notify_waiters();
        }
        first
    }

    pub(crate) fn bucket(&self, name: &Name) -> Arc<Bucket> {
        if let Some(bucket) = self.buckets.read().get(name) {
            return Arc::clone(bucket);
        }
        let mut buckets = self.buckets.write();
        // Names that were only asked for do not pile up.
        if buckets.len() >= 1024 {
            buckets.retain(|_, bucket| Arc::strong_count(bucket) > 1 || bucket.peek().is_some());
        }
        Arc::clone(buckets.entry(name.clone()).or_insert_with(|| Arc::new(Bucket::new(name))))
    }

    /// What is known of a bucket; `None` when there is none.
    pub(crate) async fn known(
        &self,
        bucket: &Bucket,
        deadline: Deadline,
    ) -> Result<Option<Arc<Known>>> {
        if let Some((known, since)) = bucket.peek() {
            if since.elapsed() < FRESH {
                return Ok(Some(known));
            }
            // One caller looks again, the others go on with what is known.
            let Ok(_turn) = bucket.looking.try_lock() else {
                return Ok(Some(known));
            };
            let quick = short(deadline, Duration::from_millis(250));
            return match self.look(bucket, quick).await {
                Err(error) if error.kind().is_transient() => {
                    bucket.touch();
                    Ok(Some(known))
                }
                done => done,
            };
        }
        let _turn = bucket.looking.lock().await;
        match bucket.peek() {
            Some((known, _)) => Ok(Some(known)),
            None => self.look(bucket, deadline).await,
        }
    }

    /// Asks the server.
    pub(crate) async fn look(
        &self,
        bucket: &Bucket,
        deadline: Deadline,
    ) -> Result<Option<Arc<Known>>> {
        let info = self.js.stream_info(&bucket.stream, &Json::Null, deadline).await;
        let info = info.map_err(|fault| fault.into_error(false))?;
        let known = match &info {
            None => None,
            Some(info) => {
                let layout = self.rules.layout_of(&bucket.name);
                Some(Arc::new(Known::read(info, layout, &self.server()?)?))
            }
        };
        bucket.learn(known.clone());
        Ok(known)
    }

    /// What is known of a bucket that is made if there is none.
    pub(crate) async fn known_or_made(
        &self,
        bucket: &Bucket,
        deadline: Deadline,
    ) -> Result<Arc<Known>> {
        if let Some(known) = self.known(bucket, deadline).await? {
            return Ok(known);
        }
        let Some(config) = &self.rules.on_demand else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "there is no such database, and this store does not create one by a write (auto_create)",
            ));
        };
        // One makes it, the others wait for that.
        let _turn = bucket.looking.lock().await;
        if let Some((known, _)) = bucket.peek() {
            return Ok(known);
        }
        match self.create(bucket, config, deadline).await {
            // Somebody else was first, with a configuration of his own.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            done => done?,
        }
        if let Some((known, _)) = bucket.peek() {
            return Ok(known);
        }
        // A cluster knows a stream's name a moment before the stream.
        let until = short(deadline, ELECTION);
        let mut round = 0;
        loop {
            if let Some(known) = self.look(bucket, deadline).await? {
                return Ok(known);
            }
            if !until.pause(round).await {
                return Err(Error::new(ErrorKind::NotFound, "the database was deleted again"));
            }
            round += 1;
        }
    }

    pub(crate) async fn create(
        &self,
        bucket: &Bucket,
        config: &DatabaseConfig,
        deadline: Deadline,
    ) -> Result<()> {
        let layout = self.rules.layout_of(&bucket.name);
        let stream =
            settings::stream_config(bucket.name.as_str(), layout, config, &self.server()?)?;
        let info = self.make_stream(bucket, &stream, deadline).await?;
        let known = Known::read(&info, layout, &self.server()?)?;
        bucket.learn(Some(Arc::new(known)));
        // Before anything is written, so that a watch that waits for the bucket misses nothing of it.
        let slots = std::mem::take(&mut *bucket.expecting.lock());
        stream::iter(slots.iter().filter_map(Weak::upgrade))
            .for_each_concurrent(WATCHES, |slot| async move {
                slot.open(&self.js, self.rules.timeouts).await;
            })
            .await;
        Ok(())
    }

    /// Makes a stream, or finds it as it shall be.
    async fn make_stream(
        &self,
        bucket: &Bucket,
        stream: &Json,
        deadline: Deadline,
    ) -> Result<Json> {
        let rest = format!("STREAM.CREATE.{}", bucket.stream);
        let until = short(deadline, ELECTION);
        let (mut is_there, mut round) = (false, 0);
        loop {
            match self.js.api(&rest, stream, deadline).await {
                // In use with another configuration, by name or by subjects. While a cluster makes a stream, it says so of the same one.
                Err(Fault::Api { err_code: 10_058 | 10_065, .. })
                    if !is_there && until.pause(round).await =>
                {
                    round += 1;
                    let info = self.js.stream_info(&bucket.stream, &Json::Null, deadline).await;
                    is_there = info.map_err(|fault| fault.into_error(true))?.is_some();
                }
                Err(Fault::Api { err_code: 10_058 | 10_065, .. }) => {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists,
                        "the database exists with another configuration; update it instead",
                    ));
                }
                done => return done.map_err(|fault| fault.into_error(true)),
            }
        }
    }

    /// After nobody answered for a bucket: whether it is really gone.
    pub(crate) async fn is_gone(&self, bucket: &Bucket, deadline: Deadline) -> bool {
        let quick = short(deadline, Duration::from_secs(1));
        let info = self.js.stream_info(&bucket.stream, &Json::Null, quick).await;
        let gone = matches!(info, Ok(None));
        if gone {
            bucket.learn(None);
        }
        gone
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({} buckets)", self.buckets.read().len())
    }
}

/// A deadline that is not further away than this.
fn short(deadline: Deadline, from_now: Duration) -> Deadline {
    Deadline { at: deadline.at.min(tokio::time::Instant::now() + from_now), ..deadline }
}

/// A bucket that exists or once did.
pub(crate) struct Bucket {
    pub(crate) name: Name,
    /// `KV_<name>`.
    pub(crate) stream: String,
    /// `$KV.<name>.`, before all subjects.
    pub(crate) prefix: String,
    pub(crate) acked: Acked,
    pub(crate) counters: Counters,
    pub(crate) reads: Reads,
    pub(crate) names: Names,
    /// Watches that wait for the bucket.
    pub(crate) expecting: Mutex<Vec<Weak<Slot>>>,
    known: Mutex<Option<(Arc<Known>, Instant)>>,
    /// When the stream was made that what was written is of: while nothing is known of it, it may be the same.
    created: Mutex<Option<u64>>,
    looking: tokio::sync::Mutex<()>,
}

impl Bucket {
    fn new(name: &Name) -> Self {
        Self {
            name: name.clone(),
            stream: format!("KV_{name}"),
            prefix: format!("$KV.{name}."),
            acked: Acked::default(),
            counters: Counters::default(),
            reads: Reads::default(),
            names: Names::default(),
            expecting: Mutex::default(),
            known: Mutex::default(),
            created: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn peek(&self) -> Option<(Arc<Known>, Instant)> {
        self.known.lock().clone()
    }

    fn touch(&self) {
        if let Some((_, since)) = &mut *self.known.lock() {
            *since = Instant::now();
        }
    }

    pub(crate) fn learn(&self, known: Option<Arc<Known>>) {
        let mut held = self.known.lock();
        if let Some(known) = &known {
            let before = self.created.lock().replace(known.created);
            if before.is_some_and(|before| before != known.created) {
                self.acked.clear();
                self.names.clear();
            }
        }
        self.names.sweep();
        *held = known.map(|known| (known, Instant::now()));
    }

    /// The tokens of a subject of this bucket.
    pub(crate) fn tokens<'a>(&self, subject: &'a str) -> &'a str {
        subject.strip_prefix(&*self.prefix).unwrap_or_default()
    }

    pub(crate) fn subject(&self, tokens: &str) -> String {
        [&self.prefix, tokens].concat()
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::acked::Floor;
    use crate::server::of_version;

    #[test]
    fn what_was_written_is_remembered_as_long_as_the_stream_is_the_same() {
        let server = of_version("2.15.1").unwrap();
        let known = |created: &str| {
            let info = json!({"created": created, "config": {"num_replicas": 3}});
            Arc::new(Known::read(&info, Layout::Plain, &server).unwrap())
        };
        let bucket = Bucket::new(&Name::new("app").unwrap());
        bucket.learn(Some(known("2026-11-28T00:00:00Z")));
        bucket.acked.note("a", 5);
        // Nothing is known for a moment, as when a watch was lost.
        bucket.learn(None);
        assert_eq!(bucket.acked.floor("a"), Floor::At(5));
        bucket.learn(Some(known("2026-11-28T00:00:00Z")));
        assert_eq!(bucket.acked.floor("a"), Floor::At(5));
        bucket.learn(None);
        bucket.learn(Some(known("2026-11-28T00:00:01Z")));
        assert_eq!(bucket.acked.floor("a"), Floor::At(0));
    }
}
