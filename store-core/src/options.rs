//! What a call asks for, and what it gets.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::name::Key;
use crate::record::{Metadata, Record, Value};
use crate::revision::Revision;
use crate::time::Timestamp;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// The driver's default: at least read-your-writes within one handle.
    #[default]
    Driver,
    /// As of the leader or primary: writer and reader on different nodes agree.
    Strong,
    /// Any replica may answer.
    Eventual,
}

/// Options of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// The version to read, where the database keeps a history; `None` is the present one.
    pub revision: Option<Revision>,
}

impl ReadOptions {
    /// With this freshness.
    pub fn with_consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// A past version.
    pub fn with_revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }
}

/// When a record expires. A write sets exactly what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expiry {
    /// The database's default; without one, never.
    #[default]
    Database,
    /// Never, also where the database has a default.
    Never,
    /// So long from now, rounded up to the driver's granularity. Zero is an error.
    After(Duration),
    /// At this instant. A past one is an error.
    At(SystemTime),
    /// As the record has it now; like [`Database`](Self::Database) where there is no record.
    Keep,
}

impl Expiry {
    /// For drivers: what to do, as of `now`, in a database with this default.
    ///
    /// # Errors
    /// `InvalidArgument` for a zero duration, a past instant, or one after the year 9999.
    pub fn resolve(self, now: Timestamp, default: Option<Duration>) -> Result<Expires> {
        let after = |duration: Duration| {
            if duration.is_zero() {
                return Err(Error::invalid("a time to live must be longer than zero"));
            }
            now.checked_add(duration)
                .map(|at| Expires::To(Some(at)))
                .ok_or_else(|| Error::invalid("the expiry lies after the year 9999"))
        };
        match self {
            Self::Never => Ok(Expires::To(None)),
            Self::Database => default.map_or(Ok(Expires::To(None)), after),
            Self::After(duration) => after(duration),
            Self::At(at) => match Timestamp::from_system(at) {
                Some(at) if at > now => Ok(Expires::To(Some(at))),
                Some(_) => Err(Error::past_expiry()),
                None if at <= now.to_system() => Err(Error::past_expiry()),
                None => Err(Error::invalid("the expiry lies after the year 9999")),
            },
            Self::Keep => Ok(Expires::Keep),
        }
    }
}

/// For drivers: a resolved [`Expiry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// This instant, or never.
    To(Option<Timestamp>),
    /// Whatever the record has.
    Keep,
}

/// What must hold for a write, a delete, a change of expiry or a batch to happen.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition<'a> {
    /// Nothing.
    #[default]
    Any,
    /// There is no such record. (An expired record is absent.)
    Absent,
    /// The record exists and has this revision.
    Revision(Revision),
    /// The record exists and has this value.
    Value(Cow<'a, [u8]>),
}

impl Condition<'_> {
    /// Whether nothing is asked.
    #[inline]
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// For drivers that have the record at hand: a [`Conflict`](crate::ErrorKind::Conflict) if the condition does not hold.
    ///
    /// # Errors
    /// `Conflict`, with the record's revision.
    #[inline]
    pub fn check(&self, current: Option<&Record>) -> Result<()> {
        let holds = match (self, current) {
            (Self::Any, _) | (Self::Absent, None) => true,
            (Self::Revision(want), Some(record)) => record.revision() == Some(*want),
            (Self::Value(want), Some(record)) => record.value() == &want[..],
            _ => false,
        };
        if holds {
            Ok(())
        } else {
            Err(self.conflict(current.is_some(), current.and_then(Record::revision)))
        }
    }

    /// For drivers: the error of a condition that did not hold.
    #[cold]
    pub fn conflict(&self, exists: bool, current: Option<Revision>) -> Error {
        let message = match (self, exists) {
            (Self::Absent, _) => "the record exists already",
            (_, false) => "the record is absent",
            (Self::Value(_), true) => "the record has another value",
            _ => "the record has another revision",
        };
        Error::conflict(message, current)
    }

    /// For drivers: a delete or a change of expiry can not ask for absence.
    ///
    /// # Errors
    /// `InvalidArgument` for [`Absent`](Self::Absent).
    #[inline]
    pub fn on_existing(&self) -> Result<()> {
        match self {
            Self::Absent => Err(Error::invalid("this cannot be conditional on an absent record")),
            _ => Ok(()),
        }
    }

    /// The same condition, free of the borrow.
    pub fn into_owned(self) -> Condition<'static> {
        match self {
            Self::Any => Condition::Any,
            Self::Absent => Condition::Absent,
            Self::Revision(revision) => Condition::Revision(revision),
            Self::Value(value) => Condition::Value(Cow::Owned(value.into_owned())),
        }
    }
}

