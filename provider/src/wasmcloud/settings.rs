//! The settings of a link: upstream's under their own names, and ours, made into one plan.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use store_core::config::{Driver, Options, Registry, StoreUrl};
use store_core::{DatabaseConfig, Name, Storage};

use crate::wasmcloud::host::Given;
use crate::{Create, Filter, Limits};

/// What a link's settings come to. Equal plans need nothing done.
#[derive(Clone, PartialEq)]
pub(crate) struct Plan {
    /// With all credentials: never shown.
    pub(crate) url: String,
    pub(crate) database: Name,
    pub(crate) table: String,
    pub(crate) prefix: String,
    pub(crate) identifier: Identifier,
    /// What identifiers are put behind to be databases.
    pub(crate) bucket_prefix: String,
    pub(crate) granted: Option<Vec<String>>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) create: Create,
    pub(crate) config: DatabaseConfig,
    pub(crate) watch: Option<Filter>,
    /// How calls wait for a connection that is being made anew.
    pub(crate) reconnect: Reconnect,
    /// Settings whose secret value came in plain configuration.
    pub(crate) exposed: Vec<String>,
}

/// How often a call is made again while there is no connection, and the longest pause between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reconnect {
    pub(crate) retries: u32,
    pub(crate) max_delay: Duration,
}

impl Default for Reconnect {
    /// As in wasmCloud's own provider.
    fn default() -> Self {
        Self { retries: 3, max_delay: Duration::from_millis(300) }
    }
}

/// What the `bucket` of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identifier {
    /// The name of a link of the component, as with wasmCloud's NATS provider.
    Link,
    /// Anything, as with wasmCloud's Redis provider.
    Any,
    /// A table.
    Table,
    /// A database.
    Database,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Backend {
    Nats,
    Redis,
    Memory,
}

/// Names that wasmCloud's NATS provider documents, with the driver's option where it is one.
const NATS: [(&str, Option<&str>); 8] = [
    ("bucket", None),
    ("cluster_uri", None),
    ("js_domain", Some("domain")),
    ("tls_ca", Some("tls_ca")),
    ("tls_ca_file", Some("tls_ca_file")),
    ("client_jwt", Some("jwt")),
    ("client_seed", Some("jwt_seed")),
    ("enable_bucket_auto_create", None),
];

/// Names that wasmCloud's Redis provider documents. Those in milliseconds are durations to the driver.
const REDIS: [(&str, Option<&str>); 8] = [
    ("url", None),
    // How calls wait, not the driver: it reconnects with the next call, whatever there was before.
    ("backend_reconnect_num_retries", None),
    ("backend_reconnect_max_delay_ms", None),
    ("backend_connection_timeout_ms", Some("connect_timeout")),
    ("backend_response_timeout_ms", Some("timeout")),
    ("disable_default_connection", None),
    ("share_connections_by_url", None),
    ("watch", None),
];

/// Accepted from both and without effect here: there is no such tracing.
const IGNORED: &str = "flamegraph_path";

/// What is a secret although it may come in plain configuration.
const SECRET: [&str; 8] =
    ["client_jwt", "client_seed", "credentials", "jwt", "jwt_seed", "nkey", "password", "token"];

/// Settings of the provider itself, which a driver's option of the same name does not take away.
const OURS: [&str; 10] = [
    "create",
    "database",
    "default_ttl",
    "history",
    "max_bytes",
    "max_value_len",
    "prefix",
    "replicas",
    "storage",
    "table",
];

/// Options that the registry takes for every driver.
const COMMON: [&str; 5] = ["timeout", "retries", "read_only", "trace", "trace_keys"];

/// A setting as text, and whether it came as a secret.
type Texts = BTreeMap<String, (String, bool)>;

