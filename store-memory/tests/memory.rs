//! What is this driver's own: bounded databases and their eviction rule, the expiry thread, the watch buffer, and the invariants
//! between its parts under load. The contract itself is proven by the conformance suite.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::{
    Admin, DatabaseConfig, ErrorKind, Event, Gone, Op, Put, Storage, Store, StoreAdmin, Table,
    WhenFull,
};
use store_memory::{Memory, testkit::ManualClock};

async fn bounded(config: DatabaseConfig) -> (Admin, Table) {
    let store: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
    let admin = Admin::new(Arc::clone(&store));
    admin.create("db", &config).await.unwrap();
    (admin, store.database("db").unwrap().table("t").unwrap())
}

async fn keys(table: &Table) -> Vec<String> {
    table.list().await.unwrap()
}

#[tokio::test]
async fn a_full_database_refuses_births_and_growth_but_nothing_else() {
    let (admin, table) = bounded(DatabaseConfig::new().with_max_records(2)).await;
    table.write("a", "1").await.unwrap();
    table.write("b", "1").await.unwrap();
    for error in [
        table.write("c", "1").await.unwrap_err(),
        table.increment("c", 1).await.unwrap_err(),
        table.batch().delete("a").write("c", "1").write("d", "1").commit().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    }
    table.write("a", "2").await.unwrap();
    assert_eq!(keys(&table).await, ["a", "b"]);
    // What a batch takes away makes room for what it brings.
    table.batch().write("c", "1").delete("a").commit().await.unwrap();
    assert_eq!(keys(&table).await, ["b", "c"]);
    table.delete("b").await.unwrap();
    table.write("d", "1").await.unwrap();
    assert_eq!(admin.status("db").await.unwrap().records, Some(2));
}

