//! A cross-section of the contract, through each layer and through all of them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use store_core::layer::{Layers, Limits, Metrics, Prefix, Retry, Trace};
use store_core::{
    Admin, Condition, DatabaseConfig, ErrorKind, Event, Expiry, Feature, Metadata, StoreAdmin,
};
use store_memory::Memory;

async fn kept_by(layers: Layers) {
    let memory: Arc<dyn StoreAdmin> = Arc::new(Memory::new());
    let store = layers.wrap(memory);
    let admin = Admin::new(Arc::clone(&store));
    admin.create("app", &DatabaseConfig::new().with_history(3)).await.unwrap();
    let table = store.database("app").unwrap().table("t").unwrap();
    let mut events = table.watch().prefix("k").await.unwrap();
    assert!(matches!(events.next().await.unwrap().unwrap(), Event::Synced { .. }));

    // Records, conditions, expiry, metadata, history.
    let metadata = Metadata::new().with("n", 1).unwrap();
    let hour = Duration::from_hours(1);
    let first = table.write("k1", "a").metadata(metadata.clone()).ttl(hour).await.unwrap();
    let record = table.read("k1").await.unwrap().unwrap();
    assert_eq!((record.key(), record.value(), record.metadata()), ("k1", &b"a"[..], &metadata));
    assert!(record.expires_at().is_some() && record.revision() == first.revision);
    let error = table.write("k1", "b").if_absent().await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("k1")));
    assert_eq!(error.current_revision(), first.revision);
    table.write("k1", "b").if_revision(first.revision.unwrap()).await.unwrap();
    table.set_expiry("k1", Expiry::Never).await.unwrap().unwrap();
    let history = table.history("k1").await.unwrap();
    assert_eq!(
        history.iter().map(store_core::Record::value).collect::<Vec<_>>(),
        [&b"a"[..], b"b", b"b"]
    );
    assert!(history.iter().all(|r| r.key() == "k1"));
    assert_eq!(table.increment("n", 2).await.unwrap().value, 2);

    // Batches.
    assert!(table.write_many([("k2", "2"), ("k3", "3")]).await.iter().all(Result::is_ok));
    let error = table.batch().write("k4", "4").create("k2", "x").commit().await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, Some("k2")));
    let check = Condition::Value(b"3"[..].into());
    table.batch().check("k3", check).write("k4", "4").delete("k2").commit().await.unwrap();
    let read = table.read_many(&["k4", "k2", "", "k3"]).await;
    assert_eq!(read[0].as_ref().unwrap().as_ref().unwrap().key(), "k4");
    assert!(read[1].as_ref().unwrap().is_none() && read[2].is_err());
    assert_eq!(read[3].as_ref().unwrap().as_ref().unwrap().value(), b"3");
    assert_eq!(table.delete_many(&["k4", "k5"]).await.len(), 2);

    // Listings.
    assert_eq!(table.list().await.unwrap(), ["k1", "k3", "n"]);
    assert_eq!(table.list().prefix("k").suffix("3").await.unwrap(), ["k3"]);
    assert_eq!(table.list().start_after("k1").offset(1).await.unwrap(), ["n"]);
    let page = table.scan().page_size(2).page().await.unwrap();
    let keys = |records: &[store_core::Record]| -> Vec<String> {
        records.iter().map(|record| record.key().to_owned()).collect()
    };
    assert_eq!(keys(&page.items), ["k1", "k3"]);
    let rest = table.scan().cursor(page.next.unwrap()).page().await.unwrap();
    assert_eq!((keys(&rest.items), rest.next), (vec!["n".to_owned()], None));
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        let page = table.scan_u64(cursor, 1).await.unwrap();
        found.extend(page.keys);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found, ["k1", "k3", "n"]);

    // Watches: only keys of the scope, in order.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "-k4") {
        seen.push(match events.next().await.unwrap().unwrap() {
            Event::Put(record) => format!("+{}", record.key()),
            Event::Delete { key, .. } => format!("-{key}"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen.first().unwrap(), "+k1");
    assert!(seen.contains(&"+k3".to_owned()) && !seen.contains(&"+n".to_owned()), "{seen:?}");

    // Administration.
    assert_eq!(admin.tables("app").await.unwrap(), ["t"]);
    assert_eq!(admin.list().await.unwrap().len(), 1);
    assert_eq!(admin.status("app").await.unwrap().config.history, Some(3));
    admin.delete_table("app", "t").await.unwrap();
    assert!(table.list().await.unwrap().is_empty());
    table.write("k", "v").await.unwrap();
    admin.empty("app").await.unwrap();
    assert!(!table.exists("k").await.unwrap());
    let database = store.database("app").unwrap();
    if database.capability().await.unwrap().has(Feature::Databases) {
        admin.update("app", &DatabaseConfig::new().with_history(2)).await.unwrap();
        admin.delete("app").await.unwrap();
        assert!(admin.list().await.unwrap().is_empty());
    }
    store.close().await.unwrap();
    assert_eq!(table.read("k").await.unwrap_err().kind(), ErrorKind::Closed);
}

macro_rules! keeps_the_contract {
    ($($name:ident: $layers:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            kept_by($layers).await;
        }
    )*};
}

keeps_the_contract! {
    no_layer: Layers::new();
    trace: Layers::new().trace_with(Trace::new().with_keys());
    metrics: Layers::new().metrics(Metrics::new());
    retry: Layers::new().retry(Retry::new());
    timeout: Layers::new().timeout(Duration::from_secs(10));
    limits: Layers::new().limits(wide());
    prefix: Layers::new().prefix(Prefix::new("tenant/").unwrap());
    every_layer: all();
    every_layer_twice: Layers::new().layer(all()).layer(all());
}

fn wide() -> Limits {
    Limits::new()
        .max_value_len(1 << 20)
        .max_key_len(512)
        .max_items(100)
        .max_page(2)
        .max_concurrent_calls(4)
        .max_calls_per_second(100_000)
}

fn all() -> Layers {
    Layers::new()
        .trace()
        .metrics(Metrics::new())
        .retry(Retry::new())
        .timeout(Duration::from_secs(10))
        .limits(wide())
        .prefix(Prefix::new("tenant/").unwrap())
}