/// Makes a plan of a link's settings over the provider's own.
///
/// # Errors
/// What is wrong, naming the setting and never showing a value.
pub(crate) fn plan(
    link: &Given,
    provider: &Given,
    component: &str,
    registry: &Registry,
) -> Result<Plan, String> {
    let (own, shared) = (texts(link)?, texts(provider)?);
    let Some(backend) = chosen(&own)?.map_or_else(|| chosen(&shared), |own| Ok(Some(own)))? else {
        return Err("no backend: set `backend` to nats, redis or memory, or set `url`".into());
    };
    let driver = registry
        .drivers()
        .find(|driver| driver.schemes().contains(&backend.scheme()))
        .ok_or_else(|| format!("this provider was built without {}", backend.scheme()))?;
    let merged = merge(own, shared, backend, driver)?;

    let upstream = backend.upstream();
    let only_upstream = !upstream.is_empty()
        && merged.keys().all(|name| {
            name == "backend" || name == IGNORED || upstream.iter().any(|(known, _)| name == known)
        });
    let exposed = merged
        .iter()
        .filter(|(name, (value, secret))| !secret && is_secret(name, value))
        .map(|(name, _)| name.clone())
        .collect();
    let has = |name: &str| merged.contains_key(name);
    if backend == Backend::Nats && has("client_jwt") != has("client_seed") {
        let missing = if has("client_jwt") { "client_seed" } else { "client_jwt" };
        return Err(format!("`{missing}` is missing: client_jwt and client_seed come together"));
    }

    let mut options = Options::new();
    for (name, (value, _)) in &merged {
        options.insert(name.clone(), value.clone()).map_err(said)?;
    }
    let mut o = Taken(options);
    o.0.take_str("backend");
    o.0.take_str(IGNORED);
    let reconnect = o.reconnect()?;
    let (url, path) = url(&mut o, backend, driver, only_upstream)?;
    let auto_create = o.flag("enable_bucket_auto_create")?;
    let create = o.0.take_enum("create", &[("never", Create::Never), ("missing", Create::Missing)]);
    let create = match (create.map_err(said)?, auto_create) {
        (Some(_), Some(_)) => {
            return Err("`create` and `enable_bucket_auto_create` contradict each other".into());
        }
        (Some(create), None) => create,
        (None, Some(true)) => Create::Try,
        (None, Some(false)) => Create::Never,
        (None, None) if backend == Backend::Nats && only_upstream => Create::Never,
        (None, None) => Create::Missing,
    };
    let identifiers = [
        ("link", Identifier::Link),
        ("any", Identifier::Any),
        ("table", Identifier::Table),
        ("database", Identifier::Database),
    ];
    let identifier =
        o.0.take_enum("identifier", &identifiers).map_err(said)?.unwrap_or(match backend {
            Backend::Nats => Identifier::Link,
            Backend::Redis => Identifier::Any,
            Backend::Memory => Identifier::Table,
        });
    let database = database(&mut o, backend, component, path)?;
    let plan = Plan {
        url,
        database,
        table: o.0.take_str("table").unwrap_or_default(),
        prefix: o.0.take_str("prefix").unwrap_or_default(),
        identifier,
        bucket_prefix: o.0.take_str("bucket_prefix").unwrap_or_default(),
        granted: o.0.take_str("buckets").map(|list| {
            list.split(',').map(str::trim).filter(|b| !b.is_empty()).map(str::to_owned).collect()
        }),
        ttl: o.0.take_duration("ttl").map_err(said)?,
        limits: o.limits()?,
        create,
        config: o.config()?,
        watch: o
            .0
            .take_str("watch")
            .map(|text| Filter::parse(&text).map_err(|e| format!("setting `watch`: {e}")))
            .transpose()?,
        reconnect,
        exposed,
    };
    o.0.finish().map_err(said)?;
    Ok(plan)
}

/// All settings by their names in lower case; a secret wins over plain configuration.
fn texts(given: &Given) -> Result<Texts, String> {
    let mut texts = Texts::new();
    for (name, value) in &given.config {
        let known = texts.insert(name.to_ascii_lowercase(), (value.clone(), false));
        if known.is_some_and(|(other, _)| other != *value) {
            return Err(format!("setting `{name}` is given twice, in upper and lower case"));
        }
    }
    for (name, secret) in &given.secrets {
        let text = secret.text().ok_or_else(|| format!("secret `{name}` is not UTF-8"))?;
        texts.insert(name.to_ascii_lowercase(), (text, true));
    }
    Ok(texts)
}

