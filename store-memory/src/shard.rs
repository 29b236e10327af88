//! A shard of a table: the records whose keys hash to it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use compact_str::CompactString;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use store_core::{Record, Timestamp};

use crate::index::Index;

/// What one lock guards.
#[derive(Default)]
pub(crate) struct Shard {
    records: HashTable<Record>,
    timers: Timers,
    /// Earlier versions, oldest first, of records in databases with a history.
    versions: HashMap<Box<str>, VecDeque<Record>>,
    /// Keys that were born or have died since the index was told, the first time of each as `born`.
    touched: Vec<Touched>,
    /// What the records and their versions take.
    pub(crate) bytes: u64,
    /// How much of this shard the totals of a bounded database hold.
    pub(crate) told: Size,
}

struct Touched {
    key: CompactString,
    born: bool,
}

/// Records and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// How many keys may wait for the index: few enough that to tell them all is no long pause.
const MOST_TOUCHED: usize = 256;

/// When records of a shard may expire, by hash. A record has one timer at most, unless its expiry moved earlier: a timer that fires
/// too early is set again, one whose record is gone is dropped.
#[derive(Default)]
struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, u64)>>,
    /// How many records have an expiry.
    live: usize,
}

pub(crate) fn hash(hasher: &RandomState, key: &str) -> u64 {
    hasher.hash_one(key.as_bytes())
}

pub(crate) fn is_expired(record: &Record, now: Timestamp) -> bool {
    record.expires().is_some_and(|at| at <= now)
}

impl Shard {
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<&Record> {
        self.records.find(hash, |record| record.key_bytes() == key)
    }

    /// The record in its place, to be changed or replaced there. Its key must stay the same; for another expiry its timer must be
    /// [moved](Self::move_timer).
    #[inline]
    pub(crate) fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Record> {
        self.records.find_mut(hash, |record| record.key_bytes() == key)
    }

    /// A record that may well be the one of this hash: nothing but the table's slots is looked at.
    #[inline]
    pub(crate) fn find_hash(&self, hash: u64) -> Option<&Record> {
        self.records.find(hash, |_| true)
    }

    /// Puts a record beside the others, none of which has its key. Returns its expiry if a timer was set for it.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        hasher: &RandomState,
        hash: u64,
        record: Record,
    ) -> Option<Timestamp> {
        let expires = record.expires();
        self.touched.push(Touched { key: record.key().into(), born: true });
        self.records.insert_unique(hash, record, |held| hasher.hash_one(held.key_bytes()));
        expires.and_then(|_| self.move_timer(hasher, hash, None, expires))
    }

    /// The record of a hash had this expiry and has now that one, which is returned if a timer was set for it.
    pub(crate) fn move_timer(
        &mut self,
        hasher: &RandomState,
        hash: u64,
        had: Option<Timestamp>,
        has: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let armed = self.timers.change(hash, had, has);
        self.trim_timers(hasher);
        armed
    }

    pub(crate) fn remove(&mut self, hash: u64, key: &str) -> Option<Record> {
        let entry = self.records.find_entry(hash, |held| held.key_bytes() == key.as_bytes());
        let (record, _) = entry.ok()?.remove();
        if record.expires().is_some() {
            self.timers.live -= 1;
        }
        self.touched.push(Touched { key: record.key().into(), born: false });
        Some(record)
    }

    /// Whether it is time to tell the index.
    #[inline]
    pub(crate) fn is_index_due(&self) -> bool {
        self.touched.len() >= MOST_TOUCHED
    }

    /// Tells the index which keys are there and which are not, after which it has just the keys of this shard's records. A key that
    /// came and went in between costs it nothing.
    pub(crate) fn tell(&mut self, index: &Index, hasher: &RandomState) {
        let mut touched = std::mem::take(&mut self.touched);
        // Stable: the first of each key says whether the index had it.
        touched.sort_by(|a, b| a.key.cmp(&b.key));
        touched.dedup_by(|later, first| later.key == first.key);
        touched.retain(|Touched { key, born }| {
            let lives = self.find(hash(hasher, key), key.as_bytes()).is_some();
            lives == *born
        });
        index.change(touched.drain(..).map(|Touched { key, born }| (key, born)));
        self.touched = touched;
    }

    /// Whether any record has an expiry.
    #[inline]
    pub(crate) fn has_expiries(&self) -> bool {
        self.timers.live > 0
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// The record of a hash with just this revision.
    pub(crate) fn find_version(&self, hash: u64, sequence: u64) -> Option<&Record> {
        let is = |record: &Record| record.revision().is_some_and(|r| r.sequence() == sequence);
        self.records.find(hash, is)
    }

    /// Takes everything out: the records, and their earlier versions.
    pub(crate) fn take(&mut self) -> (Vec<Record>, Vec<Record>) {
        self.timers = Timers::default();
        self.touched = Vec::new();
        self.bytes = 0;
        let versions = std::mem::take(&mut self.versions);
        let records = std::mem::take(&mut self.records).into_iter().collect();
        (records, versions.into_values().flatten().collect())
    }

    /// The next instant at which a record may expire.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.timers.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The keys of up to `most` records that have expired by `now`.
    pub(crate) fn due(
        &mut self,
        hasher: &RandomState,
        now: Timestamp,
        most: usize,
    ) -> Vec<(u64, String)> {
        let mut keys = Vec::new();
        while keys.len() < most {
            let Some(&Reverse((at, hash))) = self.timers.heap.peek() else {
                break;
            };
            if at > now {
                break;
            }
            self.timers.heap.pop();
            // Several keys may share a hash, so each is looked at.
            let same = |record: &Record| hasher.hash_one(record.key_bytes()) == hash;
            for record in self.records.iter_hash(hash).filter(|record| same(record)) {
                match record.expires() {
                    Some(at) if at <= now => keys.push((hash, record.key().to_owned())),
                    Some(at) => self.timers.heap.push(Reverse((at, hash))),
                    None => {}
                }
            }
        }
        keys
    }

    /// Deleted and overwritten records leave timers behind; when they are the most, new ones are made of what is there.
    fn trim_timers(&mut self, hasher: &RandomState) {
        if self.timers.heap.len() > 2 * self.timers.live + 64 {
            let records = self.records.iter();
            self.timers.heap = records
                .filter_map(|record| {
                    Some(Reverse((record.expires()?, hasher.hash_one(record.key_bytes()))))
                })
                .collect();
        }
    }

    /// Keeps an earlier version, at most `most` of them, and returns those that had to go.
    pub(crate) fn keep_version(&mut self, old: Record, most: usize) -> Vec<Record> {
        let versions = self.versions.entry(old.key().into()).or_default();
        versions.push_back(old);
        let over = versions.len().saturating_sub(most);
        versions.drain(..over).collect()
    }

    pub(crate) fn versions(&self, key: &str) -> impl Iterator<Item = &Record> {
        self.versions.get(key).into_iter().flatten()
    }

    pub(crate) fn drop_versions(&mut self, key: &str) -> Option<VecDeque<Record>> {
        if self.versions.is_empty() { None } else { self.versions.remove(key) }
    }
}

