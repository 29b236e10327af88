//! Databases as a whole: their configuration and status.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// How a database is kept. What is `None` is left to the driver. A driver refuses what it cannot honour.
///
/// ```
/// # use store_core::DatabaseConfig;
/// # use std::time::Duration;
/// let config = DatabaseConfig::new().with_default_ttl(Duration::from_secs(3600)).with_history(5);
/// let text = serde_json::to_string(&config).unwrap();
/// assert_eq!(text, r#"{"default_ttl":"1h","history":5}"#);
/// assert_eq!(serde_json::from_str::<DatabaseConfig>(&text).unwrap(), config);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DatabaseConfig {
    /// How long a record lives that is written without an expiry of its own.
    #[serde(with = "crate::config::duration::option", skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<Duration>,
    /// How many versions of a record are kept, the present one included; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<u32>,
    /// The most records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_records: Option<u64>,
    /// The most bytes, as the driver counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The largest value in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_value_len: Option<u64>,
    /// What happens when `max_records` or `max_bytes` is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
    /// Where the backend keeps the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// On how many nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What only one driver knows, by its documented names; another driver refuses it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver: BTreeMap<String, String>,
}

macro_rules! with {
    ($($(#[$doc:meta])* $name:ident($field:ident: $type:ty)),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $field: $type) -> Self {
            self.$field = Some($field);
            self
        }
    )*};
}

impl DatabaseConfig {
    /// All left to the driver.
    pub fn new() -> Self {
        Self::default()
    }

    with! {
        /// Sets [`default_ttl`](Self::default_ttl).
        with_default_ttl(default_ttl: Duration),
        /// Sets [`history`](Self::history).
        with_history(history: u32),
        /// Sets [`max_records`](Self::max_records).
        with_max_records(max_records: u64),
        /// Sets [`max_bytes`](Self::max_bytes).
        with_max_bytes(max_bytes: u64),
        /// Sets [`max_value_len`](Self::max_value_len).
        with_max_value_len(max_value_len: u64),
        /// Sets [`when_full`](Self::when_full).
        with_when_full(when_full: WhenFull),
        /// Sets [`storage`](Self::storage).
        with_storage(storage: Storage),
        /// Sets [`replicas`](Self::replicas).
        with_replicas(replicas: u32),
        /// Sets [`description`](Self::description).
        with_description(description: String),
    }
}

/// What a full database does with a write that needs room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// Refuses it with [`Full`](crate::ErrorKind::Full).
    #[default]
    Refuse,
    /// Removes other records to make room; the driver's documentation says which. In memory: those that were written longest ago,
    /// in whichever table of the database; reads do not count.
    Evict,
}

/// Where a backend keeps a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Storage {
    /// In memory: gone with the process or server.
    Memory,
    /// On disk.
    File,
}

/// What a database is like now, fresh from the backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DatabaseStatus {
    /// Its name.
    pub database: String,
    /// Its configuration as the backend has it.
    pub config: DatabaseConfig,
    /// How many live records, where the backend can count them cheaply.
    pub records: Option<u64>,
    /// How many bytes it takes, as the backend counts them.
    pub bytes: Option<u64>,
    /// When it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<SystemTime>,
    /// What only this driver tells.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}

impl DatabaseStatus {
    /// For drivers: a status without figures.
    pub fn new(database: &Name, config: DatabaseConfig) -> Self {
        Self {
            database: database.to_string(),
            config,
            records: None,
            bytes: None,
            created: None,
            details: BTreeMap::new(),
        }
    }
}