/// The backend that settings ask for, if they do.
fn chosen(texts: &Texts) -> Result<Option<Backend>, String> {
    let url = match texts.get("url") {
        None => None,
        Some((url, _)) => {
            let url: StoreUrl = url.parse().map_err(|e| format!("setting `url`: {e}"))?;
            Some(Backend::of_scheme(url.scheme()).ok_or_else(|| {
                format!("setting `url`: there is no backend for `{}://`", url.scheme())
            })?)
        }
    };
    let named = match texts.get("backend").map(|(name, _)| name.as_str()) {
        None => None,
        Some("nats") => Some(Backend::Nats),
        Some("redis") => Some(Backend::Redis),
        Some("memory") => Some(Backend::Memory),
        Some(_) => return Err("setting `backend`: expected one of: nats, redis, memory".into()),
    };
    let has = |names: &[(&str, Option<&str>)]| {
        names.iter().any(|(name, _)| texts.contains_key(*name) && !matches!(*name, "url" | "watch"))
    };
    if let (Some(named), Some(url)) = (named, url)
        && named != url
    {
        // As a provider-wide default, a URL and the names of another backend may stand side by side; this says which one is meant.
        return Err(format!(
            "setting `backend` is {}, and `url` is for {}",
            named.scheme(),
            url.scheme()
        ));
    }
    if named.or(url).is_some() {
        return Ok(named.or(url));
    }
    match (has(&NATS), has(&REDIS)) {
        (true, true) => Err("settings of NATS and of Redis: set `backend` to one of them".into()),
        (true, false) => Ok(Some(Backend::Nats)),
        (false, true) => Ok(Some(Backend::Redis)),
        (false, false) => Ok(None),
    }
}

/// The link's settings, and below them those of the provider that are about the same backend.
fn merge(
    own: Texts,
    shared: Texts,
    backend: Backend,
    driver: &dyn Driver,
) -> Result<Texts, String> {
    let mut merged = Texts::new();
    let has_address = own.contains_key("url") || own.contains_key("cluster_uri");
    let disabled = |texts: &Texts| {
        texts
            .get("disable_default_connection")
            .is_some_and(|(value, _)| switch(value) != Some(false))
    };
    let no_default = backend == Backend::Redis && (disabled(&shared) || disabled(&own));
    if no_default && !own.contains_key("url") {
        return Err("`url` is missing, and DISABLE_DEFAULT_CONNECTION is set".into());
    }
    for (name, value) in shared {
        let of = |names: &[(&str, Option<&str>)]| names.iter().any(|(known, _)| *known == name);
        let other = match backend {
            Backend::Nats => of(&REDIS) && name != "url" && name != "watch",
            Backend::Redis => of(&NATS),
            Backend::Memory => (of(&NATS) || of(&REDIS)) && name != "url" && name != "watch",
        };
        let address = match name.as_str() {
            "url" => {
                let same = value.0.parse::<StoreUrl>().is_ok_and(|url| {
                    Backend::of_scheme(url.scheme()) == Some(backend)
                        && driver.schemes().contains(&url.scheme())
                });
                if !same || has_address {
                    continue;
                }
                false
            }
            "cluster_uri" => has_address,
            "backend" => true,
            _ => false,
        };
        if !other && !address {
            merged.insert(name, value);
        }
    }
    merged.extend(own);
    Ok(merged)
}

