//! Tombstones for records whose time has come and that the server must not remove by itself.
//!
//! A record is hidden at its instant by its own header, whoever reads it. That it also becomes a tombstone matters to watchers
//! that come later, and to the bucket's size. A tombstone is conditional on the very message that it ends, so that two stores
//! that bury one record do no harm. The task lives only as long as there is something to wait for.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use store_core::{Name, Timestamp};
use tokio::sync::Notify;

use crate::shared::Shared;

/// How long after its instant a record is buried: clocks differ a little.
const LATE: Duration = Duration::from_secs(1);
/// What is remembered at most. What does not fit is buried when somebody meets it.
const MOST: usize = 100_000;
/// Tombstones under way at a time.
const WINDOW: usize = 32;

#[derive(Default)]
pub(crate) struct Reaper {
    queue: Mutex<Queue>,
    sooner: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Timestamp, Name, Box<str>, u64)>,
    runs: bool,
}

impl Reaper {
    /// Buries a record some time after its instant.
    pub(crate) fn expect(
        shared: &Arc<Shared>,
        name: &Name,
        subject: &str,
        sequence: u64,
        at: Timestamp,
    ) {
        let Some(at) = at.checked_add(LATE) else { return };
        let mut queue = shared.reaper.queue.lock();
        if queue.due.len() >= MOST || shared.is_closed() {
            return;
        }
        let is_first = queue.due.first().is_none_or(|(first, ..)| at < *first);
        queue.due.insert((at, name.clone(), subject.into(), sequence));
        if !queue.runs {
            queue.runs = true;
            tokio::spawn(run(Arc::downgrade(shared)));
        } else if is_first {
            shared.reaper.sooner.notify_one();
        }
    }
}

async fn run(shared: Weak<Shared>) {
    while let Some(store) = shared.upgrade() {
        let now = store.now();
        let (due, next) = {
            let mut queue = store.reaper.queue.lock();
            let mut due = Vec::new();
            while let Some(first) = queue.due.first()
                && first.0 <= now
                && due.len() < 1024
            {
                due.extend(queue.due.pop_first());
            }
            let next = queue.due.first().map(|(at, ..)| *at);
            if (next.is_none() && due.is_empty()) || store.is_closed() {
                queue.runs = false;
                queue.due.clear();
                return;
            }
            (due, next)
        };
        let shared = &store;
        stream::iter(due)
            .for_each_concurrent(WINDOW, |(_, name, subject, sequence)| async move {
                crate::write::bury(shared, &name, &subject, sequence).await;
            })
            .await;
        let wait = next.map_or(Duration::ZERO, |at| at.since(store.now()));
        let wait = wait.min(Duration::from_mins(1));
        let sooner = Arc::clone(&store.reaper.sooner);
        // The store may go while this waits.
        drop(store);
        let _ = tokio::time::timeout(wait, sooner.notified()).await;
    }
}
