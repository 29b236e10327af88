//! A table: sharded records, their ordered keys, and every operation on them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use compact_str::CompactString;
use parking_lot::{RwLock, RwLockWriteGuard};
use store_core::options::Expires;
use store_core::{
    Condition, Counter, Deleted, Error, Expiry, Gone, Key, ListOptions, Op, Put, Record, Remove,
    Result, Revision, Timestamp, U64Page, Written,
};

use crate::core::{Core, Moment};
use crate::database::State;
use crate::eviction::Entry;
use crate::feed::Feed;
use crate::index::Index;
use crate::shard::{Shard, Size, hash, is_expired};

/// Enough that writers on many cores rarely meet; 4 KiB for a table that holds something.
const SHARDS: usize = 64;
/// The bits of a hash that choose the shard: not the lowest, which choose the slot, nor the highest, which tag it.
const SHARD_BIT: u32 = 40;
/// What a record costs in slots and index beside its own bytes.
const OVERHEAD: usize = 64;

/// Away from its neighbours, so that two cores do not share a cache line.
#[repr(align(64))]
#[derive(Default)]
struct Aligned(RwLock<Shard>);

/// The records of one (database, table).
pub(crate) struct Table {
    me: Weak<Self>,
    core: Arc<Core>,
    state: Arc<State>,
    /// Made with the first write.
    shards: OnceLock<Box<[Aligned]>>,
    index: Index,
    /// A bit for each shard that has something to tell the index.
    untold: AtomicU64,
    pub(crate) feed: Feed,
    /// In milliseconds: no record expires before.
    due: AtomicU64,
}

/// What there is of a write before the lock is taken.
struct Draft {
    hash: u64,
    record: Record,
    expires: Expires,
    /// The expiry of a new record whose write says to keep the one it has.
    default: Option<Timestamp>,
}

