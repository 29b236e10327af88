//! Changing one record.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use store_core::options::Expires;
use store_core::{
    Condition, Counter, Deleted, Error, Expiry, Gone, Key, Put, Record, Remove, Result, Revision,
    Timestamp,
};

use super::Table;
use crate::core::Moment;
use crate::eviction::Entry;
use crate::shard::{Shard, Size, is_expired};

/// What a record costs in slots and index beside its own bytes.
const OVERHEAD: usize = 64;

/// What there is of a write before the lock is taken.
pub(super) struct Draft {
    pub(super) hash: u64,
    pub(super) record: Record,
    expires: Lifetime,
}

/// A resolved expiry.
#[derive(Clone, Copy)]
enum Lifetime {
    /// This instant, or never.
    To(Option<Timestamp>),
    /// What the record has, or this for a new one.
    Keep { or: Option<Timestamp> },
}

impl Table {
    pub(crate) fn write(&self, put: &Put<'_>) -> Result<Revision> {
        self.check_len(put.value.len())?;
        let now = &Moment::new(&self.core);
        let draft = self.draft_of(put, now)?;
        let hash = draft.hash;
        let (revision, old) = {
            let mut shard = self.shard_or_make(hash).write();
            self.exists()?;
            self.put(&mut shard, draft, &put.condition, now)?
        };
        drop(old);
        self.written([(hash, revision)]);
        Ok(revision)
    }

    pub(crate) fn delete(&self, remove: &Remove<'_>) -> Result<Deleted> {
        remove.condition.on_existing()?;
        let hash = self.hash(remove.key);
        let key = remove.key.as_str();
        let absent = || match remove.condition {
            Condition::Any => Ok(Deleted::new(Some(false))),
            _ => Err(remove.condition.conflict(false, None)),
        };
        let Some(shard) = self.shard(hash) else {
            return absent();
        };
        let mut shard = shard.write();
        let Some(record) = self.live(&mut shard, hash, key.as_bytes(), &Moment::new(&self.core))
        else {
            return absent();
        };
        remove.condition.check(Some(record))?;
        let old = self.bury(&mut shard, hash, key, Gone::Deleted);
        drop(shard);
        drop(old);
        Ok(Deleted::new(Some(true)))
    }

    pub(crate) fn set_expiry(
        &self,
        key: Key<'_>,
        expiry: Expiry,
        condition: &Condition<'_>,
    ) -> Result<Option<Revision>> {
        condition.on_existing()?;
        let now = &Moment::new(&self.core);
        if expiry == Expiry::Keep {
            return Err(Error::invalid("a change of expiry must say the new expiry"));
        }
        self.resolve(expiry, now)?;
        let hash = self.hash(key);
        let absent = || match condition {
            Condition::Any => Ok(None),
            _ => Err(condition.conflict(false, None)),
        };
        let Some(shard) = self.shard(hash) else {
            return absent();
        };
        let (revision, old) = {
            let mut shard = shard.write();
            let Some(held) = self.live(&mut shard, hash, key.as_bytes(), now) else {
                return absent();
            };
            let draft = self.draft(hash, held.to_builder().build(), expiry, now)?;
            self.put(&mut shard, draft, condition, now)?
        };
        drop(old);
        self.written([(hash, revision)]);
        Ok(Some(revision))
    }

    pub(crate) fn increment(&self, key: Key<'_>, delta: i64) -> Result<Counter> {
        let hash = self.hash(key);
        let now = &Moment::new(&self.core);
        let mut digits = itoa::Buffer::new();
        let (value, revision, old) = {
            let mut shard = self.shard_or_make(hash).write();
            self.exists()?;
            self.bury_expired(&mut shard, hash, key.as_bytes(), now);
            let keeps_history = self.state.history() > 1;
            let held = shard.find_mut(hash, key.as_bytes());
            let value = Counter::next(held.as_deref().map(Record::value), delta)?;
            let text = digits.format(value).as_bytes();
            // The common case: nobody else holds the record, and the number has as many digits as before.
            if let Some(held) = held
                && !keeps_history
                && held.overwrite(text)
            {
                let expires = held.expires();
                (value, self.feed.put(&self.core, held, expires, now.recent()), None)
            } else {
                self.check_len(text.len())?;
                let record = match shard.find(hash, key.as_bytes()) {
                    Some(held) => held.to_builder().value(text).build(),
                    None => Record::builder(key, text).build(),
                };
                let draft = self.draft(hash, record, Expiry::Keep, now)?;
                let (revision, old) = self.put(&mut shard, draft, &Condition::Any, now)?;
                (value, revision, old)
            }
        };
        drop(old);
        self.written([(hash, revision)]);
        Ok(Counter::new(value, Some(revision)))
    }

