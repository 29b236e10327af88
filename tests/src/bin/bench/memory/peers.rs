//! The peers, each as somebody who knows it well would use it for the same job.
//!
//! * Hashing: foldhash with a random seed for all, as ours; the standard library's SipHash would slow a peer for nothing.
//! * Values: [`Bytes`], so that a read takes an owned value by a reference count and copies nothing, except in Go-Micro's design,
//!   which copies by definition.
//! * Records: value, version and expiry, what a store must keep of one; the version counts per record, without a shared counter.
//! * Keys: inline or shared where that helps the peer, as noted at each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use super::contestant::{
    Births, Contestant, Counts, Points, Reads, Scans, Seen, Wrong, exists, lost, touch,
};
use super::keys::RECORDS;
use crate::Result;

/// What a peer holds of a record beside its key.
#[derive(Clone)]
struct Entry {
    value: Bytes,
    version: u64,
    /// Never set in these cases, as on our side.
    expires: Option<NonZeroU64>,
}

impl Entry {
    fn new(value: &[u8]) -> Self {
        Self { value: Bytes::copy_from_slice(value), version: 1, expires: None }
    }

    #[inline]
    fn alive(&self) -> bool {
        self.expires.is_none()
    }

    /// Puts a new value in and hands the old one out, to be dropped when the lock is not held any more.
    #[inline]
    fn renew(&mut self, mut next: Self) -> Self {
        next.version = self.version + 1;
        std::mem::replace(self, next)
    }
}

/// dashmap alone: points, no order.
pub(crate) struct Dash(DashMap<Box<str>, Entry, RandomState>);

impl Contestant for Dash {
    const NAME: &'static str = "dashmap";

    fn new() -> Result<Self> {
        let map = DashMap::with_capacity_and_hasher(RECORDS, RandomState::default());
        Ok(Self(map))
    }
}

impl Reads for Dash {
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let entry = self.0.get(key).map(|held| held.value().clone());
        let entry = entry.filter(Entry::alive).ok_or_else(lost)?;
        Ok(touch(&entry.value))
    }
}

impl Points for Dash {
    async fn write<'a>(&'a self, key: &'a str, value: &'a [u8]) -> Result<()> {
        let next = Entry::new(value);
        if let Some(mut held) = self.0.get_mut(key) {
            let old = held.renew(next);
            drop(held);
            drop(old);
        } else {
            self.0.insert(key.into(), next);
        }
        Ok(())
    }
}

/// dashmap beside an ordered index of the keys, which makes it what ours is. The two share each key's bytes.
pub(crate) struct IndexedDash {
    map: DashMap<Arc<str>, Entry, RandomState>,
    index: RwLock<BTreeSet<Arc<str>>>,
}

impl Contestant for IndexedDash {
    const NAME: &'static str = "dashmap + index";

    fn new() -> Result<Self> {
        Ok(Self {
            map: DashMap::with_capacity_and_hasher(RECORDS, RandomState::default()),
            index: RwLock::default(),
        })
    }
}

impl Reads for IndexedDash {
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let entry = self.map.get(key).map(|held| held.value().clone());
        let entry = entry.filter(Entry::alive).ok_or_else(lost)?;
        Ok(touch(&entry.value))
    }
}

impl Points for IndexedDash {
    async fn write<'a>(&'a self, key: &'a str, value: &'a [u8]) -> Result<()> {
        let next = Entry::new(value);
        if let Some(mut held) = self.map.get_mut(key) {
            let old = held.renew(next);
            drop(held);
            drop(old);
        } else {
            let key: Arc<str> = key.into();
            self.map.insert(Arc::clone(&key), next);
            self.index.write().insert(key);
        }
        Ok(())
    }
}

/// moka's asynchronous cache, without a bound, so that it never evicts.
pub(crate) struct Moka(moka::future::Cache<Box<str>, Entry, RandomState>);

impl Contestant for Moka {
    const NAME: &'static str = "moka";

    fn new() -> Result<Self> {
        let cache = moka::future::Cache::builder()
            .initial_capacity(RECORDS)
            .build_with_hasher(RandomState::default());
        Ok(Self(cache))
    }
}

impl Reads for Moka {
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let entry = self.0.get(key).await.ok_or_else(lost)?;
        Ok(touch(&entry.value))
    }
}

impl Points for Moka {
    async fn write<'a>(&'a self, key: &'a str, value: &'a [u8]) -> Result<()> {
        self.0.insert(key.into(), Entry::new(value)).await;
        Ok(())
    }
}

/// Go-Micro's memory store: one lock over one hash map, keys joined to `database/table/key`, values copied in and out.
///
/// Its listing copies the whole map before it filters; this peer is spared that and goes through the map once.
pub(crate) struct GoMicro(RwLock<HashMap<String, GoRecord, RandomState>>);

