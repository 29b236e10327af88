use std::sync::atomic::Ordering;

use super::{Figures, Latency, place};
use crate::call::Operation;
use crate::error::ErrorKind;

/// The figures of [`Metrics`](super::Metrics) at one moment. Only what happened is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// Calls that ended.
    pub ended: Vec<CallSnapshot>,
    /// The items of those calls; a single call has one.
    pub items: Vec<ItemSnapshot>,
    /// Hits and misses of the operations that read records.
    pub reads: Vec<ReadSnapshot>,
    /// Calls that were given up: dropped before they ended.
    pub given_up: Vec<(Operation, u64)>,
    /// Calls under way.
    pub under_way: u64,
    /// Watches that are open.
    pub open_watches: u64,
    /// Events that watches gave.
    pub watch_events: u64,
}

/// Calls of one operation that ended one way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallSnapshot {
    /// What was called.
    pub operation: Operation,
    /// `None` when all went well, else the kind of the first error.
    pub error: Option<ErrorKind>,
    /// How many, and how long they took.
    pub latency: Latency,
}

/// Items of one operation that ended one way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemSnapshot {
    /// What was called.
    pub operation: Operation,
    /// `None` when it went well.
    pub error: Option<ErrorKind>,
    /// How many.
    pub count: u64,
}

/// Hits and misses of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadSnapshot {
    /// What was called.
    pub operation: Operation,
    /// How often there was a record.
    pub hits: u64,
    /// How often there was none.
    pub misses: u64,
}

impl Snapshot {
    pub(super) fn of(figures: &Figures) -> Self {
        let mut snapshot = Self {
            under_way: figures.under_way.load(Ordering::Relaxed),
            open_watches: figures.watches.load(Ordering::Relaxed),
            watch_events: figures.events.load(Ordering::Relaxed),
            ..Self::default()
        };
        for operation in Operation::ALL {
            for error in std::iter::once(None).chain(ErrorKind::ALL.map(Some)) {
                let place = place(operation, error);
                if let Some(calls) = figures.calls.get(place).and_then(|cell| cell.get()) {
                    snapshot.ended.push(CallSnapshot { operation, error, latency: calls.read() });
                }
                match load(&figures.items, place) {
                    0 => {}
                    count => snapshot.items.push(ItemSnapshot { operation, error, count }),
                }
            }
            let of = |counters| load(counters, operation as usize);
            let (hits, misses) = (of(&figures.hits), of(&figures.misses));
            if hits + misses > 0 {
                snapshot.reads.push(ReadSnapshot { operation, hits, misses });
            }
            match of(&figures.given_up) {
                0 => {}
                count => snapshot.given_up.push((operation, count)),
            }
        }
        snapshot
    }

    /// How many calls of an operation ended, well or not.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.ended
            .iter()
            .filter(|calls| calls.operation == operation)
            .map(|calls| calls.latency.count())
            .sum()
    }

    /// How many calls failed with this kind of error.
    pub fn errors(&self, kind: ErrorKind) -> u64 {
        self.ended
            .iter()
            .filter(|calls| calls.error == Some(kind))
            .map(|calls| calls.latency.count())
            .sum()
    }

    /// How often a read found a record.
    pub fn hits(&self) -> u64 {
        self.reads.iter().map(|reads| reads.hits).sum()
    }

    /// How often a read found none.
    pub fn misses(&self) -> u64 {
        self.reads.iter().map(|reads| reads.misses).sum()
    }
}

fn load(counters: &[std::sync::atomic::AtomicU64], place: usize) -> u64 {
    counters.get(place).map_or(0, |counter| counter.load(Ordering::Relaxed))
}
