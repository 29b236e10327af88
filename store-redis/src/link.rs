//! The connection: one, shared by all calls, made anew when it is lost.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    Pipeline, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, Value,
};
use store_core::{Error, ErrorKind, Result};

use crate::config::{Config, Layout};
use crate::fault::{Effect, fault, unexpected};
use crate::io::IoThread;
use crate::reply;
use crate::script::{self, Script};

/// Keeps a connection.
pub(crate) struct Connector {
    client: Client,
    config: Config,
    io: Option<IoThread>,
    link: RwLock<Option<Arc<Link>>>,
    /// Held by who connects. Others wait and share what comes of it.
    connecting: tokio::sync::Mutex<Option<(Instant, Error)>>,
    generations: AtomicU64,
    closed: AtomicBool,
    unique: u64,
    warnings: RwLock<Vec<String>>,
}

/// One connection. Ends with the last call that uses it.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    dead: Arc<AtomicBool>,
    /// Differs between the connections of a store.
    pub(crate) generation: u64,
    /// The run of the server, as far as it told.
    pub(crate) run: String,
    /// The server's version before the first dot.
    pub(crate) major: u32,
}

impl Connector {
    pub(crate) fn new(config: Config) -> Result<Self> {
        config.check()?;
        let io = config.io_thread.then(IoThread::start).transpose()?;
        Ok(Self {
            client: client(&config)?,
            io,
            link: RwLock::new(None),
            connecting: tokio::sync::Mutex::new(None),
            generations: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            unique: RandomState::new().hash_one(std::process::id()),
            warnings: RwLock::default(),
            config,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.read().clone()
    }

    #[inline]
    pub(crate) fn open(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets nobody begin a call, and waits for those under way.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let last: Option<Weak<Link>> = self.link.write().take().map(|link| Arc::downgrade(&link));
        let Some(last) = last else {
            return;
        };
        let until = Instant::now() + self.config.answer_timeout;
        while last.strong_count() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The connection, made if there is none.
    #[inline]
    pub(crate) async fn link(&self) -> Result<Arc<Link>> {
        self.open()?;
        match self.live() {
            Some(link) => Ok(link),
            None => self.connect().await,
        }
    }

    #[inline]
    fn live(&self) -> Option<Arc<Link>> {
        self.link.read().as_ref().filter(|link| link.is_alive()).cloned()
    }

    #[cold]
    async fn connect(&self) -> Result<Arc<Link>> {
        let asked = Instant::now();
        let mut last = self.connecting.lock().await;
        if let Some(link) = self.live() {
            return Ok(link);
        }
        // An attempt that failed while this call waited speaks for this one too.
        if let Some((when, error)) = &*last
            && *when >= asked
        {
            return Err(error.clone());
        }
        match self.attempt().await {
            Ok(link) => {
                let link = Arc::new(link);
                *self.link.write() = Some(Arc::clone(&link));
                *last = None;
                // Closed in between: the connection must not outlive it.
                if self.is_closed() {
                    self.link.write().take();
                }
                self.open()?;
                Ok(link)
            }
            Err(error) => {
                *last = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn attempt(&self) -> Result<Link> {
        let mut link = self.dial(Some(self.config.answer_timeout)).await?;
        let info = self.prepare(&link).await?;
        if let Some(run) = field(&info, "run_id") {
            run.clone_into(&mut link.run);
        }
        let version = field(&info, "redis_version").and_then(|version| version.split('.').next());
        if let Some(major) = version.and_then(|major| major.parse().ok()) {
            link.major = major;
        }
        Ok(link)
    }

    /// A connection of its own, for a caller that blocks it. Its answers may take `timeout`.
    pub(crate) async fn dial(&self, timeout: Option<Duration>) -> Result<Link> {
        let dead = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&dead);
        let lost = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
            Ok::<(), redis::aio::SendError>(())
        };
        let options = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(timeout)
            .set_push_sender(lost);
        let client = self.client.clone();
        let connecting =
            async move { client.get_multiplexed_async_connection_with_config(&options).await };
        let connection = match &self.io {
            None => connecting.await,
            // Spawned from there, its driver runs there.
            Some(io) => io.handle().spawn(connecting).await.map_err(|error| {
                Error::new(ErrorKind::Internal, "the I/O thread has ended").with_source(error)
            })?,
        };
        let connection = connection.map_err(|error| self.unreachable(error))?;
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        // Until the server tells: one that no other connection has.
        let run = format!("{:x}-{generation}", self.unique);
        Ok(Link { connection, dead, generation, run, major: 7 })
    }

    fn unreachable(&self, error: redis::RedisError) -> Error {
        let error = fault(error, Effect::Read);
        if !error.kind().is_transient() {
            return error;
        }
        let server = &self.config.server;
        Error::new(ErrorKind::Unavailable, format!("no connection to {server}")).with_source(error)
    }

    /// Loads the scripts and looks at how the server is set up. Returns what it says of itself.
    async fn prepare(&self, link: &Link) -> Result<String> {
        let mut pipe = Pipeline::new();
        for script in script::all() {
            pipe.add_command(load(script));
        }
        for section in ["server", "memory", "replication"] {
            pipe.cmd("INFO").arg(section);
        }
        // Without rights for these the store may still serve: what needs them says so.
        let answers = link.send(&pipe, 0, pipe.len(), Effect::Read).await?;
        let mut info = String::new();
        for answer in answers {
            match answer {
                Value::BulkString(text) => info.push_str(&String::from_utf8_lossy(&text)),
                Value::VerbatimString { text, .. } => info.push_str(&text),
                _ => {}
            }
        }
        self.judge(&info);
        Ok(info)
    }

    fn judge(&self, info: &str) {
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
        if field(info, "role").is_some_and(|role| role == "slave") {
            warnings.push("the server is a replica: it takes no writes".to_owned());
        }
        for warning in &warnings {
            tracing::warn!(server = %self.config.server, "{warning}");
        }
        *self.warnings.write() = warnings;
    }

    /// One command. One that only reads is repeated when the connection turns out to be lost.
    pub(crate) async fn command(&self, command: &Cmd, effect: Effect) -> Result<Value> {
        let link = self.link().await?;
        match link.command(command, effect).await {
            Err(error) if effect == Effect::Read && !link.is_alive() => {
                tracing::debug!(%error, "repeating a read on a new connection");
                self.link().await?.command(command, effect).await
            }
            answer => answer,
        }
    }

    /// Several commands at once, each with its own answer.
    pub(crate) async fn pipeline(&self, pipe: &Pipeline, effect: Effect) -> Result<Vec<Value>> {
        let link = self.link().await?;
        match link.send(pipe, 0, pipe.len(), effect).await {
            Err(_) if effect == Effect::Read && !link.is_alive() => {
                self.link().await?.send(pipe, 0, pipe.len(), effect).await
            }
            answers => answers,
        }
    }

    /// Reads that see one and the same state: their answers.
    pub(crate) async fn together(&self, pipe: &Pipeline) -> Result<Vec<Value>> {
        let link = self.link().await?;
        match link.together(pipe).await {
            Err(_) if !link.is_alive() => self.link().await?.together(pipe).await,
            answers => answers,
        }
    }

    /// A script, loaded again where the server forgot it.
    pub(crate) async fn script(
        &self,
        script: &Script,
        command: &Cmd,
        effect: Effect,
    ) -> Result<Value> {
        let link = self.link().await?;
        match link.script(script, command, effect).await {
            Err(_) if effect == Effect::Read && !link.is_alive() => {
                self.link().await?.script(script, command, effect).await
            }
            answer => answer,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.config.server)
    }
}

/// A field of the answer to INFO.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn load(script: &Script) -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(script.source);
    command
}

impl Link {
    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire)
    }

    pub(crate) async fn command(&self, command: &Cmd, effect: Effect) -> Result<Value> {
        let mut connection = self.connection.clone();
        match connection.send_packed_command(command).await {
            Ok(value) => reply::checked(value, effect),
            Err(error) => Err(self.lost(error, effect)),
        }
    }

    fn lost(&self, error: redis::RedisError, effect: Effect) -> Error {
        // After a lost connection, or an answer that did not come in time, the next call makes a new connection.
        if error.is_io_error() || error.kind() == redis::ErrorKind::Parse {
            self.dead.store(true, Ordering::Release);
        }
        fault(error, effect)
    }

    pub(crate) async fn send(
        &self,
        pipe: &Pipeline,
        skip: usize,
        take: usize,
        effect: Effect,
    ) -> Result<Vec<Value>> {
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(pipe, skip, take).await;
        answers.map_err(|error| self.lost(error, effect))
    }

    async fn together(&self, pipe: &Pipeline) -> Result<Vec<Value>> {
        let mut answers = self.send(pipe, pipe.len() + 1, 1, Effect::Read).await?;
        reply::array(answers.pop().ok_or_else(unexpected)?)
    }

    pub(crate) async fn script(
        &self,
        script: &Script,
        command: &Cmd,
        effect: Effect,
    ) -> Result<Value> {
        let mut connection = self.connection.clone();
        match connection.send_packed_command(command).await {
            Ok(Value::ServerError(error)) if error.code() == "NOSCRIPT" => {
                self.command(&load(script), Effect::Read).await?;
                self.command(command, effect).await
            }
            Ok(value) => reply::checked(value, effect),
            Err(error) => Err(self.lost(error, effect)),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.generation)
    }
}

fn client(config: &Config) -> Result<Client> {
    let wrong = |error: redis::RedisError| {
        Error::config("the connection is configured wrongly").with_source(error)
    };
    let address = match config.host()? {
        None => ConnectionAddr::Unix(config.server.clone().into()),
        Some((host, port)) if config.tls => {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        }
        Some((host, port)) => ConnectionAddr::Tcp(host, port),
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(i64::from(config.db))
        // Tells when the connection is lost.
        .set_protocol(ProtocolVersion::RESP3);
    if let Some(username) = &config.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &config.password {
        settings = settings.set_password(password);
    }
    let info = address
        .into_connection_info()
        .map_err(wrong)?
        .set_tcp_settings(TcpSettings::default().set_nodelay(true))
        .set_redis_settings(settings);
    build(info, config).map_err(wrong)
}

#[cfg(not(feature = "tls"))]
fn build(info: ConnectionInfo, _: &Config) -> redis::RedisResult<Client> {
    Client::open(info)
}

#[cfg(feature = "tls")]
fn build(info: ConnectionInfo, config: &Config) -> redis::RedisResult<Client> {
    if !config.tls {
        return Client::open(info);
    }
    // The application's provider, if it chose one before.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let pem = |text: &String| text.clone().into_bytes();
    let client_tls =
        config.tls_cert.as_ref().zip(config.tls_key.as_ref()).map(|(cert, key)| {
            redis::ClientTlsConfig { client_cert: pem(cert), client_key: pem(key) }
        });
    let certificates =
        redis::TlsCertificates { client_tls, root_cert: config.tls_ca.as_ref().map(pem) };
    Client::build_with_tls(info, certificates)
}