#[derive(Clone)]
struct GoRecord {
    value: Vec<u8>,
    metadata: BTreeMap<String, String>,
    expires: Option<NonZeroU64>,
}

const DATABASE: &str = "bench";
const TABLE: &str = "t";

impl GoMicro {
    fn join(key: &str) -> String {
        [DATABASE, "/", TABLE, "/", key].concat()
    }
}

impl Contestant for GoMicro {
    const NAME: &'static str = "go-micro design";

    fn new() -> Result<Self> {
        let map = HashMap::with_capacity_and_hasher(RECORDS, RandomState::default());
        Ok(Self(RwLock::new(map)))
    }
}

impl Reads for GoMicro {
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let joined = Self::join(key);
        let record = self.0.read().get(&joined).cloned();
        let alive = record.filter(|record| record.expires.is_none());
        Ok(touch(&alive.ok_or_else(lost)?.value))
    }
}

impl Points for GoMicro {
    async fn write<'a>(&'a self, key: &'a str, value: &'a [u8]) -> Result<()> {
        let record = GoRecord { value: value.to_vec(), metadata: BTreeMap::new(), expires: None };
        let old = self.0.write().insert(Self::join(key), record);
        drop(old);
        Ok(())
    }
}

impl Scans for GoMicro {
    async fn scan(&self, prefix: &str, limit: usize) -> Result<Seen> {
        let joined = Self::join(prefix);
        let mut found: Vec<(String, GoRecord)> = self
            .0
            .read()
            .iter()
            .filter(|(key, record)| key.starts_with(&joined) && record.expires.is_none())
            .map(|(key, record)| (key.clone(), record.clone()))
            .collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut seen = Seen::default();
        for (_, record) in found.iter().take(limit) {
            debug_assert!(record.metadata.is_empty());
            seen.value(&record.value);
        }
        Ok(seen)
    }
}

/// One lock over an ordered map. Keys are shared, so that a scan takes them out by a reference count.
pub(crate) struct LockedTree(RwLock<BTreeMap<Arc<str>, Entry>>);

impl Contestant for LockedTree {
    const NAME: &'static str = "RwLock<BTreeMap>";

    fn new() -> Result<Self> {
        Ok(Self(RwLock::default()))
    }
}

impl Reads for LockedTree {
    async fn read<'a>(&'a self, key: &'a str) -> Result<u64> {
        let entry = self.0.read().get(key).cloned();
        let entry = entry.filter(Entry::alive).ok_or_else(lost)?;
        Ok(touch(&entry.value))
    }
}

impl Points for LockedTree {
    async fn write<'a>(&'a self, key: &'a str, value: &'a [u8]) -> Result<()> {
        let next = Entry::new(value);
        let mut map = self.0.write();
        if let Some(held) = map.get_mut(key) {
            let old = held.renew(next);
            drop(map);
            drop(old);
        } else {
            map.insert(key.into(), next);
        }
        Ok(())
    }
}

impl Births for LockedTree {
    async fn create(&self, key: &str, value: &[u8]) -> Result<()> {
        use std::collections::btree_map::Entry as Place;
        let (key, next) = (key.into(), Entry::new(value));
        match self.0.write().entry(key) {
            Place::Vacant(place) => {
                place.insert(next);
                Ok(())
            }
            Place::Occupied(_) => Err(exists()),
        }
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let old = self.0.write().remove(key);
        drop(old);
        Ok(())
    }
}

impl Scans for LockedTree {
    async fn scan(&self, prefix: &str, limit: usize) -> Result<Seen> {
        let found: Vec<(Arc<str>, Entry)> = {
            let map = self.0.read();
            map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
                .take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(_, entry)| entry.alive())
                .take(limit)
                .map(|(key, entry)| (Arc::clone(key), entry.clone()))
                .collect()
        };
        let mut seen = Seen::default();
        for (_, entry) in &found {
            seen.value(&entry.value);
        }
        Ok(seen)
    }
}

/// Counters under one standard lock. The decimal is rewritten in place, without an allocation.
pub(crate) struct LockedCounters(Mutex<HashMap<Box<str>, Counted, RandomState>>);

struct Counted {
    decimal: Vec<u8>,
    version: u64,
}

impl Contestant for LockedCounters {
    const NAME: &'static str = "Mutex<HashMap>";

    fn new() -> Result<Self> {
        Ok(Self(Mutex::default()))
    }
}

impl Counts for LockedCounters {
    async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = map.get_mut(key) else {
            let first = Counted { decimal: delta.to_string().into(), version: 1 };
            map.insert(key.into(), first);
            return Ok(delta);
        };
        let sum = std::str::from_utf8(&held.decimal)?
            .parse::<i64>()?
            .checked_add(delta)
            .ok_or(Wrong("a counter overflowed"))?;
        held.decimal.clear();
        held.decimal.extend_from_slice(itoa::Buffer::new().format(sum).as_bytes());
        held.version += 1;
        Ok(sum)
    }
}