fn url(
    o: &mut Taken,
    backend: Backend,
    driver: &dyn Driver,
    only_upstream: bool,
) -> Result<(String, Option<String>), String> {
    let given = o.0.take_str("url");
    let mut url = match backend {
        Backend::Memory => given.unwrap_or_else(|| "memory://".to_owned()),
        Backend::Redis => given.unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned()),
        Backend::Nats => match (given, o.0.take_str("cluster_uri")) {
            (Some(_), Some(_)) => return Err("`url` and `cluster_uri` are both given".into()),
            (Some(url), None) => url,
            (None, Some(list)) => cluster(&list),
            (None, None) => "nats://0.0.0.0:4222".to_owned(),
        },
    };
    let address: StoreUrl = url.parse().map_err(|e| format!("the address of the backend: {e}"))?;
    let mut extra = Vec::new();
    // The path names the database, or to Redis the number of one; without it, links to several share a connection.
    let mut path = Some(address.path().trim_matches('/').to_owned()).filter(|p| !p.is_empty());
    if driver.path_is_database(address.scheme()) {
        url = without_path(&url);
        let number = |path: &String| path.bytes().all(|b| b.is_ascii_digit());
        if backend == Backend::Redis
            && let Some(number) = path.take_if(|path| number(path))
        {
            extra.push(("db", number));
        }
    }
    if o.has("tls_ca") {
        // The text wins over the file.
        o.0.take_str("tls_ca_file");
    }
    for (name, option) in backend.upstream() {
        let Some(option) = option else { continue };
        let Some(mut value) = o.0.take_str(name) else { continue };
        if name.ends_with("_ms") {
            let number: u64 = value.parse().map_err(|_| number_wanted(name))?;
            value = format!("{number}ms");
        }
        let documented = driver.options().iter().any(|known| known.name == *option);
        if !documented && !COMMON.contains(option) {
            return Err(format!("setting `{name}`: this provider's driver cannot honour it"));
        }
        extra.push((*option, value));
    }
    let documented = driver.options().iter().map(|known| known.name);
    for name in documented.chain(COMMON).filter(|name| !OURS.contains(name)) {
        if let Some(value) = o.0.take_str(name) {
            extra.push((name, value));
        }
    }
    o.flag("disable_default_connection")?;
    // Connections are always shared by their resolved configuration.
    o.flag("share_connections_by_url")?;
    if only_upstream && driver.options().iter().any(|known| known.name == "layout") {
        extra.push(("layout", "plain".to_owned()));
    }
    for (name, value) in extra {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
    }
    Ok((url, path))
}

/// A URL without its path.
fn without_path(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    match query {
        Some(query) => format!("{}?{query}", &address[..end]),
        None => address[..end].to_owned(),
    }
}

/// A list of servers as NATS clients take it, as one URL.
fn cluster(list: &str) -> String {
    let (mut scheme, mut user, mut hosts) = ("nats", "", Vec::new());
    for server in list.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let rest = match server.split_once("://") {
            Some((given, rest)) => {
                if given != "nats" {
                    scheme = given;
                }
                rest
            }
            None => server,
        };
        let rest = rest.trim_end_matches('/');
        let (first, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        if user.is_empty() {
            user = first;
        }
        hosts.push(host);
    }
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}://{user}{at}{}", hosts.join(","))
}

fn database(
    o: &mut Taken,
    backend: Backend,
    component: &str,
    path: Option<String>,
) -> Result<Name, String> {
    let name = match (o.0.take_str("database"), o.0.take_str("bucket")) {
        (Some(_), Some(_)) => return Err("`database` and `bucket` are the same setting".into()),
        (Some(_), _) | (_, Some(_)) if path.is_some() => {
            return Err("`database` is given twice: in the path of `url`, too".into());
        }
        (None, None) if path.is_some() => ("url", path.unwrap_or_default()),
        (Some(name), None) => ("database", name),
        (None, Some(name)) => ("bucket", name),
        (None, None) => match backend {
            Backend::Nats => return Err("`bucket` is missing".into()),
            Backend::Redis => ("database", "default".to_owned()),
            // Nobody else's, unless a name is given on purpose.
            Backend::Memory => {
                let private = private(component);
                (
                    "database",
                    private.ok_or("`database` is missing: the component's id is too long")?,
                )
            }
        },
    };
    Name::new(&name.1).map_err(|e| format!("setting `{}`: {}", name.0, e.message()))
}

/// A database name that only this component has.
fn private(component: &str) -> Option<String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !component.is_empty() && component.len() <= 64 && component.chars().all(sound) {
        return Some(format!("component-{component}"));
    }
    // Any other text is encoded, so that two components never meet.
    let text = URL_SAFE_NO_PAD.encode(component);
    (text.len() <= 100).then(|| format!("component_{text}"))
}

fn is_secret(name: &str, value: &str) -> bool {
    SECRET.contains(&name)
        || (matches!(name, "url" | "cluster_uri")
            && value.split('/').any(|part| part.contains('@')))
}

fn said(error: impl Into<store_core::Error>) -> String {
    error.into().message().to_owned()
}