impl Timers {
    /// The expiry of a record changed; its new expiry, if a timer was set.
    fn change(
        &mut self,
        hash: u64,
        old: Option<Timestamp>,
        new: Option<Timestamp>,
    ) -> Option<Timestamp> {
        self.live += usize::from(new.is_some());
        self.live -= usize::from(old.is_some());
        let new = new?;
        // An earlier timer is there already and will be set again when it fires.
        if old.is_some_and(|old| old <= new) {
            return None;
        }
        self.heap.push(Reverse((new, hash)));
        Some(new)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use store_core::Key;

    use super::*;

    fn put(shard: &mut Shard, hasher: &RandomState, hash: u64, expires: Timestamp) {
        let record = Record::builder(Key::new("k").unwrap(), "v").expires(Some(expires)).build();
        if let Some(held) = shard.find_mut(hash, b"k") {
            let had = held.expires();
            *held = record;
            shard.move_timer(hasher, hash, had, Some(expires));
        } else {
            shard.insert(hasher, hash, record);
        }
    }

    /// A key that is refreshed, or deleted and created, for ever must not leave a timer behind each time.
    #[test]
    fn timers_do_not_pile_up() {
        let hasher = RandomState::default();
        let mut shard = Shard::default();
        let start = Timestamp::from_millis(1_000_000).unwrap();
        let hash = hash(&hasher, "k");
        for round in 0..10_000_u64 {
            // Ever sooner, so that each write needs a timer of its own; and now and then a delete.
            let at = start.checked_add(Duration::from_millis(20_000 - round)).unwrap();
            put(&mut shard, &hasher, hash, at);
            if round % 3 == 0 {
                shard.remove(hash, "k");
            }
        }
        assert!(shard.timers.heap.len() < 200, "{} timers", shard.timers.heap.len());
        assert_eq!(shard.timers.live, shard.len());
    }

    #[test]
    fn a_refreshed_record_is_due_at_its_new_time_only() {
        let hasher = RandomState::default();
        let mut shard = Shard::default();
        let at = |ms| Timestamp::from_millis(ms).unwrap();
        let hash = hash(&hasher, "k");
        for ms in [100, 900] {
            put(&mut shard, &hasher, hash, at(ms));
        }
        assert_eq!(shard.due(&hasher, at(500), 10), []);
        assert_eq!(shard.next_due(), Some(at(900)));
        assert_eq!(shard.due(&hasher, at(900), 10), [(hash, "k".to_owned())]);
    }
}
