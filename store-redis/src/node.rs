//! A server, and the one connection to it that all calls share: made when it is needed, and anew when it was lost.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, PushKind, RedisError, Value};
use store_core::{Error, ErrorKind, Result};

use crate::client::{Login, client};
use crate::config::{Config, Deployment, Layout};
use crate::fault::{Effect, fault};
use crate::io::IoThread;
use crate::link::Link;
use crate::script;
use crate::sentinel::Sentinels;

/// Hears what the server says unasked, and that the connection has ended.
pub(crate) type Listener = Arc<dyn Fn(&PushInfo) + Send + Sync>;

/// What the connections of a store have in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    io: Option<IoThread>,
    generations: AtomicU64,
    closed: AtomicBool,
    /// The one server is a replica, as far as it told when the connection was made.
    replica: AtomicBool,
    unique: u64,
    warnings: RwLock<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Result<Self> {
        config.check()?;
        Ok(Self {
            io: config.io_thread.then(IoThread::start).transpose()?,
            generations: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            replica: AtomicBool::new(false),
            unique: RandomState::new().hash_one(std::process::id()),
            warnings: RwLock::default(),
            config,
        })
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.read().clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.replica.load(Ordering::Acquire)
    }

    /// Lets nobody begin a call.
    pub(crate) fn shut(&self) {
        self.closed.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    /// Makes a connection whose answers may take `timeout`.
    pub(crate) async fn dial(
        &self,
        client: Client,
        server: &str,
        timeout: Option<Duration>,
        listener: Option<Listener>,
    ) -> Result<Link> {
        let dead = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&dead);
        let lost = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
            if let Some(listener) = &listener {
                listener(&push);
            }
            Ok::<(), redis::aio::SendError>(())
        };
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(timeout)
            .set_push_sender(lost);
        let connecting =
            async move { client.get_multiplexed_async_connection_with_config(&options).await };
        let connection = match &self.io {
            None => connecting.await,
            // Spawned from there, its driver runs there.
            Some(io) => io.handle().spawn(connecting).await.map_err(|error| {
                Error::new(ErrorKind::Internal, "the I/O thread has ended").with_source(error)
            })?,
        };
        let connection = connection.map_err(|error| unreachable(server, error))?;
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        // Until the server tells: one that no other connection has.
        let run = format!("{:x}-{generation}", self.unique);
        Ok(Link::new(connection, dead, generation, run))
    }

    /// Loads the scripts, and looks at how the server is set up.
    async fn prepare(&self, link: &mut Link, server: &str) -> Result<()> {
        let mut pipe = Pipeline::new();
        for script in script::all() {
            pipe.add_command(script.load());
        }
        for section in ["server", "memory", "replication"] {
            pipe.cmd("INFO").arg(section);
        }
        // Without rights for these the store may still serve: what needs them says so.
        let answers = link.each(&pipe).await.map_err(|error| fault(error, Effect::Read))?;
        let mut info = String::new();
        for answer in answers {
            match answer {
                Value::BulkString(text) => info.push_str(&String::from_utf8_lossy(&text)),
                Value::VerbatimString { text, .. } => info.push_str(&text),
                _ => {}
            }
        }
        if let Some(run) = field(&info, "run_id") {
            run.clone_into(&mut link.run);
        }
        let version = field(&info, "redis_version").and_then(|version| version.split('.').next());
        if let Some(major) = version.and_then(|major| major.parse().ok()) {
            link.major = major;
        }
        self.judge(&info, server)
    }

    fn judge(&self, info: &str, server: &str) -> Result<()> {
        let in_cluster = field(info, "redis_mode") == Some("cluster");
        let is_replica = field(info, "role") == Some("slave");
        match self.config.deployment {
            Deployment::Single if in_cluster => {
                return Err(Error::config(
                    "the server is part of a cluster: its URL begins with redis+cluster://",
                ));
            }
            Deployment::Sentinel(_) if is_replica => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "the server that the Sentinels named is no primary: a failover is under way",
                ));
            }
            _ => {}
        }
        let mut warnings = Vec::new();
        if let Some(policy) = field(info, "maxmemory_policy")
            && policy.starts_with("allkeys")
            && self.config.layout == Layout::Table
        {
            warnings.push(format!(
                "the server evicts any key when its memory is full (maxmemory-policy {policy}), indexes and metadata too: \
                 use noeviction or a volatile policy"
            ));
        }
        if self.config.deployment == Deployment::Single {
            self.replica.store(is_replica, Ordering::Release);
            if is_replica {
                let warning = "the server is a replica: it takes no writes and no strong reads";
                warnings.push(warning.to_owned());
            }
        }
        for warning in &warnings {
            tracing::warn!(server, "{warning}");
        }
        let mut held = self.warnings.write();
        if self.config.deployment == Deployment::Single {
            held.clear();
        }
        warnings.retain(|warning| !held.contains(warning));
        held.append(&mut warnings);
        Ok(())
    }
}

