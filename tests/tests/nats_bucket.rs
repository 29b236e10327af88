//! What the NATS driver offers beyond the contract.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::sync::Arc;

use store_core::{DatabaseConfig, ErrorKind, Name, Storage, Store, StoreAdmin};
use store_natsjs::{Layout, Nats, Operation};
use tests::servers::nats::{Server, Setup, Version};

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

    bucket.put(&key, "4", &[("Trace", "x"), ("Trace", "y")]).await.unwrap();
    assert_eq!(t.read("a.b").await.unwrap().unwrap().value(), b"4");
    let entry = bucket.entry(&key).await.unwrap().unwrap();
    assert_eq!((entry.header("trace"), entry.header("none")), (Some("y"), None));
    let traces: Vec<_> = entry.headers().filter(|(name, _)| *name == "Trace").collect();
    assert_eq!(traces, [("Trace", "x"), ("Trace", "y")]);
    assert!(entry.headers().all(|(name, _)| name != "Nats-Sequence"), "not of the answer");
    assert_eq!(bucket.history(&key).await.unwrap()[1].header("Trace"), Some("y"));
    t.write("a.b", "5").await.unwrap();
    bucket.revert(&key, entry.sequence).await.unwrap().unwrap();
    let back = bucket.entry(&key).await.unwrap().unwrap();
    assert_eq!((back.header("Trace"), &back.value[..]), (Some("y"), &b"4"[..]));
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

fn versions() -> Vec<Version> {
    let others = [Version::V2_10, Version::V2_11, Version::V2_12];
    let others = others.into_iter().filter(|version| version.binary().is_some());
    [Version::Newest].into_iter().chain(others).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_is_complete_and_fresh() {
    for version in versions() {
        let server = Server::with(&Setup::default().version(version));
        let layouts = [("app", Layout::Native), ("plain", Layout::Plain), ("go", Layout::GoMicro)];
        let builder = Nats::builder().servers([server.url()]);
        let layout = |builder: store_natsjs::Builder, (name, layout)| {
            builder.layout_of(Name::new(name).unwrap(), layout)
        };
        let nats = layouts.into_iter().fold(builder, layout).connect().await.unwrap();
        assert!(nats.buckets().await.unwrap().is_empty());
        let mut config = DatabaseConfig::new()
            .with_history(3)
            .with_storage(Storage::File)
            .with_description("what it is".to_owned());
        config.driver.insert("compression".to_owned(), "s2".to_owned());
        config.driver.insert("metadata.owner".to_owned(), "me".to_owned());
        let app = Name::new("app").unwrap();
        nats.create_database(&app, &config).await.unwrap();
        let aged = DatabaseConfig::new().with_default_ttl(std::time::Duration::from_secs(90));
        nats.create_database(&Name::new("plain").unwrap(), &aged).await.unwrap();
        nats.create_database(&Name::new("go").unwrap(), &DatabaseConfig::new()).await.unwrap();

        let bucket = nats.bucket(&app);
        let empty = bucket.status().await.unwrap();
        assert_eq!((&*empty.bucket, &*empty.stream), ("app", "KV_app"));
        assert_eq!((empty.values, empty.keys, empty.bytes, empty.consumers), (0, 0, 0, 0));
        assert_eq!((empty.history, empty.ttl, empty.replicas), (3, None, 1));
        assert_eq!((empty.is_compressed, empty.is_read_only), (true, false));
        assert_eq!(
            (empty.storage, empty.mirror.is_none(), empty.sources.len()),
            (Storage::File, true, 0)
        );
        assert!(empty.metadata.contains(&("owner".to_owned(), "me".to_owned())));
        assert!(empty.created.unwrap() <= std::time::SystemTime::now());
        assert_eq!(empty.stream_config["description"], "what it is");
        assert_eq!(empty.stream_state["messages"], 0);

        let store: Arc<dyn Store> = Arc::new(nats.clone());
        let t = store.database("app").unwrap().table("t").unwrap();
        for i in 0..5 {
            let revision = t.write("a", i.to_string()).await.unwrap().revision.unwrap();
            let status = bucket.status().await.unwrap();
            assert_eq!(status.values, (i + 1).min(3), "fresh after each write");
            assert_eq!((status.keys, status.last_sequence), (1, revision.sequence()));
            assert!(status.bytes > empty.bytes);
        }
        let _watch = bucket.watch(">").await.unwrap();
        assert_eq!(bucket.status().await.unwrap().consumers, 1);

        let all = nats.buckets().await.unwrap();
        let names: Vec<_> = all.iter().map(|status| &*status.bucket).collect();
        assert_eq!(names, ["app", "go", "plain"]);
        assert_eq!(all[2].ttl, Some(std::time::Duration::from_secs(90)));
        assert_eq!(all[0].values, 3);
    }
}

/// Fields of a stream's configuration that the driver does not know survive every change that it makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_keep_what_the_driver_does_not_know() {
    for version in versions() {
        let server = Server::with(&Setup::default().version(version));
        let nats = Nats::connect(&server.url()).await.unwrap();
        let app = Name::new("app").unwrap();
        nats.create_database(&app, &DatabaseConfig::new()).await.unwrap();
        let bucket = nats.bucket(&app);
        let unknown = |config: &mut serde_json::Value| {
            let hour = serde_json::json!({ "inactive_threshold": 3_600_000_000_000_u64 });
            config["consumer_limits"] = hour;
            if version == Version::Newest {
                config["allow_batched"] = true.into();
            }
        };
        bucket.reconfigure(unknown).await.unwrap();
        let kept = async || {
            let config = bucket.status().await.unwrap().stream_config;
            let limit = &config["consumer_limits"]["inactive_threshold"];
            assert_eq!(*limit, 3_600_000_000_000_u64, "{version:?}");
            if version == Version::Newest {
                assert_eq!(config["allow_batched"], true, "what the driver has no word for");
            }
            config
        };
        kept().await;
        nats.update_database(&app, &DatabaseConfig::new().with_history(4)).await.unwrap();
        assert_eq!(kept().await["max_msgs_per_subject"], 4);
        bucket.configure(|config| config.max_bytes = Some(1 << 30)).await.unwrap();
        let config = kept().await;
        assert_eq!(
            (&config["max_bytes"], &config["max_msgs_per_subject"]),
            (&(1 << 30).into(), &4.into())
        );
        bucket.configure(|config| config.history = None).await.unwrap();
        bucket.put("t.a", "1", &[]).await.unwrap();
        bucket.purge("t.a").await.unwrap();
        let done = bucket.compact().older_than(std::time::Duration::ZERO).await.unwrap();
        assert_eq!(done.removed, 1);
        let compacted = kept().await["metadata"]["store-compacted"].clone();
        assert!(compacted.is_string());
        nats.update_database(&app, &DatabaseConfig::new()).await.unwrap();
        assert_eq!(kept().await["metadata"]["store-compacted"], compacted, "a watch depends on it");
        let same = nats.create_database(&app, &DatabaseConfig::new()).await;
        same.expect("the mark is not a difference");

        for (what, change) in [
            ("name", serde_json::json!("KV_other")),
            ("metadata", serde_json::json!({ "store-layout": "other" })),
            ("metadata", serde_json::json!({})),
            ("storage", serde_json::json!("memory")),
        ] {
            let error =
                bucket.reconfigure(|config| config[what] = change.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{what}: {error}");
        }
        kept().await;
    }
}