fn number_wanted(name: &str) -> String {
    format!("setting `{name}`: expected a number, 0 or more")
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        // Upstream asks only whether it is there.
        "" | "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

impl Backend {
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "memory" => Some(Self::Memory),
            "nats" | "tls" | "ws" | "wss" => Some(Self::Nats),
            scheme if scheme.starts_with("redis") || scheme.starts_with("valkey") => {
                Some(Self::Redis)
            }
            _ => None,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Memory => "memory",
        }
    }

    fn upstream(self) -> &'static [(&'static str, Option<&'static str>)] {
        match self {
            Self::Nats => &NATS,
            Self::Redis => &REDIS,
            Self::Memory => &[],
        }
    }
}

/// Settings that are being taken.
struct Taken(Options);

impl Taken {
    fn has(&self, name: &str) -> bool {
        self.0.clone().take_str(name).is_some()
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        self.0.take_with(name, "expected true or false", switch).map_err(said)
    }

    fn reconnect(&mut self) -> Result<Reconnect, String> {
        let mut reconnect = Reconnect::default();
        let mut number = |name: &str| {
            let text = self.0.take_str(name);
            text.map(|text| text.parse().map_err(|_| number_wanted(name))).transpose()
        };
        if let Some(retries) = number("backend_reconnect_num_retries")? {
            reconnect.retries = retries;
        }
        if let Some(millis) = number("backend_reconnect_max_delay_ms")? {
            reconnect.max_delay = Duration::from_millis(millis.into());
        }
        Ok(reconnect)
    }

    fn limits(&mut self) -> Result<Limits, String> {
        let mut limits = Limits::default();
        if let Some(size) = self.0.take_size("max_value_len").map_err(said)? {
            limits.max_value_len = size;
        }
        if let Some(size) = self.0.take_size("max_result_len").map_err(said)? {
            limits.max_result_len = size;
        }
        let items = "expected a number from 1 to 1000000";
        let number = |text: &str| text.parse().ok().filter(|n| (1..=1_000_000).contains(n));
        if let Some(n) = self.0.take_with("max_batch", items, number).map_err(said)? {
            limits.max_batch = n;
        }
        if let Some(n) = self.0.take_with("page", items, number).map_err(said)? {
            limits.page = n;
        }
        Ok(limits)
    }

