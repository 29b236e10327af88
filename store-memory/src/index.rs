//! The keys of a table in byte order.

use std::collections::BTreeSet;
use std::ops::Bound;

use compact_str::CompactString;
use parking_lot::RwLock;

/// The ordered keys of a table. Shards tell it in batches which keys were born and which have died, and before each listing, so that
/// writers rarely meet here. Keys up to 24 bytes live in the tree's own nodes.
///
/// Lock order: a shard, then the index. A listing copies keys out and lets go before it looks at a shard.
#[derive(Debug, Default)]
pub(crate) struct Index(RwLock<BTreeSet<CompactString>>);

impl Index {
    /// Inserts the keys that are there now, and removes the others.
    pub(crate) fn change(&self, keys: impl Iterator<Item = (CompactString, bool)>) {
        let mut keys = keys.peekable();
        if keys.peek().is_none() {
            return;
        }
        let mut tree = self.0.write();
        for (key, is_there) in keys {
            if is_there {
                tree.insert(key);
            } else {
                tree.remove(&key);
            }
        }
    }

    pub(crate) fn clear(&self) {
        let keys = std::mem::take(&mut *self.0.write());
        drop(keys);
    }

    /// Up to `most` keys that begin with `prefix` and come after `after`, in order.
    pub(crate) fn keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
        keys: &mut Vec<CompactString>,
    ) {
        keys.clear();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let tree = self.0.read();
        let range = tree.range::<str, _>((from, Bound::Unbounded));
        keys.extend(range.take_while(|key| key.starts_with(prefix)).take(most).cloned());
    }
}
