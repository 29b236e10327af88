use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::layer::{Layers, Metrics};
use store_core::{ErrorKind, Operation, Put, ReadOptions, WatchOptions};

use crate::recorder::When::{Before, Never};
use crate::{key, ns, wrapped};

#[tokio::test(start_paused = true)]
async fn calls_items_hits_and_ends_are_counted() {
    let metrics = Metrics::new();
    let (recorder, store) = wrapped(&Layers::new().metrics(metrics.clone()));
    let ns = ns();
    store.write(&ns, Put::new(key("a"), "1")).await.unwrap();
    store.read(&ns, key("a"), ReadOptions::default()).await.unwrap();
    store.exists(&ns, key("b")).await.unwrap();
    recorder.fail(Operation::ReadMany, "c", 1, ErrorKind::Corrupt, Before);
    store.read_many(&ns, &["a", "b", "c", "a"].map(key)).await;
    recorder.fail(Operation::Write, "w", 2, ErrorKind::Full, Before);
    for _ in 0..2 {
        store.write(&ns, Put::new(key("w"), "1")).await.unwrap_err();
    }
    recorder.fail(Operation::Ping, None, 1, ErrorKind::Timeout, Never);
    assert!(tokio::time::timeout(Duration::from_secs(1), store.ping()).await.is_err());

    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.calls(Operation::Write), 3);
    assert_eq!(snapshot.errors(ErrorKind::Full), 2);
    assert_eq!((snapshot.hits(), snapshot.misses()), (3, 2));
    assert_eq!(snapshot.errors(ErrorKind::Corrupt), 1, "the batch counts as its first error");
    let items = |error| {
        let of = |i: &&_| {
            let i: &store_core::layer::metrics::ItemSnapshot = i;
            i.operation == Operation::ReadMany && i.error == error
        };
        snapshot.items.iter().find(of).map(|items| items.count)
    };
    assert_eq!((items(None), items(Some(ErrorKind::Corrupt))), (Some(3), Some(1)));
    assert_eq!(snapshot.given_up, [(Operation::Ping, 1)]);
    assert_eq!((snapshot.under_way, snapshot.open_watches), (0, 0));
}

#[tokio::test]
async fn watches_are_open_as_long_as_they_live() {
    let metrics = Metrics::new();
    let (_, store) = wrapped(&Layers::new().metrics(metrics.clone()));
    let mut one = store.watch(&ns(), WatchOptions::default()).await.unwrap();
    let two = store.watch(&ns(), WatchOptions::default()).await.unwrap();
    assert_eq!(metrics.snapshot().open_watches, 2);
    one.next().await.unwrap().unwrap();
    assert_eq!(metrics.snapshot().watch_events, 1);
    drop((one, two));
    assert_eq!(metrics.snapshot().open_watches, 0);
}

#[tokio::test]
async fn the_text_is_what_prometheus_reads() {
    let metrics = Metrics::new();
    let (_, store) = wrapped(&Layers::new().metrics(metrics.clone()));
    store.write(&ns(), Put::new(key("a"), "1")).await.unwrap();
    store.read(&ns(), key("a"), ReadOptions::default()).await.unwrap();
    let text = metrics.prometheus(&[("store", "a \"b\"\\\n")]);
    let mut buckets = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            assert!(comment.starts_with("HELP ") || comment.starts_with("TYPE "), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = series.split_once('{').unwrap();
        assert!(name.starts_with("store_") && labels.ends_with('}'), "{line}");
        assert!(labels.starts_with(r#"store="a \"b\"\\\n""#), "{line}");
        if name.ends_with("_bucket") && labels.contains("\"write\"") {
            buckets.push(value.parse::<u64>().unwrap());
        }
    }
    assert!(buckets.is_sorted() && buckets.last() == Some(&1), "cumulative: {buckets:?}");
    assert!(text.contains(r#"outcome="ok",le="0.0025"}"#), "{text}");
    assert!(text.contains(r#"operation="read",result="hit"} 1"#), "{text}");
}
