//! What a table does beside the calls of its users.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use store_core::{Gone, Record, Revision, Timestamp};

use super::{Aligned, SHARDS, Table, slot};
use crate::eviction::Entry;
use crate::shard::{Shard, Size, hash};

impl Table {
    /// Has every shard tell the index what it has not told yet.
    pub(super) fn tell_index(&self) {
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
    pub(super) fn touched(&self, shard: &mut Shard, hash: u64) {
        let bit = 1 << slot(hash);
        if self.untold.load(Ordering::Relaxed) & bit == 0 {
            self.untold.fetch_or(bit, Ordering::AcqRel);
        }
        if shard.is_index_due() {
            shard.tell(&self.index, &self.core.hasher);
        }
    }

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
}
