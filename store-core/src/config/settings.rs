use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::admin::DatabaseConfig;
use crate::config::{Options, StoreUrl, duration, size};
use crate::error::{Error, Result};
use crate::layer::{Layers, Limits, Prefix, Retry, Trace};

/// The configuration of a store, for any format that serde reads. A field that does not exist is an error. What is not set is left
/// to the driver, or off.
///
/// [`Debug`](fmt::Debug) shows no user, password or option value.
///
/// ```
/// # use store_core::config::Config;
/// # use std::time::Duration;
/// let config: Config = serde_json::from_str(r#"{
///     "url": "redis://localhost:6379/app",
///     "options": { "layout": "table" },
///     "timeout": "2s",
///     "retry": { "attempts": 3, "budget": "5s" },
///     "limits": { "max_value_len": "1MiB" },
///     "databases": { "sessions": { "default_ttl": "30m" } }
/// }"#).unwrap();
/// assert_eq!(config.timeout, Some(Duration::from_secs(2)));
/// assert!(serde_json::from_str::<Config>(r#"{ "tiemout": "2s" }"#).is_err());
/// ```
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where the store is. May carry [options](crate::config#common-options) of its own; what is set both there and here is an error.
    pub url: Option<String>,
    /// The database that [`Opened::handle`](crate::config::Opened::handle) is about.
    pub database: Option<String>,
    /// Options of the driver, as in the URL. Text, numbers, true and false.
    #[serde(deserialize_with = "texts")]
    pub options: BTreeMap<String, String>,
    /// The deadline of each attempt of a call.
    #[serde(with = "duration::option")]
    pub timeout: Option<Duration>,
    /// Repeated attempts.
    pub retry: Option<RetryConfig>,
    /// Whether calls are traced.
    pub trace: Option<bool>,
    /// Whether the traces show keys, which may be personal data.
    pub trace_keys: Option<bool>,
    /// Whether calls are counted and timed.
    pub metrics: Option<bool>,
    /// Whether changes are refused.
    pub read_only: Option<bool>,
    /// What all keys begin with, out of the application's sight.
    pub prefix: Option<String>,
    /// Bounds.
    pub limits: Option<LimitsConfig>,
    /// Databases to create when the store is opened, if they do not exist.
    pub databases: BTreeMap<String, DatabaseConfig>,
}

/// The configuration of [`Retry`], whose values count where none is set here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryConfig {
    /// The most attempts, the first included; at least 1.
    pub attempts: Option<u32>,
    /// The first pause.
    #[serde(with = "duration::option")]
    pub first_pause: Option<Duration>,
    /// The longest pause.
    #[serde(with = "duration::option")]
    pub most_pause: Option<Duration>,
    /// The time for all attempts.
    #[serde(with = "duration::option")]
    pub budget: Option<Duration>,
}

/// The configuration of [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// The largest value, as a size.
    #[serde(deserialize_with = "size::option::deserialize")]
    pub max_value_len: Option<u64>,
    /// The longest key, as a size.
    #[serde(deserialize_with = "size::option::deserialize")]
    pub max_key_len: Option<u64>,
    /// The most items of a batch.
    pub max_items: Option<u64>,
    /// The most items of a page.
    pub max_page: Option<u64>,
    /// The most calls at a time.
    pub max_concurrent_calls: Option<u64>,
    /// The longest that a call waits for its turn.
    #[serde(with = "duration::option")]
    pub max_wait: Option<Duration>,
    /// The most calls a second.
    pub max_calls_per_second: Option<u32>,
}