impl fmt::Debug for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Absent => f.write_str("Absent"),
            Self::Revision(revision) => write!(f, "Revision({revision})"),
            Self::Value(value) => write!(f, "Value({} bytes)", value.len()),
        }
    }
}

/// One write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Put<'a> {
    /// The record's key.
    pub key: Key<'a>,
    /// Its new value.
    pub value: Value<'a>,
    /// Its new metadata.
    pub metadata: Metadata,
    /// Its new expiry.
    pub expiry: Expiry,
    /// What must hold.
    pub condition: Condition<'a>,
}

impl<'a> Put<'a> {
    /// An unconditional write with the database's default expiry.
    #[inline]
    pub fn new(key: Key<'a>, value: impl Into<Value<'a>>) -> Self {
        Self {
            key,
            value: value.into(),
            metadata: Metadata::new(),
            expiry: Expiry::Database,
            condition: Condition::Any,
        }
    }

    /// For drivers: the record that this writes, without revision and expiry.
    #[inline]
    pub fn record(&self) -> Record {
        Record::of(self.key, &self.value, &self.metadata)
    }

    /// With metadata.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// With an expiry.
    pub fn with_expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// With a condition.
    pub fn with_condition(mut self, condition: Condition<'a>) -> Self {
        self.condition = condition;
        self
    }
}

/// One delete.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Remove<'a> {
    /// The record's key.
    pub key: Key<'a>,
    /// What must hold: not [`Condition::Absent`].
    pub condition: Condition<'a>,
}

impl<'a> Remove<'a> {
    /// An unconditional delete.
    pub fn new(key: Key<'a>) -> Self {
        Self { key, condition: Condition::Any }
    }

    /// With a condition.
    pub fn with_condition(mut self, condition: Condition<'a>) -> Self {
        self.condition = condition;
        self
    }
}

/// One operation of an atomic batch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op<'a> {
    /// Only a condition.
    Check {
        /// The record's key.
        key: Key<'a>,
        /// What must hold.
        condition: Condition<'a>,
    },
    /// A write.
    Put(Put<'a>),
    /// A delete.
    Remove(Remove<'a>),
}

impl<'a> Op<'a> {
    /// The record it is about.
    pub fn key(&self) -> Key<'a> {
        match self {
            Self::Check { key, .. } => *key,
            Self::Put(put) => put.key,
            Self::Remove(remove) => remove.key,
        }
    }

    /// What must hold for it.
    pub fn condition(&self) -> &Condition<'a> {
        match self {
            Self::Check { condition, .. } => condition,
            Self::Put(put) => &put.condition,
            Self::Remove(remove) => &remove.condition,
        }
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The new revision; `None` in layouts without revisions.
    pub revision: Option<Revision>,
}

impl Written {
    /// For drivers.
    pub const fn new(revision: Option<Revision>) -> Self {
        Self { revision }
    }
}

/// What a delete did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// Whether there was a record; `None` where the backend does not tell without another round trip.
    pub existed: Option<bool>,
}

impl Deleted {
    /// For drivers.
    pub const fn new(existed: Option<bool>) -> Self {
        Self { existed }
    }
}

/// What an increment did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counter {
    /// The counter's new value.
    pub value: i64,
    /// The new revision; `None` in layouts without revisions.
    pub revision: Option<Revision>,
}