    #[inline]
    pub(super) fn draft_of(&self, put: &Put<'_>, now: &Moment<'_>) -> Result<Draft> {
        self.draft(self.hash(put.key), put.record(), put.expiry, now)
    }

    #[inline]
    fn draft(&self, hash: u64, record: Record, expiry: Expiry, now: &Moment<'_>) -> Result<Draft> {
        Ok(Draft { hash, record, expires: self.resolve(expiry, now)? })
    }

    /// An expiry as of now, without asking for the time where there is none.
    #[inline]
    fn resolve(&self, expiry: Expiry, now: &Moment<'_>) -> Result<Lifetime> {
        match (expiry, self.state.default_ttl()) {
            (Expiry::Never, _) | (Expiry::Database, None) => Ok(Lifetime::To(None)),
            (Expiry::Keep, None) => Ok(Lifetime::Keep { or: None }),
            (expiry, default) => Self::resolve_at(expiry, now.exact(), default),
        }
    }

    #[cold]
    fn resolve_at(expiry: Expiry, now: Timestamp, default: Option<Duration>) -> Result<Lifetime> {
        let at = |expiry: Expiry| match expiry.resolve(now, default)? {
            Expires::To(at) => Ok(at),
            Expires::Keep => Ok(None),
        };
        Ok(match expiry {
            Expiry::Keep => Lifetime::Keep { or: at(Expiry::Database)? },
            expiry => Lifetime::To(at(expiry)?),
        })
    }

    pub(super) fn check_len(&self, len: usize) -> Result<()> {
        let most = self.state.max_value_len();
        if len as u64 <= most {
            return Ok(());
        }
        Err(Error::too_large(format!(
            "the value has {len} bytes, the database allows {most} (max_value_len)"
        )))
    }

    /// Under a shard's lock, so that a write either comes before a delete of the database, which then removes it, or sees it.
    #[inline]
    pub(super) fn exists(&self) -> Result<()> {
        if self.state.exists() { Ok(()) } else { Err(crate::database::missing()) }
    }

