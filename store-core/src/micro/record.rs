use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::error::{Error, Result};
use crate::record::Metadata;
use crate::typed::{self, Codec as _};

/// Go-Micro's `store.Record`.
#[derive(Clone, Default, PartialEq)]
pub struct Record {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// Anything beside the value. Numbers stay what they are, also integers that a float cannot hold.
    pub metadata: Map<String, Json>,
    /// How long it lives: on write from then on, on read what is left. Zero is for ever.
    pub expiry: Duration,
}

impl Record {
    /// A record that lives for ever.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }

    /// Go-Micro's `NewRecord`: a record whose value is this as JSON.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that JSON cannot hold.
    pub fn encode<T: Serialize + ?Sized>(key: impl Into<String>, value: &T) -> Result<Self> {
        let key = key.into();
        match typed::Json.encode(value) {
            Ok(value) => Ok(Self::new(key, value)),
            Err(error) => Err(error.with_key(key)),
        }
    }

    /// The value as what it is JSON of.
    ///
    /// # Errors
    /// `Corrupt`, naming the key, for a value that is not.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        typed::Json.decode(&self.value).map_err(|error: Error| error.with_key(&self.key))
    }

    pub(super) fn stored_metadata(&self) -> Result<Metadata> {
        if self.metadata.is_empty() {
            return Ok(Metadata::new());
        }
        Metadata::from_json(Json::Object(self.metadata.clone()))
    }
}

impl From<crate::Record> for Record {
    fn from(record: crate::Record) -> Self {
        let metadata = record.metadata().iter();
        Self {
            key: record.key().to_owned(),
            value: record.bytes(),
            metadata: metadata.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            // A record in its last moment has no time left but does not live for ever.
            expiry: record.ttl().map_or(Duration::ZERO, |left| left.max(Duration::from_millis(1))),
        }
    }
}

impl fmt::Debug for Record {
    /// Never shows the value or metadata: they do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("value_len", &self.value.len())
            .field("metadata", &self.metadata.len())
            .field("expiry", &self.expiry)
            .finish()
    }
}