#[tokio::test]
async fn bytes_are_bounded_and_given_back() {
    let (admin, table) = bounded(DatabaseConfig::new().with_max_bytes(10_000)).await;
    table.write("a", vec![0; 8_000]).await.unwrap();
    assert_eq!(table.write("b", vec![0; 8_000]).await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(table.write("a", vec![0; 20_000]).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let batch = table.batch().write("x", vec![0; 1_000]).write("y", vec![0; 8_000]);
    assert_eq!(batch.commit().await.unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(keys(&table).await, ["a"], "nothing of the batch is there");
    table.batch().write("b", vec![0; 8_000]).delete("a").commit().await.unwrap();
    table.batch().write("b", "").write("a", vec![0; 8_000]).commit().await.unwrap();
    table.delete("b").await.unwrap();
    table.write("a", "small").await.unwrap();
    table.write("b", vec![0; 8_000]).await.unwrap();
    admin.empty("db").await.unwrap();
    assert_eq!(admin.status("db").await.unwrap().bytes, Some(0));
}

#[tokio::test]
async fn bytes_add_up_to_nothing_after_every_kind_of_change() {
    let (admin, table) = bounded(DatabaseConfig::new().with_history(3)).await;
    for round in 0..10_usize {
        for i in 0..20_usize {
            let key = format!("k{i}");
            table.write(&key, vec![1; (i * 97 + round * 31) % 2_500]).await.unwrap();
        }
        table.increment("n", 1_000_000).await.unwrap();
        table.set_expiry("k1", store_core::Expiry::After(Duration::from_mins(1))).await.unwrap();
        table.delete("k2").await.unwrap();
        table.batch().write("k3", "x").delete("k4").commit().await.unwrap();
    }
    assert!(admin.status("db").await.unwrap().bytes.unwrap() > 0);
    for key in keys(&table).await {
        table.delete(&key).await.unwrap();
    }
    let status = admin.status("db").await.unwrap();
    assert_eq!((status.records, status.bytes), (Some(0), Some(0)));
}

#[tokio::test]
async fn what_was_written_longest_ago_is_evicted_first() {
    let config = DatabaseConfig::new().with_max_records(3).with_when_full(WhenFull::Evict);
    let (admin, table) = bounded(config.clone()).await;
    let mut events = table.watch().changes_only().await.unwrap();
    for key in ["a", "b", "c"] {
        table.write(key, "1").await.unwrap();
    }
    table.write("a", "2").await.unwrap();
    table.read("b").await.unwrap();
    table.write("d", "1").await.unwrap();
    assert_eq!(
        keys(&table).await,
        ["a", "c", "d"],
        "b was written longest ago; reads do not count"
    );
    let mut evicted = None;
    while evicted.is_none() {
        if let Event::Delete { key, reason, .. } = events.next().await.unwrap().unwrap() {
            evicted = Some((key, reason));
        }
    }
    assert_eq!(evicted, Some(("b".to_owned(), Gone::Evicted)));
    for i in 0..1_000 {
        table.write(&format!("{i:04}"), "1").await.unwrap();
    }
    assert_eq!(keys(&table).await, ["0997", "0998", "0999"]);
    // A limit that comes later is met at once.
    admin.update("db", &config.with_max_records(1)).await.unwrap();
    assert_eq!(keys(&table).await, ["0999"]);
}

#[tokio::test]
async fn settings_that_memory_cannot_honour_are_refused() {
    let admin = Admin::new(Arc::new(Memory::new()));
    let mut foreign = DatabaseConfig::new();
    foreign.driver.insert("placement".into(), "eu".into());
    for (config, kind) in [
        (DatabaseConfig::new().with_storage(Storage::File), ErrorKind::Unsupported),
        (DatabaseConfig::new().with_replicas(3), ErrorKind::Unsupported),
        (foreign, ErrorKind::Unsupported),
        (DatabaseConfig::new().with_history(0), ErrorKind::InvalidArgument),
        (DatabaseConfig::new().with_default_ttl(Duration::ZERO), ErrorKind::InvalidArgument),
    ] {
        assert_eq!(admin.create("db", &config).await.unwrap_err().kind(), kind, "{config:?}");
    }
    assert!(admin.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_auto_create_a_write_needs_the_database() {
    let store: Arc<dyn StoreAdmin> = Arc::new(Memory::builder().auto_create(false).build());
    let table = store.database("db").unwrap().table("t").unwrap();
    assert_eq!(table.write("k", "v").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(table.increment("k", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(table.read("k").await.unwrap(), None);
    Admin::new(Arc::clone(&store)).create("db", &DatabaseConfig::new()).await.unwrap();
    table.write("k", "v").await.unwrap();
}

/// With the system's clock: nobody calls anything, and the record goes in time.
#[tokio::test]
async fn the_expiry_thread_removes_records_at_their_time() {
    let (admin, table) = bounded(DatabaseConfig::new()).await;
    let mut events = table.watch().changes_only().await.unwrap();
    table.write("late", "v").ttl(Duration::from_hours(1)).await.unwrap();
    table.write("soon", "v").ttl(Duration::from_millis(80)).await.unwrap();
    let gone = async {
        loop {
            if let Event::Delete { key, reason, .. } = events.next().await.unwrap().unwrap() {
                return (key, reason);
            }
        }
    };
    let gone =
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("an event by itself");
    assert_eq!(gone, ("soon".to_owned(), Gone::Expired));
    assert_eq!(admin.status("db").await.unwrap().records, Some(1));
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_told_and_ends_with_the_truth() {
    let store: Arc<dyn Store> = Arc::new(Memory::builder().watch_buffer(16).build());
    let table = store.database("db").unwrap().table("t").unwrap();
    let mut events = table.watch().await.unwrap();
    for i in 0..100 {
        table.write(&format!("{}", i % 7), format!("{i}")).await.unwrap();
    }
    table.delete("0").await.unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let mut resyncs = 0;
    let last = table.write("end", "").await.unwrap().revision;
    loop {
        match events.next().await.unwrap().unwrap() {
            Event::Put(record) => {
                let end = record.revision() == last;
                seen.insert(record.key().to_owned(), record.value().to_vec());
                if end {
                    break;
                }
            }
            Event::Delete { key, .. } => drop(seen.remove(&key)),
            Event::Resync => {
                resyncs += 1;
                seen.clear();
            }
            _ => {}
        }
    }
    assert!(resyncs > 0, "100 changes do not fit into a buffer of 16");
    let present = table.scan().await.unwrap();
    let present: std::collections::BTreeMap<_, _> =
        present.iter().map(|r| (r.key().to_owned(), r.value().to_vec())).collect();
    assert_eq!(seen, present);
}

/// Births, deaths, clears and expiries against listings: afterwards the index has just the records that there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_index_and_the_records_never_part() {
    let clock = ManualClock::new();
    let store: Arc<dyn StoreAdmin> = Arc::new(Memory::builder().clock(clock.clone()).build());
    let admin = Admin::new(Arc::clone(&store));
    let table = store.database("db").unwrap().table("t").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for worker in 0..4_u64 {
        let (table, stop, clock, admin) =
            (table.clone(), Arc::clone(&stop), clock.clone(), admin.clone());
        workers.push(tokio::spawn(async move {
            let mut seed = worker * 7919 + 1;
            while !stop.load(Ordering::Relaxed) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let key = format!("{:03}", seed >> 56);
                match (seed >> 32) % 16 {
                    0..6 => drop(table.write(&key, "v").await),
                    6..10 => drop(table.delete(&key).await),
                    10..12 => drop(table.write(&key, "v").ttl(Duration::from_millis(5)).await),
                    12 => clock.advance(Duration::from_millis(3)),
                    13 => drop(table.increment(&key, 1).await),
                    14 if (seed >> 20) % 64 == 0 => drop(admin.delete_table("db", "t").await),
                    15 if (seed >> 20) % 64 == 0 => drop(admin.delete("db").await),
                    _ => drop(table.list().prefix(&key[..2]).await),
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    clock.advance(Duration::from_secs(1));
    let listed = keys(&table).await;
    let mut read = Vec::new();
    for i in 0..256 {
        let key = format!("{i:03}");
        if table.exists(&key).await.unwrap() {
            read.push(key);
        }
    }
    assert_eq!(listed, read);
    table.write("000", "").await.unwrap();
    let count = keys(&table).await.len() as u64;
    assert_eq!(admin.status("db").await.unwrap().records, Some(count));
    let mut by_hash = table.scan_u64(0, usize::MAX).await.unwrap().keys;
    by_hash.sort();
    assert_eq!(by_hash, keys(&table).await);
    admin.delete("db").await.unwrap();
    assert!(keys(&table).await.is_empty());
}

/// A handle is not tied to one life of its database.
#[tokio::test]
async fn handles_and_watches_outlive_their_database() {
    let (admin, table) = bounded(DatabaseConfig::new()).await;
    let before = table.write("k", "1").await.unwrap().revision.unwrap();
    let mut events = table.watch().changes_only().await.unwrap();
    admin.delete("db").await.unwrap();
    assert!(admin.list().await.unwrap().is_empty());
    let again = table.write("k", "2").await.unwrap().revision.unwrap();
    assert_ne!(before, again);
    assert_eq!(
        table.write("k", "3").if_revision(before).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert!(matches!(events.next().await.unwrap().unwrap(), Event::Delete { .. }));
    assert!(matches!(events.next().await.unwrap().unwrap(), Event::Put(r) if r.value() == b"2"));
}

/// Batches over the same keys in opposite orders: no deadlock, and a sum that no reader of one key at a time can disprove.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_do_not_deadlock() {
    let (_, table) = bounded(DatabaseConfig::new()).await;
    let keys: Vec<String> = (0..32).map(|i| format!("k{i}")).collect();
    let mut workers = Vec::new();
    for worker in 0..4 {
        let (table, mut keys) = (table.clone(), keys.clone());
        if worker % 2 == 1 {
            keys.reverse();
        }
        workers.push(tokio::spawn(async move {
            for round in 0..500 {
                let value = format!("{worker}/{round}");
                let put = |key| Op::Put(Put::new(store_core::Key::new(key).unwrap(), &value));
                let batch = keys.iter().fold(table.batch(), |batch, key| batch.op(put(key)));
                batch.commit().await.unwrap();
            }
        }));
    }
    let all = async {
        for worker in workers {
            worker.await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("a deadlock");
    let values: std::collections::BTreeSet<_> =
        table.scan().await.unwrap().iter().map(|r| r.value().to_vec()).collect();
    assert_eq!(values.len(), 1, "the last batch wrote all of it");
}