impl Table {
    pub(crate) fn new(core: Arc<Core>, state: Arc<State>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            core,
            state,
            shards: OnceLock::new(),
            index: Index::default(),
            untold: AtomicU64::new(0),
            feed: Feed::default(),
            due: AtomicU64::new(u64::MAX),
        })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    #[inline]
    fn hash(&self, key: Key<'_>) -> u64 {
        hash(&self.core.hasher, key.as_str())
    }

    #[inline]
    fn shard(&self, hash: u64) -> Option<&RwLock<Shard>> {
        self.shards.get().map(|shards| &shards[slot(hash)].0)
    }

    #[inline]
    fn shard_or_make(&self, hash: u64) -> &RwLock<Shard> {
        let make = || (0..SHARDS).map(|_| Aligned::default()).collect();
        &self.shards.get_or_init(make)[slot(hash)].0
    }

    fn all(&self) -> impl Iterator<Item = &RwLock<Shard>> {
        self.shards.get().into_iter().flatten().map(|shard| &shard.0)
    }

    // ------------------------------------------------------------------ reading

    /// The record itself, found without any of what surrounds a call: what the benchmarks compare a handle with.
    #[inline]
    pub(crate) fn read(&self, key: Key<'_>) -> Option<Record> {
        let hash = self.hash(key);
        let shard = self.shard(hash)?.read();
        let record = shard.find(hash, key.as_bytes())?;
        if record.expires().is_some() && is_expired(record, self.core.now()) {
            return None;
        }
        Some(record.clone())
    }

    pub(crate) fn read_version(&self, key: Key<'_>, revision: Revision) -> Option<Record> {
        self.history(key).into_iter().find(|record| record.revision() == Some(revision))
    }

    pub(crate) fn history(&self, key: Key<'_>) -> Vec<Record> {
        let hash = self.hash(key);
        let Some(shard) = self.shard(hash) else {
            return Vec::new();
        };
        let shard = shard.read();
        match shard.find(hash, key.as_bytes()) {
            Some(now) if !is_expired(now, self.core.now()) => {
                shard.versions(key.as_str()).chain([now]).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// What it holds, expired records included until they are removed.
    pub(crate) fn size(&self) -> Size {
        let mut size = Size::default();
        for shard in self.all() {
            let shard = shard.read();
            size.records += shard.len() as u64;
            size.bytes += shard.bytes;
        }
        size
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().all(|shard| shard.read().len() == 0)
    }

    /// A page: `skip` of what passes the filters are left out, then at most `limit` kept; and whether there are more.
    pub(crate) fn page(
        &self,
        o: &ListOptions,
        after: Option<&str>,
        mut skip: usize,
        limit: usize,
    ) -> (Vec<Record>, bool) {
        let mut found = Vec::with_capacity(limit.min(1024));
        let mut more = false;
        self.visit(o, after, |record| {
            if skip > 0 {
                skip -= 1;
            } else if found.len() < limit {
                found.push(record.clone());
            } else {
                more = true;
            }
            !more
        });
        (found, more)
    }

    /// Shows live records that pass the filters, in order of their keys, until told to stop. Not a snapshot: each record is as it
    /// is when its turn comes.
    fn visit(&self, o: &ListOptions, after: Option<&str>, mut more: impl FnMut(&Record) -> bool) {
        // With a cursor the start does not count.
        let mut last: Option<CompactString> = after.or(o.start_after.as_deref()).map(Into::into);
        let now = self.core.now();
        self.tell_index();
        let mut keys = Vec::new();
        let mut chunk = 128;
        loop {
            self.index.keys(&o.prefix, last.as_deref(), chunk, &mut keys);
            for key in &keys {
                if !o.suffix.is_empty() && !key.ends_with(&*o.suffix) {
                    continue;
                }
                let hash = hash(&self.core.hasher, key);
                let Some(shard) = self.shard(hash) else {
                    return;
                };
                let shard = shard.read();
                let Some(record) = shard.find(hash, key.as_bytes()) else {
                    continue;
                };
                if !is_expired(record, now) && !more(record) {
                    return;
                }
            }
            if keys.len() < chunk {
                return;
            }
            last = keys.pop();
            chunk = 1024;
        }
    }

    /// Has every shard tell the index what it has not told yet.
    fn tell_index(&self) {
        let mut untold = self.untold.load(Ordering::Acquire);
        let Some(shards) = self.shards.get() else { return };
        while untold != 0 {
            let slot = untold.trailing_zeros() as usize;
            untold &= untold - 1;
            let mut shard = shards[slot].0.write();
            shard.tell(&self.index, &self.core.hasher);
            // Under the lock: who finds the bit gone finds the keys in the index.
            self.untold.fetch_and(!(1 << slot), Ordering::AcqRel);
        }
    }

    /// A key of this shard was born or has died.
    #[inline]
    fn touched(&self, shard: &mut Shard, hash: u64) {
        let bit = 1 << slot(hash);
        if self.untold.load(Ordering::Relaxed) & bit == 0 {
            self.untold.fetch_or(bit, Ordering::AcqRel);
        }
        if shard.is_index_due() {
            shard.tell(&self.index, &self.core.hasher);
        }
    }

    /// Keys in the order of their hashes, which begins with the shard: a cursor is the next hash, so that it needs no state and no
    /// key can slip past it. Costs a walk over one shard a page.
    pub(crate) fn scan_u64(&self, cursor: u64, limit: usize) -> U64Page {
        let now = self.core.now();
        let Some(shards) = self.shards.get() else {
            return U64Page::default();
        };
        let mut page = U64Page::default();
        let mut from = cursor;
        let first = cursor >> (u64::BITS - SHARDS.ilog2());
        for shard in &shards[first as usize..] {
            let shard = shard.0.read();
            let live = shard.iter().filter(|record| !is_expired(record, now));
            let mut keys: Vec<(u64, &str)> = live
                .map(|record| (scan_order(hash(&self.core.hasher, record.key())), record.key()))
                .filter(|(at, _)| *at >= from)
                .collect();
            keys.sort_unstable();
            for (at, key) in keys {
                // Keys of one hash stay on one page: the cursor cannot stop between them.
                if page.keys.len() >= limit.max(1) && at != from {
                    page.next = Some(at);
                    return page;
                }
                page.keys.push(key.to_owned());
                from = at;
            }
        }
        page
    }

    // ------------------------------------------------------------------ writing

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
            if shard.has_expiries() {
                self.live(&mut shard, hash, key.as_bytes(), now);
            }
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

    pub(crate) fn atomic(&self, ops: &[Op<'_>]) -> Result<Vec<Written>> {
        let now = &Moment::new(&self.core);
        Self::check_ops(ops)?;
        let mut steps = Vec::with_capacity(ops.len());
        for op in ops {
            steps.push(self.step(op, now)?);
        }
        let mut slots: Vec<usize> = steps.iter().map(|step| slot(step.hash)).collect();
        slots.sort_unstable();
        slots.dedup();
        if let Some(step) = steps.first() {
            self.shard_or_make(step.hash);
        }
        let Some(shards) = self.shards.get() else {
            return Ok(Vec::new());
        };
        // All shards of the batch at once, always in the same order: no deadlock, and nobody sees half of it.
        let locked = slots.iter().map(|&at| (at, shards[at].0.write())).collect();
        let mut locked = Locked(locked);
        if steps.iter().any(|step| step.draft.is_some()) {
            self.exists()?;
        }
        let mut more = Size::default();
        for Step { hash, op, draft } in &steps {
            let current = self.live(locked.shard(*hash), *hash, op.key().as_bytes(), now);
            op.condition().check(current).map_err(|error| error.with_key(op.key()))?;
            if let Some(draft) = draft {
                let room = Room::of(current, &draft.record);
                more.records += room.more.records;
                more.bytes += room.more.bytes;
            }
        }
        // Room for all of it before any of it.
        let bounded = self.state.is_bounded();
        if bounded {
            self.state.grow(more)?;
        }
        let mut written = Vec::with_capacity(steps.len());
        let mut old = Vec::with_capacity(steps.len());
        let mut changed = Vec::new();
        for Step { hash, op, draft } in steps {
            let shard = locked.shard(hash);
            written.push(match (draft, op) {
                (Some(draft), _) => {
                    let room = Room::of(shard.find(hash, draft.record.key_bytes()), &draft.record);
                    self.take(shard, &room, bounded);
                    let (revision, before) = self.place(shard, draft, now);
                    old.extend(before);
                    changed.push((hash, revision));
                    Written::new(Some(revision))
                }
                (None, Op::Remove(remove)) => {
                    old.extend(self.bury(shard, hash, remove.key.as_str(), Gone::Deleted));
                    Written::default()
                }
                _ => Written::default(),
            });
        }
        drop(locked);
        drop(old);
        self.written(changed);
        Ok(written)
    }

    /// Prepares one operation of a batch.
    fn step<'a>(&self, op: &'a Op<'a>, now: &Moment<'_>) -> Result<Step<'a>> {
        let draft = match op {
            Op::Put(put) => {
                let draft = self.check_len(put.value.len()).and_then(|()| self.draft_of(put, now));
                Some(draft.map_err(|error| error.with_key(put.key))?)
            }
            _ => None,
        };
        Ok(Step { hash: self.hash(op.key()), op, draft })
    }

    #[inline]
    fn draft_of(&self, put: &Put<'_>, now: &Moment<'_>) -> Result<Draft> {
        let record = Record::builder(put.key, put.value.clone()).metadata(put.metadata.clone());
        self.draft(self.hash(put.key), record.build(), put.expiry, now)
    }

    fn draft(&self, hash: u64, record: Record, expiry: Expiry, now: &Moment<'_>) -> Result<Draft> {
        let expires = self.resolve(expiry, now)?;
        let default = match expires {
            Expires::Keep => match self.resolve(Expiry::Database, now)? {
                Expires::To(at) => at,
                Expires::Keep => None,
            },
            Expires::To(_) => None,
        };
        Ok(Draft { hash, record, expires, default })
    }

    /// What can be refused without looking at a record.
    fn check_ops(ops: &[Op<'_>]) -> Result<()> {
        let mut changed = std::collections::HashSet::with_capacity(ops.len());
        for op in ops {
            let blame = |error: Error| error.with_key(op.key());
            match op {
                Op::Put(_) => {}
                Op::Remove(remove) => remove.condition.on_existing().map_err(blame)?,
                _ => continue,
            }
            if !changed.insert(op.key()) {
                return Err(blame(Error::invalid("a batch may change a record once only")));
            }
        }
        Ok(())
    }

    /// An expiry as of now, without asking for the time where there is none.
    #[inline]
    fn resolve(&self, expiry: Expiry, now: &Moment<'_>) -> Result<Expires> {
        match (expiry, self.state.default_ttl()) {
            (Expiry::Never, _) | (Expiry::Database, None) => Ok(Expires::To(None)),
            (Expiry::Keep, _) => Ok(Expires::Keep),
            (_, default) => expiry.resolve(now.exact(), default),
        }
    }

    fn check_len(&self, len: usize) -> Result<()> {
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
    fn exists(&self) -> Result<()> {
        if self.state.exists() { Ok(()) } else { Err(crate::database::missing()) }
    }

    /// The live record of a key. One that has expired by `now` is buried on the way, so that its end is an event before whatever
    /// comes next.
    #[inline]
    fn live<'s>(
        &self,
        shard: &'s mut Shard,
        hash: u64,
        key: &[u8],
        now: &Moment<'_>,
    ) -> Option<&'s Record> {
        if shard.has_expiries() {
            let held = shard.find(hash, key)?;
            if is_expired(held, now.exact()) {
                let key = held.key().to_owned();
                self.bury(shard, hash, &key, Gone::Expired);
                return None;
            }
        }
        shard.find(hash, key)
    }

    /// Puts a draft in its place if its condition holds. Returns the new revision, and the old record for the caller to drop outside
    /// of the lock.
    #[inline]
    fn put(
        &self,
        shard: &mut Shard,
        draft: Draft,
        condition: &Condition<'_>,
        now: &Moment<'_>,
    ) -> Result<(Revision, Option<Record>)> {
        let current = self.live(shard, draft.hash, draft.record.key_bytes(), now);
        condition.check(current)?;
        let room = Room::of(current, &draft.record);
        let bounded = self.state.is_bounded();
        if bounded {
            self.state.grow(room.more)?;
        }
        self.take(shard, &room, bounded);
        Ok(self.place(shard, draft, now))
    }

    /// Books what a write takes, for which there is room, and gives back what it leaves.
    #[inline]
    fn take(&self, shard: &mut Shard, room: &Room, bounded: bool) {
        shard.bytes = shard.bytes + room.more.bytes - room.less;
        if bounded {
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

    /// Tells the totals all there is, for a database that gets a limit.
    pub(crate) fn count(&self) {
        for shard in self.all() {
            let mut shard = shard.write();
            let told = shard.told;
            let size = Size { records: shard.len() as u64, bytes: shard.bytes };
            self.state.shrink(told);
            self.state.count(size);
            shard.told = size;
        }
    }

    /// Puts a draft in its place, for which there is room.
    #[inline]
    fn place(
        &self,
        shard: &mut Shard,
        draft: Draft,
        now: &Moment<'_>,
    ) -> (Revision, Option<Record>) {
        let Draft { hash, mut record, expires, default } = draft;
        let expires = match expires {
            Expires::To(at) => at,
            Expires::Keep => shard.find(hash, record.key_bytes()).map_or(default, Record::expires),
        };
        let revision = self.feed.put(&self.core, &mut record, expires, now.recent());
        // The index has a key as long as the shard has its record.
        let (old, due) = shard.put(&self.core.hasher, hash, record);
        if old.is_none() {
            self.touched(shard, hash);
        }
        if let Some(due) = due {
            self.due.fetch_min(due.as_millis(), Ordering::Relaxed);
            self.core.alarm.set(due);
        }
        let keep = self.state.history();
        if keep > 1
            && let Some(old) = old
        {
            let came = old.footprint() as u64;
            let gone = shard.keep_version(old, keep - 1);
            let went: u64 = gone.iter().map(|record| record.footprint() as u64).sum();
            shard.bytes = shard.bytes + came - went;
            if self.state.is_bounded() {
                self.state.count(Size { records: 0, bytes: came });
                shard.told.bytes += came;
                self.give_back(shard, Size { records: 0, bytes: went });
            }
            return (revision, None);
        }
        (revision, old)
    }

    /// Takes a record out and tells why.
    fn bury(&self, shard: &mut Shard, hash: u64, key: &str, why: Gone) -> Option<Record> {
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
    fn written(&self, written: impl IntoIterator<Item = (u64, Revision)>) {
        if self.state.evicts() {
            let entry = |(hash, revision): (u64, Revision)| Entry {
                table: Weak::clone(&self.me),
                hash,
                sequence: revision.sequence(),
            };
            self.state.queue.push(&self.state, written.into_iter().map(entry));
        }
    }

    // ------------------------------------------------------------------ upkeep

    /// Removes the records that have expired by `now`. Returns when the next one may.
    pub(crate) fn reap(&self, now: Timestamp) -> Option<Timestamp> {
        if self.due.load(Ordering::Relaxed) > now.as_millis() {
            return Timestamp::from_millis(self.due.load(Ordering::Relaxed));
        }
        self.due.store(u64::MAX, Ordering::Relaxed);
        for shard in self.all() {
            let next = loop {
                let mut shard = shard.write();
                // In steps, so that readers and writers of the shard never wait for long.
                let keys = shard.due(&self.core.hasher, now, 256);
                if keys.is_empty() {
                    break shard.next_due();
                }
                for (hash, key) in keys {
                    self.bury(&mut shard, hash, &key, Gone::Expired);
                }
            };
            if let Some(next) = next {
                self.due.fetch_min(next.as_millis(), Ordering::Relaxed);
            }
        }
        Timestamp::from_millis(self.due.load(Ordering::Relaxed))
    }

    /// Removes everything, as one step that readers see whole.
    pub(crate) fn clear(&self) {
        let mut shards: Vec<_> = self.all().map(|shard| shard.write()).collect();
        let mut dropped = Vec::with_capacity(shards.len());
        self.index.clear();
        self.untold.store(0, Ordering::Release);
        for shard in &mut shards {
            let (records, versions) = shard.take();
            for record in &records {
                self.feed.gone(&self.core, record.key(), Gone::Deleted);
            }
            // Whether or not there is a limit now: whoever sets one later begins with nothing.
            self.state.shrink(std::mem::take(&mut shard.told));
            dropped.push((records, versions));
        }
        drop(shards);
    }

    /// Whether it holds just this version.
    pub(crate) fn holds(&self, hash: u64, sequence: u64) -> bool {
        self.shard(hash).is_some_and(|shard| shard.read().find_version(hash, sequence).is_some())
    }

    /// Removes this version to make room.
    pub(crate) fn evict(&self, hash: u64, sequence: u64) {
        let Some(shard) = self.shard(hash) else {
            return;
        };
        let mut shard = shard.write();
        let key = shard.find_version(hash, sequence).map(|record| record.key().to_owned());
        if let Some(key) = key {
            self.bury(&mut shard, hash, &key, Gone::Evicted);
        }
    }

    /// All there is, for a database that begins to evict.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |record: &Record| Entry {
            table: Weak::clone(&self.me),
            hash: hash(&self.core.hasher, record.key()),
            sequence: record.revision().map_or(0, Revision::sequence),
        };
        self.all().flat_map(|shard| shard.read().iter().map(entry).collect::<Vec<_>>()).collect()
    }

    /// Begins to keep changes for watchers.
    pub(crate) fn activate_feed(&self) {
        self.feed.activate();
        let make = || (0..SHARDS).map(|_| Aligned::default()).collect();
        for shard in self.shards.get_or_init(make) {
            // Whoever writes after this has seen that the feed is active.
            drop(shard.0.write());
        }
        self.feed.settle(&self.core);
    }

    /// The live records in scope that are newer than a sequence, in the order of their revisions.
    pub(crate) fn newer(&self, o: &ListOptions, after: u64) -> Vec<Record> {
        let mut found = Vec::new();
        self.visit(o, None, |record| {
            if record.revision().is_some_and(|r| r.sequence() > after) {
                found.push(record.clone());
            }
            true
        });
        found
    }
}

/// One operation of a batch, prepared.
struct Step<'a> {
    hash: u64,
    op: &'a Op<'a>,
    /// What a write puts there.
    draft: Option<Draft>,
}

/// The shards of a batch, all locked, by slot.
struct Locked<'a>(Vec<(usize, RwLockWriteGuard<'a, Shard>)>);

impl Locked<'_> {
    /// The shard of a hash that is in the batch.
    fn shard(&mut self, hash: u64) -> &mut Shard {
        let at = self.0.partition_point(|(at, _)| *at < slot(hash));
        &mut self.0[at].1
    }
}

/// What a write takes and what it gives back.
struct Room {
    more: Size,
    less: u64,
}

impl Room {
    #[inline]
    fn of(held: Option<&Record>, record: &Record) -> Self {
        let cost = record.footprint() as u64;
        let Some(held) = held.map(|held| held.footprint() as u64) else {
            return Self { more: Size { records: 1, bytes: cost + OVERHEAD as u64 }, less: 0 };
        };
        let more = Size { records: 0, bytes: cost.saturating_sub(held) };
        Self { more, less: held.saturating_sub(cost) }
    }
}

#[inline]
fn slot(hash: u64) -> usize {
    (hash >> SHARD_BIT) as usize % SHARDS
}

/// A hash with the bits that choose the shard in front.
fn scan_order(hash: u64) -> u64 {
    hash.rotate_left(u64::BITS - SHARD_BIT - SHARDS.ilog2())
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} records)", self.size().records)
    }
}
