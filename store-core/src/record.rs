//! Records: what a table holds.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrayvec::ArrayVec;
use bytes::Bytes;
use serde_json::Value as Json;
use triomphe::ThinArc;

use crate::error::{Error, Result};
use crate::name::Key;
use crate::revision::Revision;
use crate::time::{Clock, SystemClock, Timestamp};

/// The most that a record's [`Metadata`] may measure, as JSON text, in bytes.
pub const MAX_METADATA_LEN: usize = 8 * 1024;

/// A record as a store returned it: key, value, metadata, expiry, revision. Immutable, whole and cheap to clone (one pointer).
///
/// ```
/// # use store_core::{Database, Store};
/// # use std::sync::Arc;
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let users = Database::new(&store, "app")?.table("users")?;
/// users.write("ada", "lovelace").await?;
/// let record = users.read("ada").await?.expect("just written");
/// assert_eq!((record.key(), record.value()), ("ada", &b"lovelace"[..]));
/// assert_eq!(record.expires_at(), None);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Record(ThinArc<Header, u8>);

/// One allocation holds the count, this header, the key and a value up to [`INLINE_VALUE`]: one cache miss a read.
struct Header {
    /// Meaningful when `has_revision`.
    revision: Revision,
    expires: Option<Timestamp>,
    modified: Option<Timestamp>,
    key_len: u32,
    has_revision: bool,
    /// What most records do not have.
    rest: Option<Box<Rest>>,
}

impl Header {
    #[inline]
    fn plain(key_len: usize) -> Self {
        Self {
            revision: Revision::from_parts(0, 0),
            expires: None,
            modified: None,
            key_len: key_len as u32,
            has_revision: false,
            rest: None,
        }
    }
}

#[derive(Default)]
struct Rest {
    metadata: Metadata,
    /// A value too large to copy beside the key.
    value: Option<Bytes>,
}

/// Values up to this many bytes live beside their key; larger ones keep the buffer they came in.
const INLINE_VALUE: usize = 1024;
/// Keys and values up to this many bytes together are joined on the stack.
const SMALL: usize = 256;

impl Record {
    /// For drivers: starts a record.
    pub fn builder<'a>(key: Key<'a>, value: impl Into<Value<'a>>) -> RecordBuilder<'a> {
        RecordBuilder {
            key,
            value: value.into(),
            metadata: Metadata::default(),
            revision: None,
            expires: None,
            modified: None,
        }
    }

    /// Without revision and expiry. The common case, a small value without metadata, in few steps.
    #[inline]
    pub(crate) fn of(key: Key<'_>, value: &Value<'_>, metadata: &Metadata) -> Self {
        if value.len() <= INLINE_VALUE && metadata.is_empty() {
            let key = key.as_bytes();
            return RecordBuilder::join(Header::plain(key.len()), key, value);
        }
        Self::builder(key, value.clone()).metadata(metadata.clone()).build()
    }

    #[inline]
    fn header(&self) -> &Header {
        &self.0.header.header
    }

    /// The key, exactly as it was written.
    #[inline]
    pub fn key(&self) -> &str {
        // The bytes come from a `Key`, a checked `str`; the check here costs a few nanoseconds, and unsafe code is forbidden.
        std::str::from_utf8(self.key_bytes()).unwrap_or_default()
    }

    /// The bytes of the key.
    #[inline]
    pub fn key_bytes(&self) -> &[u8] {
        &self.0.slice[..self.header().key_len as usize]
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let header = self.header();
        match header.rest.as_deref() {
            Some(Rest { value: Some(value), .. }) => value,
            _ => &self.0.slice[header.key_len as usize..],
        }
    }

    /// The value as shared bytes, without copying it.
    pub fn bytes(&self) -> Bytes {
        match self.header().rest.as_deref() {
            Some(Rest { value: Some(value), .. }) => value.clone(),
            _ => Bytes::from_owner(ValueOf(self.clone())),
        }
    }

    /// The metadata; empty where none was written.
    pub fn metadata(&self) -> &Metadata {
        static NONE: Metadata = Metadata(None);
        self.header().rest.as_deref().map_or(&NONE, |rest| &rest.metadata)
    }

    /// The version; `None` in layouts without revisions.
    #[inline]
    pub fn revision(&self) -> Option<Revision> {
        self.header().has_revision.then_some(self.header().revision)
    }