impl Counter {
    /// For drivers.
    pub const fn new(value: i64, revision: Option<Revision>) -> Self {
        Self { value, revision }
    }

    /// For drivers: the next value of a counter whose record holds `current`, or is absent.
    ///
    /// A counter is ASCII decimal: an optional `-` and digits, as Redis's `INCRBY` takes them: no sign `+`, no space, no leading
    /// zero.
    ///
    /// # Errors
    /// `NotACounter` when the value is no such number, `Overflow` when the sum leaves `i64`.
    pub fn next(current: Option<&[u8]>, delta: i64) -> Result<i64> {
        let held = match current {
            None => 0,
            Some(bytes) => Self::parse(bytes).ok_or_else(|| {
                Error::new(
                    crate::ErrorKind::NotACounter,
                    "the record's value is no decimal integer of 64 bits",
                )
            })?,
        };
        held.checked_add(delta).ok_or_else(|| {
            Error::new(crate::ErrorKind::Overflow, "the counter would leave the range of i64")
        })
    }

    fn parse(bytes: &[u8]) -> Option<i64> {
        let (negative, digits) = match bytes.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, bytes),
        };
        match digits {
            b"0" if !negative => return Some(0),
            [b'1'..=b'9', ..] if digits.len() <= 19 => {}
            _ => return None,
        }
        // Counted down, as the negative side reaches one further.
        let mut value = 0_i64;
        for digit in digits {
            let digit = i64::from(digit.wrapping_sub(b'0'));
            if !(0..=9).contains(&digit) {
                return None;
            }
            value = value.checked_mul(10)?.checked_sub(digit)?;
        }
        if negative { Some(value) } else { value.checked_neg() }
    }
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// By the bytes of the keys. A key present throughout a scan appears exactly once.
    #[default]
    Bytes,
    /// As the backend likes, which may be much cheaper. A key present throughout appears at least once.
    Any,
}

/// How many items a page has unless said otherwise.
pub const DEFAULT_PAGE: usize = 1000;

/// Options of one page of a listing. Filters apply first, then `offset`, then `limit`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Only keys that end with this. Prefix and suffix may overlap: the key `foo` has both `fo` and `oo`.
    pub suffix: String,
    /// Only keys after this one, in byte order; it need not exist.
    pub start_after: Option<String>,
    /// Continue here, with the same filters; then `offset` does not count.
    pub cursor: Option<Cursor>,
    /// Leave out so many first.
    pub offset: usize,
    /// The most items of this page. A page may be shorter; only a missing next cursor ends a listing. 0 = none at all.
    pub limit: usize,
    /// The order.
    pub order: Order,
    /// How fresh.
    pub consistency: Consistency,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            suffix: String::new(),
            start_after: None,
            cursor: None,
            offset: 0,
            limit: DEFAULT_PAGE,
            order: Order::Bytes,
            consistency: Consistency::Driver,
        }
    }
}

impl ListOptions {
    /// Whether a key passes the filters.
    #[inline]
    pub fn matches(&self, key: &str) -> bool {
        key.starts_with(&*self.prefix)
            && key.ends_with(&*self.suffix)
            && self.start_after.as_deref().is_none_or(|start| key > start)
    }
}

/// One page of a listing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The keys or records.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<Cursor>,
    /// Records of this page that could not be decoded: one bad record does not fail a scan. Each error names the key.
    pub faults: Vec<Error>,
}

impl<T> Page<T> {
    /// For drivers: a page.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next, faults: Vec::new() }
    }

    /// Another kind of item in the same page.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
            faults: self.faults,
        }
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self::new(Vec::new(), None)
    }
}

/// One page of [`Store::scan_u64`](crate::Store::scan_u64). A page may be empty and still have a next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct U64Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u64>,
}

