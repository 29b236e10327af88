//! How a store connects, and what it makes of its databases.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, Event};
use serde_json::Value as Json;
use store_core::{DatabaseConfig, Error, ErrorKind, Name, Result};

use crate::credentials::{Credentials, addresses};
use crate::layout::Layout;
use crate::server::Server;
use crate::shared::{Rules, Shared};
use crate::store::Nats;
use crate::temporary;
use crate::tls::{Tls, is_tls};
use crate::wire::api::Js;
use crate::wire::fault::Fault;
use crate::wire::feed::Timeouts;
use crate::wire::mux::{Mux, Refusals};

/// Settings of a [`Nats`] store.
///
/// ```no_run
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use std::time::Duration;
/// use store_core::DatabaseConfig;
/// use store_natsjs::{Credentials, Nats};
///
/// let store = Nats::builder()
///     .servers(["nats://a:4222", "nats://b:4222"])
///     .credentials(Credentials::UserPassword("app".into(), "secret".into()))
///     .defaults(DatabaseConfig::new().with_replicas(3))
///     .timeout(Duration::from_secs(5))
///     .connect()
///     .await?;
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
#[must_use]
pub struct Builder {
    pub(crate) servers: Vec<String>,
    pub(crate) credentials: Credentials,
    pub(crate) tls: Tls,
    client: Option<Client>,
    name: Option<String>,
    domain: Option<String>,
    api_prefix: Option<String>,
    inbox_prefix: Option<String>,
    timeout: Duration,
    attempt_timeout: Duration,
    reconnect_wait: Option<Duration>,
    connect_timeout: Duration,
    ping_interval: Duration,
    max_reconnects: Option<usize>,
    reconnect_delay: Duration,
    reconnect_delay_max: Duration,
    ignore_discovered: bool,
    layout: Layout,
    layouts: HashMap<Name, Layout>,
    pub(crate) defaults: DatabaseConfig,
    auto_create: bool,
    expired_retention: Duration,
    databases: Vec<(Name, DatabaseConfig)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            credentials: Credentials::None,
            tls: Tls::default(),
            client: None,
            name: None,
            domain: None,
            api_prefix: None,
            inbox_prefix: None,
            timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            reconnect_wait: None,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(10),
            max_reconnects: None,
            reconnect_delay: Duration::from_millis(10),
            reconnect_delay_max: Duration::from_secs(1),
            ignore_discovered: false,
            layout: Layout::Native,
            layouts: HashMap::new(),
            defaults: DatabaseConfig::default(),
            auto_create: true,
            expired_retention: Duration::from_mins(10),
            databases: Vec::new(),
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident($field:ident: $type:ty)),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        }
    )*};
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: impl Into<String>) -> Self {
            self.$name = Some($name.into());
            self
        }
    )*};
}

impl Builder {
    texts! {
        /// The connection's name, for people who look at the server.
        name,
        /// The JetStream domain.
        domain,
        /// What JetStream's API is called here, where it is imported from another account. Default `$JS.API`.
        api_prefix,
        /// Where answers go, for credentials that may not subscribe to `_INBOX.>`.
        inbox_prefix,
    }

    setters! {
        /// How to prove who we are. Default: not at all.
        credentials(credentials: Credentials),
        /// How long a call may take in all. Default 10 s.
        timeout(timeout: Duration),
        /// How long one try of a request may take before it is repeated. Default 2 s.
        attempt_timeout(attempt_timeout: Duration),
        /// How long a call waits for a connection that is away before it fails with `Unavailable`; zero is not at all. Default: as
        /// long as it may take in all.
        reconnect_wait(reconnect_wait: Duration),
        /// How long connecting to one server may take. Default 5 s.
        connect_timeout(connect_timeout: Duration),
        /// How often the connection is tried when nothing else is sent. Default 10 s.
        ping_interval(ping_interval: Duration),
        /// How often to try to reconnect before giving up. Default: always.
        max_reconnects(max_reconnects: usize),
        /// The first wait before reconnecting; it doubles. Default 10 ms.
        reconnect_delay(reconnect_delay: Duration),
        /// The longest wait before reconnecting. Default 1 s.
        reconnect_delay_max(reconnect_delay_max: Duration),
        /// Whether to keep to the servers that were named, and not to use those that they tell about.
        ignore_discovered_servers(ignore_discovered: bool),
        /// The layout of databases. Default [`Layout::Native`].
        layout(layout: Layout),
        /// The configuration of databases that a write creates.
        defaults(defaults: DatabaseConfig),
        /// How long the server keeps what has expired, so that a watch that resumes within half of this learns of it. Longer than
        /// clocks may differ. Default 10 min.
        expired_retention(expired_retention: Duration),
        /// Whether a write creates its database. Default yes.
        auto_create(auto_create: bool),
    }