    /// When the record expires; `None` = never, or unknown to the layout.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.header().expires.map(Timestamp::to_system)
    }

    /// For drivers: [`expires_at`](Self::expires_at) as a [`Timestamp`].
    #[inline]
    pub fn expires(&self) -> Option<Timestamp> {
        self.header().expires
    }

    /// How long the record still lives by the system's clock; `None` = for ever, or unknown to the layout.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_at(SystemClock.now())
    }

    /// How long the record still lives as of `now`; `None` = for ever, or unknown to the layout.
    pub fn ttl_at(&self, now: Timestamp) -> Option<Duration> {
        self.header().expires.map(|at| at.since(now))
    }

    /// When this version was written, where the backend knows.
    pub fn modified(&self) -> Option<SystemTime> {
        self.header().modified.map(Timestamp::to_system)
    }

    /// For drivers: stamps a record that nobody else holds yet, which saves a second allocation where revision and expiry
    /// are known only under a lock. `false`, and nothing is changed, when the record is shared.
    #[inline]
    pub fn stamp(
        &mut self,
        revision: Revision,
        expires: Option<Timestamp>,
        modified: Option<Timestamp>,
    ) -> bool {
        self.0.with_arc_mut(|arc| {
            let Some(inner) = triomphe::Arc::get_mut(arc) else {
                return false;
            };
            let header = inner.header_mut();
            header.revision = revision;
            header.has_revision = true;
            header.expires = expires;
            header.modified = modified;
            true
        })
    }

    /// For drivers: overwrites a value of the same length in a record that nobody else holds. `false`, and nothing is changed,
    /// when the record is shared or the length differs.
    #[inline]
    pub fn overwrite(&mut self, value: &[u8]) -> bool {
        self.0.with_arc_mut(|arc| {
            let Some(inner) = triomphe::Arc::get_mut(arc) else {
                return false;
            };
            let header = inner.header_mut();
            let key_len = header.key_len as usize;
            if header.rest.as_deref().is_some_and(|rest| rest.value.is_some()) {
                return false;
            }
            let held = &mut inner.slice_mut()[key_len..];
            if held.len() == value.len() {
                held.copy_from_slice(value);
            }
            held.len() == value.len()
        })
    }

    /// For drivers: a copy of this record to change, with key, value, metadata and all stamps.
    pub fn to_builder(&self) -> RecordBuilder<'_> {
        let header = self.header();
        RecordBuilder {
            key: Key::trusted(self.key()),
            value: match header.rest.as_deref() {
                Some(Rest { value: Some(value), .. }) => Value::Bytes(value.clone()),
                _ => Value::Slice(self.value()),
            },
            metadata: self.metadata().clone(),
            revision: self.revision(),
            expires: header.expires,
            modified: header.modified,
        }
    }

    /// How many bytes the record takes in memory.
    pub fn footprint(&self) -> usize {
        let rest = self.header().rest.as_deref().map_or(0, |rest| {
            size_of::<Rest>()
                + rest.value.as_ref().map_or(0, Bytes::len)
                + rest.metadata.footprint()
        });
        // Count and length of the shared allocation come before the header.
        2 * size_of::<usize>() + size_of::<Header>() + self.0.slice.len() + rest
    }
}

impl PartialEq for Record {
    /// Equal in everything but [`modified`](Self::modified), which is for people.
    fn eq(&self, other: &Self) -> bool {
        self.key_bytes() == other.key_bytes()
            && self.value() == other.value()
            && self.metadata() == other.metadata()
            && self.revision() == other.revision()
            && self.expires() == other.expires()
    }
}

impl fmt::Debug for Record {
    /// Never shows the value, only its length: values do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key())
            .field("value_len", &self.value().len())
            .field("metadata", &self.metadata().len())
            .field("revision", &self.revision())
            .field("expires", &self.expires())
            .finish()
    }
}

struct ValueOf(Record);

impl AsRef<[u8]> for ValueOf {
    fn as_ref(&self) -> &[u8] {
        self.0.value()
    }
}

/// For drivers: makes a [`Record`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RecordBuilder<'a> {
    key: Key<'a>,
    value: Value<'a>,
    metadata: Metadata,
    revision: Option<Revision>,
    expires: Option<Timestamp>,
    modified: Option<Timestamp>,
}