    /// How a database is made that does not exist.
    fn config(&mut self) -> Result<DatabaseConfig, String> {
        let mut config = DatabaseConfig::new();
        if let Some(ttl) = self.0.take_duration("default_ttl").map_err(said)? {
            config = config.with_default_ttl(ttl);
        }
        let small = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0);
        let number = "expected a number, 1 or more";
        if let Some(n) = self.0.take_with("history", number, small).map_err(said)? {
            config = config.with_history(n);
        }
        if let Some(n) = self.0.take_with("replicas", number, small).map_err(said)? {
            config = config.with_replicas(n);
        }
        if let Some(size) = self.0.take_size("max_bytes").map_err(said)? {
            config = config.with_max_bytes(size);
        }
        let kinds = [("memory", Storage::Memory), ("file", Storage::File)];
        if let Some(storage) = self.0.take_enum("storage", &kinds).map_err(said)? {
            config = config.with_storage(storage);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasmcloud::host::Secret;

    fn registry() -> Registry {
        crate::wasmcloud::drivers()
    }

    fn given(config: &[(&str, &str)], secrets: &[(&str, &str)]) -> Given {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Given {
            config: config.iter().map(own).collect(),
            secrets: secrets.iter().map(own).map(|(n, v)| (n, Secret::String(v))).collect(),
        }
    }

    fn of(config: &[(&str, &str)]) -> Result<Plan, String> {
        plan(&given(config, &[]), &Given::default(), "c1", &registry())
    }

    fn refused(config: &[(&str, &str)]) -> String {
        let error = of(config).err().unwrap_or_else(|| panic!("{config:?} was taken"));
        assert!(!error.contains("hunter2"), "{error}");
        error
    }

    #[test]
    fn the_manifests_of_upstream_mean_upstreams_layout() {
        let plan = of(&[("bucket", "wasmcloud")]).unwrap();
        assert_eq!(plan.url, "nats://0.0.0.0:4222?layout=plain");
        assert_eq!((plan.database.as_str(), plan.create), ("wasmcloud", Create::Never));
        assert_eq!(plan.identifier, Identifier::Link);
        let plan = of(&[
            ("bucket", "b"),
            ("cluster_uri", "nats://a:4222, b:4223"),
            ("js_domain", "hub"),
            ("tls_ca", "-----BEGIN"),
            ("tls_ca_file", "/not/read"),
            ("client_jwt", "j"),
            ("client_seed", "s"),
            ("enable_bucket_auto_create", "TRUE"),
        ])
        .unwrap();
        assert_eq!(
            plan.url,
            "nats://a:4222,b:4223?domain=hub&tls_ca=%2D%2D%2D%2D%2DBEGIN&jwt=j&jwt_seed=s&layout=plain"
        );
        assert_eq!(plan.create, Create::Try);
        assert_eq!(plan.exposed, ["client_jwt", "client_seed"]);
        let plan = of(&[
            ("URL", "redis://:p@h:6379/0"),
            ("BACKEND_RECONNECT_NUM_RETRIES", "7"),
            ("BACKEND_RECONNECT_MAX_DELAY_MS", "90"),
            ("BACKEND_CONNECTION_TIMEOUT_MS", "3000"),
            ("BACKEND_RESPONSE_TIMEOUT_MS", "1000"),
            ("SHARE_CONNECTIONS_BY_URL", ""),
        ])
        .unwrap();
        assert_eq!(
            plan.url,
            "redis://:p@h:6379?db=0&connect_timeout=3000ms&timeout=1000ms&layout=plain"
        );
        assert_eq!((plan.identifier, &*plan.exposed), (Identifier::Any, &["url".to_owned()][..]));
        assert_eq!(plan.reconnect, Reconnect { retries: 7, max_delay: Duration::from_millis(90) });
        assert_eq!(of(&[("url", "redis://h")]).unwrap().url, "redis://h?layout=plain");
    }

    #[test]
    fn settings_of_ours_mean_our_layout() {
        let plan = of(&[
            ("url", "nats://h"),
            ("database", "users"),
            ("table", "t"),
            ("prefix", "p:"),
            ("ttl", "1h"),
            ("identifier", "table"),
            ("buckets", "a, b"),
            ("max_value_len", "1MiB"),
            ("page", "10"),
            ("history", "5"),
            ("replicas", "3"),
            ("storage", "memory"),
            ("default_ttl", "2h"),
            ("token", "hunter2"),
        ])
        .unwrap();
        assert_eq!(plan.url, "nats://h?token=hunter2");
        assert_eq!((&*plan.table, &*plan.prefix), ("t", "p:"));
        assert_eq!(plan.granted.unwrap(), ["a", "b"]);
        assert_eq!((plan.limits.max_value_len, plan.limits.page), (1 << 20, 10));
        assert_eq!((plan.config.history, plan.config.replicas), (Some(5), Some(3)));
        assert_eq!((plan.create, plan.ttl), (Create::Missing, Some(Duration::from_secs(3600))));
        assert_eq!(plan.exposed, ["token"]);
        let plan = of(&[("url", "nats://h/users?domain=hub"), ("timeout", "1s")]).unwrap();
        assert_eq!(
            (&*plan.url, plan.database.as_str()),
            ("nats://h?domain=hub&timeout=1s", "users")
        );
        assert!(refused(&[("url", "nats://h/users"), ("bucket", "b")]).contains("given twice"));
        let plan = of(&[("url", "redis://h/cache"), ("layout", "table")]).unwrap();
        assert_eq!((&*plan.url, plan.database.as_str()), ("redis://h?layout=table", "cache"));
    }

    #[test]
    fn components_in_memory_share_only_what_is_named() {
        let name = |component: &str, config: &[(&str, &str)]| {
            let plan = plan(&given(config, &[]), &Given::default(), component, &registry());
            plan.map(|plan| plan.database.to_string())
        };
        let memory = [("backend", "memory")];
        let components = ["a", "A", "a.b", "a_b", "component_YS5i", "YS5i", "ä", ""];
        let names: std::collections::BTreeSet<_> =
            components.iter().map(|component| name(component, &memory).unwrap()).collect();
        assert_eq!(names.len(), components.len(), "{names:?}");
        assert!(name(&"x.".repeat(100), &memory).unwrap_err().contains("`database`"));
        let shared = [("backend", "memory"), ("database", "shared")];
        assert_eq!(name("a", &shared), name("b", &shared));
    }

    #[test]
    fn the_provider_has_defaults_for_both_backends() {
        let provider = given(
            &[("cluster_uri", "nats://n:4222"), ("URL", "redis://r"), ("js_domain", "hub")],
            &[("client_seed", "hunter2"), ("client_jwt", "j")],
        );
        let link = |config: &[(&str, &str)]| {
            plan(&given(config, &[]), &provider, "c", &registry()).map(|plan| plan.url)
        };
        assert_eq!(
            link(&[("bucket", "b")]).unwrap(),
            "nats://n:4222?domain=hub&jwt=j&jwt_seed=hunter2&layout=plain"
        );
        assert_eq!(
            link(&[("bucket", "b"), ("cluster_uri", "nats://m"), ("js_domain", "x")]).unwrap(),
            "nats://m?domain=x&jwt=j&jwt_seed=hunter2&layout=plain"
        );
        assert_eq!(link(&[("backend", "redis")]).unwrap(), "redis://r?layout=plain");
        assert_eq!(link(&[("url", "redis://own")]).unwrap(), "redis://own?layout=plain");
        assert_eq!(link(&[("backend", "memory")]).unwrap(), "memory://");
        let only = given(&[("url", "redis://r"), ("DISABLE_DEFAULT_CONNECTION", "true")], &[]);
        let error = plan(&given(&[], &[]), &only, "c", &registry()).err().unwrap();
        assert!(error.contains("DISABLE_DEFAULT_CONNECTION"), "{error}");
        let unknown = given(&[("colour", "hunter2")], &[]);
        let error =
            plan(&given(&[("bucket", "b")], &[]), &unknown, "c", &registry()).err().unwrap();
        assert!(error.contains("`colour`") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_secret_wins_and_is_not_exposed() {
        let link = given(&[("url", "redis://plain")], &[("URL", "redis://:hunter2@secret")]);
        let plan = plan(&link, &Given::default(), "c", &registry()).unwrap();
        assert_eq!(plan.url, "redis://:hunter2@secret?layout=plain");
        assert!(plan.exposed.is_empty());
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_by_name() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[], "set `backend`"),
            (&[("backend", "hunter2")], "`backend`"),
            (&[("url", "hunter2")], "`url`"),
            (&[("url", "mongodb://hunter2")], "`url`"),
            (&[("backend", "nats"), ("url", "redis://h")], "`backend`"),
            (&[("bucket", "b"), ("colour", "hunter2")], "`colour`"),
            (&[("backend", "memory"), ("bucket", "b"), ("js_domain", "d")], "`js_domain`"),
            (&[("cluster_uri", "nats://h")], "`bucket`"),
            (&[("bucket", "hunter2.x")], "`bucket`"),
            (&[("bucket", "b"), ("database", "b")], "`bucket`"),
            (&[("bucket", "b"), ("client_jwt", "hunter2")], "`client_seed`"),
            (&[("bucket", "b"), ("client_seed", "hunter2")], "`client_jwt`"),
            (&[("bucket", "b"), ("enable_bucket_auto_create", "hunter2")], "auto_create`"),
            (&[("url", "redis://h"), ("BACKEND_RESPONSE_TIMEOUT_MS", "hunter2")], "timeout_ms`"),
            (&[("url", "redis://h"), ("BACKEND_RECONNECT_NUM_RETRIES", "hunter2")], "retries`"),
            (&[("url", "redis://h"), ("backend_reconnect_max_delay_ms", "-1")], "delay_ms`"),
            (&[("url", "redis://h"), ("WATCH", "hunter2")], "`watch`"),
            (&[("url", "redis://h"), ("DISABLE_DEFAULT_CONNECTION", "hunter2")], "connection`"),
            (&[("URL", "redis://h"), ("url", "redis://hunter2")], "twice"),
            (&[("backend", "memory"), ("ttl", "hunter2")], "`ttl`"),
            (&[("backend", "memory"), ("ttl", "0s")], "`ttl`"),
            (&[("backend", "memory"), ("page", "0")], "`page`"),
            (&[("backend", "memory"), ("history", "-1")], "`history`"),
            (&[("backend", "memory"), ("identifier", "hunter2")], "`identifier`"),
            (&[("bucket", "b"), ("backend_response_timeout_ms", "1")], "backend"),
        ];
        for (config, why) in cases {
            let error = refused(config);
            assert!(error.contains(why), "{config:?}: {error}");
        }
    }

    /// The form of an application's manifest, as far as it is ours: every link leads to a component that is there, and its settings
    /// make a plan.
    #[test]
    fn the_manifests_are_sound() {
        use yaml_rust2::{Yaml, YamlLoader};
        let manifests = [
            ("nats", include_str!("../../manifests/nats.yaml")),
            ("redis", include_str!("../../manifests/redis.yaml")),
            ("memory", include_str!("../../manifests/memory.yaml")),
        ];
        for (name, text) in manifests {
            let manifest = &YamlLoader::load_from_str(text).unwrap()[0];
            assert_eq!(manifest["apiVersion"].as_str(), Some("core.oam.dev/v1beta1"));
            assert_eq!(manifest["kind"].as_str(), Some("Application"));
            let components = manifest["spec"]["components"].as_vec().unwrap();
            let named = |name: &str| components.iter().find(|c| c["name"].as_str() == Some(name));
            let provider = named("keyvalue").unwrap();
            assert_eq!(provider["type"].as_str(), Some("capability"));
            let mut links = 0;
            for component in components {
                assert!(component["properties"]["image"].as_str().is_some());
                let traits = component["traits"].as_vec().map_or(&[][..], Vec::as_slice);
                for link in traits.iter().filter(|t| t["type"].as_str() == Some("link")) {
                    links += 1;
                    let link = &link["properties"];
                    assert!(named(link["target"]["name"].as_str().unwrap()).is_some());
                    assert_eq!(link["namespace"].as_str(), Some("wasi"));
                    assert_eq!(link["package"].as_str(), Some("keyvalue"));
                    let source = component["name"] == provider["name"];
                    let end = if source { &link["source"] } else { &link["target"] };
                    let secrets: Vec<_> = end["secrets"].as_vec().into_iter().flatten().collect();
                    let secrets: Vec<_> = secrets
                        .iter()
                        .map(|secret| (secret["name"].as_str().unwrap(), "redis://:hunter2@h"))
                        .collect();
                    let Yaml::Hash(config) = &end["config"][0]["properties"] else {
                        panic!("{name}: a link has no configuration")
                    };
                    let config: Vec<_> = config
                        .iter()
                        .map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()))
                        .collect();
                    let plan = plan(&given(&config, &secrets), &Given::default(), "c", &registry())
                        .unwrap();
                    assert!(plan.url.starts_with(name), "{name}");
                    assert_eq!(plan.watch.is_some(), source);
                    let upstream = name != "memory";
                    assert_eq!(plan.url.contains("layout=plain"), upstream, "{name}");
                    assert_eq!(plan.create == Create::Try, name == "nats");
                    assert!(plan.exposed.is_empty());
                }
            }
            assert_eq!(links, if name == "memory" { 2 } else { 1 });
        }
    }

    #[test]
    fn the_manifest_in_the_readme_is_sound() {
        let readme = include_str!("../../../README.md");
        let block = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
        let components = &yaml_rust2::YamlLoader::load_from_str(block).unwrap()[0];
        let link = &components[0]["traits"][0]["properties"];
        assert_eq!(link["target"]["name"], components[1]["name"]);
        let properties = link["target"]["config"][0]["properties"].as_hash().unwrap();
        let config: Vec<_> =
            properties.iter().map(|(k, v)| (k.as_str().unwrap(), v.as_str().unwrap())).collect();
        let plan = of(&config).unwrap();
        assert_eq!((plan.database.as_str(), plan.identifier), ("counter", Identifier::Link));
    }
}