impl U64Page {
    /// For drivers: a page.
    pub fn new(keys: Vec<String>, next: Option<u64>) -> Self {
        Self { keys, next }
    }
}

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The whole table.
    #[default]
    Table,
    /// Keys that begin with this.
    Prefix(String),
    /// One key.
    Key(String),
}

impl Scope {
    /// Whether a key is watched.
    pub fn matches(&self, key: &str) -> bool {
        match self {
            Self::Table => true,
            Self::Prefix(prefix) => key.starts_with(&**prefix),
            Self::Key(one) => key == one,
        }
    }
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the present records, then [`Event::Synced`], then changes. A record that is there throughout is shown before `Synced`,
    /// however often it is written meanwhile; in which of its states is not said, a later one follows. What was
    /// shown and ends meanwhile is told as an [`Event::Delete`] before it.
    #[default]
    Snapshot,
    /// With changes made after the watch was opened.
    Changes,
    /// With changes after this revision, taken from an event, a record or a write; [`Event::Resync`] if some are no longer known.
    After(Revision),
}

/// Options of a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    /// What.
    pub scope: Scope,
    /// From where.
    pub start: Start,
}

impl WatchOptions {
    /// This scope from this start.
    pub fn new(scope: Scope, start: Start) -> Self {
        Self { scope, start }
    }
}

/// What a watch saw.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A record was written; this is its state.
    Put(Record),
    /// A record is gone.
    Delete {
        /// Its key.
        key: String,
        /// The revision of its end, where the layout has one; a watch can resume after it.
        revision: Option<Revision>,
        /// Why.
        reason: Gone,
    },
    /// The snapshot is complete, also when it is empty; or a resumed watch has caught up.
    Synced {
        /// A watch can resume after this, also when no record was seen.
        revision: Option<Revision>,
    },
    /// Continuity was lost: changes may be missing. A new snapshot follows, then [`Synced`](Self::Synced); what is not in it is
    /// gone.
    Resync,
}

impl Event {
    /// The revision to resume after.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Put(record) => record.revision(),
            Self::Delete { revision, .. } | Self::Synced { revision } => *revision,
            Self::Resync => None,
        }
    }

    /// The key it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Put(record) => Some(record.key()),
            Self::Delete { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// Why a record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gone {
    /// Deleted by a call, on its own or with its table or database.
    Deleted,
    /// Its time came.
    Expired,
    /// Removed to make room, as the database's rule says.
    Evicted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_canonical_decimals() {
        for (held, value) in [("0", 0), ("-1", -1), ("9223372036854775807", i64::MAX), ("10", 10)] {
            assert_eq!(Counter::next(Some(held.as_bytes()), 0).unwrap(), value, "{held}");
        }
        for bad in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "0x1", "١"]
        {
            let error = Counter::next(Some(bad.as_bytes()), 1).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::NotACounter, "{bad}");
        }
        assert!(Counter::next(Some(b"1"), i64::MAX).is_err());
        assert_eq!(Counter::next(None, i64::MIN).unwrap(), i64::MIN);
    }

    #[test]
    fn expiries_resolve_or_are_refused() {
        let now = Timestamp::from_millis(1_000).unwrap();
        let at = |expiry: Expiry| expiry.resolve(now, Some(Duration::from_secs(1)));
        let to = |ms| Expires::To(Timestamp::from_millis(ms));
        assert_eq!(at(Expiry::Database).unwrap(), to(2_000));
        assert_eq!(at(Expiry::Never).unwrap(), Expires::To(None));
        assert_eq!(at(Expiry::After(Duration::from_nanos(1))).unwrap(), to(1_001));
        assert_eq!(at(Expiry::At(now.to_system() + Duration::from_millis(5))).unwrap(), to(1_005));
        for bad in [
            Expiry::After(Duration::ZERO),
            Expiry::After(Duration::MAX),
            Expiry::At(now.to_system()),
            Expiry::At(SystemTime::UNIX_EPOCH - Duration::from_secs(1)),
            Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_mins(5_000_000_000)),
        ] {
            let error = at(bad).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument, "{bad:?}");
        }
    }
}
