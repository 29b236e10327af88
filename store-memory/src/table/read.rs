//! Reading a table.

use compact_str::CompactString;
use store_core::{Key, ListOptions, Record, Revision, U64Page};

use super::{SHARD_BIT, SHARDS, Table, slot};
use crate::core::Moment;
use crate::shard::{Size, hash, is_expired};

/// How many records are looked up together.
const GROUP: usize = 128;

impl Table {
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
        let mut chunk = GROUP;
        loop {
            self.index.keys(&o.prefix, last.as_deref(), chunk, &mut keys);
            last = if keys.len() < chunk { None } else { keys.last().cloned() };
            if !o.suffix.is_empty() {
                keys.retain(|key| key.ends_with(&*o.suffix));
            }
            let go_on = self.find_all(&keys, |record| match record {
                Some(record) if !is_expired(record, now) => more(record),
                _ => true,
            });
            if !go_on || last.is_none() {
                return;
            }
            chunk = 1024;
        }
    }

    /// The records of several keys.
    pub(crate) fn read_many(&self, keys: &[Key<'_>]) -> Vec<Option<Record>> {
        let mut found = Vec::with_capacity(keys.len());
        let now = Moment::new(&self.core);
        self.find_all(keys, |record| {
            let alive =
                |record: &&Record| record.expires().is_none() || !is_expired(record, now.exact());
            found.push(record.filter(alive).cloned());
            true
        });
        found
    }

    /// Shows what there is at each key in turn, until told to stop; whether it was not. In groups: each locks its shards once, in
    /// the order in which a batch locks them, and looks all slots up before it looks at any record, so that the cache misses of many
    /// records overlap. A lock and a comparison between them would make each wait for the one before.
    fn find_all<K: AsRef<str>>(
        &self,
        keys: &[K],
        mut more: impl FnMut(Option<&Record>) -> bool,
    ) -> bool {
        let Some(shards) = self.shards.get() else {
            return keys.iter().all(|_| more(None));
        };
        let mut hashes = Vec::with_capacity(keys.len().min(GROUP));
        for keys in keys.chunks(GROUP) {
            hashes.clear();
            hashes.extend(keys.iter().map(|key| hash(&self.core.hasher, key.as_ref())));
            let mut wanted = hashes.iter().fold(0_u64, |wanted, hash| wanted | 1 << slot(*hash));
            let mut locked = [const { None }; SHARDS];
            while wanted != 0 {
                let slot = wanted.trailing_zeros() as usize;
                wanted &= wanted - 1;
                locked[slot] = Some(shards[slot].0.read());
            }
            let shard = |hash: u64| locked[slot(hash)].as_deref();
            let likely: Vec<Option<&Record>> =
                hashes.iter().map(|hash| shard(*hash)?.find_hash(*hash)).collect();
            for ((key, hash), likely) in keys.iter().zip(&hashes).zip(likely) {
                let key = key.as_ref().as_bytes();
                let record = match likely {
                    Some(record) if record.key_bytes() == key => Some(record),
                    // Another key with the same tag.
                    Some(_) => shard(*hash).and_then(|shard| shard.find(*hash, key)),
                    None => None,
                };
                if !more(record) {
                    return false;
                }
            }
        }
        true
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

/// A hash with the bits that choose the shard in front.
fn scan_order(hash: u64) -> u64 {
    hash.rotate_left(u64::BITS - SHARD_BIT - SHARDS.ilog2())
}
