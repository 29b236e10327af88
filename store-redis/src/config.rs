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

/// Which servers there are, and how to find the one that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Deployment {
    /// One server.
    #[default]
    Single,
    /// The primary of this name; the servers that are configured are the Sentinels which know where it is.
    Sentinel(String),
    /// A cluster; the servers that are configured are some of its members.
    Cluster,
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
    /// The server: `host`, `host:port` or the path of a Unix socket. The first of the Sentinels, or of a cluster's members, where
    /// [`deployment`](Self::deployment) says so.
    pub server: String,
    /// More Sentinels, or more members of a cluster: for when the first one is not there.
    pub more_servers: Vec<String>,
    /// Which servers there are.
    pub deployment: Deployment,
    /// The user at the Sentinels.
    pub sentinel_username: Option<String>,
    /// The password at the Sentinels.
    pub sentinel_password: Option<String>,
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
    /// How often a call that finds no connection tries to make one before it fails, 1 at least.
    pub connect_attempts: u32,
    /// How long nobody tries again after an attempt that failed: calls in this time fail at once, with its error. Between the attempts
    /// of one call it doubles, up to sixteen times.
    #[serde(with = "duration")]
    pub reconnect_pause: Duration,
    /// The longest that the server may take for an answer.
    #[serde(with = "duration")]
    pub answer_timeout: Duration,
    /// Whether a thread of its own drives the connection: twice the throughput of a busy process, 15 to 35 µs more per call of an
    /// idle one.
    pub io_thread: bool,
    /// How many replicas must have a change before it counts as done; for the layout `table`. Where fewer have it within half of
    /// `answer_timeout`, the outcome is unknown: the primary has it. Other calls on the connection wait meanwhile.
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
const SENTINEL_PORT: u16 = 26_379;

impl Default for Config {
    fn default() -> Self {
        Self {
            server: "127.0.0.1:6379".to_owned(),
            more_servers: Vec::new(),
            deployment: Deployment::Single,
            sentinel_username: None,
            sentinel_password: None,
            username: None,
            password: None,
            db: 0,
            layout: Layout::Table,
            key_prefix: String::new(),
            connect_timeout: Duration::from_millis(800),
            connect_attempts: 1,
            reconnect_pause: Duration::from_millis(10),
            answer_timeout: Duration::from_secs(2),
            io_thread: false,
            wait_replicas: 0,
            watch_keep: Duration::from_mins(5),
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

    /// The defaults, with the primary of this name, which these Sentinels know. A Sentinel's port is 26379 where none is given.
    ///
    /// ```
    /// # use store_redis::{Config, Deployment};
    /// let config = Config::sentinel("orders", ["a.example", "b.example:26380"]);
    /// assert_eq!(config.deployment, Deployment::Sentinel("orders".into()));
    /// ```
    pub fn sentinel(
        primary: impl Into<String>,
        sentinels: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let with_port = |sentinel: String| match host(&sentinel) {
            Ok(Some((_, PORT))) if !sentinel.ends_with(&format!(":{PORT}")) => {
                format!("{sentinel}:{SENTINEL_PORT}")
            }
            _ => sentinel,
        };
        let sentinels = sentinels.into_iter().map(|sentinel| with_port(sentinel.into()));
        Self::several(Deployment::Sentinel(primary.into()), sentinels)
    }

    /// The defaults, with the cluster that these servers are some members of.
    pub fn cluster(members: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::several(Deployment::Cluster, members)
    }

    fn several(
        deployment: Deployment,
        servers: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mut servers = servers.into_iter().map(Into::into);
        let server = servers.next().unwrap_or_default();
        let more_servers = servers.collect();
        Self { server, more_servers, deployment, ..Self::default() }
    }

    with! {
        /// Sets [`username`](Self::username).
        with_username(username: impl Into<String>) Some(username.into());
        /// Sets [`password`](Self::password).
        with_password(password: impl Into<String>) Some(password.into());
        /// Sets [`sentinel_username`](Self::sentinel_username).
        with_sentinel_username(sentinel_username: impl Into<String>) Some(sentinel_username.into());
        /// Sets [`sentinel_password`](Self::sentinel_password).
        with_sentinel_password(sentinel_password: impl Into<String>) Some(sentinel_password.into());
        /// Sets [`db`](Self::db).
        with_db(db: u32) db;
        /// Sets [`layout`](Self::layout).
        with_layout(layout: Layout) layout;
        /// Sets [`key_prefix`](Self::key_prefix).
        with_key_prefix(key_prefix: impl Into<String>) key_prefix.into();
        /// Sets [`connect_timeout`](Self::connect_timeout).
        with_connect_timeout(connect_timeout: Duration) connect_timeout;
        /// Sets [`connect_attempts`](Self::connect_attempts).
        with_connect_attempts(connect_attempts: u32) connect_attempts;
        /// Sets [`reconnect_pause`](Self::reconnect_pause).
        with_reconnect_pause(reconnect_pause: Duration) reconnect_pause;
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
        if self.connect_attempts == 0 {
            return Err(Error::config("`connect_attempts` must be 1 at least"));
        }
        if self.layout != Layout::Table {
            self.check_plain()?;
        }
        let login = [
            ("sentinel_username", &self.sentinel_username),
            ("sentinel_password", &self.sentinel_password),
        ];
        if let Some((name, _)) = login.iter().find(|(_, given)| given.is_some())
            && !self.is_sentinel()
        {
            return Err(Error::config(format!("`{name}` is for redis+sentinel://")));
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
        self.check_deployment()
    }

    /// Refuses what only the layout `table` can honour.
    fn check_plain(&self) -> Result<()> {
        let default = Self::default();
        let given = [
            ("wait_replicas", self.wait_replicas != default.wait_replicas),
            ("watch_keep", self.watch_keep != default.watch_keep),
            ("auto_create", self.auto_create != default.auto_create),
            ("default_ttl", self.defaults.default_ttl.is_some()),
            ("defaults", self.defaults != default.defaults),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::config(format!("`{name}` is for the layout `table`"))),
            None => Ok(()),
        }
    }

    /// All that are configured.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.server).chain(&self.more_servers).map(String::as_str)
    }

    pub(crate) fn is_sentinel(&self) -> bool {
        matches!(self.deployment, Deployment::Sentinel(_))
    }

    fn check_deployment(&self) -> Result<()> {
        let several = match &self.deployment {
            Deployment::Single => {
                if self.more_servers.is_empty() {
                    return Ok(());
                }
                return Err(Error::config(
                    "one server, or several with redis+sentinel:// or redis+cluster:// (`deployment`)",
                ));
            }
            Deployment::Sentinel(name) if name.is_empty() => {
                return Err(Error::config(
                    "`primary` is the name that the Sentinels know the primary by",
                ));
            }
            Deployment::Sentinel(_) => "Sentinels are at host or host:port",
            Deployment::Cluster if self.db != 0 => {
                return Err(Error::config("a cluster has no numbered databases but 0 (`db`)"));
            }
            Deployment::Cluster if self.layout != Layout::Table => {
                return Err(Error::config(
                    "the layout `plain` is for one server or Sentinels: in a cluster its keys would lie on several servers",
                ));
            }
            Deployment::Cluster => "members of a cluster are at host or host:port",
        };
        for server in self.servers() {
            if host(server)?.is_none() {
                return Err(Error::config(several));
            }
        }
        Ok(())
    }
}

/// Host and port of a server, or `None` for the path of a Unix socket.
pub(crate) fn host(server: &str) -> Result<Option<(String, u16)>> {
    let wrong = || Error::config("`server` is host, host:port or the path of a socket");
    if server.starts_with('/') {
        return Ok(None);
    }
    let (name, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']').ok_or_else(wrong)?;
            (name, after.strip_prefix(':'))
        }
        None => match server.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (server, None),
        },
    };
    let port = port.map_or(Ok(PORT), |port| port.parse().map_err(|_| wrong()))?;
    if name.is_empty() {
        return Err(wrong());
    }
    Ok(Some((name.to_owned(), port)))
}

