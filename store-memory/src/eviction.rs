//! Which record goes first when a database that evicts is full: the one that was written longest ago. Reads do not count.

use std::collections::VecDeque;
use std::sync::Weak;

use parking_lot::Mutex;

use crate::database::State;
use crate::table::Table;

/// What was written when, oldest first. An entry whose record was written again or is gone is passed over.
///
/// Lock order: the queue, then a shard; so nothing is pushed under a shard's lock.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<VecDeque<Entry>>);

/// One version of a record.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) table: Weak<Table>,
    pub(crate) hash: u64,
    pub(crate) sequence: u64,
}

impl Queue {
    /// Remembers a version that was written, and makes room if the database is over its limits.
    pub(crate) fn push(&self, state: &State, written: impl IntoIterator<Item = Entry>) {
        let mut queue = self.0.lock();
        queue.extend(written);
        if queue.len() as u64 > 2 * state.records() + 64 {
            queue.retain(Entry::is_present);
        }
        while state.is_over() {
            let Some(oldest) = queue.pop_front() else {
                break;
            };
            if let Some(table) = oldest.table.upgrade() {
                table.evict(oldest.hash, oldest.sequence);
            }
        }
    }

    /// Starts over with what there is.
    pub(crate) fn rebuild(&self, state: &State, mut entries: Vec<Entry>) {
        entries.sort_unstable_by_key(|entry| entry.sequence);
        *self.0.lock() = entries.into();
        self.push(state, []);
    }
}

impl Entry {
    fn is_present(&self) -> bool {
        self.table.upgrade().is_some_and(|table| table.holds(self.hash, self.sequence))
    }
}