/// Where a server is.
enum Place {
    At(String, Box<Client>),
    /// Wherever the Sentinels say that the primary is.
    Named(Sentinels),
}

/// A server.
pub(crate) struct Node {
    shared: Arc<Shared>,
    place: Place,
    link: RwLock<Option<Arc<Link>>>,
    /// Held by who connects. Others wait and share what comes of it.
    connecting: tokio::sync::Mutex<Option<(Instant, Error)>>,
}

impl Node {
    /// The server at an address.
    pub(crate) fn at(shared: &Arc<Shared>, server: &str) -> Result<Self> {
        let client = client(server, Login::of(&shared.config), &shared.config)?;
        Ok(Self::new(shared, Place::At(server.to_owned(), Box::new(client))))
    }

    /// The primary that the Sentinels name.
    pub(crate) fn named(shared: &Arc<Shared>, sentinels: Sentinels) -> Self {
        Self::new(shared, Place::Named(sentinels))
    }

    fn new(shared: &Arc<Shared>, place: Place) -> Self {
        Self {
            shared: Arc::clone(shared),
            place,
            link: RwLock::new(None),
            connecting: tokio::sync::Mutex::new(None),
        }
    }

    /// The connection, made if there is none.
    #[inline]
    pub(crate) async fn link(&self) -> Result<Arc<Link>> {
        self.shared.open()?;
        match self.live() {
            Some(link) => Ok(link),
            None => self.connect().await,
        }
    }

    /// The connection, if there is one.
    #[inline]
    pub(crate) fn live(&self) -> Option<Arc<Link>> {
        self.link.read().as_ref().filter(|link| link.is_alive()).cloned()
    }

    #[cold]
    async fn connect(&self) -> Result<Arc<Link>> {
        let asked = Instant::now();
        let mut last = self.connecting.lock().await;
        if let Some(link) = self.live() {
            return Ok(link);
        }
        // An attempt that failed while this call waited, or a moment before, speaks for this one too.
        if let Some((when, error)) = &*last
            && (*when >= asked || when.elapsed() < self.shared.config.reconnect_pause)
        {
            return Err(error.clone());
        }
        match self.attempts().await {
            Ok(link) => {
                let link = Arc::new(link);
                *self.link.write() = Some(Arc::clone(&link));
                *last = None;
                // Closed in between: the connection must not outlive it.
                if self.shared.is_closed() {
                    self.link.write().take();
                }
                self.shared.open()?;
                Ok(link)
            }
            Err(error) => {
                *last = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn attempts(&self) -> Result<Link> {
        let config = &self.shared.config;
        for earlier in 0..config.connect_attempts.saturating_sub(1) {
            match self.attempt().await {
                Err(error) if error.kind().is_transient() => {}
                done => return done,
            }
            tokio::time::sleep(config.reconnect_pause.saturating_mul(1 << earlier.min(4))).await;
            self.shared.open()?;
        }
        self.attempt().await
    }

    async fn attempt(&self) -> Result<Link> {
        let (server, client) = self.find().await?;
        let timeout = Some(self.shared.config.answer_timeout);
        let mut link = self.shared.dial(client, &server, timeout, None).await?;
        self.shared.prepare(&mut link, &server).await?;
        Ok(link)
    }

    async fn find(&self) -> Result<(String, Client)> {
        match &self.place {
            Place::At(server, client) => Ok((server.clone(), Client::clone(client))),
            Place::Named(sentinels) => {
                let config = &self.shared.config;
                let server = sentinels.primary(&self.shared).await?;
                let client = client(&server, Login::of(config), config)?;
                Ok((server, client))
            }
        }
    }

    /// A connection of its own, for a caller that blocks it or listens. Its answers may take `timeout`.
    pub(crate) async fn dial(
        &self,
        timeout: Option<Duration>,
        listener: Option<Listener>,
    ) -> Result<Link> {
        self.shared.open()?;
        let (server, client) = self.find().await?;
        self.shared.dial(client, &server, timeout, listener).await
    }

    /// Waits for the calls under way. Nobody begins one any more.
    pub(crate) async fn drain(&self) {
        let last: Option<Weak<Link>> = self.link.write().take().map(|link| Arc::downgrade(&link));
        let Some(last) = last else {
            return;
        };
        let until = Instant::now() + self.shared.config.answer_timeout;
        while last.strong_count() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::At(server, _) => write!(f, "Node({server})"),
            Place::Named(sentinels) => write!(f, "Node({sentinels:?})"),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({:?})", self.config)
    }
}

fn unreachable(server: &str, error: RedisError) -> Error {
    let error = fault(error, Effect::Read);
    if !error.kind().is_transient() {
        return error;
    }
    Error::new(ErrorKind::Unavailable, format!("no connection to {server}")).with_source(error)
}

/// A field of the answer to INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
