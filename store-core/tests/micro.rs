//! Go-Micro's own tests, on the memory driver: by a clock that stands until it is moved, and in real time.

#![cfg(feature = "conformance")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use store_core::micro::conformance::{MicroCtx, cases, needs};
use store_memory::Memory;
use store_memory::testkit::ManualClock;

static NEXT: AtomicUsize = AtomicUsize::new(0);

fn database() -> String {
    format!("micro-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn report(results: &[(&str, Result<(), String>)]) {
    let failed: Vec<_> =
        results.iter().filter_map(|(id, r)| Some((id, r.as_ref().err()?))).collect();
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), results.len());
}

#[tokio::test]
async fn every_row_by_a_moved_clock() {
    let mut results = Vec::new();
    for (id, _, run) in cases() {
        let clock = ManualClock::new();
        let (sleeper, teller) = (clock.clone(), clock.clone());
        let cx = MicroCtx {
            store: Arc::new(Memory::builder().clock(clock).build()),
            database: Box::new(database),
            sleep: Box::new(move |time| {
                sleeper.advance(time);
                Box::pin(std::future::ready(()))
            }),
            now: Box::new(move || teller.system_time()),
            unit: Duration::from_secs(10),
        };
        results.push((id, run(&cx).await));
    }
    report(&results);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_in_real_time() {
    let results = cases().into_iter().map(|(id, _, run)| async move {
        let cx = MicroCtx {
            store: Arc::new(Memory::new()),
            database: Box::new(database),
            sleep: Box::new(|time| Box::pin(tokio::time::sleep(time))),
            now: Box::new(SystemTime::now),
            unit: Duration::from_millis(600),
        };
        (id, run(&cx).await)
    });
    report(&join_all(results).await);
}

#[test]
fn cases_are_told_apart() {
    let all = cases();
    let ids: HashSet<_> = all.iter().map(|(id, ..)| id).collect();
    let titles: HashSet<_> = all.iter().map(|(_, title, _)| title).collect();
    assert_eq!((ids.len(), titles.len()), (all.len(), all.len()));
    assert!(ids.iter().all(|id| id.starts_with("micro/")));
    assert!(!needs("micro/row-18-expiry").is_empty() && needs("none").is_empty());
}
