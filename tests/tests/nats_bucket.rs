//! What the NATS driver offers beyond the contract.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;

use store_core::{DatabaseConfig, ErrorKind, Name, Store, StoreAdmin};
use store_natsjs::{Nats, Operation};
use tests::servers::nats::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_revert_purge_headers_and_configuration() {
    let server = Server::start();
    let nats = Nats::connect(&server.url()).await.unwrap();
    let name = Name::new("app").unwrap();
    let bucket = nats.bucket(&name);
    assert_eq!(bucket.info().await.unwrap_err().kind(), ErrorKind::NotFound);
    nats.create_database(&name, &DatabaseConfig::new().with_history(5)).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(nats.clone());
    let t = store.database("app").unwrap().table("t").unwrap();

    let first = t.write("a.b", "1").await.unwrap().revision.unwrap();
    t.write("a.b", "2").await.unwrap();
    t.delete("a.b").await.unwrap();
    t.write("a.c", "3").await.unwrap();
    let key = bucket.key_of("t", "a.b").await.unwrap();
    assert_eq!(key, "t.a.b");
    let newest = bucket.entry(&key).await.unwrap().unwrap();
    assert_eq!((newest.operation, newest.value.len()), (Operation::Delete, 0));
    let all = bucket.history("t.a.*").await.unwrap();
    let seen: Vec<_> = all.iter().map(|e| (&*e.key, &e.value[..], e.delta)).collect();
    let want: [(&str, &[u8], u64); 4] =
        [("t.a.b", b"1", 2), ("t.a.b", b"2", 1), ("t.a.b", b"", 0), ("t.a.c", b"3", 0)];
    assert_eq!(seen, want);
    assert_eq!(all[0].revision, first);

    let at = bucket.entry_at(&key, all[0].sequence).await.unwrap().unwrap();
    assert_eq!(&at.value[..], b"1");
    bucket.revert(&key, at.sequence).await.unwrap().unwrap();
    assert_eq!(t.read("a.b").await.unwrap().unwrap().value(), b"1");
    assert!(bucket.revert(&key, newest.sequence).await.unwrap().is_none(), "a deletion");

    bucket.purge(&key).await.unwrap();
    assert!(t.read("a.b").await.unwrap().is_none());
    assert_eq!(bucket.history(&key).await.unwrap().len(), 1);

    bucket.put(&key, "4", &[("Trace", "x")]).await.unwrap();
    assert_eq!(t.read("a.b").await.unwrap().unwrap().value(), b"4");
    for bad in [("Nats-TTL", "1"), ("a b", "1"), ("Trace", "a\r\nb")] {
        let error = bucket.put(&key, "5", &[bad]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
    }
    for bad in ["", ".a", "a b", "a..b", "*"] {
        assert!(bucket.entry(bad).await.is_err(), "{bad:?}");
    }

    bucket.reconfigure(|config| config["max_bytes"] = 1_000_000.into()).await.unwrap();
    let info = bucket.info().await.unwrap();
    assert_eq!(info["config"]["max_bytes"], 1_000_000);
    assert_eq!(info["config"]["metadata"]["store-layout"], "native-1", "the rest stayed");
    assert_eq!(nats.database_status(&name).await.unwrap().config.max_bytes, Some(1_000_000));
}
