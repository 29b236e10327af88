//! Counters and latencies, without a lock and without a metrics crate.

mod histogram;
mod prometheus;
mod snapshot;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::Stream;
use futures_util::stream::StreamExt as _;

use crate::call::{Call, Operation};
use crate::error::{ErrorKind, Result};
use crate::layer::{Answer, Around, Items, Run};
use crate::options::Event;
use crate::store::EventStream;
use histogram::Histogram;
pub use histogram::{BOUNDS, Latency};
pub use snapshot::{CallSnapshot, ItemSnapshot, ReadSnapshot, Snapshot};

/// Counts calls and how long they took, by operation and by how they ended; the records they were about; hits and misses of
/// reads; open watches. Cheap to clone; clones share the figures, so keep one to read them.
///
/// Lock free. A call that was given up, its future dropped before it ended, is counted as such.
///
/// ```
/// # use std::sync::Arc;
/// # use store_core::layer::{Layers, Metrics};
/// # use store_core::{Operation, Store};
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let store: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let metrics = Metrics::new();
/// let store = Layers::new().metrics(metrics.clone()).wrap(store);
/// let table = store.database("app")?.table("t")?;
/// table.write("k", "v").await?;
/// table.read_many(&["k", "absent"]).await;
///
/// let snapshot = metrics.snapshot();
/// assert_eq!(snapshot.calls(Operation::Write), 1);
/// assert_eq!((snapshot.hits(), snapshot.misses()), (1, 1));
/// assert!(metrics.prometheus(&[("store", "main")])
///     .contains(r#"store_call_seconds_count{store="main",operation="write",outcome="ok"} 1"#));
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Metrics(Arc<Figures>);

struct Figures {
    /// By operation, then by end: what never happened takes no room.
    calls: Box<[OnceLock<Box<Histogram>>]>,
    items: Box<[AtomicU64]>,
    hits: Box<[AtomicU64]>,
    misses: Box<[AtomicU64]>,
    given_up: Box<[AtomicU64]>,
    under_way: AtomicU64,
    watches: AtomicU64,
    events: AtomicU64,
}

/// `ok` and every kind of error.
const ENDS: usize = 1 + ErrorKind::ALL.len();

impl Default for Figures {
    fn default() -> Self {
        let zeros = |n: usize| (0..n).map(|_| AtomicU64::new(0)).collect();
        let operations = Operation::ALL.len();
        Self {
            calls: (0..operations * ENDS).map(|_| OnceLock::new()).collect(),
            items: zeros(operations * ENDS),
            hits: zeros(operations),
            misses: zeros(operations),
            given_up: zeros(operations),
            under_way: AtomicU64::new(0),
            watches: AtomicU64::new(0),
            events: AtomicU64::new(0),
        }
    }
}

fn add(to: Option<&AtomicU64>, n: u64) {
    if let Some(to) = to.filter(|_| n > 0) {
        to.fetch_add(n, Ordering::Relaxed);
    }
}

/// Where an end is counted.
fn place(operation: Operation, end: Option<ErrorKind>) -> usize {
    operation as usize * ENDS + end.map_or(0, |kind| 1 + kind as usize)
}

impl Figures {
    fn ended(&self, operation: Operation, answer: &impl Answer, began: Instant) {
        let (mut fine, mut hits, mut misses, mut end) = (0, 0, 0, None);
        for each in answer.each() {
            match each {
                Ok(found) => {
                    fine += 1;
                    match found {
                        Some(true) => hits += 1,
                        Some(false) => misses += 1,
                        None => {}
                    }
                }
                Err(error) => {
                    end.get_or_insert(error.kind());
                    add(self.items.get(place(operation, Some(error.kind()))), 1);
                }
            }
        }
        add(self.items.get(place(operation, None)), fine);
        add(self.hits.get(operation as usize), hits);
        add(self.misses.get(operation as usize), misses);
        if let Some(cell) = self.calls.get(place(operation, end)) {
            cell.get_or_init(Box::default).record(began.elapsed());
        }
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// The figures as they are now. Counters that calls under way are changing may be a call apart.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.0)
    }

    /// The figures in the text format of Prometheus, each with these labels.
    pub fn prometheus(&self, labels: &[(&str, &str)]) -> String {
        prometheus::render(&self.snapshot(), labels)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Around for Metrics {
    async fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        _driver: &'static str,
        call: Call<'a>,
        mut run: R,
    ) -> T {
        let mut under_way = UnderWay::begin(&self.0, call.operation);
        let began = Instant::now();
        let answer = run.run(Items::All).await;
        self.0.ended(call.operation, &answer, began);
        under_way.ended = true;
        answer
    }

    fn events(&self, events: EventStream) -> EventStream {
        self.0.watches.fetch_add(1, Ordering::Relaxed);
        let figures = Arc::clone(&self.0);
        Watched { events, figures }.boxed()
    }
}

/// Counts a call while its future lives, and as given up if it is dropped before its end.
struct UnderWay<'a> {
    figures: &'a Figures,
    operation: Operation,
    ended: bool,
}

impl<'a> UnderWay<'a> {
    fn begin(figures: &'a Figures, operation: Operation) -> Self {
        figures.under_way.fetch_add(1, Ordering::Relaxed);
        Self { figures, operation, ended: false }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.figures.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            add(self.figures.given_up.get(self.operation as usize), 1);
        }
    }
}

/// Counts a watch while it is open.
struct Watched {
    events: EventStream,
    figures: Arc<Figures>,
}

impl Stream for Watched {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.events.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(Some(Ok(_)))) {
            self.figures.events.fetch_add(1, Ordering::Relaxed);
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.figures.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_a_place_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for operation in Operation::ALL {
            for end in std::iter::once(None).chain(ErrorKind::ALL.map(Some)) {
                let place = place(operation, end);
                assert!(place < Operation::ALL.len() * ENDS);
                assert!(seen.insert(place), "{operation} {end:?}");
            }
        }
    }
}
