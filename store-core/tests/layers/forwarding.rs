//! Every call arrives as itself, once, with all its items.

use store_core::layer::{Layers, Limits, Metrics, Prefix, Retry, Trace};
use store_core::{
    Condition, DatabaseConfig, Expiry, ListOptions, Op, Operation, Put, ReadOptions, Remove, Store,
    StoreAdmin, WatchOptions,
};

use crate::{key, name, ns, wrapped};

/// Makes every call there is, the ones of `StoreAdmin` last.
async fn call_all(store: &dyn StoreAdmin) {
    let (ns, name, keys) = (ns(), name(), ["a", "b", "c"].map(key));
    let o = ListOptions::default();
    store.capability(&name).await.unwrap();
    store.read(&ns, keys[0], ReadOptions::default()).await.unwrap();
    store.read_value(&ns, keys[0], ReadOptions::default()).await.unwrap();
    store.exists(&ns, keys[0]).await.unwrap();
    assert_eq!(store.read_many(&ns, &keys).await.len(), 3);
    assert_eq!(store.read_values(&ns, &keys).await.len(), 3);
    store.history(&ns, keys[0]).await.unwrap();
    store.write(&ns, Put::new(keys[0], "1")).await.unwrap();
    let puts = keys.map(|key| Put::new(key, "1")).to_vec();
    assert_eq!(store.write_many(&ns, puts).await.len(), 3);
    store.delete(&ns, Remove::new(keys[1])).await.unwrap();
    let removes = keys[1..].iter().copied().map(Remove::new).collect();
    assert_eq!(store.delete_many(&ns, removes).await.len(), 2);
    store.set_expiry(&ns, keys[0], Expiry::Never, Condition::Any).await.unwrap();
    store.increment(&ns, keys[0], 1).await.unwrap();
    let ops = keys.map(|key| Op::Put(Put::new(key, "1"))).to_vec();
    assert_eq!(store.atomic(&ns, ops).await.unwrap().len(), 3);
    store.list(&ns, &o).await.unwrap();
    store.scan(&ns, &o).await.unwrap();
    store.scan_u64(&ns, 0, 10).await.unwrap();
    drop(store.watch(&ns, WatchOptions::default()).await.unwrap());
    store.ping().await.unwrap();
}

async fn administer(store: &dyn StoreAdmin) {
    let (ns, name) = (ns(), name());
    store.create_database(&name, &DatabaseConfig::new()).await.unwrap();
    store.update_database(&name, &DatabaseConfig::new()).await.unwrap();
    store.list_databases().await.unwrap();
    store.database_status(&name).await.unwrap();
    assert!(store.database_exists(&name).await.unwrap());
    store.list_tables(&name).await.unwrap();
    store.delete_table(&ns).await.unwrap();
    store.empty_database(&name).await.unwrap();
    store.delete_database(&name).await.unwrap();
    store.close().await.unwrap();
}

const RECORDS: [(Operation, usize); 19] = [
    (Operation::Capability, 1),
    (Operation::Read, 1),
    // The value alone.
    (Operation::Read, 1),
    (Operation::Exists, 1),
    (Operation::ReadMany, 3),
    // The values alone.
    (Operation::ReadMany, 3),
    (Operation::History, 1),
    (Operation::Write, 1),
    (Operation::WriteMany, 3),
    (Operation::Delete, 1),
    (Operation::DeleteMany, 2),
    (Operation::SetExpiry, 1),
    (Operation::Increment, 1),
    (Operation::Atomic, 3),
    (Operation::List, 1),
    (Operation::Scan, 1),
    (Operation::ScanU64, 1),
    (Operation::Watch, 1),
    (Operation::Ping, 1),
];

const ADMIN: [(Operation, usize); 10] = [
    (Operation::CreateDatabase, 1),
    (Operation::UpdateDatabase, 1),
    (Operation::ListDatabases, 1),
    (Operation::DatabaseStatus, 1),
    // Whether it exists.
    (Operation::DatabaseStatus, 1),
    (Operation::ListTables, 1),
    (Operation::DeleteTable, 1),
    (Operation::EmptyDatabase, 1),
    (Operation::DeleteDatabase, 1),
    (Operation::Close, 1),
];

fn limits() -> Limits {
    Limits::new()
        .max_value_len(100)
        .max_key_len(100)
        .max_items(10)
        .max_page(10)
        .max_concurrent_calls(1)
        .max_calls_per_second(1000)
}

#[tokio::test]
async fn every_call_arrives_as_itself_and_once() {
    let second = std::time::Duration::from_secs(1);
    let stacks = [
        Layers::new().trace_with(Trace::new().with_keys()),
        Layers::new().metrics(Metrics::new()),
        Layers::new().retry(Retry::new()),
        Layers::new().timeout(second),
        Layers::new().limits(limits()),
        Layers::new()
            .trace()
            .metrics(Metrics::new())
            .retry(Retry::new())
            .timeout(second)
            .limits(limits()),
    ];
    assert_eq!(
        RECORDS.len() - 2 + ADMIN.len() - 1,
        Operation::ALL.len(),
        "an operation is not tried"
    );
    for layers in stacks {
        let (recorder, store) = wrapped(&layers);
        call_all(&*store).await;
        assert_eq!(recorder.calls(), RECORDS, "{layers:?}");
        administer(&*store).await;
        assert_eq!(recorder.calls(), ADMIN, "{layers:?}");
        assert_eq!(store.driver(), "recorder");
    }
}

#[tokio::test]
async fn a_prefix_forwards_every_call_on_records_too() {
    let (recorder, store) = wrapped(&Layers::new().prefix(Prefix::new("p/").unwrap()));
    call_all(&*store).await;
    assert_eq!(recorder.calls(), RECORDS);
}

#[tokio::test]
async fn read_only_lets_nothing_through_that_changes() {
    let layers = Layers::new().read_only();
    let (recorder, store) = wrapped(&layers);
    let (ns, name, k) = (ns(), name(), key("k"));
    let config = DatabaseConfig::new();
    let mut errors = vec![
        store.write(&ns, Put::new(k, "1")).await.map(drop),
        store.delete(&ns, Remove::new(k)).await.map(drop),
        store.set_expiry(&ns, k, Expiry::Never, Condition::Any).await.map(drop),
        store.increment(&ns, k, 1).await.map(drop),
        store.atomic(&ns, vec![Op::Put(Put::new(k, "1"))]).await.map(drop),
        store.create_database(&name, &config).await,
        store.update_database(&name, &config).await,
        store.delete_database(&name).await,
        store.empty_database(&name).await,
        store.delete_table(&ns).await,
    ];
    let written = store.write_many(&ns, vec![Put::new(k, "1"), Put::new(k, "2")]).await;
    assert_eq!(written.len(), 2);
    errors.extend(written.into_iter().map(|answer| answer.map(drop)));
    let deleted = store.delete_many(&ns, vec![Remove::new(k)]).await;
    errors.extend(deleted.into_iter().map(|answer| answer.map(drop)));
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), store_core::ErrorKind::PermissionDenied, "{error}");
        assert_eq!(error.outcome(), store_core::Outcome::NotApplied);
    }
    assert_eq!(recorder.calls(), [], "nothing left the layer");

    recorder.memory.write(&ns, Put::new(k, "1")).await.unwrap();
    assert!(store.read(&ns, k, ReadOptions::default()).await.unwrap().is_some());
    assert_eq!(
        store.capability(&name).await.unwrap(),
        recorder.memory.capability(&name).await.unwrap()
    );
}
