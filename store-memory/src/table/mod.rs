//! A table: sharded records, their ordered keys, and every operation on them.

mod atomic;
mod read;
mod upkeep;
mod write;

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::RwLock;
use store_core::Key;

use crate::core::Core;
use crate::database::State;
use crate::feed::Feed;
use crate::index::Index;
use crate::shard::{Shard, hash};

/// Enough that writers on many cores rarely meet; 4 KiB for a table that holds something.
const SHARDS: usize = 64;
/// The bits of a hash that choose the shard: not the lowest, which choose the slot, nor the highest, which tag it.
const SHARD_BIT: u32 = 40;
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
}

#[inline]
fn slot(hash: u64) -> usize {
    (hash >> SHARD_BIT) as usize % SHARDS
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} records)", self.size().records)
    }
}
