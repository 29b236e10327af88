//! How to reach the server, and how records lie in it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use store_core::{DatabaseConfig, Error, Result};

use crate::template::Template;

/// How records lie in the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layout {
    /// Values with an ordered index, metadata, revisions, expiries and a log of changes beside them: the whole contract.
    #[default]
    Table,
    /// Only values, at keys that other programs know.
    Plain(Template),
}

/// All settings of a store. What is not set has its default.
///
/// ```
/// # use store_redis::Config;
/// # use std::time::Duration;
/// let config = Config::new("cache.example:6379")
///     .with_password("s3cret")
///     .with_key_prefix("shop:")
///     .with_answer_timeout(Duration::from_secs(1));
/// assert!(!format!("{config:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The server: `host`, `host:port` or the path of a Unix socket.
    pub server: String,
    /// The user, for servers with access rules (ACL).
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The number of the server's database.
    pub db: u32,
    /// How records lie in the server.
    pub layout: Layout,
    /// What every key begins with. Has no `{`.
    pub key_prefix: String,
    /// The longest that a connection may take to be made.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// The longest that the server may take for an answer.
    #[serde(with = "duration")]
    pub answer_timeout: Duration,
    /// Whether a thread of its own drives the connection: twice the throughput of a busy process, 15 to 35 µs more per call of an
    /// idle one.
    pub io_thread: bool,
    /// How many replicas must have a change before it counts as done.
    pub wait_replicas: u32,
    /// How long the log of changes is kept when nobody watches, so that a watch can resume.
    #[serde(with = "duration")]
    pub watch_keep: Duration,
    /// Whether a write creates its database; else only [`create_database`](store_core::StoreAdmin::create_database) does.
    pub auto_create: bool,
    /// How databases are made that a write creates.
    pub defaults: DatabaseConfig,
    /// Whether the connection is encrypted; needs the feature `tls`.
    pub tls: bool,
    /// The certificate authority to trust instead of the system's, as PEM text.
    pub tls_ca: Option<String>,
    /// The client's certificate, as PEM text.
    pub tls_cert: Option<String>,
    /// The client's key, as PEM text.
    pub tls_key: Option<String>,
}

/// The port that servers listen on unless told otherwise.
const PORT: u16 = 6379;

impl Default for Config {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:6379".to_owned(),
            username: None,
            password: None,
            db: 0,
            layout: Layout::Table,
            key_prefix: String::new(),
            connect_timeout: Duration::from_millis(800),
            answer_timeout: Duration::from_secs(2),
            io_thread: false,
            wait_replicas: 0,
            watch_keep: Duration::from_secs(300),
            auto_create: true,
            defaults: DatabaseConfig::default(),
            tls: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

macro_rules! with {
    ($($(#[$doc:meta])* $name:ident($field:ident: $type:ty) $make:expr;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = $make;
            self
        }
    )*};
}

impl Config {
    /// The defaults, with this server.
    pub fn new(server: impl Into<String>) -> Self {
        Self { server: server.into(), ..Self::default() }
    }

    with! {
        /// Sets [`username`](Self::username).
        with_username(username: impl Into<String>) Some(username.into());
        /// Sets [`password`](Self::password).
        with_password(password: impl Into<String>) Some(password.into());
        /// Sets [`db`](Self::db).
        with_db(db: u32) db;
        /// Sets [`layout`](Self::layout).
        with_layout(layout: Layout) layout;
        /// Sets [`key_prefix`](Self::key_prefix).
        with_key_prefix(key_prefix: impl Into<String>) key_prefix.into();
        /// Sets [`connect_timeout`](Self::connect_timeout).
        with_connect_timeout(connect_timeout: Duration) connect_timeout;
        /// Sets [`answer_timeout`](Self::answer_timeout).
        with_answer_timeout(answer_timeout: Duration) answer_timeout;
        /// Sets [`io_thread`](Self::io_thread).
        with_io_thread(io_thread: bool) io_thread;
        /// Sets [`wait_replicas`](Self::wait_replicas).
        with_wait_replicas(wait_replicas: u32) wait_replicas;
        /// Sets [`watch_keep`](Self::watch_keep).
        with_watch_keep(watch_keep: Duration) watch_keep;
        /// Sets [`auto_create`](Self::auto_create).
        with_auto_create(auto_create: bool) auto_create;
        /// Sets [`defaults`](Self::defaults).
        with_defaults(defaults: DatabaseConfig) defaults;
        /// Sets [`tls`](Self::tls).
        with_tls(tls: bool) tls;
        /// Sets [`tls_ca`](Self::tls_ca).
        with_tls_ca(tls_ca: impl Into<String>) Some(tls_ca.into());
        /// Sets [`tls_cert`](Self::tls_cert).
        with_tls_cert(tls_cert: impl Into<String>) Some(tls_cert.into());
        /// Sets [`tls_key`](Self::tls_key).
        with_tls_key(tls_key: impl Into<String>) Some(tls_key.into());
    }

    /// Refuses what can never work.
    pub(crate) fn check(&self) -> Result<()> {
        if self.key_prefix.contains('{') && self.layout == Layout::Table {
            return Err(Error::config("`key_prefix` must not contain a {"));
        }
        if self.key_prefix.len() > 256 {
            return Err(Error::config("`key_prefix` has at most 256 bytes"));
        }
        let zero = [
            ("connect_timeout", self.connect_timeout),
            ("answer_timeout", self.answer_timeout),
            ("watch_keep", self.watch_keep),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(Error::config(format!("`{name}` must be longer than zero")));
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err(Error::config("`tls_cert` and `tls_key` go together"));
        }
        if !self.tls && (self.tls_ca.is_some() || self.tls_cert.is_some()) {
            return Err(Error::config("certificates need `tls` (rediss://)"));
        }
        if self.tls && !cfg!(feature = "tls") {
            return Err(Error::config("this program was built without the feature `tls`"));
        }
        crate::table::check_config(&self.defaults)?;
        Ok(())
    }

    /// Host and port, or `None` for a Unix socket.
    pub(crate) fn host(&self) -> Result<Option<(String, u16)>> {
        let wrong = || Error::config("`server` is host, host:port or the path of a socket");
        if self.server.starts_with('/') {
            return Ok(None);
        }
        let (name, port) = match self.server.strip_prefix('[') {
            Some(rest) => {
                let (name, after) = rest.split_once(']').ok_or_else(wrong)?;
                (name, after.strip_prefix(':'))
            }
            None => match self.server.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (self.server.as_str(), None),
            },
        };
        let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| wrong()))?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Some((name.to_owned(), port)))
    }
}

impl fmt::Debug for Config {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("db", &self.db)
            .field("layout", &self.layout)
            .field("key_prefix", &self.key_prefix)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Durations as humantime text.
mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        store_core::config::duration::parse(&text).map_err(serde::de::Error::custom)
    }
}