    /// The live record of a key. One that has expired by `now` is buried on the way, so that its end is an event before whatever
    /// comes next.
    #[inline]
    pub(super) fn live<'s>(
        &self,
        shard: &'s mut Shard,
        hash: u64,
        key: &[u8],
        now: &Moment<'_>,
    ) -> Option<&'s Record> {
        self.bury_expired(shard, hash, key, now);
        shard.find(hash, key)
    }

    #[inline]
    fn bury_expired(&self, shard: &mut Shard, hash: u64, key: &[u8], now: &Moment<'_>) {
        if shard.has_expiries()
            && let Some(held) = shard.find(hash, key)
            && is_expired(held, now.exact())
        {
            let key = held.key().to_owned();
            self.bury(shard, hash, &key, Gone::Expired);
        }
    }

    /// Puts a draft in its place if its condition holds and there is room. Returns the new revision, and the old record for the
    /// caller to drop outside of the lock.
    #[inline]
    fn put(
        &self,
        shard: &mut Shard,
        draft: Draft,
        condition: &Condition<'_>,
        now: &Moment<'_>,
    ) -> Result<(Revision, Option<Record>)> {
        let key = draft.record.key_bytes();
        self.bury_expired(shard, draft.hash, key, now);
        if !condition.is_any() || self.state.is_bounded() {
            let held = shard.find(draft.hash, key);
            condition.check(held)?;
            if self.state.is_bounded() {
                self.state.grow(Room::of(held, &draft.record).more, Size::default())?;
            }
        }
        Ok(self.place(shard, draft, now))
    }

    /// Puts a draft in its place, for which there is room. One look-up: each is a cache miss or two.
    #[inline]
    pub(super) fn place(
        &self,
        shard: &mut Shard,
        draft: Draft,
        now: &Moment<'_>,
    ) -> (Revision, Option<Record>) {
        let Draft { hash, mut record, expires } = draft;
        let Some(held) = shard.find_mut(hash, record.key_bytes()) else {
            let (Lifetime::To(expires) | Lifetime::Keep { or: expires }) = expires;
            self.book(shard, &Room::of(None, &record));
            let revision = self.feed.put(&self.core, &mut record, expires, now.recent());
            let due = shard.insert(&self.core.hasher, hash, record);
            // The index has a key as long as the shard has its record.
            self.touched(shard, hash);
            self.set_alarm(due);
            return (revision, None);
        };
        let had = held.expires();
        let expires = match expires {
            Lifetime::To(at) => at,
            Lifetime::Keep { .. } => had,
        };
        let room = Room::of(Some(held), &record);
        let revision = self.feed.put(&self.core, &mut record, expires, now.recent());
        let old = std::mem::replace(held, record);
        self.book(shard, &room);
        if had.is_some() || expires.is_some() {
            let due = shard.move_timer(&self.core.hasher, hash, had, expires);
            self.set_alarm(due);
        }
        let keep = self.state.history();
        if keep > 1 {
            self.keep_version(shard, old, keep);
            return (revision, None);
        }
        (revision, Some(old))
    }

    fn keep_version(&self, shard: &mut Shard, old: Record, keep: usize) {
        let came = old.footprint() as u64;
        let gone = shard.keep_version(old, keep - 1);
        let went: u64 = gone.iter().map(|record| record.footprint() as u64).sum();
        shard.bytes = shard.bytes + came - went;
        if self.state.is_bounded() {
            self.state.count(Size { records: 0, bytes: came });
            shard.told.bytes += came;
            self.give_back(shard, Size { records: 0, bytes: went });
        }
    }

    #[inline]
    fn set_alarm(&self, due: Option<Timestamp>) {
        if let Some(due) = due {
            self.due.fetch_min(due.as_millis(), Ordering::Relaxed);
            self.core.alarm.set(due);
        }
    }

    /// Books what a write takes, for which there is room, and gives back what it leaves.
    #[inline]
    fn book(&self, shard: &mut Shard, room: &Room) {
        shard.bytes = shard.bytes + room.more.bytes - room.less;
        if self.state.is_bounded() {
            shard.told.records += room.more.records;
            shard.told.bytes += room.more.bytes;
            self.give_back(shard, Size { records: 0, bytes: room.less });
        }
    }

    /// Tells the totals of a bounded database that so much of what they have is gone.
    fn give_back(&self, shard: &mut Shard, gone: Size) {
        // Not more than they were told: the limit may be younger than the record.
        let known = Size {
            records: gone.records.min(shard.told.records),
            bytes: gone.bytes.min(shard.told.bytes),
        };
        shard.told.records -= known.records;
        shard.told.bytes -= known.bytes;
        self.state.shrink(known);
    }

    /// Takes a record out and tells why.
    pub(super) fn bury(
        &self,
        shard: &mut Shard,
        hash: u64,
        key: &str,
        why: Gone,
    ) -> Option<Record> {
        let record = shard.remove(hash, key)?;
        self.touched(shard, hash);
        let versions = shard.drop_versions(key).unwrap_or_default();
        let bytes: usize = versions.iter().chain([&record]).map(Record::footprint).sum();
        let gone = Size { records: 1, bytes: (bytes + OVERHEAD) as u64 };
        shard.bytes -= gone.bytes;
        if self.state.is_bounded() {
            self.give_back(shard, gone);
        }
        // Last: who has seen the event finds the record counted out.
        self.feed.gone(&self.core, key, why);
        Some(record)
    }

    /// In databases that evict: remembers what was written and makes room. Outside of any shard's lock.
    #[inline]
    pub(super) fn written(&self, written: impl IntoIterator<Item = (u64, Revision)>) {
        if self.state.evicts() {
            let entry = |(hash, revision): (u64, Revision)| Entry {
                table: Weak::clone(&self.me),
                hash,
                sequence: revision.sequence(),
            };
            self.state.queue.push(&self.state, written.into_iter().map(entry));
        }
    }
}

/// What a write takes and what it gives back.
pub(super) struct Room {
    pub(super) more: Size,
    pub(super) less: u64,
}

impl Room {
    /// What a record takes, its old versions apart.
    pub(super) fn all(record: &Record) -> Size {
        Size { records: 1, bytes: (record.footprint() + OVERHEAD) as u64 }
    }

    #[inline]
    pub(super) fn of(held: Option<&Record>, record: &Record) -> Self {
        let cost = record.footprint() as u64;
        let Some(held) = held.map(|held| held.footprint() as u64) else {
            return Self { more: Self::all(record), less: 0 };
        };
        let more = Size { records: 0, bytes: cost.saturating_sub(held) };
        Self { more, less: held.saturating_sub(cost) }
    }
}