    /// The servers: `nats://host:port`, `tls://host:port` or `host:port`; several URLs, or several hosts in one with commas. User
    /// and password, or a token, in a URL count as credentials; a path and options are refused when the store connects.
    pub fn servers(mut self, servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.servers = servers.into_iter().map(Into::into).collect();
        self
    }

    /// Uses a connection that is there already; nothing about connecting then counts, and closing the store leaves it open. What
    /// the credentials do not allow shows as a timeout, since only the connection's own events tell.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Insists on TLS.
    pub fn require_tls(mut self, required: bool) -> Self {
        self.tls.required = required;
        self
    }

    /// Begins with the TLS handshake, before the server says anything.
    pub fn tls_first(mut self, first: bool) -> Self {
        self.tls.first = first;
        self
    }

    /// The authorities that the server's certificate may come from, as a PEM file.
    pub fn tls_ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.ca_file = Some(file.into());
        self
    }

    /// The authorities that the server's certificate may come from, as PEM text; no other then counts.
    pub fn tls_ca_text(mut self, text: impl Into<String>) -> Self {
        self.tls.ca_text = Some(text.into());
        self
    }

    /// The client's own certificate and key, as PEM files.
    pub fn tls_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// The layout of one database, where it differs from [`layout`](Self::layout).
    pub fn layout_of(mut self, database: Name, layout: Layout) -> Self {
        self.layouts.insert(database, layout);
        self
    }

    /// Creates a database when the store connects, if it does not exist.
    pub fn database(mut self, name: Name, config: DatabaseConfig) -> Self {
        self.databases.push((name, config));
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// `Config` for settings that cannot be used, `Unauthenticated`, `PermissionDenied` when answers may not be received, `Unavailable`
    /// when no server answers or JetStream is off.
    pub async fn connect(mut self) -> Result<Nats> {
        if self.timeout.is_zero() || self.attempt_timeout.is_zero() {
            return Err(Error::config("a timeout must be longer than zero"));
        }
        let (refusals, deaf) = (Refusals::default(), Arc::new(AtomicBool::new(false)));
        let owned = self.client.is_none();
        let client = match self.client.take() {
            Some(client) => client,
            None => self.dial(refusals.clone(), Arc::clone(&deaf)).await?,
        };
        Server::new(&client.server_info())?;
        let prefix = match (&self.api_prefix, &self.domain) {
            (Some(_), Some(_)) => {
                return Err(Error::config("set either the domain or the API prefix, not both"));
            }
            (Some(prefix), None) => prefix.trim_end_matches('.').to_owned(),
            (None, Some(domain)) => format!("$JS.{domain}.API"),
            (None, None) => "$JS.API".to_owned(),
        };
        let bad = |c: char| c.is_whitespace() || matches!(c, '*' | '>');
        if prefix.is_empty() || prefix.contains(bad) || prefix.split('.').any(str::is_empty) {
            return Err(Error::config("the domain or API prefix is no subject"));
        }
        let mux = Mux::start(client, refusals).await.map_err(|f| f.into_error(false))?;
        let rules = Rules {
            layout: self.layout,
            layouts: self.layouts,
            on_demand: self.auto_create.then_some(self.defaults),
            expired_retention: self.expired_retention,
            timeouts: Timeouts {
                request: self.timeout,
                attempt: self.attempt_timeout,
                reconnect: self.reconnect_wait.unwrap_or(self.timeout),
            },
        };
        let shared = Shared::new(Js::new(mux, &prefix), rules, owned);
        let store = Nats(Arc::new(shared));
        let (checked, ()) = tokio::join!(store.check_jetstream(), temporary::look(&store.0.js.mux));
        if deaf.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "these credentials may not subscribe to where answers go: set inbox_prefix to what they may",
            ));
        }
        checked?;
        for (name, config) in &self.databases {
            match store.0.create_database(name, config).await {
                // It is there; that it differs is for an update to say.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                done => done?,
            }
        }
        Ok(store)
    }

    async fn dial(&mut self, refusals: Refusals, deaf: Arc<AtomicBool>) -> Result<Client> {
        let (addresses, from_url) = addresses(&self.servers)?;
        if let Credentials::None = self.credentials {
            self.credentials = from_url;
        }
        let (first, most) = (self.reconnect_delay, self.reconnect_delay_max);
        let mut options = self
            .credentials
            .sign_in()
            .await?
            .connection_timeout(self.connect_timeout)
            .ping_interval(self.ping_interval)
            .max_reconnects(self.max_reconnects)
            .reconnect_delay_callback(move |attempt| {
                let doubled = first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
                doubled.min(most)
            })
            .request_timeout(Some(self.attempt_timeout))
            // A listing comes in one go; what does not fit here would be lost and asked for again.
            .subscription_capacity(1 << 18)
            .client_capacity(4096)
            .event_callback(move |event| {
                let (refusals, deaf) = (refusals.clone(), Arc::clone(&deaf));
                async move { on_event(&event, &refusals, &deaf) }
            });
        if let Some(name) = &self.name {
            options = options.name(name);
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        if self.ignore_discovered {
            options = options.ignore_discovered_servers();
        }
        options = self.tls.apply(options)?;
        let hosts: Vec<_> =
            addresses.iter().map(|at| format!("{}:{}", at.host(), at.port())).collect();
        options.connect(addresses).await.map_err(|error| connect_error(error, &hosts))
    }
}

