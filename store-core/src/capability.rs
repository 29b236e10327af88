//! What a store can do, stated before anybody tries.

use std::fmt;
use std::time::Duration;

/// Something that not every server, database or layout can do. Where a store lacks it, the call is refused with
/// [`Unsupported`](crate::ErrorKind::Unsupported): never weakened, never ignored. The conformance suite derives the features from
/// what a driver really does and compares them with what it declares, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Feature {
    /// Write only if the record is absent.
    Create,
    /// Records have revisions.
    Revisions,
    /// Conditions on a record's revision.
    IfRevision,
    /// Conditions on a record's value.
    IfValue,
    /// Metadata beside the value.
    Metadata,
    /// An expiry per record.
    Expiry,
    /// Change the expiry of a record without sending its value.
    SetExpiry,
    /// A write that keeps the expiry the record has ([`Expiry::Keep`](crate::Expiry::Keep)).
    KeepExpiry,
    /// A default expiry per database.
    DefaultExpiry,
    /// A record may outlive its database's default expiry.
    OutliveDefault,
    /// [`Consistency::Strong`](crate::Consistency::Strong) reads.
    StrongRead,
    /// Reading a past revision, and the history of a record.
    History,
    /// Keys and records in byte order of their keys.
    ByteOrder,
    /// Pages by a stateless `u64` cursor.
    ScanU64,
    /// Watching changes.
    Watch,
    /// Watching resumes after a revision.
    WatchResume,
    /// Expiry is an event for watchers.
    ExpiryEvents,
    /// All-or-nothing batches with conditions, within a table.
    AtomicBatch,
    /// Counters that are exact under any contention.
    Increment,
    /// Tables; without it only a database's root table exists.
    Tables,
    /// Several databases, managed at run time.
    Databases,
    /// Other processes see the same data.
    Shared,
}

impl Feature {
    /// All features, in the order in which tables show them.
    pub const ALL: [Self; 22] = [
        Self::Databases,
        Self::Tables,
        Self::Metadata,
        Self::Revisions,
        Self::Create,
        Self::IfRevision,
        Self::IfValue,
        Self::StrongRead,
        Self::History,
        Self::Expiry,
        Self::SetExpiry,
        Self::KeepExpiry,
        Self::DefaultExpiry,
        Self::OutliveDefault,
        Self::ByteOrder,
        Self::ScanU64,
        Self::Watch,
        Self::WatchResume,
        Self::ExpiryEvents,
        Self::AtomicBatch,
        Self::Increment,
        Self::Shared,
    ];

    /// A stable name such as `if_revision`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Revisions => "revisions",
            Self::IfRevision => "if_revision",
            Self::IfValue => "if_value",
            Self::Metadata => "metadata",
            Self::Expiry => "expiry",
            Self::SetExpiry => "set_expiry",
            Self::KeepExpiry => "keep_expiry",
            Self::DefaultExpiry => "default_expiry",
            Self::OutliveDefault => "outlive_default",
            Self::StrongRead => "strong_read",
            Self::History => "history",
            Self::ByteOrder => "byte_order",
            Self::ScanU64 => "scan_u64",
            Self::Watch => "watch",
            Self::WatchResume => "watch_resume",
            Self::ExpiryEvents => "expiry_events",
            Self::AtomicBatch => "atomic_batch",
            Self::Increment => "increment",
            Self::Tables => "tables",
            Self::Databases => "databases",
            Self::Shared => "shared",
        }
    }

    /// One line for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Create => "write only if absent",
            Self::Revisions => "a revision per record version, never reused",
            Self::IfRevision => "write and delete if the revision matches",
            Self::IfValue => "write and delete if the value matches",
            Self::Metadata => "JSON metadata beside the value",
            Self::Expiry => "expiry per record, to the millisecond",
            Self::SetExpiry => "extend or persist without sending the value",
            Self::KeepExpiry => "overwrite and keep the expiry",
            Self::DefaultExpiry => "default expiry per database",
            Self::OutliveDefault => "records that outlive the default",
            Self::StrongRead => "strong reads",
            Self::History => "history and reads of past revisions",
            Self::ByteOrder => "listing in byte order with stable cursors",
            Self::ScanU64 => "paging by a stateless u64 cursor",
            Self::Watch => "watch a key, prefix or table",
            Self::WatchResume => "resume a watch after a revision",
            Self::ExpiryEvents => "expiry as an event",
            Self::AtomicBatch => "atomic batches with conditions",
            Self::Increment => "exact counters",
            Self::Tables => "tables",
            Self::Databases => "databases managed at run time",
            Self::Shared => "shared between processes",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a store can do in one database: it depends on the driver, the server's version, the bucket and the layout.
///
/// ```
/// # use store_core::{Capability, Feature};
/// let capability = Capability::all().without(Feature::History);
/// assert!(capability.has(Feature::Create) && !capability.has(Feature::History));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capability {
    features: u32,
    /// The longest table name in bytes, where it is less than [`MAX_TABLE_LEN`](crate::MAX_TABLE_LEN).
    pub max_table_len: Option<usize>,
    /// The longest key in bytes, where it is less than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN).
    pub max_key_len: Option<usize>,
    /// The largest value in bytes.
    pub max_value_len: Option<usize>,
    /// The most operations in one atomic batch.
    pub max_atomic: Option<usize>,
    /// The shortest time to live that the store accepts.
    pub min_ttl: Option<Duration>,
    /// How late an expired record may still be seen.
    pub expiry_lateness: Duration,
    /// Where keys and tables are not any UTF-8: the rule in words.
    pub alphabet: Option<&'static str>,
}

impl Capability {
    /// No feature, no limit.
    pub const fn none() -> Self {
        Self {
            features: 0,
            max_table_len: None,
            max_key_len: None,
            max_value_len: None,
            max_atomic: None,
            min_ttl: None,
            expiry_lateness: Duration::ZERO,
            alphabet: None,
        }
    }

    /// Every feature, no limit.
    pub fn all() -> Self {
        Feature::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// With a feature.
    pub fn with(mut self, feature: Feature) -> Self {
        self.features |= 1 << feature as u32;
        self
    }

    /// Without a feature.
    pub fn without(mut self, feature: Feature) -> Self {
        self.features &= !(1 << feature as u32);
        self
    }

    /// Whether the store has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features & (1 << feature as u32) != 0
    }

    /// The features it has.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        let all = *self;
        Feature::ALL.into_iter().filter(move |&feature| all.has(feature))
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capability")
            .field("features", &self.features().map(Feature::as_str).collect::<Vec<_>>())
            .field("max_table_len", &self.max_table_len)
            .field("max_key_len", &self.max_key_len)
            .field("max_value_len", &self.max_value_len)
            .field("max_atomic", &self.max_atomic)
            .field("min_ttl", &self.min_ttl)
            .field("expiry_lateness", &self.expiry_lateness)
            .field("alphabet", &self.alphabet)
            .finish()
    }
}
