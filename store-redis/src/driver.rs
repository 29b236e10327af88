//! Stores by URL.

use std::sync::Arc;

use async_trait::async_trait;
use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
use store_core::{Error, Result, StoreAdmin};

use crate::config::{Config, Layout};
use crate::store::Redis;
use crate::template::Template;

/// Opens `redis://` and `rediss://` URLs: `redis://user:password@host:port/database?option=value`; also
/// `redis+sentinel://host,host/database?primary=name` and `redis+cluster://host,host/database`. A `%2Fpath%2Fto%2Fsocket` as
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
    OptionSpec::new(
        "primary",
        "name",
        "the primary as the Sentinels know it; for redis+sentinel://",
    ),
    OptionSpec::new("sentinel_username", "name", "the user at the Sentinels"),
    OptionSpec::new("sentinel_password", "text", "the password at the Sentinels").secret(),
    OptionSpec::new("layout", "table|plain", "how records lie in the server; table"),
    OptionSpec::new(
        "template",
        "text",
        "the keys of the layout plain, such as {table}{key}; {key}",
    ),
    OptionSpec::new("key_prefix", "text", "what every key of the server begins with; nothing"),
    OptionSpec::new("connect_timeout", "duration", "the longest to connect; 800ms"),
    OptionSpec::new("connect_attempts", "number", "how often a call tries to connect; 1"),
    OptionSpec::new(
        "reconnect_pause",
        "duration",
        "how long nobody tries again after that failed, doubled each time within a call; 10ms",
    ),
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
        &[
            "redis",
            "rediss",
            "redis+sentinel",
            "rediss+sentinel",
            "redis+cluster",
            "rediss+cluster",
            "valkey",
            "valkeys",
            "valkey+sentinel",
            "valkeys+sentinel",
            "valkey+cluster",
            "valkeys+cluster",
        ]
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
    let (client, kind) = url.scheme().split_once('+').unwrap_or((url.scheme(), ""));
    let hosts = url.hosts().iter().map(ToString::to_string);
    let primary = options.take_str("primary");
    let mut config = match (kind, url.hosts(), options.take_str("socket")) {
        ("", [], Some(path)) if path.starts_with('/') => Config::new(path),
        (_, _, Some(_)) => {
            return Err(Options::malformed("socket", "an absolute path, and no host"));
        }
        ("cluster" | "sentinel", [], None) => {
            return Err(Error::config(
                "the URL of a cluster or of Sentinels names at least one host",
            ));
        }
        ("cluster", _, None) => Config::cluster(hosts),
        ("sentinel", _, None) => Config::sentinel(primary.as_deref().unwrap_or_default(), hosts),
        (_, [], None) => Config::default(),
        (_, [host], None) => Config::new(host.to_string()),
        _ => {
            return Err(Error::config(
                "a redis:// URL names one server; several are redis+sentinel:// or redis+cluster://",
            ));
        }
    };
    if primary.is_some() && !config.is_sentinel() {
        return Err(Options::malformed("primary", "for redis+sentinel:// alone"));
    }
    config.sentinel_username = options.take_str("sentinel_username");
    config.sentinel_password = options.take_str("sentinel_password");
    config.username = url.username().map(str::to_owned);
    config.password = url.password().map(str::to_owned);
    config.tls = matches!(client, "rediss" | "valkeys");
    let number = |n: Option<u64>, name: &str| {
        n.map(|n| u32::try_from(n).map_err(|_| Options::malformed(name, "too large"))).transpose()
    };
    set(&mut config.db, number(options.take_u64("db")?, "db")?);
    set(&mut config.key_prefix, options.take_str("key_prefix"));
    set(&mut config.connect_timeout, options.take_duration("connect_timeout")?);
    let attempts = number(options.take_u64("connect_attempts")?, "connect_attempts")?;
    set(&mut config.connect_attempts, attempts);
    set(&mut config.reconnect_pause, options.take_duration("reconnect_pause")?);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(url: &str) -> Result<Config> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut options = Options::new();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            options.insert(name, value).unwrap();
        }
        let config = config(&base.parse().unwrap(), &mut options)?;
        options.finish()?;
        config.check()?;
        Ok(config)
    }

    /// What each option says in a URL, and what it is in the configuration. Not of the same URL: some exclude each other.
    fn table() -> Vec<(&'static str, &'static str, &'static str, Config)> {
        let host = || Config::new("h:6379");
        let sentinel = || Config::sentinel("orders", ["h"]);
        let hour = store_core::DatabaseConfig::new().with_default_ttl(Duration::from_hours(1));
        let plain = |template: &str| host().with_layout(Layout::Plain(template.parse().unwrap()));
        let redis = "redis://h:6379";
        vec![
            ("primary", "redis+sentinel://h", "primary=orders", sentinel()),
            (
                "sentinel_username",
                "redis+sentinel://h",
                "primary=orders&sentinel_username=u",
                sentinel().with_sentinel_username("u"),
            ),
            (
                "sentinel_password",
                "redis+sentinel://h",
                "primary=orders&sentinel_password=p",
                sentinel().with_sentinel_password("p"),
            ),
            ("db", redis, "db=3", host().with_db(3)),
            ("layout", redis, "layout=table", host()),
            ("layout", redis, "layout=plain", plain("{key}")),
            ("template", redis, "layout=plain&template={table}{key}", plain("{table}{key}")),
            ("key_prefix", redis, "key_prefix=shop:", host().with_key_prefix("shop:")),
            (
                "connect_timeout",
                redis,
                "connect_timeout=3s",
                host().with_connect_timeout(Duration::from_secs(3)),
            ),
            ("connect_attempts", redis, "connect_attempts=7", host().with_connect_attempts(7)),
            (
                "reconnect_pause",
                redis,
                "reconnect_pause=40ms",
                host().with_reconnect_pause(Duration::from_millis(40)),
            ),
            (
                "answer_timeout",
                redis,
                "answer_timeout=5s",
                host().with_answer_timeout(Duration::from_secs(5)),
            ),
            ("io_thread", redis, "io_thread=on", host().with_io_thread(true)),
            ("wait_replicas", redis, "wait_replicas=2", host().with_wait_replicas(2)),
            ("watch_keep", redis, "watch_keep=1h", host().with_watch_keep(Duration::from_hours(1))),
            ("auto_create", redis, "auto_create=off", host().with_auto_create(false)),
            ("default_ttl", redis, "default_ttl=1h", host().with_defaults(hour)),
            ("socket", "redis://", "socket=/run/redis.sock", Config::new("/run/redis.sock")),
        ]
    }

    #[test]
    fn every_option_of_a_url_is_what_it_says() {
        for (name, base, query, expected) in table() {
            let url = format!("{base}/app?{query}");
            // Compared whole, and not as it is shown, which leaves secrets out.
            assert!(of(&url).unwrap() == expected, "{name}: {url}");
        }
        let files = ["tls_ca", "tls_cert", "tls_key"];
        for option in OPTIONS {
            let is_shown = table().iter().any(|(name, ..)| *name == option.name);
            assert!(
                is_shown || files.contains(&option.name),
                "{} is not in the table",
                option.name
            );
        }
    }

    #[test]
    fn the_rest_of_a_url_is_what_it_says() {
        let all = of("rediss://user:p%40ss@h:7000/app");
        let expected = Config::new("h:7000").with_username("user").with_password("p@ss");
        assert_eq!(all.is_ok(), cfg!(feature = "tls"));
        assert!(all.is_err() || all.is_ok_and(|all| all == expected.with_tls(true)));
        assert!(of("valkey://h:7000/app").unwrap() == Config::new("h:7000"));
        let cluster = of("redis+cluster://a:1,b:2/app").unwrap();
        assert!(cluster == Config::cluster(["a:1", "b:2"]));
        assert!(of("redis:///app").unwrap() == Config::default());
    }

    #[test]
    fn files_are_read_where_they_are_named() {
        let path = std::env::temp_dir().join(format!("store-redis-{}.pem", std::process::id()));
        std::fs::write(&path, "PEM").unwrap();
        for name in ["tls_ca", "tls_cert", "tls_key"] {
            let mut options = Options::new();
            options.insert(name, path.to_str().unwrap()).unwrap();
            let config = config(&"rediss://h/app".parse().unwrap(), &mut options).unwrap();
            let read = [&config.tls_ca, &config.tls_cert, &config.tls_key];
            assert_eq!(read.iter().filter(|text| text.as_deref() == Some("PEM")).count(), 1);
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_document_names_every_option_and_no_other() {
        let text = include_str!("../../docs/redis.md");
        let rows = text.lines().skip_while(|line| !line.starts_with("| option |")).skip(2);
        let rows = rows.take_while(|line| line.starts_with('|'));
        let cells = rows.map(|line| line.split('|').nth(1).unwrap());
        let mut named: Vec<&str> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        let mut known: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
        named.sort_unstable();
        known.sort_unstable();
        assert_eq!(named, known);
    }
}