impl Config {
    /// Nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the URL of others, if there is none yet, and the driver's options with it.
    pub(super) fn or_url(&mut self, defaults: &Self) {
        if self.url.is_none() {
            self.url.clone_from(&defaults.url);
            for (name, value) in &defaults.options {
                self.options.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Takes from others what is not set.
    pub(super) fn or(mut self, defaults: Self) -> Self {
        self.or_url(&defaults);
        let mut databases = defaults.databases;
        databases.extend(self.databases);
        Self {
            url: self.url,
            database: self.database.or(defaults.database),
            options: self.options,
            timeout: self.timeout.or(defaults.timeout),
            retry: self.retry.or(defaults.retry),
            trace: self.trace.or(defaults.trace),
            trace_keys: self.trace_keys.or(defaults.trace_keys),
            metrics: self.metrics.or(defaults.metrics),
            read_only: self.read_only.or(defaults.read_only),
            prefix: self.prefix.or(defaults.prefix),
            limits: self.limits.or(defaults.limits),
            databases,
        }
    }

    /// Moves the common options of a URL into their fields.
    pub(super) fn take_common(&mut self, options: &mut Options) -> Result<()> {
        set(&mut self.database, "database", options.take_str("database"))?;
        set(&mut self.timeout, "timeout", options.take_duration("timeout")?)?;
        set(&mut self.retry, "retries", RetryConfig::take(options)?)?;
        set(&mut self.trace, "trace", options.take_bool("trace")?)?;
        set(&mut self.trace_keys, "trace_keys", options.take_bool("trace_keys")?)?;
        set(&mut self.metrics, "metrics", options.take_bool("metrics")?)?;
        set(&mut self.read_only, "read_only", options.take_bool("read_only")?)?;
        set(&mut self.prefix, "prefix", options.take_str("prefix"))?;
        set(&mut self.limits, "limits", LimitsConfig::take(options)?)
    }

    /// The layers that the fields ask for; metrics are added by whoever keeps them.
    pub(super) fn layers(&self) -> Result<Layers> {
        let mut layers = Layers::new();
        if let Some(timeout) = self.timeout {
            layers = layers.timeout(timeout);
        }
        if let Some(retry) = &self.retry {
            layers = layers.retry(retry.layer()?);
        }
        match (self.trace, self.trace_keys == Some(true)) {
            (Some(false), true) => {
                return Err(Error::config("`trace_keys` is on, but `trace` is off"));
            }
            (_, true) => layers = layers.trace_with(Trace::new().with_keys()),
            (Some(true), false) => layers = layers.trace(),
            _ => {}
        }
        if self.read_only == Some(true) {
            layers = layers.read_only();
        }
        if let Some(prefix) = &self.prefix {
            let prefix = Prefix::new(prefix)
                .map_err(|e| Error::config(format!("`prefix`: {}", e.message())))?;
            layers = layers.prefix(prefix);
        }
        if let Some(limits) = &self.limits {
            layers = layers.limits(limits.layer()?);
        }
        Ok(layers)
    }
}

/// Sets what is not set yet.
pub(super) fn set<T>(field: &mut Option<T>, name: &str, value: Option<T>) -> Result<()> {
    if value.is_some() && field.is_some() {
        return Err(Error::config(format!(
            "`{name}` is given twice: as an option and in the configuration"
        )));
    }
    if value.is_some() {
        *field = value;
    }
    Ok(())
}

impl RetryConfig {
    /// So many attempts, the first included.
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts: Some(attempts), ..Self::default() }
    }

    fn take(options: &mut Options) -> Result<Option<Self>> {
        let rule = "expected a number, 0 or more";
        let retries = options.take_u64("retries")?.map(u32::try_from).transpose();
        let retries = retries.map_err(|_| Options::malformed("retries", rule))?;
        Ok(retries.map(|retries| Self::attempts(retries.saturating_add(1))))
    }

    fn layer(&self) -> Result<Retry> {
        let defaults = Retry::new();
        let retry = match self.attempts {
            Some(0) => return Err(Error::config("`retry.attempts` must be 1 or more")),
            Some(attempts) => defaults.attempts(attempts),
            None => defaults,
        };
        let retry = match (self.first_pause, self.most_pause) {
            (Some(first), Some(most)) if first > most => {
                return Err(Error::config("`retry.first_pause` is longer than `retry.most_pause`"));
            }
            (first, most) => retry.pauses_or(first, most),
        };
        Ok(match self.budget {
            Some(budget) => retry.budget(budget),
            None => retry,
        })
    }
}

impl LimitsConfig {
    fn take(options: &mut Options) -> Result<Option<Self>> {
        let per_second = options.take_u64("max_calls_per_second")?.map(u32::try_from).transpose();
        let limits = Self {
            max_value_len: options.take_size("max_value_len")?,
            max_key_len: options.take_size("max_key_len")?,
            max_items: options.take_u64("max_items")?,
            max_page: options.take_u64("max_page")?,
            max_concurrent_calls: options.take_u64("max_concurrent_calls")?,
            max_wait: options.take_duration("max_wait")?,
            max_calls_per_second: per_second
                .map_err(|_| Options::malformed("max_calls_per_second", "too large a number"))?,
        };
        Ok((limits != Self::default()).then_some(limits))
    }

    fn layer(&self) -> Result<Limits> {
        let least = |name: &str, limit: Option<u64>| match limit {
            Some(0) => Err(Error::config(format!("`{name}` must be 1 or more"))),
            limit => Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))),
        };
        let mut limits = Limits::new();
        if let Some(bytes) = self.max_value_len {
            limits = limits.max_value_len(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(bytes) = least("max_key_len", self.max_key_len)? {
            limits = limits.max_key_len(bytes);
        }
        if let Some(items) = least("max_items", self.max_items)? {
            limits = limits.max_items(items);
        }
        if let Some(items) = least("max_page", self.max_page)? {
            limits = limits.max_page(items);
        }
        if let Some(calls) = least("max_concurrent_calls", self.max_concurrent_calls)? {
            limits = limits.max_concurrent_calls(calls);
        }
        if let Some(wait) = self.max_wait {
            limits = limits.max_wait(wait);
        }
        least("max_calls_per_second", self.max_calls_per_second.map(u64::from))?;
        if let Some(calls) = self.max_calls_per_second {
            limits = limits.max_calls_per_second(calls);
        }
        Ok(limits)
    }
}

/// Text, numbers, true and false, all as text.
fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "text, a whole number, true or false")]
    enum Given {
        Bool(bool),
        Number(i64),
        Text(String),
    }
    let texts = BTreeMap::<String, Given>::deserialize(from)?;
    let texts = texts.into_iter().map(|(name, text)| match text {
        Given::Bool(value) => (name, value.to_string()),
        Given::Number(value) => (name, value.to_string()),
        Given::Text(value) => (name, value),
    });
    Ok(texts.collect())
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(|url| url.parse::<StoreUrl>());
        let url = match &url {
            None => "none".to_owned(),
            Some(Ok(url)) => url.to_string(),
            // It may hold a password in a place where nobody can tell.
            Some(Err(_)) => "not a URL".to_owned(),
        };
        f.debug_struct("Config")
            .field("url", &format_args!("{url}"))
            .field("database", &self.database)
            .field("options", &self.options.keys())
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("trace", &self.trace)
            .field("trace_keys", &self.trace_keys)
            .field("metrics", &self.metrics)
            .field("read_only", &self.read_only)
            .field("prefix", &self.prefix)
            .field("limits", &self.limits)
            .field("databases", &self.databases.keys())
            .finish()
    }
}