fn on_event(event: &Event, refusals: &Refusals, deaf: &AtomicBool) {
    match event {
        Event::ServerError(error) => {
            let text = error.to_string();
            refusals.note(&text);
            if text.to_ascii_lowercase().contains("permissions violation for subscription") {
                deaf.store(true, Ordering::Release);
            }
            // Asked of everybody, and answered to few.
            if text.contains(temporary::SUBJECT) {
                return;
            }
            tracing::warn!(%error, "the NATS server reports an error");
        }
        Event::Connected | Event::Draining | Event::Closed => tracing::debug!(%event, "NATS"),
        other => tracing::warn!(event = %other, "NATS"),
    }
}

fn connect_error(error: async_nats::ConnectError, hosts: &[String]) -> Error {
    use async_nats::ConnectErrorKind as Kind;
    let (kind, message) = match error.kind() {
        Kind::AuthorizationViolation => {
            (ErrorKind::Unauthenticated, "the server does not accept the credentials")
        }
        Kind::Authentication => {
            (ErrorKind::Unauthenticated, "the credentials cannot be used to sign in")
        }
        Kind::ServerParse => (ErrorKind::Config, "a server's address cannot be read"),
        _ if is_tls(&error) => (ErrorKind::Unavailable, "TLS with the server failed"),
        Kind::Dns => (ErrorKind::Unavailable, "the server's name cannot be resolved"),
        Kind::TimedOut => (ErrorKind::Timeout, "no server answered in time"),
        _ => (ErrorKind::Unavailable, "no server can be reached"),
    };
    Error::new(kind, format!("{message}: {}", hosts.join(", "))).with_source(error)
}

impl Nats {
    /// Whether there is JetStream, as far as these credentials may ask.
    async fn check_jetstream(&self) -> Result<()> {
        let mut deadline = self.0.deadline();
        deadline.at = deadline.at.min(tokio::time::Instant::now() + Duration::from_secs(3));
        let off = || {
            Error::new(
                ErrorKind::Unavailable,
                "JetStream is not enabled on the server or for this account, or the domain or API prefix is wrong",
            )
        };
        match self.0.js.api("INFO", &Json::Null, deadline).await {
            Err(Fault::NoResponders) => Err(off()),
            Err(fault) if fault.is_api(10_039) || fault.is_api(10_076) => Err(off()),
            // Not everybody may ask for this.
            Err(Fault::Denied | Fault::Timeout) | Ok(_) => Ok(()),
            Err(fault) => Err(fault.into_error(false)),
        }
    }
}

impl fmt::Debug for Builder {
    /// Shows no credentials and no address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("servers", &self.servers.len())
            .field("credentials", &self.credentials)
            .field("layout", &self.layout)
            .field("auto_create", &self.auto_create)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let builder = Builder::default()
            .servers(["nats://user:hidden@host"])
            .credentials(Credentials::Token("hidden".into()));
        assert!(!format!("{builder:?}").contains("hidden"));
    }
}