impl<'a> RecordBuilder<'a> {
    /// The key, where a layer knows the record by another.
    pub fn key(mut self, key: Key<'a>) -> Self {
        self.key = key;
        self
    }

    /// The value.
    pub fn value(mut self, value: impl Into<Value<'a>>) -> Self {
        self.value = value.into();
        self
    }

    /// The metadata.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The version.
    pub fn revision(mut self, revision: impl Into<Option<Revision>>) -> Self {
        self.revision = revision.into();
        self
    }

    /// When it expires.
    pub fn expires(mut self, expires: Option<Timestamp>) -> Self {
        self.expires = expires;
        self
    }

    /// When it was written.
    pub fn modified(mut self, modified: Option<Timestamp>) -> Self {
        self.modified = modified;
        self
    }

    /// The record, in one allocation for values that fit beside the key.
    pub fn build(self) -> Record {
        let key = self.key.as_str().as_bytes();
        let (inline, kept) = match self.value {
            Value::Bytes(bytes) if bytes.len() > INLINE_VALUE => (Bytes::new(), Some(bytes)),
            Value::Bytes(bytes) => (bytes, None),
            Value::Slice(slice) => {
                return Self::join(self.header(key.len(), None), key, slice);
            }
        };
        Self::join(Self { value: Value::Slice(&[]), ..self }.header(key.len(), kept), key, &inline)
    }

    fn header(self, key_len: usize, value: Option<Bytes>) -> Header {
        let plain = value.is_none() && self.metadata.is_empty();
        let unset = Header::plain(key_len);
        Header {
            revision: self.revision.unwrap_or(unset.revision),
            has_revision: self.revision.is_some(),
            expires: self.expires,
            modified: self.modified,
            rest: (!plain).then(|| Box::new(Rest { metadata: self.metadata, value })),
            ..unset
        }
    }

    #[inline]
    fn join(header: Header, key: &[u8], value: &[u8]) -> Record {
        let mut small = ArrayVec::<u8, SMALL>::new();
        if small.try_extend_from_slice(key).is_ok() && small.try_extend_from_slice(value).is_ok() {
            return Record(ThinArc::from_header_and_slice(header, &small));
        }
        Record(ThinArc::from_header_and_slice(header, &[key, value].concat()))
    }
}

/// The bytes of a value on their way into a store: borrowed, so that a small value is copied once, straight into place; or
/// owned, so that a large one is not copied at all.
#[derive(Clone)]
pub enum Value<'a> {
    /// Borrowed bytes.
    Slice(&'a [u8]),
    /// Owned, shared bytes.
    Bytes(Bytes),
}

impl Value<'_> {
    /// Owned bytes; copies borrowed ones.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Slice(slice) => Bytes::copy_from_slice(slice),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The same value, free of the borrow.
    pub fn into_owned(self) -> Value<'static> {
        Value::Bytes(self.into_bytes())
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Slice(slice) => slice,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

macro_rules! value_from {
    ($($from:ty => $kind:ident($value:ident) $make:expr),* $(,)?) => {$(
        impl<'a> From<$from> for Value<'a> {
            #[inline]
            fn from($value: $from) -> Self {
                Self::$kind($make)
            }
        }
    )*};
}

value_from! {
    &'a [u8] => Slice(v) v,
    &'a str => Slice(v) v.as_bytes(),
    &'a String => Slice(v) v.as_bytes(),
    &'a Vec<u8> => Slice(v) v,
    Vec<u8> => Bytes(v) v.into(),
    String => Bytes(v) v.into(),
    Box<[u8]> => Bytes(v) v.into(),
    Bytes => Bytes(v) v,
    &'a Bytes => Bytes(v) v.clone(),
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Slice(value)
    }
}

/// Named JSON values beside a record's value, Go-Micro's `Metadata`. At most [`MAX_METADATA_LEN`] bytes as JSON text. A write
/// sets them as a whole; a write without any removes them. Cheap to clone.
///
/// ```
/// # use store_core::Metadata;
/// # use serde_json::json;
/// let metadata = Metadata::new().with("owner", "ada")?.with("version", 3)?;
/// assert_eq!(metadata.get("version"), Some(&json!(3)));
/// assert_eq!(metadata.to_json(), r#"{"owner":"ada","version":3}"#);
/// assert!(Metadata::from_json(json!([1, 2])).is_err(), "not an object");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Metadata(Option<Arc<BTreeMap<String, Json>>>);

