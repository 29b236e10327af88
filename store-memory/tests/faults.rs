//! The faults that tests can ask for.
#![allow(clippy::unwrap_used, reason = "also in the helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::layer::{Layers, Retry};
use store_core::{ErrorKind, Event, Operation, Outcome, Store, Table};
use store_memory::Memory;
use store_memory::testkit::{Fault, Faults};

fn table(faults: &Faults, layers: Layers) -> Table {
    let memory: Arc<dyn Store> = Arc::new(Memory::new());
    layers.layer(faults.clone()).wrap(memory).database("app").unwrap().table("t").unwrap()
}

#[tokio::test]
async fn before_changes_nothing_and_after_changes_all() {
    let faults = Faults::new();
    let t = table(&faults, Layers::new());
    faults.add(Fault::before().on(Operation::Write).times(1));
    let error = t.write("a", "1").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::NotApplied));
    assert!(!t.exists("a").await.unwrap());
    faults.add(Fault::after().on(Operation::WriteMany).kind(ErrorKind::Unavailable));
    let answers = t.write_many([("a", "1"), ("b", "2")]).await;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
    }
    assert_eq!(t.list().await.unwrap(), ["a", "b"]);
    faults.add(Fault::after().on(Operation::Read));
    assert_eq!(t.read("a").await.unwrap_err().outcome(), Outcome::NotApplied);
    assert_eq!(faults.count(), 3);
    faults.clear();
    assert!(t.read("a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_fault_picks_its_calls() {
    let faults = Faults::new();
    let t = table(&faults, Layers::new());
    faults.add(Fault::before().key("k").nth(2));
    let mut fine = Vec::new();
    for key in ["k", "other", "k", "k", "other"] {
        fine.push(t.exists(key).await.is_ok());
    }
    assert_eq!(fine, [true, true, false, true, true]);
}

#[tokio::test]
async fn chance_follows_the_seed() {
    let run = async |seed| {
        let faults = Faults::seeded(seed);
        let t = table(&faults, Layers::new());
        faults.add(Fault::before().chance(0.25));
        let mut failed = Vec::new();
        for _ in 0..400 {
            failed.push(t.exists("k").await.is_err());
        }
        failed
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    let failed = first.into_iter().filter(|failed| *failed).count();
    assert!((60..140).contains(&failed), "{failed} of 400");
}

#[tokio::test(start_paused = true)]
async fn delays_and_hangs_take_time() {
    let faults = Faults::new();
    let t = table(&faults, Layers::new());
    faults.add(Fault::delay(Duration::from_secs(3)).times(1)).add(Fault::hang());
    let began = tokio::time::Instant::now();
    assert!(!t.exists("k").await.unwrap());
    assert_eq!(began.elapsed().as_secs(), 3);
    let hanging = tokio::time::timeout(Duration::from_hours(1), async { t.write("k", "v").await });
    assert!(hanging.await.is_err());

    let faults = Faults::new();
    faults.add(Fault::hang().times(2));
    let layers = Layers::new().timeout(Duration::from_secs(1)).retry(Retry::new());
    let t = table(&faults, layers);
    t.write("k", "v").await.unwrap();
    assert_eq!(faults.count(), 2, "a timeout and a retry get over it");
}

#[tokio::test]
async fn a_cut_watch_ends_with_an_error_and_a_new_one_works() {
    let faults = Faults::new();
    let t = table(&faults, Layers::new());
    let mut events = t.watch().await.unwrap();
    assert!(matches!(events.next().await.unwrap().unwrap(), Event::Synced { .. }));
    let (cut, ()) = tokio::join!(events.next(), async {
        tokio::task::yield_now().await;
        faults.cut_watches();
    });
    assert_eq!(cut.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(events.next().await.is_none());
    let mut events = t.watch().changes_only().await.unwrap();
    t.write("k", "v").await.unwrap();
    drop(faults);
    assert_eq!(events.next().await.unwrap().unwrap().key(), Some("k"));
    t.store().close().await.unwrap();
    let rest: Vec<_> = events.collect().await;
    assert_eq!(rest.len(), 1, "a watch that nobody cut ends as it does without the layer");
    assert_eq!(rest[0].as_ref().unwrap_err().kind(), ErrorKind::Closed);
}
