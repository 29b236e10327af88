//! Stores by URL.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
use store_core::{Error, Result, StoreAdmin};

use crate::config::{Config, Layout};
use crate::store::Redis;
use crate::template::Template;

/// Opens `redis://` and `rediss://` URLs: `redis://user:password@host:port/database?option=value`. A `%2Fpath%2Fto%2Fsocket` as
/// `?socket=` names a Unix socket instead of a host.
///
/// ```
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use store_core::config::Registry;
///
/// let registry = Registry::new().with(store_redis::driver());
/// let error = registry.open("redis://127.0.0.1/app?colour=red").await.unwrap_err();
/// assert!(error.message().starts_with("no option `colour`"));
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RedisDriver;

/// The driver for a [`Registry`](store_core::config::Registry).
pub fn driver() -> RedisDriver {
    RedisDriver
}

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("db", "number", "the number of the server's database; 0"),
    OptionSpec::new("layout", "table|plain", "how records lie in the server; table"),
    OptionSpec::new(
        "template",
        "text",
        "the keys of the layout plain, such as {table}{key}; {key}",
    ),
    OptionSpec::new("key_prefix", "text", "what every key of the server begins with; nothing"),
    OptionSpec::new("connect_timeout", "duration", "the longest to connect; 800ms"),
    OptionSpec::new(
        "answer_timeout",
        "duration",
        "the longest that the server may take to answer; 2s",
    ),
    OptionSpec::new("io_thread", "on/off", "a thread of its own for the connection; off"),
    OptionSpec::new("wait_replicas", "number", "replicas that must have a change; 0"),
    OptionSpec::new(
        "watch_keep",
        "duration",
        "how long changes are kept for a watch to resume; 5m",
    ),
    OptionSpec::new("auto_create", "on/off", "whether a write creates its database; on"),
    OptionSpec::new(
        "default_ttl",
        "duration",
        "the default expiry of databases that a write creates",
    ),
    OptionSpec::new(
        "tls_ca",
        "path",
        "the certificate authority to trust, a PEM file; the system's",
    ),
    OptionSpec::new("tls_cert", "path", "the client's certificate, a PEM file"),
    OptionSpec::new("tls_key", "path", "the client's key, a PEM file"),
    OptionSpec::new("socket", "path", "a Unix socket instead of host and port"),
];

#[async_trait]
impl Driver for RedisDriver {
    fn name(&self) -> &'static str {
        crate::DRIVER
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["redis", "rediss", "valkey", "valkeys"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    async fn open(&self, url: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        let config = config(url, options)?;
        options.finish()?;
        Ok(Arc::new(Redis::connect(config).await?))
    }
}

fn config(url: &StoreUrl, options: &mut Options) -> Result<Config> {
    let mut config = Config::default();
    match (url.hosts(), options.take_str("socket")) {
        ([], None) => {}
        ([], Some(path)) if path.starts_with('/') => config.server = path,
        ([host], None) => config.server = host.to_string(),
        (_, Some(_)) => return Err(Options::malformed("socket", "an absolute path, and no host")),
        _ => return Err(Error::config("a redis:// URL names one server")),
    }
    config.username = url.username().map(str::to_owned);
    config.password = url.password().map(str::to_owned);
    config.tls = matches!(url.scheme(), "rediss" | "valkeys");
    let number = |n: Option<u64>, name: &str| {
        n.map(|n| u32::try_from(n).map_err(|_| Options::malformed(name, "too large"))).transpose()
    };
    set(&mut config.db, number(options.take_u64("db")?, "db")?);
    set(&mut config.key_prefix, options.take_str("key_prefix"));
    set(&mut config.connect_timeout, options.take_duration("connect_timeout")?);
    set(&mut config.answer_timeout, options.take_duration("answer_timeout")?);
    set(&mut config.io_thread, options.take_bool("io_thread")?);
    let replicas = number(options.take_u64("wait_replicas")?, "wait_replicas")?;
    set(&mut config.wait_replicas, replicas);
    set(&mut config.watch_keep, options.take_duration("watch_keep")?);
    set(&mut config.auto_create, options.take_bool("auto_create")?);
    config.defaults.default_ttl = options.take_duration("default_ttl")?;
    let plain = options.take_enum("layout", &[("table", false), ("plain", true)])?;
    if plain == Some(true) {
        let template = options.take_str("template");
        let template = template.map_or(Ok(Template::key()), |text| text.parse())?;
        config.layout = Layout::Plain(template);
    }
    for (name, to) in [
        ("tls_ca", &mut config.tls_ca),
        ("tls_cert", &mut config.tls_cert),
        ("tls_key", &mut config.tls_key),
    ] {
        if let Some(path) = options.take_str(name) {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Options::malformed(name, "the file cannot be read").with_source(e))?;
            *to = Some(text);
        }
    }
    Ok(config)
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}