impl Metadata {
    /// None.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds or replaces one value.
    ///
    /// # Errors
    /// `TooLarge` when the whole would exceed [`MAX_METADATA_LEN`].
    pub fn with(self, name: impl Into<String>, value: impl Into<Json>) -> Result<Self> {
        let mut map = self.0.unwrap_or_default();
        Arc::make_mut(&mut map).insert(name.into(), value.into());
        Self(Some(map)).checked()
    }

    /// From a JSON object; `null` and `{}` are no metadata.
    ///
    /// # Errors
    /// `InvalidArgument` for other JSON, `TooLarge` over [`MAX_METADATA_LEN`].
    pub fn from_json(json: Json) -> Result<Self> {
        match json {
            Json::Null => Ok(Self::new()),
            Json::Object(map) if map.is_empty() => Ok(Self::new()),
            Json::Object(map) => Self(Some(Arc::new(map.into_iter().collect()))).checked(),
            _ => Err(Error::invalid("metadata must be a JSON object")),
        }
    }

    /// From JSON text, as [`to_json`](Self::to_json) makes it.
    ///
    /// # Errors
    /// `InvalidArgument` for other text, `TooLarge` over [`MAX_METADATA_LEN`].
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > 8 * MAX_METADATA_LEN {
            return Err(Self::too_large());
        }
        Self::from_json(
            serde_json::from_str(text)
                .map_err(|e| Error::invalid("metadata is not JSON").with_source(e))?,
        )
    }

    /// Compact JSON text with sorted names; `{}` when empty.
    pub fn to_json(&self) -> String {
        match &self.0 {
            None => "{}".to_owned(),
            // Serialising a map of strings to JSON values cannot fail.
            Some(map) => serde_json::to_string(&**map).unwrap_or_default(),
        }
    }

    /// One value.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.as_ref()?.get(name)
    }

    /// All values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().flat_map(|map| map.iter().map(|(name, value)| (name.as_str(), value)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn footprint(&self) -> usize {
        if self.is_empty() { 0 } else { self.to_json().len() }
    }

    fn checked(self) -> Result<Self> {
        if self.to_json().len() > MAX_METADATA_LEN { Err(Self::too_large()) } else { Ok(self) }
    }

    fn too_large() -> Error {
        Error::too_large(format!("metadata has at most {MAX_METADATA_LEN} bytes as JSON"))
    }
}

impl fmt::Debug for Metadata {
    /// Names only: values do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key<'_> {
        Key::new(text).unwrap()
    }

    #[test]
    fn values_of_every_size_and_kind_come_back() {
        for len in [0, 1, 200, 255, 256, 257, 1024, 1025, 70_000] {
            let value: Vec<u8> = (0..len).map(|i| i as u8).collect();
            for record in [
                Record::builder(key("k/é"), &value).build(),
                Record::builder(key("k/é"), value.clone()).build(),
            ] {
                assert_eq!((record.key(), record.value()), ("k/é", &value[..]));
                assert_eq!(record.bytes(), value);
                assert_eq!(record.to_builder().build(), record);
            }
        }
    }

    #[test]
    fn a_shared_record_is_never_changed() {
        let mut one = Record::builder(key("k"), "12").build();
        assert!(one.overwrite(b"34"));
        assert!(!one.overwrite(b"345"));
        let two = one.clone();
        assert!(!one.overwrite(b"56"));
        assert!(!one.stamp(Revision::from_parts(0, 1), None, None));
        assert_eq!(two.value(), b"34");
    }

    #[test]
    fn debug_shows_no_value() {
        let metadata = Metadata::new().with("name", "hidden").unwrap();
        let record = Record::builder(key("k"), "hidden").metadata(metadata).build();
        assert!(!format!("{record:?} {:?}", record.metadata()).contains("hidden"));
    }

    #[test]
    fn metadata_is_bounded() {
        assert!(Metadata::new().with("k", "x".repeat(MAX_METADATA_LEN)).is_err());
        assert!(Metadata::parse(&"[".repeat(100_000)).is_err());
        assert!(Metadata::parse(r#"{"a":9007199254740993}"#).unwrap().to_json().contains("740993"));
    }
}