impl fmt::Debug for Config {
    /// Shows no secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("server", &self.server)
            .field("more_servers", &self.more_servers)
            .field("deployment", &self.deployment)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_reads_from_any_format_with_every_field_under_its_name() {
        let text = r#"{
            "server": "a:1",
            "more_servers": ["b:2"],
            "deployment": {"sentinel": "orders"},
            "sentinel_username": "su",
            "sentinel_password": "sp",
            "username": "u",
            "password": "p",
            "db": 3,
            "layout": {"plain": "{table}{key}"},
            "key_prefix": "shop:",
            "connect_timeout": "3s",
            "connect_attempts": 7,
            "reconnect_pause": "40ms",
            "answer_timeout": "5s",
            "io_thread": true,
            "wait_replicas": 2,
            "watch_keep": "1h",
            "auto_create": false,
            "defaults": {"default_ttl": "1h"},
            "tls": true,
            "tls_ca": "ca",
            "tls_cert": "cert",
            "tls_key": "key"
        }"#;
        let read: Config = serde_json::from_str(text).unwrap();
        let expected = Config::sentinel("orders", ["a:1", "b:2"])
            .with_sentinel_username("su")
            .with_sentinel_password("sp")
            .with_username("u")
            .with_password("p")
            .with_db(3)
            .with_layout(Layout::Plain(Template::go_micro()))
            .with_key_prefix("shop:")
            .with_connect_timeout(Duration::from_secs(3))
            .with_connect_attempts(7)
            .with_reconnect_pause(Duration::from_millis(40))
            .with_answer_timeout(Duration::from_secs(5))
            .with_io_thread(true)
            .with_wait_replicas(2)
            .with_watch_keep(Duration::from_hours(1))
            .with_auto_create(false)
            .with_defaults(DatabaseConfig::new().with_default_ttl(Duration::from_hours(1)))
            .with_tls(true)
            .with_tls_ca("ca")
            .with_tls_cert("cert")
            .with_tls_key("key");
        assert!(read == expected, "{read:?}");
        assert!(serde_json::from_str::<Config>("{}").unwrap() == Config::default());
        let error = serde_json::from_str::<Config>(r#"{"passwort": "hunter2"}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
